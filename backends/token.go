package backends

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/trustfile"
)

// Config describes a device and the worker that drives it. Name, Driver and PINMark
// are required, and one of Worker and Address.
type Config struct {
	Name     string          // in messages
	Driver   string          // "pkcs11", "tpm" or "piv"
	Settings json.RawMessage // the driver's own configuration

	// Worker is the command of the worker, the absolute path of a program first. It
	// is started with a connection as descriptor 3.
	Worker []string
	// Address is the absolute path of the Unix socket of a worker that runs as a
	// service of its own.
	Address string
	// Confinement is what the worker may reach. A service is confined by its unit.
	Confinement Confinement
	// Environment is all that the worker gets.
	Environment []string

	// PIN reads the device's credential; what it returns is wiped after use. Nil
	// where an operator types it.
	PIN func() ([]byte, error)
	// PINMark is the absolute path of the file that remembers, durably, what became
	// of PINs that were tried. Only this process and root may write to its folder.
	PINMark string

	AtOnce int // operations in the worker at once, 8 by default
	Queue  int // operations that may wait for one of these, 1024 by default
	// Timeout is how long the worker may take for an operation, 10 s by default, and
	// 2 minutes at least for the making of a key. Beyond it the worker is killed.
	Timeout time.Duration
	// TouchTimeout is how much longer it may take while the device waits for a touch,
	// 30 s by default.
	TouchTimeout time.Duration

	Now func() time.Time // for what is shown and recorded, time.Now by default
	Log *slog.Logger     // none by default
}

// Token is a device, driven by a worker process. It outlives its worker and its
// device: what is lost is started, opened and found again. It is safe for
// concurrent use.
type Token struct {
	c      Config
	device *Device
	marks  *pinMarks
	quota  logQuota

	cancel context.CancelFunc
	first  chan struct{} // closed when the first attempt to open the device has ended
	again  chan struct{} // holds one: start over
	look   chan struct{} // holds one: a key was added
	over   chan struct{} // closed when the goroutine that owns the worker has ended

	now       atomic.Pointer[phase]
	unlocking sync.Mutex // one at a time

	mu     sync.Mutex
	health Health          // owned by mu
	asked  time.Time       // for the device's state, last; owned by mu
	keys   map[string]*Key // by locator and fingerprint; owned by mu
}

// phase is what can be done with a token now.
type phase struct {
	link   *link // nil while there is no worker that has its device
	locked error // why it waits for a PIN
	err    error // for callers, while it cannot sign
}

// Start starts the worker and waits until the first attempt to open the device has
// ended, well or not; [Token.Health] says how. An error means that the
// configuration is wrong. The context bounds that wait and nothing else: a token
// lives until [Token.Close].
func Start(ctx context.Context, c Config) (*Token, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("token %q: %w", c.Name, err)
	}
	device, err := NewDevice(c.Name, c.AtOnce, c.Queue)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	t := &Token{
		c: c, device: device, marks: newPINMarks(c.PINMark, c.Now), cancel: cancel,
		first: make(chan struct{}), again: make(chan struct{}, 1), look: make(chan struct{}, 1), over: make(chan struct{}),
		keys: map[string]*Key{},
	}
	t.now.Store(&phase{err: Unavailable(nil, "token %q has not been opened yet; ask again", c.Name)})
	go func() {
		defer close(t.over)
		t.live(life)
	}()
	select {
	case <-t.first:
	case <-ctx.Done():
	}
	return t, nil
}

// check checks a configuration and sets what was left out.
func (c *Config) check() error {
	orInt := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	orTime := func(v *time.Duration, otherwise time.Duration) {
		if *v == 0 {
			*v = otherwise
		}
	}
	orInt(&c.AtOnce, 8)
	orInt(&c.Queue, 1024)
	orTime(&c.Timeout, 10*time.Second)
	orTime(&c.TouchTimeout, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("token", c.Name)
	if c.Settings == nil {
		c.Settings = json.RawMessage("{}")
	}
	switch {
	case c.Name == "":
		return errors.New("no name given")
	case c.Driver == "":
		return errors.New("no driver given")
	case (len(c.Worker) > 0) == (c.Address != ""):
		return errors.New("want a worker's command or the socket of one, and not both")
	case c.Address != "" && !filepath.IsAbs(c.Address):
		return fmt.Errorf("socket %q: want an absolute path", c.Address)
	case !filepath.IsAbs(c.PINMark):
		return fmt.Errorf("PIN mark %q: want an absolute path", c.PINMark)
	case c.AtOnce < 0 || c.AtOnce > mostAtOnce || c.Queue < 0:
		return fmt.Errorf("%d operations at once and a queue of %d: want at most %d, and nothing negative", c.AtOnce, c.Queue, mostAtOnce)
	case c.Timeout < 0 || c.TouchTimeout < 0:
		return fmt.Errorf("a timeout of %s, and %s for a touch: neither can be negative", c.Timeout, c.TouchTimeout)
	case !json.Valid(c.Settings):
		return errors.New("its settings are no JSON")
	}
	for _, e := range c.Environment {
		if i := strings.IndexByte(e, '='); i < 1 || strings.ContainsRune(e, 0) {
			return errors.New("an entry of the worker's environment is not of the form NAME=value")
		}
	}
	if err := trustfile.CheckDir(filepath.Dir(c.PINMark)); err != nil {
		return fmt.Errorf("PIN mark: %w", err)
	}
	if len(c.Worker) > 0 {
		if !filepath.IsAbs(c.Worker[0]) {
			return fmt.Errorf("worker %q: want an absolute path", c.Worker[0])
		}
		if err := trustfile.Check(c.Worker[0]); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	return nil
}

// Health is how the device is, without asking it.
func (t *Token) Health() Health {
	h := t.device.Health()
	t.mu.Lock()
	defer t.mu.Unlock()
	h.State, h.Restarts = t.health.State, t.health.Restarts
	return h
}

// stateAge is how old what the device said of itself may be.
const stateAge = 3 * time.Second

// State asks the device how it is. Asked again within seconds, it returns what the
// device said before.
func (t *Token) State(ctx context.Context) (State, error) {
	t.mu.Lock()
	if p := t.now.Load(); p.link != nil && time.Since(t.asked) < stateAge {
		defer t.mu.Unlock()
		return t.health.State, nil
	}
	t.asked = time.Now()
	t.mu.Unlock()
	var s State
	err := t.do(ctx, "answer", func(l *link) error { return t.refresh(l, &s) })
	return s, err
}

// refresh asks the device how it is.
func (t *Token) refresh(l *link, s *State) error {
	*s = State{} // what is left out of the answer is not set
	if err := l.ask(kindState, nil, s); err != nil {
		return err
	}
	t.saw(s)
	return nil
}

// saw takes note of how the device is.
func (t *Token) saw(s *State) {
	clean(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.health.State, t.asked = *s, time.Now()
}

// Generate makes a key. It is not tried again when its worker dies: whether the
// device has made one is then for the operator to see.
func (t *Token) Generate(ctx context.Context, spec KeySpec) (NewKey, error) {
	var made NewKey
	err := t.do(ctx, "make a key", func(l *link) error { return l.ask(kindGenerate, spec, &made) })
	return made, err
}

// Attest returns the device's evidence about a key.
func (t *Token) Attest(ctx context.Context, locator string, challenge []byte) (Evidence, error) {
	var e Evidence
	err := t.do(ctx, "attest a key", func(l *link) error { return l.ask(kindAttest, attestation{locator, challenge}, &e) })
	return e, err
}

// Call runs an operation that only this kind of device has; arguments and result
// are JSON.
func (t *Token) Call(ctx context.Context, operation string, arguments []byte) ([]byte, error) {
	body, err := json.Marshal(invocation{operation, arguments})
	if err != nil {
		return nil, signer.Invalid("the arguments of %q are no JSON", operation)
	}
	var result []byte
	err = t.do(ctx, operation, func(l *link) (err error) { result, err = l.call(kindCall, nil, body); return err })
	return result, err
}

// do calls f, which does what it says, with the worker, on a turn of its own. A token that waits for a PIN can
// be asked: what needs the PIN, the driver refuses.
func (t *Token) do(ctx context.Context, what string, f func(*link) error) error {
	if p := t.now.Load(); p.link == nil {
		return p.err
	}
	return t.device.Do(ctx, func() error {
		p := t.now.Load()
		if p.link == nil {
			return p.err
		}
		return t.explain(p.link, what, f(p.link))
	})
}

// explain draws the consequences of an operation's error, and says what it means for
// whoever asked for it.
func (t *Token) explain(l *link, what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrGone) {
		l.end(err)
		return Unavailable(err, "token %q lost its device, and looks for it; ask again", t.c.Name)
	}
	if _, ok := errors.AsType[*lostError](err); ok {
		return Unavailable(err, "token %q lost its worker, which is started again; ask again", t.c.Name)
	}
	if pin, ok := errors.AsType[*PINError](err); ok {
		return t.lock(l, pin)
	}
	if _, ok := errors.AsType[*signer.Error](err); ok {
		return err
	}
	return Unavailable(err, "token %q could not %s", t.c.Name, what)
}

// Retry forgets what became of earlier PINs and, unless the device is in use, starts
// the worker again: the operator says that the credential was changed, or may be
// tried once more.
func (t *Token) Retry() {
	if err := t.marks.forget(); err != nil {
		t.c.Log.Error("what became of earlier PINs cannot be forgotten", "error", err)
	}
	select {
	case t.again <- struct{}{}:
	default:
	}
}

// Close ends the worker and waits for it. Operations that run have their timeout to
// end. A token may be closed twice.
func (t *Token) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), max(t.c.Timeout, generateTimeout)+t.c.TouchTimeout+time.Second)
	defer cancel()
	err := t.device.Close(ctx)
	t.cancel()
	<-t.over
	t.now.Store(&phase{err: Unavailable(nil, "token %q is closed", t.c.Name)})
	t.device.Report(Health{Reason: "it is closed"})
	return err
}

// logQuota bounds what a token's workers have logged.
type logQuota struct {
	mu      sync.Mutex
	since   time.Time // owned by mu
	used    int       // owned by mu
	dropped int       // owned by mu
}

// take reports whether one more line may be logged, and how many were not.
func (q *logQuota) take() (ok bool, dropped int) {
	const most, window = 20, 10 * time.Second
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); now.Sub(q.since) > window {
		dropped = q.dropped
		q.since, q.used, q.dropped = now, 0, 0
	}
	if q.used++; q.used > most {
		q.dropped++
		return false, 0
	}
	return true, dropped
}
