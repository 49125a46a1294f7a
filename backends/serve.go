package backends

import (
	"bufio"
	"context"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// NewDriver makes a driver from its own configuration. It does not touch the
// device: [Driver.Open] does.
type NewDriver = func(settings json.RawMessage, host Host) (Driver, error)

// Serve drives a device for the process at the other end of conn, which names the
// driver. It returns nil when it was asked to end and has closed the driver, and an
// error otherwise. Either way the process must exit at once, without waiting for
// anything: calls into a driver may still be running, and a PIN may be in memory.
func Serve(conn net.Conn, drivers map[string]NewDriver) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &server{
		drivers: drivers, out: frameWriter{conn: conn}, over: make(chan error, 1),
		in: bufio.NewReaderSize(conn, 4096), answers: make(chan frame, 1), idle: 1,
	}
	go s.work(ctx)
	return <-s.over
}

// server is the worker's end of the connection.
//
// Operations run side by side, and whoever reads one does it, after leaving the
// reading to another goroutine: that saves handing it over. There is always one that
// reads, so that the worker ends with its connection whatever its calls are doing.
type server struct {
	drivers map[string]NewDriver
	driver  Driver // set before opened is
	token   string // likewise
	opened  atomic.Bool
	out     frameWriter
	over    chan error // holds one: why the process must end
	answers chan frame // holds one: what the daemon says to a try of a PIN

	reading sync.Mutex
	in      *bufio.Reader // owned by reading
	asked   bool          // to open the device; owned by reading

	count sync.Mutex
	idle  int // goroutines that read or wait to; owned by count
	all   int // goroutines but the first; owned by count

	mu     sync.RWMutex
	keys   []servedKey     // by handle; owned by mu
	unlock hpke.PrivateKey // nil until asked for; owned by mu

	trying sync.Mutex  // one try of a PIN at a time
	salt   []byte      // of the credential, nil when the PIN was typed; owned by mu
	digest []byte      // of the credential; owned by mu
	typing atomic.Bool // somebody typed the PIN that is being tried
}

type servedKey struct {
	locator string
	public  string // fingerprint
	key     DeviceKey
}

// mostKeys bounds the handles given out.
const mostKeys = 1 << 14

// end says why the process must end. The first reason stays.
func (s *server) end(err error) {
	select {
	case s.over <- err:
	default:
	}
}

// work does one operation after the other.
func (s *server) work(ctx context.Context) {
	defer s.panicked()
	for {
		f, ok := s.next(ctx)
		if !ok {
			return
		}
		body, err := s.perform(ctx, f)
		if err != nil {
			s.fail(f.id, err)
		} else if err := s.out.send(kindDone, f.id, body); errors.Is(err, errTooLarge) {
			s.fail(f.id, err)
		} else if err != nil {
			s.end(err)
		}
		if f.kind == kindClose || errors.Is(err, ErrGone) {
			s.end(err)
			return
		}
		s.count.Lock()
		s.idle++
		s.count.Unlock()
	}
}

// panicked ends the worker when a driver panics. A stack could hold secrets.
func (s *server) panicked() {
	if v := recover(); v != nil {
		s.end(fmt.Errorf("the driver panicked: %v", v))
	}
}

// next reads the next operation, and sees to it that somebody reads on.
func (s *server) next(ctx context.Context) (frame, bool) {
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		f, err := readFrame(s.in)
		if err != nil {
			s.end(fmt.Errorf("read from the daemon: %w", err))
			return frame{}, false
		}
		switch {
		case f.kind == kindMayTry || f.kind == kindNoted:
			select {
			case s.answers <- f:
				continue
			default:
				err = errors.New("an answer to nothing")
			}
		case f.kind > kindNoted || f.kind < kindOpen:
			err = fmt.Errorf("a frame of kind %d", f.kind)
		case (f.kind == kindOpen) == s.asked || s.asked && !s.opened.Load():
			err = fmt.Errorf("a frame of kind %d out of turn", f.kind)
		default:
			s.asked = true
			err = s.readOn(ctx)
		}
		if err != nil {
			s.end(fmt.Errorf("the daemon says what it must not: %w", err))
			return frame{}, false
		}
		return f, true
	}
}

// readOn leaves the reading to a goroutine that waits for it, or to a new one.
func (s *server) readOn(ctx context.Context) error {
	s.count.Lock()
	defer s.count.Unlock()
	if s.idle--; s.idle > 0 {
		return nil
	}
	if s.all >= mostAtOnce+2 {
		return fmt.Errorf("more than %d operations at once", mostAtOnce+1)
	}
	s.all++
	s.idle++
	go s.work(ctx)
	return nil
}
