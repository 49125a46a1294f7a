package signer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

func TestARequestIsSignedOnceItsQuorumIsMet(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	tr.approve("ann")
	tr.waits("r")
	tr.restart() // loses nothing
	tr.waits("r")
	tr.approve("carol")
	res, err := tr.becomes("r")
	if err != nil || len(res.Signatures) != 1 || tr.hot.count() != 1 {
		t.Fatalf("Sign = %+v, %v; the key signed %d times", res, err, tr.hot.count())
	}
	rec, _, err := tr.engine.Lookup(t.Context(), alice.ID(), "r")
	if err != nil || rec.Waits || rec.Waited != 0 && len(rec.Decision.Approvals) != 2 || len(rec.Heard) != 2 {
		t.Errorf("record = %+v, %v; want two approvals", rec, err)
	}
	if got := tr.types(); !slices.Equal(got, []string{"started", "waiting", "approval", "approval", "authorized", "signed"}) {
		t.Errorf("journal holds %v", got)
	}
	tr.audit()
}

func TestWhatDoesNotMeetAQuorum(t *testing.T) {
	approve := signer.Approval{Word: signer.WordApprove}
	for name, c := range map[string]struct {
		quorum signer.Quorum
		first  string // who approved before
		token  string
		say    func(*treasury, *signer.Approval)
		code   signer.Code
		want   string
	}{
		"twice with one token":                        {twoOfThree.Quorums[0], "ann", "ann", nil, signer.CodeConflict, "nobody counts twice"},
		"somebody of another group":                   {twoOfThree.Quorums[0], "ann", "dave", nil, signer.CodeDenied, `the policy asks ["treasury"]`},
		"whoever asks, where excluded":                {signer.Quorum{Group: "treasury", Approvals: 2, ExcludeCaller: true}, "bob", "ann", nil, signer.CodeDenied, "a request of their own"},
		"about another proposal":                      {twoOfThree.Quorums[0], "ann", "bob", func(_ *treasury, a *signer.Approval) { a.Proposal[0] ^= 1 }, signer.CodeNotFound, "no request waits"},
		"for another daemon":                          {twoOfThree.Quorums[0], "ann", "bob", func(_ *treasury, a *signer.Approval) { a.Instance = strings.Repeat("0", 32) }, signer.CodeInvalid, "this daemon is"},
		"one that expired":                            {twoOfThree.Quorums[0], "ann", "bob", func(tr *treasury, a *signer.Approval) { a.Expires = tr.now().Add(-time.Second) }, signer.CodeExpired, "expired at"},
		"a freeze":                                    {twoOfThree.Quorums[0], "ann", "bob", func(_ *treasury, a *signer.Approval) { *a = signer.Approval{Word: signer.WordFreeze, Reason: "x"} }, signer.CodeInvalid, "hand it in as a freeze"},
		"a withdrawal of what was not":                {twoOfThree.Quorums[0], "ann", "bob", func(_ *treasury, a *signer.Approval) { a.Word = signer.WordWithdraw }, signer.CodeConflict, "nothing to withdraw"},
		"the same person by two devices":              {twoOfThree.Quorums[0], "bob", "bob's phone", nil, "", ""},
		"nobody of the group that must be among them": {signer.Quorum{Group: "treasury", Approvals: 2, Including: "officers"}, "ann", "bob", nil, "", ""},
		"one device each where two are asked":         {signer.Quorum{Group: "treasury", Approvals: 1, Devices: 2}, "ann", "bob", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := openTreasury(t, signer.Decision{Quorums: []signer.Quorum{c.quorum}})
			tr.waits("r")
			tr.approve(c.first)
			a := approve
			a.Proposal = tr.proposal()
			if c.say != nil {
				c.say(tr, &a)
			}
			err := tr.hear(tr.says(c.token, a))
			if c.code == "" && err != nil || c.code != "" && (signer.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Hear error = %v, want code %q and %q", err, c.code, c.want)
			}
			tr.waits("r")
			tr.audit()
		})
	}
}

func TestWhatMeetsAQuorum(t *testing.T) {
	for name, c := range map[string]struct {
		quorums []signer.Quorum
		tokens  []string
	}{
		"two people":                   {twoOfThree.Quorums, []string{"bob", "ann"}},
		"somebody's second token":      {twoOfThree.Quorums, []string{"bob's phone", "ann"}},
		"one of them of another group": {[]signer.Quorum{{Group: "treasury", Approvals: 2, Including: "officers"}}, []string{"ann", "carol"}},
		"one person by two devices":    {[]signer.Quorum{{Group: "treasury", Approvals: 1, Devices: 2}}, []string{"bob", "bob's phone"}},
		"two quorums at once":          {[]signer.Quorum{{Group: "treasury", Approvals: 1}, {Group: "officers", Approvals: 2}}, []string{"dave", "carol"}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := openTreasury(t, signer.Decision{Quorums: c.quorums})
			tr.waits("r")
			for i, token := range c.tokens {
				if i > 0 {
					tr.waits("r")
				}
				tr.approve(token)
			}
			if _, err := tr.becomes("r"); err != nil {
				t.Errorf("Sign error = %v", err)
			}
			tr.audit()
		})
	}
}

func TestARejectionIsTheEnd(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	tr.approve("ann")
	digest := tr.proposal()
	if err := tr.hear(tr.says("bob", signer.Approval{Word: signer.WordReject, Proposal: digest, Reason: "not my vendor"})); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.becomes("r"); signer.CodeOf(err) != signer.CodeDenied || !strings.Contains(err.Error(), `rejected by "bob": not my vendor`) {
		t.Errorf("Sign error = %v, want the rejection", err)
	}
	if err := tr.hear(tr.says("carol", signer.Approval{Word: signer.WordApprove, Proposal: digest})); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("an approval afterwards: %v, want code %q", err, signer.CodeNotFound)
	}
	tr.audit()
}

func TestAWithdrawalStandsForGood(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	first := tr.says("ann", signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal()})
	withdraw := signer.Approval{Word: signer.WordWithdraw, Proposal: tr.proposal()}
	for _, signed := range [][]byte{first, tr.says("ann", withdraw)} {
		if err := tr.hear(signed); err != nil {
			t.Fatal(err)
		}
	}
	if _, prior, err := tr.engine.Hear(t.Context(), root, first); err != nil || !prior {
		t.Errorf("the approval posted again: prior %t, %v; want what is on record already", prior, err)
	}
	if err := tr.hear(tr.says("ann", signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal()})); signer.CodeOf(err) != signer.CodeConflict {
		t.Errorf("a new approval: %v, want code %q", err, signer.CodeConflict)
	}
	tr.approve("bob")
	tr.waits("r")
	tr.approve("carol")
	if _, err := tr.becomes("r"); err != nil {
		t.Errorf("with two others: %v", err)
	}
	tr.audit()
}

func TestWhoWithdrewMayReject(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	tr.approve("ann")
	for _, w := range []signer.Word{signer.WordWithdraw, signer.WordReject} {
		if err := tr.hear(tr.says("ann", signer.Approval{Word: w, Proposal: tr.proposal(), Reason: "it is worse than I thought"})); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tr.becomes("r"); signer.CodeOf(err) != signer.CodeDenied {
		t.Errorf("Sign error = %v, want code %q", err, signer.CodeDenied)
	}
	tr.audit()
}

func TestExpiryAndDelayAreExact(t *testing.T) {
	d := twoOfThree
	d.Delay, d.Expires = time.Hour, 3*time.Hour
	t.Run("before the delay is over", func(t *testing.T) {
		tr := openTreasury(t, d)
		tr.waits("r")
		tr.approve("ann")
		tr.approve("bob")
		tr.pass(time.Hour - time.Minute)
		tr.waits("r")
		tr.pass(2 * time.Minute)
		if _, err := tr.becomes("r"); err != nil {
			t.Error(err)
		}
		tr.audit()
	})
	t.Run("after its end", func(t *testing.T) {
		tr := openTreasury(t, d)
		tr.waits("r")
		digest := tr.proposal()
		tr.approve("ann")
		late := tr.says("bob", signer.Approval{Word: signer.WordApprove, Proposal: digest})
		tr.pass(3*time.Hour + time.Minute)
		if err := tr.hear(late); signer.CodeOf(err) != signer.CodeExpired && signer.CodeOf(err) != signer.CodeNotFound {
			t.Errorf("Hear error = %v, want that it expired", err)
		}
		if _, err := tr.becomes("r"); signer.CodeOf(err) != signer.CodeDenied || !strings.Contains(err.Error(), "expired at") {
			t.Errorf("Sign error = %v, want that it expired", err)
		}
		tr.audit()
	})
	t.Run("an approval that does not last as long", func(t *testing.T) {
		tr := openTreasury(t, twoOfThree)
		tr.waits("r")
		if err := tr.hear(tr.says("ann", signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal(), Expires: tr.now().Add(time.Hour)})); err != nil {
			t.Fatal(err)
		}
		tr.pass(2 * time.Hour)
		tr.approve("bob")
		tr.waits("r")
		tr.approve("ann") // anew
		if _, err := tr.becomes("r"); err != nil {
			t.Error(err)
		}
		tr.audit()
	})
	t.Run("a delay alone, over a restart", func(t *testing.T) {
		tr := openTreasury(t, signer.Decision{Reason: "waits 1h", Delay: time.Hour})
		tr.waits("r")
		tr.restart()
		tr.pass(time.Hour + time.Second)
		if _, err := tr.becomes("r"); err != nil {
			t.Error(err)
		}
		tr.audit()
	})
}

func TestAnotherPolicyDecidesAgain(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	old := tr.proposal()
	tr.approve("ann")
	again := tr.says("bob", signer.Approval{Word: signer.WordApprove, Proposal: old})
	one := signer.Decision{Verdict: signer.Ask, Reason: "needs 1 approval", Quorums: []signer.Quorum{{Group: "treasury", Approvals: 1}}}
	if err := tr.engine.SetPolicy(t.Context(), tr.asking(2, one)); err != nil {
		t.Fatal(err)
	}
	tr.policy = tr.asking(2, one)
	for end := time.Now().Add(20 * time.Second); tr.proposal() == old && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if tr.proposal() == old {
		t.Fatal("it waits with the old proposal still")
	}
	tr.waits("r") // ann approved another proposal
	if err := tr.hear(again); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("an approval of the old proposal: %v, want code %q", err, signer.CodeNotFound)
	}
	tr.approve("bob")
	if _, err := tr.becomes("r"); err != nil {
		t.Error(err)
	}
	tr.audit()
}

func TestOnlyItsCallerCancelsARequest(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	if err := tr.engine.Cancel(t.Context(), root, "r", ""); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("another caller: %v, want code %q", err, signer.CodeNotFound)
	}
	if err := tr.engine.Cancel(t.Context(), alice, "r", "typed wrong"); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.becomes("r"); signer.CodeOf(err) != signer.CodeDenied || !strings.Contains(err.Error(), "cancelled by its caller: typed wrong") {
		t.Errorf("Sign error = %v", err)
	}
	if err := tr.engine.Cancel(t.Context(), alice, "r", ""); signer.CodeOf(err) != signer.CodeConflict {
		t.Errorf("again: %v, want code %q", err, signer.CodeConflict)
	}
	tr.audit()
}

func TestAKeyThatIsAwayKeepsAnApprovedRequestWaiting(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	tr.hot.leave(&signer.Error{Code: signer.CodeUnavailable, Detail: "the card is away"})
	tr.approve("ann")
	tr.approve("bob")
	time.Sleep(50 * time.Millisecond)
	if all, err := tr.engine.AllWaiting(t.Context()); err != nil || len(all) != 1 {
		t.Fatalf("waiting: %v, %v; want it still", all, err)
	}
	tr.hot.leave(nil)
	if _, err := tr.becomes("r"); err != nil {
		t.Error(err)
	}
	tr.audit()
}

func TestAnApprovedRequestWhoseOutcomeWasLostIsSignedAgain(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	tr.hot.fail(&signer.Error{Code: signer.CodeUnavailable, Detail: "the card was pulled"})
	tr.approve("ann")
	tr.approve("bob")
	if _, err := tr.becomes("r"); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Fatalf("Sign error = %v, want code %q", err, signer.CodeUnavailable)
	}
	tr.hot.fail(nil)
	tr.restart()
	if _, err := tr.sign("r", "hot"); err != nil {
		t.Errorf("asked again: %v", err)
	}
	tr.pass(25 * time.Hour)
	tr.audit()
}

// What others spend while a request waits may exhaust a limit that another quorum may
// exceed: it is heard, too.
func TestAQuorumThatCameToBeNeededLaterIsHeard(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	var exhausted atomic.Bool
	tr.policy.decide = func(p signer.Proposal, f signer.Facts) signer.Decision {
		d := twoOfThree
		d.Verdict = signer.Ask
		if exhausted.Load() {
			d.Quorums = append(slices.Clone(d.Quorums), signer.Quorum{Rule: "large", Limit: "a day", Group: "officers", Approvals: 2})
		}
		return d
	}
	tr.restart()
	exhausted.Store(true)
	for _, token := range []string{"ann", "carol"} {
		tr.approve(token)
		tr.waits("r")
	}
	tr.approve("dave")
	if _, err := tr.becomes("r"); err != nil {
		t.Error(err)
	}
	tr.audit()
}

// slow is a journal that has something happen after each Settle, before it returns.
type slow struct {
	signer.Journal
	settled func(signer.Proposal)
}

func (j slow) Settle(ctx context.Context, waiting uint64, p signer.Proposal, needs signer.Needs, decide func(signer.Facts, []signer.Heard) signer.Decision) (signer.Recorded, error) {
	rec, err := j.Journal.Settle(ctx, waiting, p, needs, decide)
	j.settled(p)
	return rec, err
}

// An approval comes when its request was just found to need it still, and others keep all
// that settles busy.
func TestAnApprovalIsNotForgottenWhileMuchIsSettled(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	said := make(chan []byte, 1)
	release := make(chan struct{})
	tr.pause = func(j signer.Journal) signer.Journal {
		return slow{j, func(p signer.Proposal) {
			if p.Request.ID != "r" {
				<-release
				return
			}
			select {
			case signed := <-said:
				if err := tr.hear(signed); err != nil {
					t.Error(err)
				}
			default:
			}
		}}
	}
	tr.restart()
	tr.waits("r")
	said <- tr.says("bob", signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal()})
	first := tr.says("ann", signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal()})
	for i := range 20 {
		tr.waits(fmt.Sprint("other", i))
	}
	all, err := tr.engine.AllWaiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all[1:] {
		if err := tr.hear(tr.says("carol", signer.Approval{Word: signer.WordApprove, Proposal: w.Proposal})); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond) // until all that settles is busy
	if err := tr.hear(first); err != nil {
		t.Fatal(err)
	}
	tr.waits("r")
	close(release)
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		switch rec, _, err := tr.engine.Lookup(t.Context(), alice.ID(), "r"); {
		case err != nil:
			t.Fatal(err)
		case rec.Done():
			return
		case time.Now().After(end):
			t.Fatalf("it waits still, with %d approvals", len(rec.Heard))
		}
	}
}

func TestARequestThatWaitsIsNoneOfTheOthers(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.policy.decide = func(_ signer.Proposal, f signer.Facts) signer.Decision {
		d := twoOfThree
		d.Verdict, d.Reason = signer.Ask, fmt.Sprintf("%d others wait", f.Pending)
		return d
	}
	tr.restart()
	tr.waits("a")
	first := tr.proposal()
	tr.waits("b")
	if p, err := tr.engine.Pending(t.Context(), first); err != nil || p.Decision.Reason != "1 others wait" {
		t.Errorf("Pending = %q, %v; want that 1 other waits", p.Decision.Reason, err)
	}
}

// What a caller lets expire makes room for another, as what it cancels does.
func TestACallerCannotFillTheDiskWithRequestsThatExpire(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	refused := 0
	for i := range 40 {
		r := signer.Request{ID: fmt.Sprint(i), Key: "hot", Kind: signer.KindEVMMessage, Payload: make([]byte, signer.MaxPayload), Expires: tr.now().Add(time.Second)}
		switch _, err := tr.engine.Sign(t.Context(), alice, r); signer.CodeOf(err) {
		case signer.CodeWaiting:
		default:
			refused++
		}
		tr.pass(2 * time.Second)
	}
	if refused < 20 {
		t.Errorf("%d of 40 were refused", refused)
	}
}

// All of them are read each time that the request is settled.
func TestAnApproverCannotApproveOneRequestForEver(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	digest := tr.proposal()
	var err error
	for i := 0; err == nil && i < 50; i++ {
		err = tr.hear(tr.says("ann", signer.Approval{Word: signer.WordApprove, Proposal: digest, Expires: tr.now().Add(time.Minute)}))
		tr.pass(2 * time.Minute)
	}
	if signer.CodeOf(err) != signer.CodeConflict || !strings.Contains(err.Error(), "they expired") {
		t.Errorf("Hear error = %v, want that it is enough", err)
	}
	if err := tr.hear(tr.says("ann", signer.Approval{Word: signer.WordReject, Proposal: digest, Reason: "enough"})); err != nil {
		t.Errorf("a rejection: %v", err)
	}
	if _, err := tr.becomes("r"); signer.CodeOf(err) != signer.CodeDenied {
		t.Errorf("Sign error = %v, want code %q", err, signer.CodeDenied)
	}
	tr.audit()
}

// Whoever approved did so under a policy that was replaced since, also where it is in force
// once more before the request is looked at again.
func TestAPolicyThatComesBackBringsNoApprovalsBack(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	tr.waits("r")
	old := tr.proposal()
	tr.approve("ann")
	first := tr.policy
	tr.hot.leave(&signer.Error{Code: signer.CodeUnavailable, Detail: "the card is away"})
	second := tr.asking(2, signer.Decision{Verdict: signer.Ask, Quorums: twoOfThree.Quorums})
	for _, p := range []policy{second, first} {
		if err := tr.engine.SetPolicy(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); tr.proposal() == old && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if tr.proposal() == old {
		t.Fatal("it waits with the old proposal still")
	}
	tr.hot.leave(nil)
	tr.approve("bob")
	tr.waits("r")
	tr.audit()
}

// A disk that fails for a moment is no reason to end what people approved.
func TestAChangeWhoseCandidateIsOutOfReachWaitsOn(t *testing.T) {
	tr := openTreasury(t, twoOfThree)
	next := tr.asking(2, twoOfThree)
	tr.adopts(next)
	if _, err := tr.act("c", changeFrom(1, 2)); signer.CodeOf(err) != signer.CodeWaiting {
		t.Fatalf("Sign error = %v, want code %q", err, signer.CodeWaiting)
	}
	absent := func(err error) {
		tr.clerk.mu.Lock()
		defer tr.clerk.mu.Unlock()
		tr.clerk.absent = err
	}
	absent(&signer.Error{Code: signer.CodeUnavailable, Detail: "the journal cannot be read"})
	tr.approve("ann")
	tr.approve("bob")
	time.Sleep(50 * time.Millisecond) // until that is settled
	tr.proposal()                     // it waits
	absent(nil)
	if _, err := tr.act("c", changeFrom(1, 2)); err != nil {
		t.Errorf("asked again: %v", err)
	}
	if tr.engine.Policy().Version() != next.Version() {
		t.Error("the policy did not change")
	}
	tr.audit()
}
