package signer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealward/sealward/signer"
)

// tells is a key that waits for a touch.
type tells struct {
	*key
	touched chan struct{}
	waits   chan struct{} // closed once it waits
}

func (k tells) Sign(ctx context.Context, a signer.Authorized) ([]byte, error) {
	a.Notify(signer.NoticeTouch)
	close(k.waits)
	<-k.touched
	a.Notify(signer.NoticeNone)
	return k.key.Sign(ctx, a)
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := allowed()
		k := tells{p.key, make(chan struct{}), make(chan struct{})}
		info := infoOf("hot", k)
		e, err := signer.New(configOf(p, p.verifier, signer.ManagedKey{Info: info, Key: k}))
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, e)
		watch := func(caller, id string, known signer.Progress) signer.Progress {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := e.Watch(ctx, caller, id, known)
			if err != nil {
				t.Fatalf("Watch: %v", err)
			}
			return got
		}
		expect := func(caller, id string, known, want signer.Progress, wait time.Duration) {
			t.Helper()
			start := time.Now()
			if got := watch(caller, id, known); got != want {
				t.Errorf("Watch(%s, %s, %q) = %q, want %q", caller, id, known, got, want)
			}
			if took := time.Since(start); took != wait {
				t.Errorf("Watch(%s, %s, %q) took %s, want %s", caller, id, known, took, wait)
			}
		}
		me := alice.ID()
		expect(me, "r1", "", signer.ProgressUnknown, 0)
		expect(me, "r1", signer.ProgressUnknown, signer.ProgressUnknown, time.Minute)

		// Somebody waits for a request that is not there yet.
		appeared := make(chan signer.Progress)
		go func() { appeared <- watch(me, "r1", signer.ProgressUnknown) }()
		synctest.Wait()
		signed := make(chan error)
		go func() { _, err := e.Sign(t.Context(), alice, ask("r1")); signed <- err }()
		if got := <-appeared; got != signer.ProgressRunning && got != signer.ProgressTouch {
			t.Errorf("the request appeared as %q", got)
		}
		<-k.waits
		expect(me, "r1", signer.ProgressRunning, signer.ProgressTouch, 0)
		expect(me, "r1", signer.ProgressTouch, signer.ProgressTouch, time.Minute)
		expect("uid:1001", "r1", "", signer.ProgressUnknown, 0)
		expect(me, "r2", "", signer.ProgressUnknown, 0)

		ended := make(chan signer.Progress)
		for range 3 {
			go func() {
				state := signer.ProgressTouch
				for state != signer.ProgressDone {
					state = watch(me, "r1", state)
				}
				ended <- state
			}()
		}
		synctest.Wait()
		close(k.touched)
		if err := <-signed; err != nil {
			t.Fatal(err)
		}
		for range 3 {
			<-ended
		}
		expect(me, "r1", "", signer.ProgressDone, 0)
		expect(me, "r1", signer.ProgressDone, signer.ProgressDone, time.Minute)
		expect("uid:1001", "r1", "", signer.ProgressUnknown, 0)
	})
}

func TestWatchingARequestThatWasRefused(t *testing.T) {
	p := allowed()
	p.policy.decide = verdict(signer.Deny)
	e := p.engine(t)
	if _, err := e.Sign(t.Context(), alice, ask("r1")); signer.CodeOf(err) != signer.CodeDenied {
		t.Fatal(err)
	}
	if got, err := e.Watch(t.Context(), alice.ID(), "r1", ""); err != nil || got != signer.ProgressDone {
		t.Errorf("Watch = %q, %v; want it done", got, err)
	}
}

// blind cannot look anything up.
type blind struct{ *journal }

func (blind) Lookup(context.Context, string, string) (signer.Recorded, bool, error) {
	return signer.Recorded{}, false, errors.New("disk I/O error")
}

func TestWatchWithoutARecordIsUnavailable(t *testing.T) {
	p := allowed()
	e := engineWith(t, p, blind{p.journal}, infoOf("hot", p.key))
	if got, err := e.Watch(t.Context(), alice.ID(), "r1", ""); signer.CodeOf(err) != signer.CodeUnavailable || got != "" {
		t.Errorf("Watch = %q, %v; want it unavailable", got, err)
	}
}
