package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

type connKey struct{}

// CallerOf returns the caller whose connection a request's context belongs to, or
// false. It is for the transport alone, which passes the caller on as an argument.
func CallerOf(ctx context.Context) (signer.Caller, bool) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok || !c.caller.Identified {
		return signer.Caller{}, false
	}
	return c.caller, true
}

// conn is a connection of an identified caller.
type conn struct {
	*net.UnixConn
	server *Server
	caller signer.Caller
	place  place
	asked  atomic.Bool // the header of a request has come
	once   sync.Once
}

// Write gives up on a reader that takes nothing for as long as the limit says.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.server.c.Limits.Write)); err != nil {
		return 0, err
	}
	return c.UnixConn.Write(p)
}

// Close frees the caller's place.
func (c *conn) Close() error {
	err := c.UnixConn.Close()
	c.once.Do(func() {
		s := c.server
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		s.conns.give(c.place)
		if !c.asked.Load() && !s.stopping() {
			s.c.Silent(c.caller)
		}
	})
	return err
}

// acceptor hands identified connections to net/http.
type acceptor Server

func (a *acceptor) Accept() (net.Conn, error) {
	select {
	case c := <-a.ready:
		return c, nil
	case <-a.closing:
		return nil, net.ErrClosed
	}
}

func (a *acceptor) Close() error   { return nil } // the listeners are stop's to close
func (a *acceptor) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// accept takes connections until the listener is closed. It never waits for the
// other end.
func (s *Server) accept(l *Listener) error {
	const first, longest = 5 * time.Millisecond, time.Second
	wait := first
	for {
		nc, err := l.unix.AcceptUnix()
		if err == nil {
			wait = first
			s.admit(l.Name, nc)
			continue
		}
		if s.stopping() {
			return nil
		}
		if !passing(err) {
			return fmt.Errorf("accept on socket %q: %w", l.Name, err)
		}
		s.acceptLog.warn(s.c.Log, "accept; waiting for resources", "socket", l.Name, "error", err)
		select {
		case <-time.After(wait):
			wait = min(2*wait, longest)
		case <-s.closing:
			return nil
		}
	}
}

// passing reports whether accept(2) may succeed when called again.
func passing(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED, unix.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit counts a connection and has it identified.
func (s *Server) admit(socket string, nc *net.UnixConn) {
	cred, err := peerCred(nc)
	if err != nil {
		s.refuseLog.warn(s.c.Log, "connection refused", "socket", socket, "error", err)
		s.refuse(nc, refusal{http.StatusForbidden, "unauthenticated", "the kernel does not say who is asking"})
		return
	}
	at := place{socket, cred.Uid}
	if !s.conns.take(at, s.c.Limits.Conns, s.c.Limits.ConnsPerUID) {
		s.refuse(nc, s.overloaded(at, "connections"))
		return
	}
	s.work.Go(func() {
		caller, err := s.c.Identifier.Identify(nc, socket)
		if err != nil {
			s.conns.give(at)
			s.refuseLog.warn(s.c.Log, "connection refused", "socket", socket, "uid", cred.Uid, "pid", cred.Pid, "error", err)
			s.refuse(nc, refusalOf(err))
			return
		}
		if share := caller.Share(); share != at.uid {
			s.conns.give(at)
			if at.uid = share; !s.conns.take(at, s.c.Limits.Conns, s.c.Limits.ConnsPerUID) {
				s.refuse(nc, s.overloaded(at, "connections"))
				return
			}
		}
		s.serve(&conn{UnixConn: nc, server: s, caller: caller, place: at})
	})
}

// serve registers a connection and hands it on, unless the server is stopping.
func (s *Server) serve(c *conn) {
	s.mu.Lock()
	stopping := s.stopping()
	if !stopping {
		s.open[c] = true
	}
	s.mu.Unlock()
	if !stopping {
		select {
		case s.ready <- c:
			return
		case <-s.closing:
		}
	}
	c.Close()
}

// refusal is the answer to a connection that is not served. The code is one of
// Connect's, so that its clients show the message.
type refusal struct {
	status        int
	code, message string
}

func refusalOf(err error) refusal {
	r := refusal{http.StatusForbidden, "unauthenticated", "the kernel does not say who is asking"}
	if e, ok := errors.AsType[*signer.Error](err); ok {
		r.message = e.Detail
		if e.Code != signer.CodeUnauthenticated {
			r.status, r.code = http.StatusServiceUnavailable, "unavailable"
		}
	}
	return r
}

func (s *Server) overloaded(at place, what string) refusal {
	s.refuseLog.warn(s.c.Log, "too many "+what, "socket", at.socket, "uid", at.uid)
	return refusal{http.StatusServiceUnavailable, "resource_exhausted",
		fmt.Sprintf("too many %s: the most is %d for one uid and %d for the socket %q; close some and try again", what, s.c.Limits.ConnsPerUID, s.c.Limits.Conns, at.socket)}
}

func (r refusal) body() []byte {
	b, err := json.Marshal(map[string]string{"code": r.code, "message": r.message})
	if err != nil {
		return nil // strings marshal
	}
	return append(b, '\n')
}

func (r refusal) http1() []byte {
	body := r.body()
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		r.status, http.StatusText(r.status), len(body), body)
}

// politeMost refusals at a time wait for their reader, politely long.
const (
	politeMost = 64
	politeTime = 250 * time.Millisecond
)

// refuse answers and closes, without making its caller wait. An HTTP client that is
// answered before it has asked, or whose request meets a closed socket, reports that
// and not the answer; so while there is room, the answer waits for the request.
func (s *Server) refuse(nc *net.UnixConn, r refusal) {
	select {
	case s.polite <- struct{}{}:
		s.work.Go(func() {
			defer func() { <-s.polite }()
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(politeTime))
			nc.Read(make([]byte, 4096))
			nc.SetDeadline(time.Now().Add(politeTime))
			nc.Write(r.http1())
			nc.CloseWrite()
			io.Copy(io.Discard, io.LimitReader(nc, 1<<20))
		})
	default:
		if raw, err := nc.SyscallConn(); err == nil {
			raw.Write(func(fd uintptr) bool {
				unix.Write(int(fd), r.http1())
				return true // one try; the buffer of a new socket has room
			})
		}
		nc.Close()
	}
}

// place is what connections and requests are counted by.
type place struct {
	socket string
	uid    uint32
}

// counts holds how many there are of something, by socket and by uid on it.
type counts struct {
	mu       sync.Mutex
	bySocket map[string]int
	byPlace  map[place]int
}

// take counts one more, or reports that there is no room.
func (c *counts) take(at place, most, mostPerUID int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bySocket[at.socket] >= most || c.byPlace[at] >= mostPerUID {
		return false
	}
	if c.byPlace == nil {
		c.bySocket, c.byPlace = map[string]int{}, map[place]int{}
	}
	c.bySocket[at.socket]++
	c.byPlace[at]++
	return true
}

func (c *counts) give(at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bySocket[at.socket]--
	if c.byPlace[at]--; c.byPlace[at] == 0 {
		delete(c.byPlace, at)
	}
}

// seldom logs what can happen thousands of times a second, at most once in one.
type seldom struct {
	mu      sync.Mutex
	next    time.Time
	dropped int
}

func (s *seldom) warn(log *slog.Logger, msg string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.dropped++
		return
	}
	if s.dropped > 0 {
		args = append(args, "unlogged", s.dropped)
	}
	s.next, s.dropped = now.Add(time.Second), 0
	log.Warn(msg, args...)
}
