package backends

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealward/sealward/signer"
)

// Device bounds the work on one piece of hardware. Hardware has few sessions and
// is slow; queueing here keeps that fact out of every backend. Turns are given in
// the order of asking.
type Device struct {
	name  string
	most  int64         // in the queue and at work
	turns chan struct{} // holds an element for each turn that is taken
	done  chan struct{} // closed by Close
	close sync.Once

	asking atomic.Int64 // in the queue or at work
	health atomic.Pointer[Health]
}

// NewDevice returns a device that does a number of things at once and lets a
// number of others wait. The name is for messages.
func NewDevice(name string, turns, queue int) (*Device, error) {
	if name == "" || turns < 1 || queue < 0 {
		return nil, fmt.Errorf("device %q with %d turns and a queue of %d: want a name, at least one turn and no negative queue", name, turns, queue)
	}
	return &Device{
		name: name, most: int64(turns) + int64(queue),
		turns: make(chan struct{}, turns), done: make(chan struct{}),
	}, nil
}

// Do waits for a turn and calls f. It returns an [*signer.Error] with code
// unavailable when the queue is full, the context ends or the device is closed
// before its turn comes, and what f returns otherwise. Once called, f runs to its
// end, whatever becomes of the context.
func (d *Device) Do(ctx context.Context, f func() error) error {
	defer d.asking.Add(-1)
	if n := d.asking.Add(1); n > d.most {
		return Unavailable(fmt.Errorf("queue of %s is full", d.name), "device %q has %d requests waiting, which is the most; ask again later", d.name, n-1-int64(cap(d.turns)))
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer func() { <-d.turns }()
	return f()
}

// Close refuses all further work and waits for what is being done, until ctx
// ends. A device may be closed twice.
func (d *Device) Close(ctx context.Context) error {
	d.close.Do(func() { close(d.done) })
	d.Report(Health{Reason: "it is closed"})
	// Those at work give their turns back; nobody takes one any more. Every turn
	// that Close holds goes back, so that a second Close finds the same.
	for range cap(d.turns) {
		select {
		case d.turns <- struct{}{}:
			defer func() { <-d.turns }()
		case <-ctx.Done():
			return fmt.Errorf("close device %q: a call is still running: %w", d.name, context.Cause(ctx))
		}
	}
	return nil
}

// take takes a turn, or refuses.
func (d *Device) take(ctx context.Context) error {
	// When several cases are ready, select takes any of them; what refuses goes first.
	if err := d.refused(ctx); err != nil {
		return err
	}
	select {
	case d.turns <- struct{}{}:
		select {
		case <-d.done: // Close may be through already, and must stay the last
			<-d.turns
			return d.refused(ctx)
		default:
			return nil
		}
	case <-ctx.Done():
	case <-d.done:
	}
	return d.refused(ctx)
}

func (d *Device) refused(ctx context.Context) error {
	select {
	case <-d.done:
		return Unavailable(fmt.Errorf("%s is closed", d.name), "device %q is closed", d.name)
	default:
	}
	if ctx.Err() != nil {
		return Unavailable(context.Cause(ctx), "device %q was busy for as long as the request could wait; ask again later", d.name)
	}
	return nil
}

// Health is whether a device can be used, as its backend saw it last. The zero
// Health is down.
type Health struct {
	Up     bool
	Reason string    // why it is down, for the operator
	Since  time.Time // it is in this state
	Retry  time.Time // it is not tried again before; zero: with the next request, if ever

	// What follows is of a device that a worker drives.

	State     State // as the device was last seen
	Locked    bool  // it waits for an operator to type its PIN
	Restarts  int   // how often its worker was started again
	WorkerPID int   // of the worker process; 0 while there is none
}

// Health returns what was last reported.
func (d *Device) Health() Health {
	if h := d.health.Load(); h != nil {
		return *h
	}
	return Health{Reason: "it has not been opened yet"}
}

// Report sets the state of health.
func (d *Device) Report(h Health) { d.health.Store(&h) }

// Unavailable is an error that may go away by itself: a text for the caller, and
// a cause that never leaves the daemon.
func Unavailable(cause error, format string, args ...any) error {
	return &signer.Error{Code: signer.CodeUnavailable, Detail: fmt.Sprintf(format, args...), Err: cause}
}
