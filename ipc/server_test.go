package ipc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

func TestANewServerNeedsEverything(t *testing.T) {
	whole := Config{
		Listeners: []*Listener{{Name: "sign"}}, Handler: whoami, Identifier: NewIdentifier(false),
		Limits: DefaultLimits(), Silent: func(signer.Caller) {}, Log: slog.New(slog.DiscardHandler),
	}
	if _, err := NewServer(whole); err != nil {
		t.Fatalf("NewServer = %v", err)
	}
	for name, spoil := range map[string]func(*Config){
		"no listeners":          func(c *Config) { c.Listeners = nil },
		"no handler":            func(c *Config) { c.Handler = nil },
		"a socket without one":  func(c *Config) { c.Handler = func(string) http.Handler { return nil } },
		"no identifier":         func(c *Config) { c.Identifier = nil },
		"no limits":             func(c *Config) { c.Limits = Limits{} },
		"no limit per uid":      func(c *Config) { c.Limits.ConnsPerUID = 0 },
		"no deadline for write": func(c *Config) { c.Limits.Write = 0 },
		"nobody told":           func(c *Config) { c.Silent = nil },
		"no log":                func(c *Config) { c.Log = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := whole
			spoil(&c)
			if s, err := NewServer(c); err == nil || s != nil {
				t.Errorf("NewServer = %v, %v, want an error", s, err)
			}
		})
	}
}

func h2c(path string) *http.Client {
	c := client(path)
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	c.Transport.(*http.Transport).Protocols = &p
	return c
}

func TestTheCallerReachesTheHandlerOverEitherProtocol(t *testing.T) {
	_, path := start(t, nil)
	for proto, c := range map[string]*http.Client{"HTTP/1.1": client(path), "HTTP/2.0": h2c(path)} {
		for range 2 { // a connection of its own, and the same again
			status, body := get(t, c, "http://sealward/whoami")
			contains(t, fmt.Sprint(proto, " ", status), body, "true ", fmt.Sprintf("pid=%d ", os.Getpid()), "socket=sign", proto)
		}
		c.CloseIdleConnections()
	}
}

func TestAContextOfNoConnectionHasNoCaller(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"no connection":                 t.Context(),
		"one that was never identified": context.WithValue(t.Context(), connKey{}, &conn{}),
	} {
		if c, ok := CallerOf(ctx); ok || c.Identified {
			t.Errorf("%s: CallerOf = %+v, %v", name, c, ok)
		}
	}
}

// open connects and says nothing.
func open(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func (s *Server) holds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func TestTooManyConnectionsAreToldSo(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"of one uid":    func(c *Config) { c.Limits.ConnsPerUID = 3 },
		"of one socket": func(c *Config) { c.Limits.Conns = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			s, path := start(t, limit)
			var held []net.Conn
			for range 3 {
				held = append(held, open(t, path))
			}
			eventually(t, "three are held", func() bool { return s.holds() == 3 })
			c := client(path)
			status, body := get(t, c, "http://sealward/")
			if status != http.StatusServiceUnavailable {
				t.Errorf("status = %d", status)
			}
			contains(t, "body", body, `"code":"resource_exhausted"`, "too many connections", "try again")
			held[0].Close()
			eventually(t, "its place is free", func() bool { return s.holds() == 2 })
			if status, body = get(t, c, "http://sealward/"); status != http.StatusOK {
				t.Errorf("after one left: %d, %s", status, body)
			}
		})
	}
}

// One user may have thousands of uids without an account, so those are counted as
// one.
func TestUIDsWithoutAccountShareOnePlace(t *testing.T) {
	stranger := signer.Caller{UID: uint32(os.Geteuid())}
	s, path := start(t, func(c *Config) {
		c.Identifier.accounts.ask = func(uint32) (account, error) { return account{}, nil }
	})
	open(t, path)
	eventually(t, "it is counted with the others that have no account", func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return len(s.conns.byPlace) == 1 && s.conns.byPlace[place{"sign", stranger.Share()}] == 1
	})
	if stranger.Share() == stranger.UID {
		t.Errorf("the share of uid %d without an account is its own", stranger.UID)
	}
}

func TestOneSocketDoesNotUseUpAnother(t *testing.T) {
	dir := folder(t)
	s, path := start(t, func(c *Config) {
		more, err := Listen([]Socket{{Name: "admin", Path: dir + "/admin", Mode: 0o600}})
		must(t, err)
		c.Listeners = append(c.Listeners, more...)
		c.Limits.Conns = 2
	})
	open(t, path)
	open(t, path)
	eventually(t, "sign is full", func() bool { return s.holds() == 2 })
	status, body := get(t, client(dir+"/admin"), "http://sealward/")
	contains(t, fmt.Sprint(status), body, "true ", "socket=admin")
}

func TestRequestsOfOneConnectionAreCountedToo(t *testing.T) {
	release := make(chan struct{})
	var running atomic.Int32
	_, path := start(t, func(c *Config) {
		c.Limits.ConnsPerUID = 4
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { running.Add(1); <-release })
		}
	})
	c := h2c(path)
	statuses := make(chan int, 4)
	for range 4 {
		go func() {
			resp, err := c.Get("http://sealward/")
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	eventually(t, "four requests run", func() bool { return running.Load() == 4 })
	status, body := get(t, c, "http://sealward/")
	if status != http.StatusServiceUnavailable {
		t.Errorf("status of the fifth = %d", status)
	}
	contains(t, "body", body, `"code":"resource_exhausted"`, "too many requests")
	close(release)
	for range 4 {
		if got := <-statuses; got != http.StatusOK {
			t.Errorf("status = %d", got)
		}
	}
}

func TestAThousandConnectionsLeaveTheServerWell(t *testing.T) {
	s, path := start(t, nil)
	var conns []net.Conn
	for range 1000 {
		conns = append(conns, open(t, path))
	}
	most := DefaultLimits().ConnsPerUID
	eventually(t, "the share of the uid is taken", func() bool { return s.holds() == most })
	refused, buf := 0, make([]byte, 64)
	for _, c := range conns[most:] { // they are taken in their order
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, _ := c.Read(buf); strings.HasPrefix(string(buf[:n]), "HTTP/1.1 503 ") {
			refused++
		}
	}
	if refused != 1000-most {
		t.Errorf("%d were told that there are too many, want %d", refused, 1000-most)
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "all are gone", func() bool { return s.holds() == 0 })
	if status, body := get(t, client(path), "http://sealward/"); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
}

func TestWhoConnectsAndAsksNothingIsReported(t *testing.T) {
	for name, tc := range map[string]struct {
		say    string
		silent bool
	}{
		"nothing":                     {"", true},
		"half a header":               {"GET / HTTP/1.1\r\nHost: sea", true},
		"no HTTP":                     {"\x16\x03\x01 hello\r\n\r\n", true},
		"an HTTP/2 preface":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", true},
		"a whole request":             {"GET / HTTP/1.1\r\nHost: sealward\r\n\r\n", false},
		"a request with half a body":  {"POST / HTTP/1.1\r\nHost: sealward\r\nContent-Length: 10\r\n\r\nhalf", false},
		"a header beyond the largest": {"GET / HTTP/1.1\r\nHost: sealward\r\nX: " + strings.Repeat("x", 64<<10), true},
	} {
		for _, end := range []string{"closed", "timed out"} {
			t.Run(name+", then "+end, func(t *testing.T) {
				told := make(chan signer.Caller, 2)
				s, path := start(t, func(c *Config) {
					c.Limits.Header, c.Limits.Body, c.Limits.Idle = 50*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
					c.Silent = func(who signer.Caller) { told <- who }
				})
				c := open(t, path)
				eventually(t, "it is held", func() bool { return s.holds() == 1 })
				io.WriteString(c, tc.say)
				if end == "closed" {
					time.Sleep(10 * time.Millisecond) // or a request could be dropped with the connection
					c.Close()
				}
				eventually(t, "it is gone", func() bool { return s.holds() == 0 })
				select {
				case who := <-told:
					if !tc.silent || int(who.PID) != os.Getpid() || !who.Identified {
						t.Errorf("told of %+v, want silent %v", who, tc.silent)
					}
				case <-time.After(200 * time.Millisecond):
					if tc.silent {
						t.Error("nobody was told")
					}
				}
				if len(told) > 0 {
					t.Error("told twice")
				}
			})
		}
	}
}

func TestASlowSenderIsCutOffAndOthersAreServed(t *testing.T) {
	s, path := start(t, func(c *Config) {
		c.Limits.Header = 100 * time.Millisecond
		c.Limits.ConnsPerUID = 16
	})
	for range 15 {
		c := open(t, path)
		go func() { // a byte at a time, never done
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 10000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	eventually(t, "they are held", func() bool { return s.holds() == 15 })
	if status, body := get(t, client(path), "http://sealward/"); status != http.StatusOK {
		t.Errorf("beside slow senders: %d %s", status, body)
	}
	eventually(t, "they are cut off", func() bool { return s.holds() <= 1 })
}

func TestAReaderThatTakesNothingIsCutOff(t *testing.T) {
	wrote := make(chan error, 1)
	s, path := start(t, func(c *Config) {
		c.Limits.Write = 100 * time.Millisecond
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(bytes.Repeat([]byte("x"), 8<<20))
				wrote <- err
			})
		}
	})
	c := open(t, path)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: sealward\r\n\r\n")
	if err := <-wrote; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write = %v, want a deadline", err)
	}
	eventually(t, "it is gone", func() bool { return s.holds() == 0 })
}

func held(c *counts) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byPlace)
}

// On HTTP/2 a reader can take an answer's frames and still open no window for it.
func TestAReaderOfAStreamThatTakesNothingIsCutOff(t *testing.T) {
	wrote := make(chan error, 1)
	s, path := start(t, func(c *Config) {
		c.Limits.Write = 100 * time.Millisecond
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(bytes.Repeat([]byte("x"), 64<<10))
				wrote <- err
			})
		}
	})
	c := open(t, path)
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00"+"\x00\x04\x00\x00\x00\x00"+ // SETTINGS, initial window 0 (RFC 9113, 6.5.2)
		"\x00\x00\x06\x01\x05\x00\x00\x00\x01"+"\x82\x86\x84\x41\x01a") // HEADERS, GET http /, authority a (RFC 7541)
	go io.Copy(io.Discard, c)
	select {
	case err := <-wrote:
		if err == nil {
			t.Error("64 KiB were written to a stream without a window")
		}
	case <-time.After(10 * time.Second):
		t.Error("the handler still writes")
	}
	eventually(t, "its place is free", func() bool { return held(&s.requests) == 0 })
}

// An answer "too many requests" to a stream without a window is given up on, too.
func TestARefusedStreamThatTakesNothingIsCutOff(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	_, path := start(t, func(c *Config) {
		c.Limits.Write = 100 * time.Millisecond
		c.Limits.ConnsPerUID = 1
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold })
		}
	})
	c := open(t, path)
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00"+"\x00\x04\x00\x00\x00\x00"+
		"\x00\x00\x06\x01\x05\x00\x00\x00\x01"+"\x82\x86\x84\x41\x01a"+
		"\x00\x00\x06\x01\x05\x00\x00\x00\x03"+"\x82\x86\x84\x41\x01a")
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	var head [9]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Fatalf("no RST_STREAM after 30 times the limit: %v", err)
		}
		io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
		if head[3] == 3 {
			return
		}
	}
}

// The deadline for reading a request must not become one for answering it.
func TestAnAnswerMayTakeLongerThanItsRequest(t *testing.T) {
	_, path := start(t, func(c *Config) {
		c.Limits.Header, c.Limits.Body = 20*time.Millisecond, 20*time.Millisecond
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				select {
				case <-r.Context().Done():
					http.Error(w, "cancelled", http.StatusInternalServerError)
				case <-time.After(300 * time.Millisecond):
				}
			})
		}
	})
	for proto, c := range map[string]*http.Client{"HTTP/1.1": client(path), "HTTP/2.0": h2c(path)} {
		if status, body := get(t, c, "http://sealward/"); status != http.StatusOK {
			t.Errorf("%s without a body: %d %s", proto, status, body)
		}
		resp, err := c.Post("http://sealward/", "text/plain", strings.NewReader("body"))
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s with a body: %s", proto, resp.Status)
		}
	}
}

func TestARequestWhoseCallerHangsUpIsCancelled(t *testing.T) {
	cancelled, began := make(chan struct{}), make(chan struct{})
	_, path := start(t, func(c *Config) {
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				close(cancelled)
			})
		}
	})
	c := open(t, path)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: sealward\r\n\r\n")
	<-began
	c.Close()
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Error("the request goes on")
	}
}

func TestAPanickingHandlerCostsItsOwnRequest(t *testing.T) {
	var log bytes.Buffer
	_, path := start(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/panic" {
					panic("boom")
				}
			})
		}
	})
	if resp, err := client(path).Get("http://sealward/panic"); err == nil {
		resp.Body.Close()
		t.Errorf("answer = %s", resp.Status)
	}
	if status, _ := get(t, client(path), "http://sealward/"); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
	contains(t, "log", log.String(), "level=ERROR", "boom")
}

// A crowd at the door is answered and logged once a second, not once each.
func TestRefusalsAreLoggedWithTheirReasonAndSeldom(t *testing.T) {
	var log bytes.Buffer
	_, path := start(t, func(c *Config) {
		c.Identifier = NewIdentifier(false)
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	for range 20 {
		status, body := get(t, client(path), "http://sealward/")
		if status != http.StatusForbidden {
			t.Errorf("status = %d", status)
		}
		contains(t, "body", body, `"code":"unauthenticated"`, "daemon's own account")
	}
	lines := strings.Count(log.String(), "\n")
	if lines == 0 || lines > 10 {
		t.Errorf("%d lines in the log", lines)
	}
	contains(t, "log", log.String(), "connection refused", "daemon's own account", fmt.Sprintf("pid=%d", os.Getpid()))
}

// roleStarved serves with room for few descriptors until its input ends.
func roleStarved(path string) error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 24, Max: 24}); err != nil {
		return err
	}
	listeners, err := Listen([]Socket{{Name: "sign", Path: path, Mode: 0o600}})
	if err != nil {
		return err
	}
	s, err := NewServer(Config{
		Listeners: listeners, Handler: whoami, Identifier: NewIdentifier(true), Limits: DefaultLimits(),
		Silent: func(signer.Caller) {}, Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		s.Shutdown(context.Background())
	}()
	return s.Run(context.Background())
}

func TestRunningOutOfDescriptorsIsSurvived(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	cmd := command(t, "starved", path, os.Geteuid())
	var out bytes.Buffer
	cmd.Stdout = &out
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	eventually(t, "it listens", func() bool { _, err := os.Lstat(path); return err == nil && answers(t, path) })
	var held []net.Conn
	for range 100 {
		held = append(held, open(t, path))
	}
	time.Sleep(300 * time.Millisecond)
	for _, c := range held {
		c.Close()
	}
	eventually(t, "it serves again", func() bool {
		resp, err := client(path).Get("http://sealward/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	stdin.Close()
	must(t, cmd.Wait())
	contains(t, "log", out.String(), "too many open files")
	if n := strings.Count(out.String(), "waiting for resources"); n == 0 || n > 20 {
		t.Errorf("%d lines about it in the log", n)
	}
}
