package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// connect opens a connection to the sign socket.
func (h *host) connect() net.Conn {
	h.t.Helper()
	c, err := net.Dial("unix", h.path("sign.sock"))
	must(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	return c
}

// postText is a request as bytes, its body announced and whole.
func postText(t *testing.T, id string, extra ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"request": map[string]string{
		"id": id, "key": "hot", "kind": "evm.transaction", "payload_text": transaction(1, 7, eth(100)),
	}})
	must(t, err)
	header := append([]string{
		"POST " + signPath + " HTTP/1.1", "Host: localhost", "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)),
	}, extra...)
	return strings.Join(header, "\r\n") + "\r\n\r\n" + string(body)
}

// waitRecord waits for a refusal that says something.
func (h *host) waitRecord(from uint64, event signer.EventType, text string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("the journal has %q with %q", event, text), func() bool {
		for _, e := range h.events(from) {
			if e.Type == event && strings.Contains(e.Detail, text) && e.Caller != nil && int(e.Caller.UID) == os.Getuid() {
				return true
			}
		}
		return false
	})
}

const silent = "connected, and closed or timed out without a whole request"

func TestACallerThatGoesSilentIsRecordedAndCostsNobodyElse(t *testing.T) {
	t.Parallel()
	full := postText(t, "half")
	head := strings.Index(full, "\r\n\r\n") + 4
	for name, c := range map[string]struct {
		send   string
		close  bool
		record string
	}{
		"it says nothing and leaves":              {"", true, silent},
		"it says nothing and stays":               {"", false, silent},
		"it stops in the header and leaves":       {full[:head/2], true, silent},
		"it stops in the header and stays":        {full[:head/2], false, silent},
		"it speaks no HTTP":                       {"\x16\x03\x01 hello\r\n\r\n", true, silent},
		"it hangs up in the body":                 {full[:len(full)-20], true, "unexpected EOF"},
		"it hangs up between header and its body": {full[:head], true, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // two of them wait for the daemon's patience to end, 5 s
			h := newHost(t)
			p := h.start()
			from := h.size()
			conn := h.connect()
			_, err := io.WriteString(conn, c.send)
			must(t, err)
			h.pay("meanwhile")
			if c.close {
				must(t, conn.Close())
			}
			h.waitRecord(from, signer.EventMalformed, c.record)
			if !c.close { // the daemon hung up
				must(t, conn.SetReadDeadline(time.Now().Add(patience)))
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection is still open")
				}
			}
			h.pay("afterwards")
			h.unharmed(p)
		})
	}
}

// A watch may be given up at any moment, also while it is being sent.
func TestAQuestionGivenUpWhileItIsSentIsNotOnRecord(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	from := h.size()
	whole := strings.Replace(postText(t, "half"), signPath, "/sealward.v1.SignerService/WatchRequest", 1)
	head := strings.Index(whole, "\r\n\r\n") + 4
	send := func(text string) {
		conn := h.connect()
		_, err := io.WriteString(conn, text)
		must(t, err)
		must(t, conn.Close())
	}
	for _, end := range []int{head, head + 1, len(whole) - 1} {
		for range 20 {
			send(whole[:end])
		}
	}
	h.pay("afterwards")
	p.stop() // which waits for all that came before it
	p = h.start()
	for _, e := range h.events(from) {
		if strings.Contains(e.Detail, "WatchRequest") {
			t.Errorf("on record is %q", e.Detail)
		}
	}
	h.unharmed(p)
}

func TestACallerThatHangsUpAfterAskingIsSignedForAllTheSame(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	const rounds = 20
	for i := range rounds {
		conn := h.connect()
		_, err := io.WriteString(conn, postText(t, fmt.Sprintf("gone-%d", i)))
		must(t, err)
		must(t, conn.Close())
	}
	client := h.sign()
	for i := range rounds {
		id := fmt.Sprintf("gone-%d", i)
		var rec *v1.GetRequestResponse
		eventually(t, id+" is signed", func() (ok bool) {
			var err error
			rec, err = client.Request(context.Background(), id, "")
			return err == nil && rec.GetState() == "signed"
		})
		req := payment(id, 7)
		res, err := client.Sign(context.Background(), &v1.SignRequest{Request: req})
		if err != nil || string(res.GetArtifact()) != string(rec.GetArtifact()) || len(res.GetArtifact()) == 0 {
			t.Errorf("asking again for %s gives %v, %v; on record is %x", id, res, err, rec.GetArtifact())
		}
	}
	if r := h.sound(); r.GetAuthorized() != rounds || r.GetSigned() != rounds {
		t.Errorf("the journal has %d authorised and %d signed, want %d", r.GetAuthorized(), r.GetSigned(), rounds)
	}
	h.unharmed(p)
}

// resident is a figure of /proc/PID/status, in KiB.
func (p *process) resident(field string) (kib int) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(p.t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				p.t.Fatal(err)
			}
			return kib
		}
	}
	p.t.Fatalf("/proc/PID/status has no %s", field)
	return 0
}

func TestAThousandConnectionsAreServedOrRefusedAndTheDaemonGoesOn(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	h.pay("first")
	before := p.resident("VmRSS")

	const conns = 1000
	open := make([]net.Conn, conns)
	for i := range open {
		open[i] = h.connect()
	}
	status := make([]int, conns)
	var wg sync.WaitGroup
	for i, c := range open {
		wg.Go(func() {
			_ = c.SetDeadline(time.Now().Add(patience))
			// The daemon may have refused and closed already; its answer is there to read.
			_, _ = io.WriteString(c, postText(t, fmt.Sprintf("c-%d", i)))
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				status[i] = res.StatusCode
			}
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, s := range status {
		count[s]++
	}
	// 503: no place for the connection; 429: none for its request in the pipeline.
	served, refused, busy := count[http.StatusOK], count[http.StatusServiceUnavailable], count[http.StatusTooManyRequests]
	if served == 0 || refused == 0 || served+refused+busy != conns {
		t.Errorf("answers by status: %v; want some served, some refused with 503 or 429, and none left without an answer", count)
	}
	if served+busy > 128 {
		t.Errorf("%d connections of one uid were taken at once, want 128 at most", served+busy)
	}
	peak := p.resident("VmHWM")
	t.Logf("%d KiB before, %d at the peak; answers by status: %v", before, peak, count)
	if peak > before+512<<10 { // generous: the race detector multiplies what it is
		t.Errorf("the daemon took %d KiB at its peak and %d before", peak, before)
	}
	for _, c := range open {
		must(t, c.Close())
	}
	eventually(t, "a good request is served again", func() bool {
		_, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: payment("last", 7)})
		return err == nil
	})
	if r := h.sound(); int(r.GetSigned()) != count[http.StatusOK]+2 {
		t.Errorf("%d are on record as signed, want the %d that were told so and two more", r.GetSigned(), count[http.StatusOK])
	}
	h.unharmed(p)
}
