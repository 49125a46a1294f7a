package backends

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// pinDesk answers one worker process that asks whether its PIN may be sent
// ([Host.TryPIN]). The worker sends it only after the answer, which comes only after
// the mark is durable.
type pinDesk struct {
	marks *pinMarks
	log   *slog.Logger

	mu      sync.Mutex
	source  pinSource   // of the PIN that the worker has; owned by mu
	spent   bool        // the device has refused that PIN; owned by mu
	other   *refusedPIN // what was refused before, and is not that PIN; owned by mu
	step    tryStep     // owned by mu
	release func()      // lets other processes try again; nil while no try is under way; owned by mu
}

// pinSource is where a worker's PIN came from. The zero value is nowhere.
type pinSource int

const (
	pinNone pinSource = iota
	pinCredential
	pinTyped
)

// tryStep is how far a try has come. There is one at a time.
type tryStep int

const (
	tryNone  tryStep = iota
	tryAsked         // the worker waits for its answer
	tryGoing         // it may be sending the PIN
	tryEnded         // it has said what came of it
)

// use says that the worker is about to get a PIN.
func (d *pinDesk) use(source pinSource, other *refusedPIN) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.source, d.spent, d.other = source, false, other
}

// announce checks that a try may be asked for now. Its error ends the worker.
func (d *pinDesk) announce(left int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.step != tryNone || left < -1 {
		return fmt.Errorf("a try of a PIN out of turn, or with %d tries left", left)
	}
	d.step = tryAsked
	return nil
}

// begin makes the mark, or says why the PIN may not be sent. Its error ends the
// worker: there is nothing to say of the PIN while another process tries it, and how
// many tries are left will have to be asked anew.
func (d *pinDesk) begin(left int) (refusal, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step = tryNone
	switch {
	case d.source == pinNone:
		return errors.New("no PIN was given to this worker"), nil
	case d.spent:
		return errors.New("the device has refused this PIN, and it is not sent again"), nil
	case left == 0:
		return errors.New("the device takes no PIN any more: it is blocked"), nil
	case left == 1 && d.source != pinTyped:
		return errors.New("one more wrong PIN would block the device, so none is sent that nobody typed just now"), nil
	}
	release, err := d.marks.lock.hold(nil, 0)
	if err != nil {
		return nil, err
	}
	if err := d.marks.begin(left, d.source == pinTyped, d.other); err != nil {
		release()
		return err, nil
	}
	d.step, d.release = tryGoing, release
	return nil, nil
}

// leave says that the worker has ended, and a try with it.
func (d *pinDesk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.release != nil {
		d.release()
		d.release = nil
	}
}

// conclude checks what a worker says of a try. Its error ends the worker, and the
// mark stays.
func (d *pinDesk) conclude(t wireTry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch t.Verdict {
	case verdictAccepted, verdictUnsent, verdictNone:
	case verdictRefused:
		if d.source == pinCredential && (len(t.Salt) == 0 || len(t.Digest) != sha256.Size) {
			return errors.New("a refused PIN without salt or digest")
		}
		d.spent = true
	default:
		return fmt.Errorf("an unknown end of a try, %q", plain(string(t.Verdict), 20))
	}
	if d.step != tryGoing || t.Left < -1 || len(t.Salt) > 64 {
		return errors.New("the end of a try that is not under way")
	}
	d.step = tryEnded
	return nil
}

// end replaces the mark by what came of the try. Where that is not possible the mark
// stays, and keeps the PIN from being tried by the next worker: the safe side.
func (d *pinDesk) end(t wireTry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.marks.end(t, d.source == pinTyped); err != nil {
		d.log.Error("what became of a PIN cannot be recorded; it will not be tried by itself again", "error", err)
	}
	d.step = tryNone
	d.release()
	d.release = nil
}
