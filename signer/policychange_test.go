package signer_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// versionOf is the version of a policy of these tests, by its number.
func versionOf(n byte) string {
	v := policy{version: n}.Version()
	return hex.EncodeToString(v[:])
}

func changeFrom(from, to byte) admin.Order {
	return admin.Order{Act: admin.ActPolicy, From: versionOf(from), To: versionOf(to), Reason: "a vendor moved"}
}

// adopts has the administrator put a policy in force, as the daemon's does.
func (o *office) adopts(p policy) {
	o.clerk.before = func() {
		if err := o.engine.SetPolicy(context.Background(), p); err != nil {
			o.t.Error(err)
		}
	}
}

func TestAChangeOfPolicyIsDecidedByThePolicyInForce(t *testing.T) {
	o := openOffice(t)
	o.adopts(policy{version: 2, decide: verdict(signer.Deny), hidden: true})
	res := o.must("c1", changeFrom(1, 2))
	if v := o.engine.Policy().Version(); hex.EncodeToString(v[:]) != versionOf(2) || len(o.clerk.asked) != 1 || o.clerk.asked[0] != res.Leaf {
		t.Errorf("policy %x is in force, the administrator was asked %v", v, o.clerk.asked)
	}
	if got := o.types(); !slices.Equal(got, []string{"authorized", "policy", "acted"}) {
		t.Errorf("journal holds %v", got)
	}
	// The new policy hides Sealward itself from everybody, and the answer stays.
	if again := o.must("c1", changeFrom(1, 2)); string(again.Artifact) != string(res.Artifact) || len(o.clerk.asked) != 1 {
		t.Errorf("asked again: %s, the administrator was asked %v", again.Artifact, o.clerk.asked)
	}
	if _, err := o.act("c2", changeFrom(2, 1)); signer.CodeOf(err) != signer.CodeNotFound || len(o.clerk.asked) != 1 {
		t.Errorf("a change that the new policy lets nobody make: %v", err)
	}
	o.audit()
}

func TestAChangeFromAnotherPolicyThanTheOneInForceIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		what admin.Order
		want string
	}{
		"from one that was never in force": {changeFrom(7, 2), "the policy in force is " + versionOf(1) + ", not " + versionOf(7)},
		"from the one that it is to":       {changeFrom(7, 1), "policy " + versionOf(1) + " is in force already"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			if _, err := o.act("c", c.what); signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), c.want) || len(o.clerk.asked) != 0 {
				t.Errorf("Sign error = %v, want %q; the administrator was asked %v", err, c.want, o.clerk.asked)
			}
			if got := o.types(); !slices.Equal(got, []string{"malformed"}) {
				t.Errorf("journal holds %v", got)
			}
		})
	}
}

// A crash between the change and its outcome: asked again, the act finds that it is done,
// whatever the new policy says of it.
func TestAChangeOfPolicyWhoseOutcomeWasLostIsDone(t *testing.T) {
	for name, next := range map[string]policy{
		"the new policy lets nobody change it": {version: 2, decide: verdict(signer.Deny), hidden: true},
		"the new policy denies it":             {version: 2, decide: verdict(signer.Deny)},
		"the new policy lets it be changed":    {version: 2, decide: verdict(signer.Allow)},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			lost := true
			o.pause = func(j signer.Journal) signer.Journal { return losing{j, &lost} }
			o.restart()
			o.adopts(next)
			if _, err := o.act("c", changeFrom(1, 2)); signer.CodeOf(err) != signer.CodeUnavailable {
				t.Fatalf("Sign error = %v", err)
			}
			lost, o.policy, o.clerk.before = false, next, nil
			o.restart()
			if _, err := o.act("other", changeFrom(1, 2)); err == nil {
				t.Error("a request that was never decided is done because its policy is in force")
			}
			other := changeFrom(1, 2)
			other.Reason = "none"
			if _, err := o.act("c", other); err == nil {
				t.Error("the same id for other content is done")
			}
			res := o.must("c", changeFrom(1, 2))
			if len(o.clerk.asked) != 2 || o.clerk.asked[0] != o.clerk.asked[1] || o.clerk.asked[1] != res.Leaf {
				t.Errorf("the administrator was asked %v, want twice under one leaf", o.clerk.asked)
			}
			o.must("c", changeFrom(1, 2))
			if r := o.audit(); r.Unknown != 0 || r.Acted != 1 || len(o.clerk.asked) != 2 {
				t.Errorf("report = %+v, the administrator was asked %v", r, o.clerk.asked)
			}
		})
	}
}

// What was authorised and not done is decided once more: by the policy in force, and not
// at all once another one is.
func TestAChangeOfPolicyThatFailedIsDecidedAgain(t *testing.T) {
	o := openOffice(t)
	o.clerk.err = &signer.Error{Code: signer.CodeInvalid, Detail: "another version is on disk"}
	if _, err := o.act("c", changeFrom(1, 2)); signer.CodeOf(err) != signer.CodeInvalid {
		t.Fatal(err)
	}
	if err := o.engine.SetPolicy(t.Context(), policy{version: 3, decide: verdict(signer.Allow)}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.act("c", changeFrom(1, 2)); signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "the policy in force is "+versionOf(3)) {
		t.Errorf("Sign error = %v", err)
	}
	if len(o.clerk.asked) != 1 {
		t.Errorf("the administrator was asked %v", o.clerk.asked)
	}
}

// A change while requests are decided: whichever comes first, what the journal has after
// the record of the new policy was decided by the new policy.
func TestRequestsAreDecidedByThePolicyThatIsOnRecord(t *testing.T) {
	o := openOffice(t)
	o.adopts(policy{version: 2, decide: verdict(signer.Deny)})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, err := o.sign(fmt.Sprintf("s%d", i), "hot")
			if code := signer.CodeOf(err); err != nil && code != signer.CodeDenied {
				t.Errorf("Sign error = %v", err)
			}
		})
		if i == 16 {
			wg.Go(func() { o.must("c", changeFrom(1, 2)) })
		}
	}
	wg.Wait()
	es, err := o.journal.Entries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for _, e := range es {
		switch changed = changed || e.Leaf.Type == signer.EventPolicy; {
		case changed && e.Leaf.Type == signer.EventAuthorized:
			t.Errorf("leaf %d allows what the policy in force denies", e.Index)
		}
	}
	if !changed {
		t.Error("the policy was not changed")
	}
	o.audit()
}

// held lets a test act while a change of policy is recorded, and fails on demand.
type held struct {
	signer.Journal
	at, goOn chan struct{}
	err      error
}

func (h held) Adopt(ctx context.Context, e signer.Event, bundle []byte) (uint64, error) {
	close(h.at)
	<-h.goOn
	if h.err != nil {
		return 0, h.err
	}
	return h.Journal.Adopt(ctx, e, bundle)
}

// Were a request decided by a policy that is not on record yet, a full disk or a crash
// could leave a signature by a policy that nobody can show.
func TestNothingIsDecidedByAPolicyBeforeItIsOnRecord(t *testing.T) {
	for name, c := range map[string]struct {
		err   error // of the record
		want  signer.Code
		types []string
	}{
		"it is recorded":        {nil, "", []string{"policy", "authorized", "signed"}},
		"it cannot be recorded": {errors.New("no space left on device"), signer.CodeDenied, []string{"denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			h := held{at: make(chan struct{}), goOn: make(chan struct{}), err: c.err}
			o.policy.decide = verdict(signer.Deny)
			o.pause = func(j signer.Journal) signer.Journal { h.Journal = j; return h }
			o.restart()
			changed := make(chan error)
			go func() {
				changed <- o.engine.SetPolicy(context.Background(), policy{version: 2, decide: verdict(signer.Allow)})
			}()
			<-h.at
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			req := signer.Request{ID: "s", Key: "hot", Kind: signer.KindEVMMessage, Payload: []byte("pay bob")}
			if _, err := o.engine.Sign(ctx, alice, req); signer.CodeOf(err) != signer.CodePending {
				t.Errorf("while the policy is recorded: Sign error = %v, want code %q", err, signer.CodePending)
			}
			close(h.goOn)
			if err := <-changed; (err == nil) != (c.err == nil) {
				t.Errorf("SetPolicy error = %v", err)
			}
			if _, err := o.engine.Sign(t.Context(), alice, req); err != nil && signer.CodeOf(err) != c.want || err == nil && c.want != "" {
				t.Errorf("Sign error = %v, want code %q", err, c.want)
			}
			if got := o.types(); !slices.Equal(got, c.types) {
				t.Errorf("journal holds %v, want %v", got, c.types)
			}
		})
	}
}
