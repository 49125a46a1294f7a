package signer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// freeze freezes by the user whom the configuration lists.
func (tr *treasury) freeze() signer.Frozen {
	tr.t.Helper()
	out, err := tr.engine.Freeze(tr.t.Context(), ops, "something is wrong", nil)
	if err != nil || out.Unrecorded != nil {
		tr.t.Fatalf("Freeze = %+v, %v", out, err)
	}
	return out
}

var ops = signer.Caller{UID: 4, User: "ops", Identified: true}

func TestFrozenNothingIsSignedUntilItsApproversThaw(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	before, err := tr.sign("before", "cold")
	if err != nil {
		t.Fatal(err)
	}
	tr.waits("r")
	tr.approve("ann")
	tr.freeze()
	tr.restart() // durable
	for id, key := range map[string]string{"new": "cold", "before": "cold"} {
		if res, err := tr.sign(id, key); signer.CodeOf(err) != signer.CodeFrozen || res.Signatures != nil {
			t.Errorf("%s: Sign = %+v, %v; want code %q", id, res, err, signer.CodeFrozen)
		}
	}
	if err := tr.hear(tr.says("bob", signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal()})); signer.CodeOf(err) != signer.CodeFrozen {
		t.Errorf("Hear error = %v, want code %q", err, signer.CodeFrozen)
	}
	waiting := tr.proposal()
	if _, err := tr.act("thaw", admin.Order{Act: admin.ActThaw, Reason: "a false alarm"}); signer.CodeOf(err) != signer.CodeWaiting {
		t.Fatalf("thaw: %v, want code %q", err, signer.CodeWaiting)
	}
	all, err := tr.engine.AllWaiting(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, w := range all {
		if w.Proposal == waiting {
			continue
		}
		for _, token := range []string{"ann", "carol"} {
			if err := tr.hear(tr.says(token, signer.Approval{Word: signer.WordApprove, Proposal: w.Proposal})); err != nil {
				t.Fatal(err)
			}
		}
	}
	for end := time.Now().Add(20 * time.Second); tr.engine.Frozen() != "" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if why := tr.engine.Frozen(); why != "" {
		t.Fatal(why)
	}
	if res, err := tr.sign("before", "cold"); err != nil || string(res.Signatures[0]) != string(before.Signatures[0]) {
		t.Errorf("what was signed before: %+v, %v", res, err)
	}
	tr.approve("bob")
	if _, err := tr.becomes("r"); err != nil {
		t.Error(err)
	}
	tr.audit()
}

func TestWhoMayFreeze(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	freeze := tr.says("dave", signer.Approval{Word: signer.WordFreeze, Reason: "a token is lost"})
	if _, err := tr.engine.Freeze(t.Context(), alice, "because", nil); signer.CodeOf(err) != signer.CodeDenied || tr.engine.Frozen() != "" {
		t.Errorf("a user who is not listed: %v, want code %q", err, signer.CodeDenied)
	}
	if _, err := tr.engine.Freeze(t.Context(), alice, "", freeze); err != nil || !strings.Contains(tr.engine.Frozen(), `by approver "dave": a token is lost`) {
		t.Fatalf("an approver's statement: %v; %s", err, tr.engine.Frozen())
	}
	if _, err := tr.act("thaw", admin.Order{Act: admin.ActThaw, Reason: "found"}); signer.CodeOf(err) != signer.CodeWaiting {
		t.Fatal(err)
	}
	tr.approve("ann")
	tr.approve("bob")
	for end := time.Now().Add(20 * time.Second); tr.engine.Frozen() != "" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if _, err := tr.engine.Freeze(t.Context(), alice, "", freeze); signer.CodeOf(err) != signer.CodeConflict || tr.engine.Frozen() != "" {
		t.Errorf("the statement once more: %v; frozen: %q; want it used up", err, tr.engine.Frozen())
	}
	tr.audit()
}

// hearing is a journal of which a test does something as soon as it heard.
type hearing struct {
	signer.Journal
	then func()
}

func (h hearing) Hear(ctx context.Context, e signer.Event, check func(signer.Recorded) error) (uint64, bool, error) {
	defer h.then()
	return h.Journal.Hear(ctx, e, check)
}

func TestAFreezeThatWasObeyedFreezesNotForAMoment(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	var heard []string
	tr.pause = func(j signer.Journal) signer.Journal {
		return hearing{j, func() { heard = append(heard, tr.engine.Frozen()) }}
	}
	tr.restart()
	freeze := tr.says("dave", signer.Approval{Word: signer.WordFreeze, Reason: "a token is lost"})
	first, err := tr.engine.Freeze(t.Context(), alice, "", freeze)
	if err != nil {
		t.Fatal(err)
	}
	why := tr.engine.Frozen()
	if _, err := tr.act("thaw", admin.Order{Act: admin.ActThaw, Reason: "found"}); signer.CodeOf(err) != signer.CodeWaiting {
		t.Fatal(err)
	}
	tr.approve("ann")
	tr.approve("bob")
	for end := time.Now().Add(20 * time.Second); tr.engine.Frozen() != "" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	_, err = tr.engine.Freeze(t.Context(), alice, "", freeze)
	if want := fmt.Sprintf("froze at leaf %d already", first.Leaf); signer.CodeOf(err) != signer.CodeConflict || !strings.Contains(err.Error(), want) {
		t.Errorf("the statement once more: %v; want code %q and %q", err, signer.CodeConflict, want)
	}
	if n := len(heard); n != 4 || heard[0] != why || heard[n-1] != "" {
		t.Errorf("once it was heard: %q; want that the first freezes, and the one that was obeyed does not", heard)
	}
	tr.audit()
}

// failing is a journal that notes nothing.
type failing struct {
	signer.Journal
}

func (failing) Note(context.Context, signer.Event) (uint64, error) {
	return 0, errors.New("no space left on device")
}

func TestAFreezeHoldsWhereItCannotBeRecorded(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.pause = func(j signer.Journal) signer.Journal { return failing{j} }
	tr.restart()
	out, err := tr.engine.Freeze(t.Context(), ops, "something is wrong", nil)
	if err != nil || out.Unrecorded == nil || out.Leaf != 0 {
		t.Errorf("Freeze = %+v, %v; want that it is not on record", out, err)
	}
	if _, err := tr.sign("r", "cold"); signer.CodeOf(err) != signer.CodeFrozen {
		t.Errorf("Sign error = %v, want code %q", err, signer.CodeFrozen)
	}
}

func TestWhatIsInADeviceWhenItIsFrozenIsListedAndNotReleased(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	var frozen signer.Frozen
	tr.cold.while(func(signer.Authorized) { frozen = tr.freeze() })
	res, err := tr.sign("r", "cold")
	if signer.CodeOf(err) != signer.CodeFrozen || res.Signatures != nil {
		t.Errorf("Sign = %+v, %v; want code %q", res, err, signer.CodeFrozen)
	}
	if len(frozen.InDevice) != 1 || frozen.InDevice[0].Proposal.Request.ID != "r" {
		t.Errorf("inside a device: %+v, want request r", frozen.InDevice)
	}
	tr.cold.while(nil)
	tr.audit()
}

// relay is a journal in which something happens around the record of a freeze.
type relay struct {
	signer.Journal
	before, after func()
}

func (j relay) Hear(ctx context.Context, e signer.Event, check func(signer.Recorded) error) (uint64, bool, error) {
	if e.Type != signer.EventFrozen {
		return j.Journal.Hear(ctx, e, check)
	}
	j.before()
	defer j.after()
	return j.Journal.Hear(ctx, e, check)
}

// Who has a copy of an old freeze hands it in while approvers thaw that one; or another
// approver freezes then, which they did not see.
func TestAFreezeThatComesWhileOneIsThawed(t *testing.T) {
	for name, c := range map[string]struct {
		again bool
		code  signer.Code // of the thaw
	}{
		"the same one": {true, ""},
		"another":      {false, signer.CodeDenied},
	} {
		t.Run(name, func(t *testing.T) {
			tr := openTreasury(t, twoOfThree)
			meanwhile := func() {}
			tr.pause = func(j signer.Journal) signer.Journal { return relay{j, func() {}, func() { meanwhile() }} }
			tr.restart()
			first := tr.says("dave", signer.Approval{Word: signer.WordFreeze, Reason: "a token is lost"})
			if _, err := tr.engine.Freeze(t.Context(), alice, "", first); err != nil {
				t.Fatal(err)
			}
			order := admin.Order{Act: admin.ActThaw, Reason: "found"}
			if _, err := tr.act("thaw", order); signer.CodeOf(err) != signer.CodeWaiting {
				t.Fatal(err)
			}
			thaw := tr.proposal()
			meanwhile = func() { // it is on record, and not known yet what came of that
				for _, token := range []string{"ann", "bob"} {
					_ = tr.hear(tr.says(token, signer.Approval{Word: signer.WordApprove, Proposal: thaw}))
				}
				time.Sleep(50 * time.Millisecond) // until that is settled
			}
			second, code := first, signer.CodeConflict
			if !c.again {
				second, code = tr.says("dave", signer.Approval{Word: signer.WordFreeze, Reason: "another token is lost"}), ""
			}
			if _, err := tr.engine.Freeze(t.Context(), alice, "", second); err != nil && signer.CodeOf(err) != code || (err == nil) != (code == "") {
				t.Errorf("Freeze error = %v, want code %q", err, code)
			}
			if _, err := tr.act("thaw", order); (err == nil) != (c.code == "") || err != nil && signer.CodeOf(err) != c.code {
				t.Errorf("the thaw: %v, want code %q", err, c.code)
			}
			if why := tr.engine.Frozen(); (why == "") != (c.code == "") {
				t.Errorf("frozen: %q", why)
			}
			tr.audit()
		})
	}
}

// An approver's program sends its freeze twice at once.
func TestAFreezeHoldsFromItsRecordOnWhereItIsHandedInTwice(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	freeze := tr.says("dave", signer.Approval{Word: signer.WordFreeze, Reason: "a token is lost"})
	waits, recorded, told := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	tr.pause = func(j signer.Journal) signer.Journal {
		return relay{j, func() {
			if calls.Add(1) == 1 { // it is recorded by the second
				close(waits)
				<-recorded
			}
		}, func() {
			if calls.Load() == 2 && calls.CompareAndSwap(2, 3) {
				close(recorded)
				<-told
			}
		}}
	}
	tr.restart()
	first, second := make(chan error), make(chan error)
	freezes := func(err chan<- error) {
		_, e := tr.engine.Freeze(t.Context(), alice, "", freeze)
		err <- e
	}
	go freezes(first)
	<-waits
	go freezes(second)
	if err := <-first; signer.CodeOf(err) != signer.CodeConflict {
		t.Errorf("Freeze error = %v, want code %q", err, signer.CodeConflict)
	}
	if res, err := tr.sign("r", "cold"); signer.CodeOf(err) != signer.CodeFrozen || res.Signatures != nil {
		t.Errorf("Sign = %+v, %v; want code %q", res, err, signer.CodeFrozen)
	}
	close(told)
	if err := <-second; err != nil {
		t.Error(err)
	}
	tr.audit()
}

// A duplicate could sign elsewhere, and a statement names a successor to whoever trusts
// the key.
func TestAFreezeHoldsBackWhatAnActHasADeviceDo(t *testing.T) {
	for name, what := range map[string]admin.Order{
		"a duplicate": {Act: admin.ActDuplicate, Key: "hot", Target: "aGVsbG8="},
		"a rotation":  {Act: admin.ActRotate, Key: "hot", Successor: "cold"},
	} {
		for when, c := range map[string]struct {
			recorded, acting, done bool // when it is frozen
		}{
			"that is authorised": {recorded: true},
			"that is being done": {acting: true},
			"that was done":      {done: true},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				o := openOffice(t)
				if _, err := o.journal.Note(t.Context(), signer.Event{Type: signer.EventStarted}); err != nil {
					t.Fatal(err)
				}
				var frozen signer.Frozen
				freeze := func() {
					var err error
					if frozen, err = o.engine.Freeze(t.Context(), ops, "something is wrong", nil); err != nil {
						t.Error(err)
					}
				}
				o.pause = func(j signer.Journal) signer.Journal {
					return recording{j, func(signer.Recorded) {
						if c.recorded {
							freeze()
						}
					}}
				}
				if c.acting {
					o.clerk.before, o.hot.stating = freeze, freeze
				}
				o.restart()
				res, err := o.act("a", what)
				if c.done {
					if err != nil {
						t.Fatal(err)
					}
					freeze()
					res, err = o.act("a", what)
				}
				if signer.CodeOf(err) != signer.CodeFrozen || res.Artifact != nil {
					t.Errorf("Sign = %q, %v; want code %q", res.Artifact, err, signer.CodeFrozen)
				}
				if c.recorded && (len(o.clerk.asked) > 0 || o.hot.count() > 0) {
					t.Error("the device was asked")
				}
				if c.acting != (len(frozen.InDevice) == 1) {
					t.Errorf("inside a device: %+v", frozen.InDevice)
				}
				o.audit()
			})
		}
	}
}

// Approvers who come through one account share its part of what is bounded.
func TestAFreezeIsTakenFromAUidThatAsksTooOften(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	var err error
	for range 2000 {
		if err = tr.hear([]byte("nonsense")); signer.CodeOf(err) == signer.CodeOverloaded {
			break
		}
	}
	if signer.CodeOf(err) != signer.CodeOverloaded {
		t.Fatalf("Hear error = %v, want code %q", err, signer.CodeOverloaded)
	}
	freeze := tr.says("dave", signer.Approval{Word: signer.WordFreeze, Reason: "a token is lost"})
	if _, err := tr.engine.Freeze(t.Context(), root, "", freeze); err != nil || tr.engine.Frozen() == "" {
		t.Errorf("Freeze error = %v; frozen: %q", err, tr.engine.Frozen())
	}
	tr.audit()
}
