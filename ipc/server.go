package ipc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sealward/sealward/signer"
)

// Limits bound what callers can take up. [DefaultLimits] has the ones to use.
type Limits struct {
	// Conns and ConnsPerUID bound the connections of one socket, and those of one
	// uid on it. The latter bounds its requests under way as well, since an HTTP/2
	// connection carries many.
	Conns, ConnsPerUID int
	// Header bounds the wait for a request's header and, from its end, Body that
	// for its body; Idle that for the next request; Write each write.
	Header, Body, Idle, Write time.Duration
	// HeaderBytes bounds the header.
	HeaderBytes int
}

// DefaultLimits are for a host with tens of callers.
func DefaultLimits() Limits {
	return Limits{
		Conns: 512, ConnsPerUID: 128,
		Header: 5 * time.Second, Body: 15 * time.Second, Idle: 2 * time.Minute, Write: 15 * time.Second,
		HeaderBytes: 16 << 10,
	}
}

// Config is what a [Server] is made of. Every field is needed.
type Config struct {
	// Listeners are closed by the server.
	Listeners []*Listener
	// Handler returns the handler for a socket; nil is an error. It is called once
	// for each. A handler learns the caller from [CallerOf].
	Handler func(socket string) http.Handler
	// Identifier says who is asking.
	Identifier *Identifier
	Limits     Limits
	// Silent is told of each identified connection that ended before the header of
	// a request had come, unless the server ended it by shutting down. It runs on
	// the connection's own goroutine.
	Silent func(signer.Caller)
	Log    *slog.Logger
}

func (c Config) check() error {
	l := c.Limits
	switch {
	case len(c.Listeners) == 0:
		return errors.New("serve: no listeners")
	case c.Handler == nil || c.Identifier == nil || c.Silent == nil || c.Log == nil:
		return errors.New("serve: Handler, Identifier, Silent and Log must be set")
	case l.Conns <= 0 || l.ConnsPerUID <= 0 || l.HeaderBytes <= 0 || min(l.Header, l.Body, l.Idle, l.Write) <= 0:
		return errors.New("serve: every limit must be positive; see DefaultLimits")
	}
	return nil
}

// Server accepts, identifies, bounds and serves.
type Server struct {
	c        Config
	handlers map[string]http.Handler // by socket
	http     *http.Server
	ready    chan *conn    // identified, for http to serve
	closing  chan struct{} // closed when no more are taken
	drained  chan struct{} // closed when Shutdown is through
	work     sync.WaitGroup

	conns, requests      counts
	polite               chan struct{} // a place for each refusal that waits for its reader
	acceptLog, refuseLog seldom

	mu   sync.Mutex // guards starting and stopping, and open
	open map[*conn]bool
}

// NewServer checks the configuration; it takes no connection yet.
func NewServer(c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Server{
		c:        c,
		handlers: map[string]http.Handler{},
		ready:    make(chan *conn),
		closing:  make(chan struct{}),
		drained:  make(chan struct{}),
		polite:   make(chan struct{}, politeMost),
		open:     map[*conn]bool{},
	}
	for _, l := range c.Listeners {
		if s.handlers[l.Name] != nil {
			continue
		}
		if s.handlers[l.Name] = c.Handler(l.Name); s.handlers[l.Name] == nil {
			return nil, fmt.Errorf("serve: no handler for the socket %q", l.Name)
		}
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serveRequest),
		ReadHeaderTimeout: c.Limits.Header,
		ReadTimeout:       c.Limits.Header + c.Limits.Body,
		IdleTimeout:       c.Limits.Idle,
		MaxHeaderBytes:    c.Limits.HeaderBytes,
		Protocols:         &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          100, // RFC 9113, 6.5.2: no less is recommended
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     256 << 10,
		},
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc)
		},
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelError), // a handler that panicked
	}
	return s, nil
}

// Run serves until [Server.Shutdown] is through, which is no error, or until the
// context ends, which cuts every connection off at once and cancels its requests.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(s.c.Listeners))
	served := make(chan struct{})

	s.mu.Lock()
	if s.stopping() {
		s.mu.Unlock()
		return nil
	}
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	for _, l := range s.c.Listeners {
		s.work.Go(func() {
			if err := s.accept(l); err != nil {
				failed <- err
			}
		})
	}
	s.mu.Unlock()
	go func() {
		defer close(served)
		s.http.Serve((*acceptor)(s)) // ends with acceptor.Accept; its error says no more than that
	}()

	var err error
	select {
	case <-s.drained:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-failed:
	}
	s.stop()
	s.http.Close()
	<-served
	s.work.Wait()
	return err
}

// Shutdown stops listening, lets requests that are under way finish, and at the
// context's end cuts off what is left, which is an error. Connections on which no
// request has come yet are closed at once.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.stop() {
		defer close(s.drained)
	}
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("shut down: requests were still under way and have been cut off: %w", err)
	}
	return nil
}

// stop takes no more connections and closes those on which no request came. It
// reports whether this call was the first.
func (s *Server) stop() bool {
	s.mu.Lock()
	if s.stopping() {
		s.mu.Unlock()
		return false
	}
	close(s.closing)
	var silent []*conn
	for c := range s.open {
		if !c.asked.Load() {
			silent = append(silent, c)
		}
	}
	s.mu.Unlock()
	for _, l := range s.c.Listeners {
		if err := l.Close(); err != nil {
			s.c.Log.Warn("close socket", "socket", l.Name, "path", l.path, "error", err)
		}
	}
	for _, c := range silent {
		c.Close()
	}
	return true
}

func (s *Server) stopping() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// serveRequest runs the handler of the socket, within the caller's share.
func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	c.asked.Store(true)
	if r.ProtoMajor == 2 {
		w = &patient{ResponseWriter: w, limit: s.c.Limits.Write}
	}
	if !s.requests.take(c.place, s.c.Limits.Conns, s.c.Limits.ConnsPerUID) {
		busy := s.overloaded(c.place, "requests")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(busy.status)
		w.Write(busy.body())
		return
	}
	defer s.requests.give(c.place)
	s.handlers[c.caller.Socket].ServeHTTP(w, r)
}

// patient gives up on a reader of an HTTP/2 stream that opens no window for as long
// as the limit says. [conn.Write] sees only what HTTP/2 lets through to the socket.
type patient struct {
	http.ResponseWriter
	limit time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	if err := http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the writer's other abilities.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
