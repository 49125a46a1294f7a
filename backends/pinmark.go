package backends

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pinMarks remembers, across crashes of worker, daemon and machine, what became of
// the PINs that were tried. Devices block after a few wrong ones, and a daemon that
// is restarted by its service manager would see to that within seconds.
type pinMarks struct {
	path string
	now  func() time.Time
	lock tryLock    // held for each try, so that marks of other processes are of tries that have ended
	mu   sync.Mutex // owns the file
}

func newPINMarks(path string, now func() time.Time) *pinMarks {
	return &pinMarks{path: path, now: now, lock: tryLock{path: lockOf(path)}}
}

// lockOf is the file beside a mark by which processes keep out of each other's tries.
func lockOf(mark string) string { return mark + ".lock" }

// pinMark is what the file holds. There is none where nothing has to be remembered.
type pinMark struct {
	Version int         `json:"version"`
	Refused *refusedPIN `json:"refused,omitempty"`
	Trying  *triedPIN   `json:"trying,omitempty"` // the credential
	Typed   *triedPIN   `json:"typed,omitempty"`  // what a person typed
}

// settled says why it cannot be ruled out that a PIN which was tried before was
// wrong.
func (m *pinMark) settled(left int) error {
	if err := m.Trying.settled(left); err != nil {
		return err
	}
	return m.Typed.settled(left)
}

// refusedPIN recognises the credential that was refused, so that another one can be
// tried. What it is a digest of is found by trying all PINs; but that one is known
// not to be the device's PIN.
type refusedPIN struct {
	At     time.Time `json:"at"`
	Left   int       `json:"left"`
	Salt   []byte    `json:"salt"`
	Digest []byte    `json:"digest"`
}

// triedPIN is a try whose end is not known.
type triedPIN struct {
	At   time.Time `json:"at"`
	Left int       `json:"left"` // tries left before it, -1 if the device did not tell
	// Cut is set until the device has answered anything at all.
	Cut bool `json:"cut"`
	// Failures counts tries in a row which ended in an error that says nothing about
	// the PIN.
	Failures int `json:"failures"`
}

// mostFailures bounds those tries where the device does not tell how many are left:
// there are libraries that answer a wrong PIN with "device error".
const mostFailures = 3

// pinDigest is the digest of a salted credential.
func pinDigest(salt, pin []byte) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write(pin)
	return h.Sum(nil)
}

func newSalt() []byte {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	return salt
}

// mayTry says why a credential is not tried, if so, and else which refusal is known to
// be of another one.
func (m *pinMarks) mayTry(pin []byte, left int) (other *refusedPIN, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mark, err := m.load()
	if err != nil {
		return nil, err
	}
	if r := mark.Refused; r != nil && subtle.ConstantTimeCompare(r.Digest, pinDigest(r.Salt, pin)) == 1 {
		return nil, fmt.Errorf("the PIN in its credential was refused at %s, and is not sent again", r.At.UTC().Format(time.RFC3339))
	}
	return mark.Refused, mark.settled(left)
}

func (t *triedPIN) settled(left int) error {
	switch {
	case t == nil:
		return nil
	case t.Left >= 0 && left >= t.Left:
		return nil
	case t.Left >= 0 && left >= 0:
		return fmt.Errorf("a try of its PIN was cut short at %s, and the device has %d tries left where it had %d", t.At.UTC().Format(time.RFC3339), left, t.Left)
	case t.Cut:
		return fmt.Errorf("a try of its PIN was cut short at %s, and the device does not tell whether it counted as a wrong one", t.At.UTC().Format(time.RFC3339))
	case t.Failures >= mostFailures:
		return fmt.Errorf("%d tries of its PIN in a row have ended in another error, the last at %s, and the device does not tell whether they counted as wrong ones", t.Failures, t.At.UTC().Format(time.RFC3339))
	}
	return nil
}

// PINDoubt reads a mark ([Config.PINMark]) and says why its token's PIN would not be
// tried now; nothing where it would be, or where a try is under way. The device is not
// asked, which may know better of a try that was cut short.
func PINDoubt(path string) (doubt string, err error) {
	if doubt, err = markedDoubt(path); doubt == "" || err != nil {
		return "", err
	}
	f, err := os.Open(lockOf(path))
	if errors.Is(err, fs.ErrNotExist) {
		return doubt, nil
	} else if err != nil {
		return "", err
	}
	defer f.Close() // and the lock with it
	if err := flock(f, unix.LOCK_SH); errors.Is(err, errOthersTry) {
		return "", nil // what the mark says is not settled yet
	} else if err != nil {
		return "", err
	}
	return markedDoubt(path) // a try may have ended since
}

func markedDoubt(path string) (string, error) {
	mark, err := (&pinMarks{path: path}).load()
	if errors.Is(err, fs.ErrPermission) {
		return "", err
	}
	switch {
	case err != nil:
		return err.Error(), nil
	case mark.Refused != nil:
		return fmt.Sprintf("the PIN in its credential was refused at %s, and is not sent again", mark.Refused.At.UTC().Format(time.RFC3339)), nil
	}
	const unknown = -1 // is how many tries are left
	for _, tried := range []struct {
		what string
		try  *triedPIN
	}{{"its PIN", mark.Trying}, {"a typed PIN", mark.Typed}} {
		if tried.try.settled(unknown) != nil {
			return fmt.Sprintf("a try of %s at %s was cut short or ended in an error, and may have been one of a wrong PIN", tried.what, tried.try.At.UTC().Format(time.RFC3339)), nil
		}
	}
	return "", nil
}

// begin makes durable that a try is under way. One that a person decided on is made
// whatever became of those before. other is the refusal that is known to be of another
// PIN; there is a later one where another process has tried since.
func (m *pinMarks) begin(left int, typed bool, other *refusedPIN) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mark, err := m.load()
	if err != nil {
		return err
	}
	trying := &triedPIN{At: m.now(), Left: left, Cut: true}
	if typed {
		mark.Typed = trying
		return m.store(mark)
	}
	if r := mark.Refused; r != nil && (other == nil || !bytes.Equal(r.Digest, other.Digest)) {
		return fmt.Errorf("a PIN that another process tried was refused at %s, and this may be the same one", r.At.UTC().Format(time.RFC3339))
	}
	if err := mark.settled(left); err != nil {
		return err
	}
	if mark.Trying != nil {
		trying.Failures = mark.Trying.Failures
	}
	mark.Trying = trying
	return m.store(mark)
}

// end makes durable what became of the try. What becomes of a PIN that a person
// typed says nothing about the credential.
func (m *pinMarks) end(t wireTry, typed bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mark, err := m.load()
	if err != nil {
		return err
	}
	try := &mark.Trying
	if typed {
		try = &mark.Typed
	}
	if *try == nil { // an operator had the marks forgotten while the device looked at the PIN
		*try = &triedPIN{At: m.now(), Left: t.Left, Cut: true}
	}
	if !(*try).Cut {
		return fmt.Errorf("the PIN mark %s has changed under a try", m.path)
	}
	if t.Verdict == verdictNone {
		(*try).Cut = false
		(*try).Failures++
		return m.store(mark)
	}
	*try = nil
	switch {
	case typed:
	case t.Verdict == verdictAccepted:
		mark.Refused = nil
	case t.Verdict == verdictRefused:
		mark.Refused = &refusedPIN{At: m.now(), Left: t.Left, Salt: t.Salt, Digest: t.Digest}
	}
	return m.store(mark)
}

// forget removes all marks.
func (m *pinMarks) forget() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store(pinMark{})
}

// load reads the file. What cannot be read may say that no PIN must be tried.
func (m *pinMarks) load() (pinMark, error) {
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return pinMark{}, nil
	}
	if err != nil {
		return pinMark{}, fmt.Errorf("whether its PIN may be tried cannot be read: %w", err)
	}
	var mark pinMark
	err = fromJSON(b, &mark)
	if err == nil && mark.Version != 1 {
		err = fmt.Errorf("version %d; want 1", mark.Version)
	}
	if r := mark.Refused; err == nil && r != nil && (len(r.Salt) == 0 || len(r.Digest) != sha256.Size) {
		err = errors.New("a refused PIN without salt or digest")
	}
	for _, t := range []*triedPIN{mark.Trying, mark.Typed} {
		if err == nil && t != nil && (t.Left < -1 || t.Failures < 0) {
			err = errors.New("a try with impossible numbers")
		}
	}
	if err != nil {
		return pinMark{}, fmt.Errorf("whether its PIN may be tried cannot be read from %s: %w", m.path, err)
	}
	return mark, nil
}

// store replaces the file, durably: when it returns nil, neither a crash nor a power
// cut brings the old content back.
func (m *pinMarks) store(mark pinMark) error {
	if mark == (pinMark{Version: mark.Version}) {
		if err := os.Remove(m.path); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return fmt.Errorf("remove the PIN mark: %w", err)
		}
		if err := syncFolder(filepath.Dir(m.path)); err != nil {
			return fmt.Errorf("remove the PIN mark: %w", err)
		}
		return nil
	}
	mark.Version = 1
	b, err := json.Marshal(mark)
	if err != nil {
		return fmt.Errorf("write the PIN mark: %w", err)
	}
	return WriteDurably(m.path, append(b, '\n'))
}
