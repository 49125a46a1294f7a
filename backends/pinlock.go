package backends

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tryLock is held by the one process that tries a PIN of a token, for as long as that
// takes: what the mark says of a try that is under way is for that process alone. It
// is flock(2) on a file beside the mark, which ends with the process that holds it,
// and the file stays: it has no content. The mark itself is replaced too often to be
// locked.
type tryLock struct {
	path string

	mu      sync.Mutex
	file    *os.File // nil while it is not held; owned by mu
	holders int      // within this process; owned by mu
}

// errOthersTry says that nothing is known of the PIN yet, and nothing may be sent.
var errOthersTry = errors.New("another process is trying a PIN of this token (another sealwardd, or sealwardd --check-config)")

// lockPause is between two looks at whether the others are done.
const lockPause = 20 * time.Millisecond

// hold waits until no other process tries a PIN, for no longer than given and until
// done, and keeps others from it until release is called. Within a process holds
// nest.
func (l *tryLock) hold(done <-chan struct{}, wait time.Duration) (release func(), err error) {
	for end := time.Now().Add(wait); ; {
		if err = l.take(); err == nil {
			return sync.OnceFunc(l.give), nil
		}
		if !errors.Is(err, errOthersTry) || time.Now().After(end) {
			return nil, err
		}
		select {
		case <-done:
			return nil, err
		case <-time.After(lockPause):
		}
	}
}

func (l *tryLock) take() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders > 0 {
		l.holders++
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("whether another process tries a PIN cannot be told: %w", err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.holders = f, 1
	return nil
}

// give ends a hold.
func (l *tryLock) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders--; l.holders > 0 {
		return
	}
	// By name, and not with the descriptor's last copy, which a process that is being
	// started may have for a moment. Neither can fail for a file that is open.
	_ = unix.Flock(int(l.file.Fd()), unix.LOCK_UN)
	_ = l.file.Close()
	l.file = nil
}

// flock locks a file or says that another process has.
func flock(f *os.File, how int) error {
	for {
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return errOthersTry
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("whether another process tries a PIN cannot be told: lock %s: %w", f.Name(), err)
		}
	}
}
