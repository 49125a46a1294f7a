package ipc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// slowServer answers when told to and reports each request that has begun.
func slowServer(t *testing.T) (s *Server, path string, began chan struct{}, finish chan struct{}, told *atomic.Int32) {
	began, finish, told = make(chan struct{}, 16), make(chan struct{}), new(atomic.Int32)
	s, path = start(t, func(c *Config) {
		c.Silent = func(signer.Caller) { told.Add(1) }
		c.Handler = func(string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				began <- struct{}{}
				select {
				case <-finish:
					io.WriteString(w, "done")
				case <-r.Context().Done():
				}
			})
		}
	})
	return s, path, began, finish, told
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	for name, dial := range map[string]func(string) *http.Client{"HTTP/1.1": client, "HTTP/2.0": h2c} {
		t.Run(name, func(t *testing.T) {
			s, path, began, finish, told := slowServer(t)
			silent := open(t, path)
			var answer string
			var wg sync.WaitGroup
			wg.Go(func() {
				resp, err := dial(path).Get("http://sealward/")
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				b, _ := io.ReadAll(resp.Body)
				answer = string(b)
			})
			<-began
			eventually(t, "both are held", func() bool { return s.holds() == 2 })
			down := make(chan error, 1)
			go func() { down <- s.Shutdown(t.Context()) }()
			silent.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := silent.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a connection without a request stays open")
			}
			eventually(t, "the socket is gone", func() bool { _, err := os.Lstat(path); return err != nil })
			select {
			case err := <-down:
				t.Fatalf("Shutdown = %v before the request is done", err)
			case <-time.After(50 * time.Millisecond):
			}
			close(finish)
			wg.Wait()
			if err := <-down; err != nil {
				t.Errorf("Shutdown = %v", err)
			}
			if answer != "done" {
				t.Errorf("answer = %q", answer)
			}
			if told.Load() != 0 {
				t.Error("a connection that the server closed was reported as silent")
			}
		})
	}
}

func TestShutdownCutsOffAtItsDeadline(t *testing.T) {
	s, path, began, _, _ := slowServer(t)
	c := open(t, path)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: sealward\r\n\r\n")
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown = %v", err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read = %v, want the end", err)
	}
}

func TestTheEndOfRunsContextCutsOffAtOnce(t *testing.T) {
	ls, err := Listen([]Socket{{Name: "sign", Path: filepath.Join(folder(t), "s"), Mode: 0o600}})
	must(t, err)
	cancelled, began := make(chan struct{}), make(chan struct{})
	s, err := NewServer(Config{
		Listeners: ls, Identifier: NewIdentifier(true), Limits: DefaultLimits(),
		Silent: func(signer.Caller) {}, Log: slog.New(slog.DiscardHandler),
		Handler: func(string) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				close(cancelled)
			})
		},
	})
	must(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	c := open(t, ls[0].Addr())
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: sealward\r\n\r\n")
	<-began
	stop := errors.New("stop")
	cancel(stop)
	if err := <-ran; !errors.Is(err, stop) {
		t.Errorf("Run = %v", err)
	}
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Error("the request goes on")
	}
	if err := s.Run(t.Context()); err != nil {
		t.Errorf("Run after the end = %v", err)
	}
}
