package signer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
