package backends_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

func newDevice(t *testing.T, turns, queue int) *backends.Device {
	t.Helper()
	d, err := backends.NewDevice("hsm", turns, queue)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hold takes a turn and returns a function that gives it back.
func hold(t *testing.T, d *backends.Device) (release func()) {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Do(context.Background(), func() error { close(in); <-out; return nil }); err != nil {
			t.Errorf("Do: %v", err)
		}
	})
	<-in
	return func() { close(out); wg.Wait() }
}

func wantUnavailable(t *testing.T, err error, detail string) {
	t.Helper()
	var e *signer.Error
	if !errors.As(err, &e) || e.Code != signer.CodeUnavailable || !strings.Contains(e.Detail, detail) {
		t.Errorf("error = %v, want code %q and %q", err, signer.CodeUnavailable, detail)
	}
}

func TestDoRunsNoMoreThanItsTurnsAtOnce(t *testing.T) {
	d := newDevice(t, 3, 100)
	var at, most atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			err := d.Do(t.Context(), func() error {
				n := at.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Millisecond)
				at.Add(-1)
				return nil
			})
			if err != nil {
				t.Errorf("Do: %v", err)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > 3 || n < 2 {
		t.Errorf("%d at once; want 3", n)
	}
}

func TestDoReturnsWhatItsFunctionReturns(t *testing.T) {
	d, want := newDevice(t, 1, 0), errors.New("paper jam")
	if err := d.Do(t.Context(), func() error { return want }); err != want {
		t.Errorf("Do = %v, want %v", err, want)
	}
}

func TestDoGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, 1, 10)
		release := hold(t, d)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := d.Do(ctx, func() error { t.Error("it ran"); return nil })
		wantUnavailable(t, err, "busy")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v; want its cause kept", err)
		}
		release()
		if err := d.Do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("Do afterwards: %v", err)
		}
	})
}

func TestDoRefusesACancelledContextEvenWhenFree(t *testing.T) {
	d := newDevice(t, 1, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		wantUnavailable(t, d.Do(ctx, func() error { t.Error("it ran"); return nil }), "busy")
	}
}

func TestDoRefusesWhenTheQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, 1, 2)
		release := hold(t, d)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := d.Do(t.Context(), func() error { return nil }); err != nil {
					t.Errorf("Do: %v", err)
				}
			})
		}
		synctest.Wait() // both are in the queue
		wantUnavailable(t, d.Do(t.Context(), func() error { t.Error("it ran"); return nil }), "2 requests waiting")
		release()
		wg.Wait()
	})
}

func TestCloseWaitsForWorkAndRefusesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, 2, 10)
		release := hold(t, d)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close while a call runs = %v; want the deadline", err)
		}
		wantUnavailable(t, d.Do(t.Context(), func() error { return nil }), "closed")
		release()
		for range 2 {
			if err := d.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

func TestHealthOfTheZeroValueIsDown(t *testing.T) {
	d := newDevice(t, 1, 0)
	if h := d.Health(); h.Up || h.Reason == "" {
		t.Errorf("health of a new device = %+v; want down with a reason", h)
	}
	d.Report(backends.Health{Up: true})
	if !d.Health().Up {
		t.Error("a device that was reported up is down")
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := d.Health(); h.Up || h.Reason == "" {
		t.Errorf("health of a closed device = %+v; want down with a reason", h)
	}
}

func TestNewDeviceChecksItsArguments(t *testing.T) {
	for name, c := range map[string]struct {
		name         string
		turns, queue int
	}{
		"no name": {"", 1, 1}, "no turn": {"hsm", 0, 1}, "negative queue": {"hsm", 1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			if d, err := backends.NewDevice(c.name, c.turns, c.queue); err == nil || d != nil {
				t.Errorf("NewDevice = %v, %v; want an error", d, err)
			}
		})
	}
}
