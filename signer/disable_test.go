package signer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

func TestADisabledKeySignsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		between func(*office)
		act     func(*office) (signer.Result, error)
		want    signer.Code // empty: it goes on
	}{
		"a new request":                  {act: func(o *office) (signer.Result, error) { return o.sign("new", "hot") }, want: signer.CodeDenied},
		"one that failed before":         {act: func(o *office) (signer.Result, error) { return o.sign("failed", "hot") }, want: signer.CodeDenied},
		"after a restart":                {between: (*office).restart, act: func(o *office) (signer.Result, error) { return o.sign("new", "hot") }, want: signer.CodeDenied},
		"one that failed, and a restart": {between: (*office).restart, act: func(o *office) (signer.Result, error) { return o.sign("failed", "hot") }, want: signer.CodeDenied},
		"under another name": {
			between: func(o *office) { o.names = [2]string{"renamed", "cold"}; o.restart() },
			act:     func(o *office) (signer.Result, error) { return o.sign("new", "renamed") }, want: signer.CodeDenied,
		},
		"a device that is away": {
			between: func(o *office) { o.hot.leave(&signer.Error{Code: signer.CodeUnavailable}) },
			act:     func(o *office) (signer.Result, error) { return o.sign("new", "hot") }, want: signer.CodeDenied,
		},
		"a rotation": {act: func(o *office) (signer.Result, error) {
			return o.act("r", admin.Order{Act: admin.ActRotate, Key: "hot", Successor: "cold"})
		}, want: signer.CodeDenied},
		"a rotation to it": {act: func(o *office) (signer.Result, error) {
			return o.act("r", admin.Order{Act: admin.ActRotate, Key: "cold", Successor: "hot"})
		}, want: signer.CodeDenied},
		"a duplicate": {act: func(o *office) (signer.Result, error) {
			return o.act("r", admin.Order{Act: admin.ActDuplicate, Key: "hot", Target: "aGVsbG8="})
		}, want: signer.CodeDenied},
		"another policy": {
			between: func(o *office) {
				if err := o.engine.SetPolicy(o.t.Context(), policy{version: 2, decide: verdict(signer.Allow)}); err != nil {
					o.t.Fatal(err)
				}
			},
			act: func(o *office) (signer.Result, error) { return o.sign("new", "hot") }, want: signer.CodeDenied,
		},
		"what was signed before is answered": {act: func(o *office) (signer.Result, error) { return o.sign("signed", "hot") }},
		"another key":                        {act: func(o *office) (signer.Result, error) { return o.sign("new", "cold") }},
		"an attestation": {act: func(o *office) (signer.Result, error) {
			return o.act("r", admin.Order{Act: admin.ActAttest, Key: "hot"})
		}},
		"disabling it again": {act: func(o *office) (signer.Result, error) { return o.act("d2", disableHot) }},
		"the key that took its name": {
			between: func(o *office) { o.names = [2]string{"renamed", "hot"}; o.restart() },
			act:     func(o *office) (signer.Result, error) { return o.sign("new", "hot") },
		},
		"once it is enabled": {
			between: func(o *office) { o.must("e1", enableHot) },
			act:     func(o *office) (signer.Result, error) { return o.sign("failed", "hot") },
		},
		"once it is enabled, and a restart": {
			between: func(o *office) { o.must("e1", enableHot); o.restart() },
			act:     func(o *office) (signer.Result, error) { return o.sign("new", "hot") },
		},
		"disabled once more": {
			between: func(o *office) { o.must("e1", enableHot); o.must("d2", disableHot); o.restart() },
			act:     func(o *office) (signer.Result, error) { return o.sign("new", "hot") }, want: signer.CodeDenied,
		},
		"the first disable asked for again does not count": {
			between: func(o *office) { o.must("e1", enableHot); o.must("d1", disableHot) },
			act:     func(o *office) (signer.Result, error) { return o.sign("new", "hot") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			if _, err := o.sign("signed", "hot"); err != nil {
				t.Fatal(err)
			}
			o.hot.fail(errors.New("unplugged"))
			if _, err := o.sign("failed", "hot"); signer.CodeOf(err) != signer.CodeUnavailable {
				t.Fatal(err)
			}
			o.hot.fail(nil)
			o.must("d1", disableHot)
			if c.between != nil {
				c.between(o)
			}
			before := o.hot.count()
			res, err := c.act(o)
			if c.want == "" && err != nil || c.want != "" && signer.CodeOf(err) != c.want {
				t.Fatalf("error = %v, want code %q", err, c.want)
			}
			if c.want != "" && (res.Signatures != nil || res.Artifact != nil || o.hot.count() != before) {
				t.Errorf("a refusal came with %+v, and the device was asked %d times", res, o.hot.count()-before)
			}
			if e, ok := errors.AsType[*signer.Error](err); ok {
				for _, part := range []string{"disabled at 2", `of uid:0`, "laptop lost"} {
					if !strings.Contains(e.Detail, part) {
						t.Errorf("the refusal is %q, and lacks %q", e.Detail, part)
					}
				}
			}
			o.audit()
		})
	}
}

func TestLookingAtADisabledKeyStillWorks(t *testing.T) {
	o := openOffice(t)
	o.must("d1", disableHot)
	r := signer.Request{Key: "hot", Kind: signer.KindEVMMessage, Payload: []byte("x")}
	if _, err := o.engine.Inspect(alice, r); err != nil {
		t.Errorf("Inspect: %v", err)
	}
	_, d, err := o.engine.Check(t.Context(), alice, r)
	if err != nil || d.Verdict != signer.Deny || !strings.Contains(d.Reason, `request "d1"`) {
		t.Errorf("Check = %+v, %v", d, err)
	}
	if why := o.engine.Disabled(o.hot.Public().Fingerprint()); !strings.Contains(why, "laptop lost") {
		t.Errorf("Disabled = %q", why)
	}
	if why := o.engine.Disabled(o.cold.Public().Fingerprint()); why != "" {
		t.Errorf("another key is %q", why)
	}
	o.must("e1", enableHot)
	if why := o.engine.Disabled(o.hot.Public().Fingerprint()); why != "" {
		t.Errorf("an enabled key is %q", why)
	}
}

func TestADeniedActChangesNothing(t *testing.T) {
	o := openOffice(t)
	o.policy.decide = func(p signer.Proposal, _ signer.Facts) signer.Decision {
		if p.Request.Kind == signer.KindAdmin && p.Request.ID != "d1" {
			return signer.Decision{Reason: "no"}
		}
		return signer.Decision{Verdict: signer.Allow}
	}
	o.restart()
	if _, err := o.act("d0", disableHot); signer.CodeOf(err) != signer.CodeDenied {
		t.Fatal(err)
	}
	for _, f := range []func(){func() {}, o.restart} {
		f()
		if _, err := o.sign("s", "hot"); err != nil {
			t.Errorf("Sign after a disable that was denied: %v", err)
		}
	}
	o.must("d1", disableHot)
	if _, err := o.act("e0", enableHot); signer.CodeOf(err) != signer.CodeDenied {
		t.Fatal(err)
	}
	for i, f := range []func(){func() {}, o.restart} {
		f()
		if _, err := o.sign(fmt.Sprint("t", i), "hot"); signer.CodeOf(err) != signer.CodeDenied {
			t.Errorf("Sign after an enable that was denied: %v", err)
		}
	}
}

// An enable that was not known to be done, and is asked for again by whoever retries,
// does not undo a disable that came after it.
func TestAnEnableDoesNotUndoALaterDisable(t *testing.T) {
	o := openOffice(t)
	lost := false
	o.pause = func(j signer.Journal) signer.Journal { return losing{j, &lost} }
	o.restart()
	o.must("d1", disableHot)
	lost = true
	if _, err := o.act("e1", enableHot); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Fatal(err)
	}
	lost = false
	o.must("d2", disableHot)
	for _, then := range []func(){func() {}, o.restart} {
		then()
		_, err := o.act("e1", enableHot)
		if e, ok := errors.AsType[*signer.Error](err); !ok || e.Code != signer.CodeDenied || !strings.Contains(e.Detail, `request "d2"`) || !strings.Contains(e.Detail, "new id") {
			t.Errorf("the enable that came before: %v, want it denied", err)
		}
		if _, err := o.sign(fmt.Sprint("s", len(o.types())), "hot"); signer.CodeOf(err) != signer.CodeDenied {
			t.Errorf("Sign after it: %v", err)
		}
	}
	o.must("e2", enableHot)
	if _, err := o.sign("t", "hot"); err != nil {
		t.Errorf("Sign after an enable that came later: %v", err)
	}
	o.audit()
}

// What a device had under way when its key was disabled is not given out.
func TestADisableHoldsBackWhatIsBeingSigned(t *testing.T) {
	o := openOffice(t)
	var once sync.Once
	o.hot.while(func(signer.Authorized) { once.Do(func() { o.must("d1", disableHot) }) })
	res, err := o.sign("s1", "hot")
	if signer.CodeOf(err) != signer.CodeDenied || res.Signatures != nil || res.Artifact != nil {
		t.Errorf("Sign = %+v, %v; want nothing released", res, err)
	}
	if got := o.types(); !slices.Equal(got, []string{"authorized", "authorized", "acted", "failed"}) {
		t.Errorf("journal holds %v", got)
	}
	o.must("e1", enableHot)
	if _, err := o.sign("s1", "hot"); err != nil {
		t.Errorf("Sign once it is enabled: %v", err)
	}
	o.audit()
}

// A duplicate could sign elsewhere, where nobody knows of the disable.
func TestADisableHoldsBackADuplicate(t *testing.T) {
	copies := admin.Order{Act: admin.ActDuplicate, Key: "hot", Target: "aGVsbG8="}
	for name, c := range map[string]struct {
		recorded, acting bool // when the key is disabled
		asked            int
	}{
		"that is authorised":  {recorded: true, asked: 0},
		"that is being made":  {acting: true, asked: 1},
		"but no earlier copy": {asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			o.pause = func(j signer.Journal) signer.Journal {
				return recording{j, func(rec signer.Recorded) {
					if c.recorded && rec.Proposal.Request.ID == "c1" {
						o.must("d1", disableHot)
					}
				}}
			}
			if c.acting {
				o.clerk.before = func() { o.must("d1", disableHot) }
			}
			o.restart()
			res, err := o.act("c1", copies)
			if disabled := c.recorded || c.acting; disabled != (signer.CodeOf(err) == signer.CodeDenied) || disabled != (res.Artifact == nil) {
				t.Errorf("the copy is %q, %v", res.Artifact, err)
			}
			if len(o.clerk.asked) != c.asked {
				t.Errorf("the administrator was asked %d times, want %d", len(o.clerk.asked), c.asked)
			}
			o.audit()
		})
	}
}

// recording lets a test act between a record and what it authorises.
type recording struct {
	signer.Journal
	then func(signer.Recorded)
}

func (j recording) Record(ctx context.Context, p signer.Proposal, w signer.Needs, d func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	rec, err := j.Journal.Record(ctx, p, w, d)
	j.then(rec)
	return rec, err
}

func TestADisableReachesWhatWasAuthorisedJustBefore(t *testing.T) {
	o := openOffice(t)
	o.pause = func(j signer.Journal) signer.Journal {
		return recording{j, func(rec signer.Recorded) {
			if rec.Proposal.Request.ID == "s1" {
				o.must("d1", disableHot)
			}
		}}
	}
	o.restart()
	if res, err := o.sign("s1", "hot"); signer.CodeOf(err) != signer.CodeDenied || res.Signatures != nil {
		t.Errorf("Sign = %+v, %v; want it denied", res, err)
	}
	if n := o.hot.count(); n != 0 {
		t.Errorf("the device was asked %d times", n)
	}
	if got := o.types(); !slices.Equal(got, []string{"authorized", "authorized", "acted", "failed"}) {
		t.Errorf("journal holds %v", got)
	}
	o.audit()
}

// deciding lets a test act between a decision and its being on disk.
type deciding struct {
	signer.Journal
	after func(signer.Proposal, signer.Decision)
}

func (j deciding) Record(ctx context.Context, p signer.Proposal, w signer.Needs, d func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	return j.Journal.Record(ctx, p, w, func(f signer.Facts) signer.Decision {
		dec := d(f)
		j.after(p, dec)
		return dec
	})
}

// What is decided after a disable, and becomes durable together with it, is refused:
// by then nobody has been told of the disable.
func TestADisableHoldsFromItsDecisionOn(t *testing.T) {
	o := openOffice(t)
	var why string
	o.pause = func(j signer.Journal) signer.Journal {
		return deciding{j, func(p signer.Proposal, _ signer.Decision) {
			if p.Request.ID == "d1" {
				why = o.engine.Disabled(o.hot.Public().Fingerprint())
			}
		}}
	}
	o.restart()
	o.must("d1", disableHot)
	if why != "being disabled" {
		t.Errorf("once it was decided the key was %q, want it held back", why)
	}
}

// A disable that cannot be recorded is none, and holds nothing back for ever.
func TestADisableThatCannotBeRecorded(t *testing.T) {
	p := allowed()
	fails := true
	j := refusing{p.journal, &fails}
	info := infoOf("hot", p.key)
	e := adminEngine(t, p, j, info)
	if _, err := e.Sign(t.Context(), root, order("d1", disableHot)); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Fatal(err)
	}
	fails = false
	if _, err := e.Sign(t.Context(), alice, ask("r1")); err != nil {
		t.Errorf("Sign after a disable that was not recorded: %v", err)
	}
}

// refusing decides and then cannot write.
type refusing struct {
	*journal
	fails *bool
}

func (j refusing) Record(ctx context.Context, p signer.Proposal, w signer.Needs, d func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	if *j.fails {
		d(signer.Facts{Time: noon, Wall: noon})
		return signer.Recorded{}, errors.New("no space left on device")
	}
	return j.journal.Record(ctx, p, w, d)
}

func adminEngine(t *testing.T, p *parts, j signer.Journal, info signer.KeyInfo) *signer.Engine {
	t.Helper()
	return engineOf(t, p, j, info, map[signer.Kind]signer.Decoder{signer.KindEVMMessage: p.decoder, signer.KindAdmin: admin.Decoder{}})
}

// TestSignAndDisableAtOnce has many sign while a key is disabled and enabled, and
// checks that nothing is released after a disable has returned and before an enable is
// asked for. The journal says the same: Verify finds no authorisation of a key that
// was disabled.
func TestSignAndDisableAtOnce(t *testing.T) {
	o := openOffice(t)
	var epoch atomic.Int64 // odd: a disable has returned, and no enable was asked for
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var released, denied atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				before := epoch.Load()
				_, err := o.engine.Sign(t.Context(), alice, signer.Request{ID: fmt.Sprintf("w%d-%d", w, i), Key: "hot", Kind: signer.KindEVMMessage, Payload: []byte("pay bob")})
				after := epoch.Load()
				switch {
				case err == nil && before == after && before%2 == 1:
					t.Error("a signature was asked for and released while the key was disabled")
				case err == nil:
					released.Add(1)
				case signer.CodeOf(err) == signer.CodeDenied:
					denied.Add(1)
				case signer.CodeOf(err) != signer.CodeOverloaded:
					t.Errorf("Sign: %v", err)
				}
			}
		})
	}
	for i := range 20 {
		o.must(fmt.Sprint("d", i), disableHot)
		epoch.Add(1)
		asked := o.hot.count()
		time.Sleep(5 * time.Millisecond) // longer makes the test stricter, shorter no less right
		if now := o.hot.count(); now > asked+8 {
			t.Errorf("the device was asked %d times while the key was disabled", now-asked)
		}
		epoch.Add(1)
		o.must(fmt.Sprint("e", i), enableHot)
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if released.Load() == 0 || denied.Load() == 0 {
		t.Errorf("%d released and %d denied; want some of both", released.Load(), denied.Load())
	}
	o.audit()
}

// finishing lets a test act between an outcome that is on disk and its being known.
type finishing struct {
	signer.Journal
	then func(signer.Outcome)
}

func (j finishing) Finish(ctx context.Context, out signer.Outcome) (uint64, error) {
	leaf, err := j.Journal.Finish(ctx, out)
	j.then(out)
	return leaf, err
}

// A disable that was not known to be done, and is asked for again after an enable,
// disables once more, by its outcome: nothing slips through behind that.
func TestADisableThatIsDoneAgainLetsNothingThrough(t *testing.T) {
	o := openOffice(t)
	lost, asked := true, false
	o.pause = func(j signer.Journal) signer.Journal {
		return finishing{losing{j, &lost}, func(out signer.Outcome) {
			if lost || !strings.Contains(string(out.Result), `"disabled"`) {
				return
			}
			asked = true
			if res, err := o.sign("s1", "hot"); signer.CodeOf(err) != signer.CodeDenied || res.Signatures != nil {
				t.Errorf("Sign once the disable is on record = %+v, %v; want it denied", res, err)
			}
		}}
	}
	o.restart()
	if _, err := o.act("d1", disableHot); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Fatal(err)
	}
	lost = false
	o.restart()
	o.must("e1", enableHot)
	o.must("d1", disableHot)
	if !asked {
		t.Error("nobody asked for a signature")
	}
	o.audit()
}
