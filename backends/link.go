package backends

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sealward/sealward/signer"
)

// link is the daemon's end of the connection to one worker process. It ends as soon
// as the worker does, exceeds a deadline, or says what it must not; everybody who
// waits for an answer is then told so, and nothing brings it back.
type link struct {
	timeout, touch time.Duration
	pins           *pinDesk
	out            frameWriter
	reads          sync.WaitGroup
	ended          chan struct{} // closed with err set

	mu    sync.Mutex
	last  uint32           // id given last; owned by mu
	calls map[uint32]*call // without an answer; owned by mu
	err   error            // why it ended; owned by mu until ended is closed
}

// call is an operation that a worker is at.
type call struct {
	answer chan answer // holds one
	notify func(signer.Notice)

	mu      sync.Mutex
	timer   *time.Timer   // ends the link; owned by mu once the call is known to it
	due     time.Time     // owned by mu
	grace   time.Duration // left for waits for a touch; owned by mu
	touch   time.Time     // one is waited for since; owned by mu
	notices int           // so far; owned by mu
}

type answer struct {
	body []byte
	err  error // from the driver
	lost error // the link has ended
}

// lostError is what becomes of operations when their link ends.
type lostError struct{ cause error }

func (e *lostError) Error() string { return e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// mostNotices bounds what a worker may say about one operation. A device asks for a
// touch once or twice.
const mostNotices = 16

// generateTimeout is the least that making a key may take. Tokens search for the
// primes of an RSA key by themselves, and are slow at it.
const generateTimeout = 2 * time.Minute

func newLink(conn net.Conn, c *Config, pins *pinDesk) *link {
	l := &link{
		timeout: c.Timeout, touch: c.TouchTimeout, pins: pins,
		out: frameWriter{conn: conn}, ended: make(chan struct{}), calls: map[uint32]*call{},
	}
	l.reads.Go(func() { l.end(l.read()) })
	return l
}

// call has the worker do one operation and waits for its end, or for the link's.
// notify may be nil.
func (l *link) call(kind frameKind, notify func(signer.Notice), parts ...[]byte) ([]byte, error) {
	timeout := l.timeout
	if kind == kindGenerate {
		timeout = max(timeout, generateTimeout)
	}
	c := &call{answer: make(chan answer, 1), notify: notify, due: time.Now().Add(timeout), grace: l.touch}
	c.timer = time.AfterFunc(timeout, func() { l.end(fmt.Errorf("it did not %s within %s", kind.verb(), timeout)) })
	defer c.timer.Stop()
	id, err := l.enter(c)
	if err != nil {
		return nil, err
	}
	if err := l.out.send(kind, id, parts...); errors.Is(err, errTooLarge) {
		l.leave(id)
		return nil, signer.Invalid("%v", err)
	} else if err != nil {
		l.end(fmt.Errorf("write to it: %w", err))
	}
	a := <-c.answer
	if a.lost != nil {
		return nil, &lostError{a.lost}
	}
	return a.body, a.err
}

// ask is a call with a value that travels as JSON, and an answer of that kind. Either
// may be nil.
func (l *link) ask(kind frameKind, question, result any) error {
	var body []byte
	if question != nil {
		var err error
		if body, err = json.Marshal(question); err != nil {
			return err
		}
	}
	b, err := l.call(kind, nil, body)
	if err != nil || result == nil {
		return err
	}
	if err := fromJSON(b, result); err != nil {
		err = fmt.Errorf("its answer cannot be read: %w", err)
		l.end(err)
		return &lostError{err}
	}
	return nil
}

func (l *link) enter(c *call) (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, &lostError{l.err}
	}
	for {
		l.last++
		if _, taken := l.calls[l.last]; !taken && l.last != 0 {
			l.calls[l.last] = c
			return l.last, nil
		}
	}
}

func (l *link) leave(id uint32) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls[id]
	delete(l.calls, id)
	return c
}

func (l *link) pending(id uint32) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id]
}

// end ends the link. The first reason stays.
func (l *link) end(err error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	// Closing cannot fail in a way that matters: what was not delivered is lost.
	_ = l.out.conn.Close()
	for _, c := range calls {
		c.answer <- answer{lost: err}
	}
	close(l.ended)
}

// read takes what the worker says until it says something wrong or nothing more.
func (l *link) read() error {
	r := bufio.NewReaderSize(l.out.conn, 4096)
	for {
		f, err := readFrame(r)
		if err != nil {
			return fmt.Errorf("read from it: %w", err)
		}
		if err := l.take(f); errors.Is(err, ErrGone) {
			return err
		} else if err != nil {
			return fmt.Errorf("it said what a worker does not say: %w", err)
		}
	}
}

func (l *link) take(f frame) error {
	switch f.kind {
	case kindDone, kindFailed:
		a := answer{body: f.body}
		if f.kind == kindFailed {
			failure, err := fromWire(f.body)
			if err != nil {
				return err
			}
			a = answer{err: failure}
		}
		c := l.leave(f.id)
		if c == nil {
			return fmt.Errorf("an answer to operation %d, which waits for none", f.id)
		}
		c.answer <- a
		if errors.Is(a.err, ErrGone) {
			return a.err // the worker ends now, and this says more than that it did
		}
		return nil
	case kindNotice:
		c := l.pending(f.id)
		if c == nil {
			return fmt.Errorf("a notice about operation %d, which waits for none", f.id)
		}
		return c.notice(signer.Notice(f.body))
	case kindTrying, kindTried:
		return l.takeTry(f)
	}
	return fmt.Errorf("a frame of kind %d", f.kind)
}

// notice passes on that somebody has to touch the device, and stops the clock for as
// long as that takes, within its bound.
func (c *call) notice(n signer.Notice) error {
	c.mu.Lock()
	c.notices++
	waits := !c.touch.IsZero()
	switch {
	case c.notices > mostNotices:
		c.mu.Unlock()
		return fmt.Errorf("more than %d notices about one operation", mostNotices)
	case n == signer.NoticeTouch && !waits:
		c.touch = time.Now()
		c.due = c.due.Add(c.grace)
		c.timer.Reset(time.Until(c.due))
	case n == signer.NoticeNone && waits:
		unused := max(c.grace-time.Since(c.touch), 0)
		c.touch, c.grace = time.Time{}, unused
		c.due = c.due.Add(-unused)
		c.timer.Reset(time.Until(c.due))
	case n != signer.NoticeTouch && n != signer.NoticeNone:
		c.mu.Unlock()
		return fmt.Errorf("an unknown notice %q", plain(string(n), 20))
	}
	c.mu.Unlock()
	if c.notify != nil {
		c.notify(n)
	}
	return nil
}

// takeTry serves [Host.TryPIN]. Making a mark durable takes milliseconds, in which
// the answers to others must not wait.
func (l *link) takeTry(f frame) error {
	if f.id != 0 {
		return fmt.Errorf("a try of a PIN with id %d", f.id)
	}
	var (
		reply frameKind
		serve func() (refusal, err error)
	)
	if f.kind == kindTrying {
		if len(f.body) != 4 {
			return errors.New("a try of a PIN is cut off")
		}
		left := int(int32(binary.BigEndian.Uint32(f.body)))
		if err := l.pins.announce(left); err != nil {
			return err
		}
		reply, serve = kindMayTry, func() (error, error) { return l.pins.begin(left) }
	} else {
		var t wireTry
		if err := fromJSON(f.body, &t); err != nil {
			return fmt.Errorf("what became of a PIN cannot be read: %w", err)
		}
		if err := l.pins.conclude(t); err != nil {
			return err
		}
		reply, serve = kindNoted, func() (error, error) { l.pins.end(t); return nil, nil }
	}
	l.reads.Go(func() {
		var text []byte
		refusal, err := serve()
		if err != nil {
			l.end(err)
			return
		}
		if refusal != nil {
			text = []byte(refusal.Error())
		}
		if err := l.out.send(reply, 0, text); err != nil {
			l.end(fmt.Errorf("write to it: %w", err))
		}
	})
	return nil
}

// verb says what an operation is about.
func (k frameKind) verb() string {
	switch k {
	case kindOpen:
		return "open its device"
	case kindLogin, kindUnlock:
		return "pass on a PIN"
	case kindFind:
		return "find a key"
	case kindSign:
		return "sign"
	case kindGenerate:
		return "make a key"
	case kindAttest:
		return "attest a key"
	case kindClose:
		return "close its device"
	}
	return "answer"
}
