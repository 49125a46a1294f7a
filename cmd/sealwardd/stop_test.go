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
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

func TestSIGTERMLetsARequestInFlightFinish(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	silent := h.connect() // it must not hold up the end
	idle := h.sign()
	_, err := idle.Status(context.Background()) // nor must this, which stays open
	must(t, err)
	conn := h.connect()
	text := postText(t, "late", "Expect: 100-continue")
	body := strings.Index(text, "\r\n\r\n") + 4
	_, err = io.WriteString(conn, text[:body])
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the daemon says %q, %v; want it to wait for the body", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	p.waitLog("msg=stopping")
	eventually(t, "nobody listens any more", func() bool { return h.missing("sign.sock") })
	if p.ended() {
		t.Fatal("the daemon ended with a request in flight")
	}
	_, err = io.WriteString(conn, text[body:])
	must(t, err)
	res, err := http.ReadResponse(r, nil)
	must(t, err)
	var answer struct{ Artifact []byte }
	must(t, json.NewDecoder(res.Body).Decode(&answer))
	if res.StatusCode != http.StatusOK || len(answer.Artifact) == 0 {
		t.Errorf("the request in flight is answered with %d, %v", res.StatusCode, answer)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("the daemon ends with %d, want 0", code)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the silent connection reads %d, %v; want it closed", n, err)
	}

	h.start()
	events := h.events(0)
	var types []string
	for _, e := range events {
		types = append(types, string(e.Type))
	}
	if got := strings.Join(types, " "); got != "started authorized signed stopped started" {
		t.Errorf("the journal has %q", got)
	}
	h.sound()
}

func TestSIGTERMCutsOffWhatDoesNotFinishByTheDeadline(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("sealward.hcl", "stop_timeout = \"1s\"\n"+h.read("sealward.hcl"))
	p := h.start()
	conn := h.connect()
	text := postText(t, "never", "Expect: 100-continue")
	_, err := io.WriteString(conn, text[:strings.Index(text, "\r\n\r\n")+4])
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the daemon says %q, %v; want it to wait for the body", line, err)
	}
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 1 {
		t.Errorf("the daemon ends with %d, want 1: something was cut off", code)
	}
	contains(t, "its log", p.log.String(), "requests were still under way and have been cut off")
	if took := time.Since(began); took > 10*time.Second { // the body's own limit is 15 s
		t.Errorf("stopping took %s, want about the deadline of 1 s", took)
	}
	h.start()
	h.sound()
}

func TestReloadKeepsTheOldPolicyWhenTheNewOneIsBad(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	status := func(c *api.Client) *v1.GetStatusResponse {
		s, err := c.Status(context.Background())
		must(t, err)
		return s
	}
	old := status(h.admin())
	from := h.size()
	for round, bad := range map[string]struct {
		spoil func()
		want  string
	}{
		"a misspelt name": {func() { h.edit("policy.hcl", "allow = true", "alow = true") }, "alow"},
		"open to all":     {func() { h.write("policy.hcl", hostPolicy); h.mode("policy.hcl", 0o666) }, "chmod"},
	} {
		bad.spoil()
		p.signal(syscall.SIGHUP)
		eventually(t, round+": status says why", func() bool { return strings.Contains(status(h.admin()).GetPolicyError(), bad.want) })
		now := status(h.admin())
		if now.GetPolicy() != old.GetPolicy() || !now.GetPolicyLoaded().AsTime().Equal(old.GetPolicyLoaded().AsTime()) {
			t.Errorf("%s: the policy in force is %s, want the old one, %s", round, now.GetPolicy(), old.GetPolicy())
		}
		if text := status(h.sign()).GetPolicyError(); text == "" || strings.Contains(text, h.dir) {
			t.Errorf("%s: callers are told %q, want that there is an error and nothing about files", round, text)
		}
		h.pay("under-the-old-one-" + round[:1])
		h.write("policy.hcl", hostPolicy)
	}

	h.edit("policy.hcl", `"1000 eth"`, `"0.15 eth"`)
	p.signal(syscall.SIGHUP)
	eventually(t, "the new policy is in force", func() bool { return status(h.admin()).GetPolicy() != old.GetPolicy() })
	if text := status(h.admin()).GetPolicyError(); text != "" {
		t.Errorf("status still says %q", text)
	}
	// What was spent under the old policy counts under the new one.
	_, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: payment("under-the-new-one", 8)})
	if codeOf(err) != signer.CodeDenied || !strings.Contains(err.Error(), `limit "eth a day"`) {
		t.Errorf("Sign error = %v, want it denied by the new limit", err)
	}
	var refused, switched int
	for _, e := range h.events(from) {
		switch {
		case e.Type == signer.EventPolicy && e.Code == signer.CodeInvalid && strings.HasPrefix(e.Detail, "a reload was refused: ") && fmt.Sprintf("%x", e.Policy) == old.GetPolicy():
			refused++
		case e.Type == signer.EventPolicy && e.Code == "" && fmt.Sprintf("%x", e.Policy) == status(h.admin()).GetPolicy():
			switched++
		}
	}
	if refused != 2 || switched != 1 {
		t.Errorf("on record are %d refused reloads and %d changes of policy, want 2 and 1", refused, switched)
	}
	p.stop()
}

func TestTheServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("notify"), Net: "unixgram"})
	must(t, err)
	defer manager.Close()
	next := func(unlike string) string {
		for buf := make([]byte, 4096); ; {
			must(t, manager.SetReadDeadline(time.Now().Add(patience)))
			n, err := manager.Read(buf)
			must(t, err)
			if text := string(buf[:n]); text != unlike {
				return text
			}
		}
	}
	const fed = "WATCHDOG=1"
	p := h.start("NOTIFY_SOCKET="+h.path("notify"), "WATCHDOG_USEC=200000")
	contains(t, "the first word", next(fed), "READY=1", "STATUS=1 keys, policy ")
	if text := next(""); text != fed {
		t.Errorf("next it says %q, want %q", text, fed)
	}
	p.signal(syscall.SIGHUP)
	contains(t, "a reload begins with", next(fed), "RELOADING=1", "MONOTONIC_USEC=")
	contains(t, "and ends with", next(fed), "READY=1", "STATUS=1 keys, policy ")
	h.edit("policy.hcl", "allow", "alow")
	p.signal(syscall.SIGHUP)
	contains(t, "a refused one begins with", next(fed), "RELOADING=1")
	contains(t, "and ends with", next(fed), "READY=1", "the last reload was refused")
	p.signal(syscall.SIGTERM)
	contains(t, "the last word", next(fed), "STOPPING=1")
	if code := p.wait(); code != 0 {
		t.Errorf("the daemon ends with %d, want 0", code)
	}
}

func TestTheMetricsSocketServesMetricsAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	h.pay("r1")
	status, body := h.get("metrics.sock", "GET", "/metrics")
	if status != http.StatusOK {
		t.Fatalf("GET /metrics = %d, want 200", status)
	}
	contains(t, "the metrics", body, `sealward_request_seconds_count{code="ok",method="Sign"} 1`, `sealward_token_available{token="softhsm"} 1`,
		"sealward_journal_stopped 0", "sealward_policy_reload_refused 0", "sealward_journal_leaves 3", "process_resident_memory_bytes")
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", 404}, {"GET", "/debug/pprof/", 404}, {"POST", "/metrics", 405}, {"POST", signPath, 404}, {"POST", "/sealward.v1.SignerService/GetStatus", 404},
	} {
		if status, body := h.get("metrics.sock", c.method, c.path); status != c.want || strings.Contains(body, "sealward_") {
			t.Errorf("%s %s on the metrics socket = %d, %q; want %d", c.method, c.path, status, body, c.want)
		}
	}
	if status, _ := h.get("sign.sock", "GET", "/metrics"); status != 404 {
		t.Errorf("GET /metrics on the sign socket = %d, want 404", status)
	}
	for name, want := range map[string]os.FileMode{"sign.sock": 0o666, "admin.sock": 0o666, "metrics.sock": 0o600} {
		if info, err := os.Lstat(h.path(name)); err != nil || info.Mode() != os.ModeSocket|want {
			t.Errorf("%s is %v, %v; want a socket of mode %v", name, info.Mode(), err, want)
		}
	}
	p.stop()
}

func TestThePINIsNowhereToBeFound(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	h.pay("r1")
	_, refusal := h.sign().Sign(context.Background(), &v1.SignRequest{Request: &v1.Request{Id: "bad", Key: "none", Kind: "digest", PayloadText: "x"}})
	if codeOf(refusal) != signer.CodeNotFound {
		t.Fatalf("Sign error = %v, want code %q", refusal, signer.CodeNotFound)
	}
	pid := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	limits, err := os.ReadFile(pid + "limits")
	must(t, err)
	if fields := strings.Fields(strings.SplitAfter(string(limits), "Max core file size")[1]); fields[0] != "0" || fields[1] != "0" {
		t.Errorf("the core limit is %s of %s, want 0 of 0", fields[0], fields[1])
	}
	places := map[string]string{"a refusal": refusal.Error()}
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(pid + name)
		if err != nil && (os.Geteuid() == 0 || name == "cmdline") {
			t.Fatal(err) // to others than root the environment of a hardened process is closed
		}
		places["/proc/PID/"+name] = string(b)
	}
	_, places["the metrics"] = h.get("metrics.sock", "GET", "/metrics")
	p.stop()
	places["the log"] = p.log.String()
	files, err := filepath.Glob(h.path("journal/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the journal has no files: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		places[f] = string(b)
	}
	for where, text := range places {
		if strings.Contains(text, pin) || strings.Contains(text, pin[4:]) {
			t.Errorf("the PIN is in %s", where)
		}
	}
	if !strings.Contains(h.read("pin"), pin) {
		t.Error("the test looks for something else than the PIN")
	}
}

func TestSIGTERMDoesNotWaitForTheNextCheckpoint(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.edit("sealward.hcl", `checkpoint_interval = "200ms"`, `checkpoint_interval = "1h"`)
	p := h.start()
	answer := make(chan error, 1)
	go func() {
		res, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: payment("proven", 1), Proof: true})
		if err == nil && res.GetProof() == "" {
			err = errors.New("no proof came")
		}
		answer <- err
	}()
	eventually(t, "the payment is signed", func() bool { return h.size() >= 3 })
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("the daemon ends with %d, want 0", code)
	}
	if err := <-answer; err != nil {
		t.Errorf("the caller who waited for a proof got: %v", err)
	}
}

// A reload takes a while, and signals that come meanwhile are kept. However many ask for
// another one, the one that asks for the stop is among them.
func TestAStopIsObeyedAmongManyReloads(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	large := hostPolicy
	for i := range 1000 {
		large += fmt.Sprintf("rule \"more %d\" {\n  keys    = [\"hot\"]\n  callers = [\"uid:%d\"]\n  when    = \"effects.all(e, e.class == 'transfer')\"\n  allow   = true\n}\n", i, 100000+i)
	}
	h.write("policy.hcl", large)
	p := h.start()
	for range 100 {
		p.signal(syscall.SIGHUP)
		time.Sleep(time.Millisecond)
	}
	p.signal(syscall.SIGTERM)
	eventually(t, "the daemon ends", p.ended)
	if code := p.wait(); code != 0 {
		t.Errorf("the daemon ends with %d, want 0", code)
	}
}
