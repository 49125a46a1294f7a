package backends

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"
)

const (
	firstPause = 100 * time.Millisecond // before a worker is started again, doubled each time
	mostPause  = time.Second            // which is also how often an absent device is looked for
	steadyLife = 5 * time.Second        // after which its end counts as a first one
	lookPause  = 2 * time.Second        // between looks for keys that are not as they should be
	closeWait  = 2 * time.Second        // for a driver to leave its device as it was
	mostAtOnce = 256
)

// live owns the worker: it starts one after the other until ctx ends. Its thread is
// its own and lasts as long, because children die with the thread that made them.
func (t *Token) live(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var (
		pause  time.Duration
		logged string
		last   time.Time
	)
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		t.mu.Lock()
		t.health.Restarts = n
		t.mu.Unlock()
		end := t.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if pause = min(2*pause, mostPause); pause == 0 || time.Since(began) > steadyLife {
			pause = firstPause
		}
		t.down(end, pause)
		// A device that is absent for a week is worth a line now and then.
		if s := end.Error(); s != logged || time.Since(last) > time.Minute {
			t.c.Log.Warn("token is down", "reason", s, "restarts", n)
			logged, last = s, time.Now()
		}
		select {
		case <-ctx.Done():
		case <-t.again:
		case <-time.After(pause):
		}
	}
}

// once is the life of one worker. It returns why that ended.
func (t *Token) once(ctx context.Context) error {
	p, err := launch(ctx, &t.c, &t.quota)
	if err != nil {
		return fmt.Errorf("start its worker: %w", err)
	}
	desk := &pinDesk{marks: t.marks, log: t.c.Log}
	l := newLink(p.conn, &t.c, desk)
	err = t.open(ctx, l, p)
	if err == nil {
		err = t.serve(ctx, l, p)
	}
	l.end(err)
	l.reads.Wait()
	err = t.farewell(l, p)
	desk.leave() // now that nothing can be sending a PIN any more
	return err
}

// farewell ends what is left of a worker and puts together why it ended.
func (t *Token) farewell(l *link, p *process) error {
	broken := errors.Is(l.err, io.EOF) || errors.Is(l.err, io.ErrUnexpectedEOF) || errors.Is(l.err, syscall.ECONNRESET) || errors.Is(l.err, syscall.EPIPE)
	if broken && p.child != nil {
		// It ends by itself, and how says more than that its connection has.
		select {
		case <-p.gone:
		case <-time.After(closeWait):
		}
	}
	status, words := p.end()
	err := l.err
	if broken && status != "" {
		err = errors.New(status)
	} else if broken {
		err = errors.New("its worker closed the connection")
	}
	if words != "" {
		err = fmt.Errorf("%w; it said: %s", err, words)
	}
	return err
}

// open has a new worker open its device and log in, and makes it the one that is
// used.
func (t *Token) open(ctx context.Context, l *link, p *process) error {
	var w welcome
	err := l.ask(kindOpen, hello{protocolVersion, t.c.Name, t.c.Driver, t.c.Settings, t.c.AtOnce}, &w)
	if err != nil {
		return err
	}
	if w.Version != protocolVersion {
		return fmt.Errorf("its worker speaks version %d of the protocol, and this is version %d; restart both", w.Version, protocolVersion)
	}
	t.saw(&w.State)
	locked, err := t.login(ctx, l, w.State)
	if err != nil {
		return err
	}
	if w.State.NeedsPIN && locked == nil {
		if err := t.refresh(l, &w.State); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.use(l, p.pid, locked)
	if ok, _ := t.quota.take(); !ok {
		return nil
	} else if locked != nil {
		t.c.Log.Warn("token is locked", "reason", t.health.Reason, "device", w.State.Device, "worker", p.pid)
	} else {
		t.c.Log.Info("token is open", "device", w.State.Device, "worker", p.pid)
	}
	return nil
}

// login passes on the credential, once. locked says why an operator has to come.
func (t *Token) login(ctx context.Context, l *link, s State) (locked, err error) {
	switch {
	case !s.NeedsPIN:
		return nil, nil
	case s.TriesLeft == 0:
		return errBlocked, nil
	case t.c.PIN == nil:
		return errors.New("its PIN has to be typed"), nil
	}
	pin, err := t.c.PIN()
	defer clear(pin)
	if err != nil {
		return fmt.Errorf("its credential cannot be read: %w", err), nil
	}
	// Before the mark is looked at, so that it says what has become of every try.
	release, err := t.marks.lock.hold(ctx.Done(), t.c.Timeout/2)
	if err != nil {
		return nil, err
	}
	defer release()
	other, err := t.marks.mayTry(pin, s.TriesLeft)
	if err != nil {
		return err, nil
	}
	l.pins.use(pinCredential, other)
	_, err = l.call(kindLogin, nil, pin)
	if pin, ok := errors.AsType[*PINError](err); ok {
		return pin, nil
	}
	return nil, err
}

var errBlocked = errors.New("it is blocked, because its PIN was wrong too often; its PUK or security officer can set a new one")

// serve looks after a worker that is in use until it must end.
func (t *Token) serve(ctx context.Context, l *link, p *process) error {
	gone := p.gone // nil, and so never ready, for a service
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-l.ended:
			return l.err
		case <-gone:
			return io.EOF
		case <-ctx.Done():
			t.leave(l)
			return ctx.Err()
		case <-t.again:
			if t.now.Load().locked != nil {
				return errors.New("it is started over, as its operator has asked")
			}
		case <-t.look:
			look.Reset(0)
		case <-look.C:
			if t.findKeys(ctx, l) > 0 {
				look.Reset(lookPause)
			}
		}
	}
}

// leave has the driver close its device.
func (t *Token) leave(l *link) {
	defer time.AfterFunc(closeWait, func() { l.end(fmt.Errorf("it did not close its device within %s", closeWait)) }).Stop()
	if _, err := l.call(kindClose, nil); err != nil {
		t.c.Log.Warn("the device was not left as it was found", "error", err)
	}
}

// findKeys finds the keys that are in use anew, and returns how many are not as they
// should be. Those who sign would do so themselves; but a key that is refused is not
// asked to sign, and could never come back.
func (t *Token) findKeys(ctx context.Context, l *link) (refused int) {
	t.mu.Lock()
	keys := make([]*Key, 0, len(t.keys))
	for _, k := range t.keys {
		keys = append(keys, k)
	}
	t.mu.Unlock()
	for _, k := range keys {
		if p := t.now.Load(); p.link != l || p.locked != nil {
			return refused + 1
		}
		err := t.device.Do(ctx, func() error {
			_, err := k.locate(l)
			return t.explain(l, "find the key", err)
		})
		if err != nil {
			refused++
			t.c.Log.Debug("a key is refused", "key", k.shown(), "error", err)
		}
	}
	return refused
}

// enter changes what can be done with the token, and its health with it. The caller
// holds mu.
func (t *Token) enter(p *phase, h Health) {
	h.State, h.Restarts = t.health.State, t.health.Restarts
	if h.Since.IsZero() {
		h.Since = t.c.Now()
	}
	t.health = h
	t.now.Store(p)
	t.device.Report(h)
	select {
	case <-t.first:
	default:
		close(t.first)
	}
}

// use has a worker used that has its device. locked says why it waits for a PIN, if
// it does. The caller holds mu.
func (t *Token) use(l *link, pid int, locked error) {
	if locked == nil {
		t.enter(&phase{link: l}, Health{Up: true, WorkerPID: pid})
		return
	}
	err := Unavailable(locked, "token %q is locked, and waits for its operator", t.c.Name)
	h := Health{Locked: true, WorkerPID: pid, Reason: fmt.Sprintf("locked: %v", locked)}
	refused, isPIN := errors.AsType[*PINError](locked)
	if !errors.Is(locked, errBlocked) && !(isPIN && refused.Blocked) {
		h.Reason += "; run: sealward unlock " + t.c.Name
	}
	t.enter(&phase{link: l, locked: locked, err: err}, h)
	if isPIN && refused.Left >= 0 {
		t.health.State.TriesLeft = refused.Left // the state was asked for before
	}
}

// down takes note that there is no worker, and why.
func (t *Token) down(reason error, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := Health{Reason: reason.Error(), Retry: t.c.Now().Add(pause)}
	if t.now.Load().link == nil {
		h.Since = t.health.Since // it has been down before
	}
	err := Unavailable(reason, "token %q is out of reach; it is tried again after %s", t.c.Name, h.Retry.UTC().Format(time.RFC3339))
	t.enter(&phase{err: err}, h)
}

// lock takes note that a worker's PIN is not accepted any more.
func (t *Token) lock(l *link, pin *PINError) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.now.Load(); p.link == l {
		t.use(l, t.health.WorkerPID, pin)
		if ok, _ := t.quota.take(); ok {
			t.c.Log.Warn("token is locked", "reason", t.health.Reason)
		}
	}
	return t.now.Load().err
}

// handleOf reads the answer to a kindFind.
func handleOf(b []byte) (handle uint32, facts KeyFacts, err error) {
	if len(b) < 4 {
		return 0, KeyFacts{}, errors.New("a key is cut off")
	}
	if err := fromJSON(b[4:], &facts); err != nil {
		return 0, KeyFacts{}, err
	}
	if facts.Public.Fingerprint() == "" || facts.Protection == "" {
		return 0, KeyFacts{}, errors.New("a key without public key or protection")
	}
	return binary.BigEndian.Uint32(b), facts, nil
}
