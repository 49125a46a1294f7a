package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// An approver gets all that it takes to make the digest anew.
func TestAnApproverGetsTheWholeProposal(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	r := payment("invoice", 7)
	r.Claim = "hosting, November"
	w := h.ask(r)
	if w.GetState() != "waiting" || w.GetKey() != "hot" || w.GetKind() != "evm.transaction" || w.GetClass() != "transfer" || w.GetUser() != me(t) || w.GetClaim() != r.GetClaim() ||
		len(w.GetOutflow()) == 0 || len(w.GetQuorums()) != 1 || w.GetDue() != nil || w.GetDeadline().AsTime().Sub(w.GetSince().AsTime()) != 24*time.Hour {
		t.Errorf("it waits as %v", w)
	}
	if q := w.GetQuorums()[0]; q.GetMet() || fmt.Sprint(q.GetOpen()) != "[alice bob carol]" || len(q.GetApproved()) != 0 || q.GetQuorum().GetApprovals() != 2 || q.GetQuorum().GetGroup() != "treasury" {
		t.Errorf("its quorum is %v", q)
	}
	got, err := h.admin().Pending(t.Context(), w.GetProposal())
	must(t, err)
	raw, err := signer.ReadProposal(got.GetProposal(), signer.KeyInfo{
		Name: "hot", Public: signer.PublicKey{Algorithm: signer.Algorithm(got.GetKey().GetAlgorithm()), Bytes: got.GetKey().GetPublic()}, Fingerprint: got.GetKey().GetFingerprint(),
	}, got.GetPayload(), got.GetClaim())
	must(t, err)
	if fmt.Sprintf("%x", raw.Digest()) != w.GetProposal() || raw.Request.Claim != r.GetClaim() || string(raw.Request.Payload) != r.GetPayloadText() {
		t.Errorf("what was returned has the digest %x, want %s", raw.Digest(), w.GetProposal())
	}
	if got.GetDecision().GetVerdict() != "ask" || got.GetIntent().GetClass() != "transfer" || len(got.GetHeard()) != 0 {
		t.Errorf("it comes with decision %v, intent %v", got.GetDecision(), got.GetIntent())
	}

	said := h.post(h.alice, w, signer.WordApprove)
	if q := said.GetPending().GetQuorums()[0]; fmt.Sprint(q.GetApproved(), q.GetOpen(), q.GetMet()) != "[alice] [bob carol] false" {
		t.Errorf("after the first approval the quorum is %v", q)
	}
	got, err = h.admin().Pending(t.Context(), w.GetProposal())
	must(t, err)
	if len(got.GetHeard()) != 1 || got.GetHeard()[0].GetApprover() != "alice" || got.GetHeard()[0].GetWord() != "approve" || got.GetHeard()[0].GetLeaf() != said.GetLeaf() || len(got.GetHeard()[0].GetSigned()) == 0 {
		t.Errorf("heard was %v", got.GetHeard())
	}
	// Its caller sees as much.
	mine, err := h.sign().Request(t.Context(), "invoice", "")
	must(t, err)
	if mine.GetState() != "waiting" || len(mine.GetHeard()) != 1 || fmt.Sprint(mine.GetQuorums()[0].GetApproved()) != "[alice]" || mine.GetDeadline() == nil || mine.GetProposalDigest() != w.GetProposal() {
		t.Errorf("its caller sees %v", mine)
	}
	h.post(h.bob, w, signer.WordApprove)
	eventually(t, "it is signed", func() bool {
		mine, err = h.sign().Request(t.Context(), "invoice", "")
		return err == nil && mine.GetState() == "signed"
	})
	if fmt.Sprint(mine.GetQuorums()[0].GetApproved(), mine.GetQuorums()[0].GetMet()) != "[alice bob] true" || len(mine.GetHeard()) != 2 || len(mine.GetArtifact()) == 0 || mine.GetDeadline() != nil {
		t.Errorf("once it is signed its caller sees %v", mine)
	}
	if _, err := h.admin().Pending(t.Context(), w.GetProposal()); codeOf(err) != signer.CodeNotFound {
		t.Errorf("a request that was signed waits: %v", err)
	}
	again, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: r})
	if err != nil || !bytes.Equal(again.GetArtifact(), mine.GetArtifact()) {
		t.Errorf("asked again: %v, %v", again, err)
	}
	h.sound()
	p.stop()
}

func TestApprovalsThatDoNotCountAreRefused(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	w, other := h.ask(payment("one", 7)), h.ask(payment("other", 8))
	first := h.alice.signs(h.about(w, signer.WordApprove))
	if res, err := h.admin().PostApproval(t.Context(), first); err != nil || res.GetPrior() {
		t.Fatalf("an approval: %v, %v", res, err)
	}
	if res, err := h.admin().PostApproval(t.Context(), first); err != nil || !res.GetPrior() || res.GetPending().GetId() != "one" {
		t.Errorf("the same again: %v, %v", res, err)
	}
	changed := func(p *person, word signer.Word, change func(*signer.Approval)) []byte {
		a := h.about(w, word)
		change(&a)
		return p.signs(a)
	}
	same := func(*signer.Approval) {}
	for name, c := range map[string]struct {
		signed []byte
		code   signer.Code
		want   string
	}{
		"nothing":                              {nil, signer.CodeInvalid, ""},
		"no JSON":                              {[]byte("hello"), signer.CodeInvalid, ""},
		"far too long":                         {bytes.Repeat([]byte("x"), signer.MaxSignedApproval+1), signer.CodeInvalid, "the most is"},
		"a stranger's":                         {changed(newPerson(t, "mallory"), signer.WordApprove, same), signer.CodeInvalid, ""},
		"one of a person who approved already": {changed(h.alice, signer.WordApprove, same), signer.CodeConflict, "nobody counts twice"},
		"one that expired":                     {changed(h.bob, signer.WordApprove, func(a *signer.Approval) { a.Expires = time.Now().Add(-time.Second) }), signer.CodeExpired, "expired at"},
		"one for another daemon":               {changed(h.bob, signer.WordApprove, func(a *signer.Approval) { a.Instance = strings.Repeat("ab", 16) }), signer.CodeInvalid, "is for instance"},
		"one about nothing that waits":         {changed(h.bob, signer.WordApprove, func(a *signer.Approval) { a.Proposal[0] ^= 1 }), signer.CodeNotFound, "no request waits"},
		"a withdrawal of nothing":              {changed(h.bob, signer.WordWithdraw, same), signer.CodeConflict, "nothing to withdraw"},
		"a freeze":                             {changed(h.bob, signer.WordFreeze, func(a *signer.Approval) { a.Proposal, a.Reason = [32]byte{}, "x" }), signer.CodeInvalid, "freeze"},
	} {
		res, err := h.admin().PostApproval(t.Context(), c.signed)
		if codeOf(err) != c.code || res != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want code %q and %q", name, res, err, c.code, c.want)
		}
	}
	if q := h.pending("one").GetQuorums()[0]; fmt.Sprint(q.GetApproved()) != "[alice]" {
		t.Errorf("those who approved are %v", q.GetApproved())
	}
	if q := h.pending("other").GetQuorums()[0]; len(q.GetApproved()) != 0 {
		t.Errorf("those who approved the other are %v", q.GetApproved())
	}

	h.post(h.alice, w, signer.WordWithdraw)
	if res, err := h.admin().PostApproval(t.Context(), changed(h.alice, signer.WordApprove, same)); codeOf(err) != signer.CodeConflict || res != nil {
		t.Errorf("an approval after a withdrawal: %v, %v", res, err)
	}
	h.post(h.carol, other, signer.WordReject)
	eventually(t, "the rejected one is denied", func() bool {
		r, err := h.sign().Request(t.Context(), "other", "")
		return err == nil && r.GetState() == "denied"
	})
	if _, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: payment("other", 8)}); codeOf(err) != signer.CodeDenied || !strings.Contains(err.Error(), `rejected by "carol"`) {
		t.Errorf("asked again: %v", err)
	}
	h.agreeBy(w, "signed", h.bob, h.carol)
	h.sound()
	p.stop()
}

// Whoever waits gets the signature as soon as the last approval is there, and otherwise
// the same answer as whoever does not, when its time is up.
func TestSignWaitsForApprovalsIfItIsAskedTo(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	began := time.Now()
	res, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: payment("r1", 7), WaitForApprovals: true, Wait: durationpb.New(50 * time.Millisecond)})
	if codeOf(err) != signer.CodeWaiting || res != nil || !strings.Contains(err.Error(), "waits until") {
		t.Errorf("when its time is up: %v, %v", res, err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it did not wait: %s", took)
	}
	type answer struct {
		res *v1.SignResponse
		err error
	}
	answers := make(chan answer, 2)
	for range 2 {
		go func() {
			res, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: payment("r1", 7), WaitForApprovals: true, Wait: durationpb.New(patience), Proof: true})
			answers <- answer{res, err}
		}()
	}
	if state, err := h.sign().Watch(t.Context(), "r1", "", "running"); err != nil || state != "waiting" {
		t.Errorf("it is %q, %v", state, err)
	}
	w := h.pending("r1")
	h.post(h.alice, w, signer.WordApprove)
	h.post(h.bob, w, signer.WordApprove)
	for range 2 {
		if a := <-answers; a.err != nil || len(a.res.GetArtifact()) == 0 || a.res.GetProof() == "" {
			t.Errorf("after the second approval: %v, %v", a.res, a.err)
		}
	}
	// A rejection ends the wait.
	w = h.ask(payment("r2", 8))
	go func() {
		res, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: payment("r2", 8), WaitForApprovals: true})
		answers <- answer{res, err}
	}()
	h.post(h.carol, w, signer.WordReject)
	if a := <-answers; codeOf(a.err) != signer.CodeDenied || a.res != nil {
		t.Errorf("after a rejection: %v, %v", a.res, a.err)
	}
	p.stop()
}

func TestOnlyTheCallerCancels(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	w := h.ask(payment("r1", 7))
	act := h.ask(order(t, "disable", admin.Order{Act: admin.ActDisable, Key: "hot", Reason: "x"}))
	h.post(h.alice, w, signer.WordApprove)

	for name, c := range map[string]struct {
		err  error
		code signer.Code
	}{
		"one that is not there": {h.sign().Cancel(t.Context(), "nothing", ""), signer.CodeNotFound},
		"too long a reason":     {h.sign().Cancel(t.Context(), "r1", strings.Repeat("x", signer.MaxReason+1)), signer.CodeInvalid},
	} {
		if codeOf(c.err) != c.code {
			t.Errorf("%s: %v, want code %q", name, c.err, c.code)
		}
	}
	// Another account sees none of it.
	if status, body := h.postAs(65533, "sign.sock", "SignerService/CancelRequest", `{"id":"r1"}`); status != 404 || !strings.Contains(body, "not_found") {
		t.Errorf("another account: %d %s", status, body)
	}
	must(t, h.sign().Cancel(t.Context(), "r1", "paid by cheque"))
	must(t, h.admin().Cancel(t.Context(), act.GetId(), ""))
	for id, want := range map[string]string{"r1": "cancelled by its caller: paid by cheque", "disable": "cancelled by its caller"} {
		r, err := h.admin().Request(t.Context(), id, w.GetCaller())
		if err != nil || r.GetState() != "denied" || r.GetDecision().GetReason() != want {
			t.Errorf("%s is %v, %v; want denied, because %q", id, r, err, want)
		}
	}
	if err := h.sign().Cancel(t.Context(), "r1", ""); codeOf(err) != signer.CodeConflict {
		t.Errorf("a second time: %v", err)
	}
	if res, err := h.admin().PostApproval(t.Context(), h.bob.signs(h.about(w, signer.WordApprove))); codeOf(err) != signer.CodeNotFound {
		t.Errorf("an approval after that: %v, %v", res, err)
	}
	p.stop()
}

func TestListPendingIsPagedAndComplete(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("r%d", i)
		h.ask(payment(id, i))
		want = append(want, id)
	}
	for _, limit := range []uint32{0, 1, 3, 7, 1000} {
		var got []string
		for after := uint64(0); ; {
			page, err := h.admin().ListPending(t.Context(), after, limit)
			must(t, err)
			if len(page.GetPending()) == 0 {
				break
			}
			for _, w := range page.GetPending() {
				got, after = append(got, w.GetId()), w.GetLeaf()
			}
			if page.GetPosition() < after {
				t.Errorf("the position is %d, before leaf %d", page.GetPosition(), after)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("by pages of %d they are %v, want %v", limit, got, want)
		}
	}
	if s := h.status(); s.GetPending() != 7 {
		t.Errorf("status says that %d wait", s.GetPending())
	}
	if s, err := h.sign().Status(t.Context()); err != nil || s.GetPending() != 0 {
		t.Errorf("a caller is told that %d wait, %v", s.GetPending(), err)
	}
	if _, err := h.admin().ListPending(t.Context(), 0, 1001); codeOf(err) != signer.CodeInvalid {
		t.Errorf("ListPending of 1001 = %v", err)
	}
	for _, digest := range []string{"", "ab", strings.Repeat("AB", 32), strings.Repeat("ab", 33)} {
		if _, err := h.admin().Pending(t.Context(), digest); codeOf(err) != signer.CodeInvalid {
			t.Errorf("Pending(%q) = %v, want code %q", digest, err, signer.CodeInvalid)
		}
	}
	p = h.again(p) // nothing is lost
	if s := h.status(); s.GetPending() != 7 {
		t.Errorf("after a restart %d wait", s.GetPending())
	}
	p.stop()
}

// What happens is told in its order, to the one who waits for it and to the one who asks
// later, and goes on after a restart.
func TestAWatcherIsToldWhatHappens(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	told := h.follow()
	list, err := h.admin().ListPending(t.Context(), 0, 0)
	must(t, err)
	from := list.GetPosition()
	var want []string
	next := func(text string) {
		t.Helper()
		want = append(want, text)
		select {
		case e := <-told:
			if got := tell(e); got != text {
				t.Fatalf("told %q, want %q", got, text)
			}
		case <-time.After(patience):
			t.Fatalf("nobody tells %q", text)
		}
	}
	w := h.ask(payment("r1", 7))
	next("waits r1")
	h.post(h.alice, w, signer.WordApprove)
	next("approved r1 by alice")
	h.post(h.alice, w, signer.WordWithdraw)
	next("withdrawn r1 by alice")
	h.post(h.bob, w, signer.WordApprove)
	next("approved r1 by bob")
	h.post(h.carol, w, signer.WordApprove)
	next("approved r1 by carol")
	next("authorized r1")
	w = h.ask(payment("r2", 8))
	next("waits r2")
	h.post(h.carol, w, signer.WordReject)
	next("rejected r2 by carol because no")
	next(`denied r2 because rejected by "carol": no`)
	h.ask(payment("r3", 9))
	next("waits r3")
	must(t, h.sign().Cancel(t.Context(), "r3", ""))
	next("denied r3 because cancelled by its caller")

	p = h.again(p)
	for after := from; len(want) > 0; {
		res, err := h.admin().WatchPending(t.Context(), after, 0)
		must(t, err)
		if len(res.GetEvents()) == 0 || res.GetPosition() != res.GetEvents()[len(res.GetEvents())-1].GetLeaf() {
			t.Fatalf("after leaf %d there are %v", after, res)
		}
		for _, e := range res.GetEvents() {
			if got := tell(e); got != want[0] {
				t.Errorf("asked later, told %q, want %q", got, want[0])
			}
			want = want[1:]
		}
		after = res.GetPosition()
	}
	end, err := h.admin().WatchPending(t.Context(), 0, 20*time.Millisecond)
	if err != nil || len(end.GetEvents()) != 0 || end.GetPosition() == 0 {
		t.Errorf("when nothing happens: %v, %v", end, err)
	}
	if _, err := h.admin().WatchPending(t.Context(), 0, time.Hour); codeOf(err) != signer.CodeInvalid {
		t.Errorf("a wait of an hour: %v", err)
	}
	p.stop()
}

// tell is an event in words.
func tell(e *v1.PendingEvent) string {
	out := e.GetEvent() + " " + e.GetPending().GetId()
	if e.GetApprover() != "" {
		out += " by " + e.GetApprover()
	}
	if e.GetReason() != "" {
		out += " because " + e.GetReason()
	}
	return out
}

func TestARequestThatExpiresIsToldApart(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	h.edit("policy.hcl", "  kinds = [\"evm.transaction\"]\n", "  kinds = [\"evm.transaction\"]\n  expires = \"1s\"\n")
	p := h.start()
	told := h.follow()
	h.ask(payment("r1", 7))
	for _, want := range []string{"waits", "expired"} {
		select {
		case e := <-told:
			if e.GetEvent() != want || e.GetPending().GetId() != "r1" {
				t.Fatalf("told %v, want %q", e, want)
			}
			if want == "expired" && (e.GetPending().GetState() != "denied" || e.GetTime().AsTime().Before(e.GetPending().GetDeadline().AsTime())) {
				t.Errorf("it expired as %v", e)
			}
		case <-time.After(patience):
			t.Fatalf("nobody tells that it %s", want)
		}
	}
	h.sound()
	p.stop()
}

// Another policy makes new proposals of what waits, and voids what was said of the old.
func TestAChangeOfPolicyVoidsApprovals(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	told := h.follow()
	w := h.ask(payment("r1", 7))
	h.post(h.alice, w, signer.WordApprove)
	old := h.status().GetPolicy()
	h.edit("policy.hcl", `rule "messages"`, `rule "notes"`)
	h.do("change", admin.Order{Act: admin.ActPolicy, From: old, To: h.onDisk(), Reason: "x"})
	var now *v1.Pending
	eventually(t, "it waits as another proposal", func() bool {
		now = h.pending("r1")
		return now.GetProposal() != w.GetProposal()
	})
	if len(now.GetQuorums()[0].GetApproved()) != 0 || now.GetLeaf() <= w.GetLeaf() {
		t.Errorf("it waits as %v", now)
	}
	if res, err := h.admin().PostApproval(t.Context(), h.bob.signs(h.about(w, signer.WordApprove))); codeOf(err) != signer.CodeNotFound {
		t.Errorf("an approval of the old proposal: %v, %v", res, err)
	}
	for deadline, found := time.After(patience), false; !found; {
		select {
		case e := <-told:
			found = e.GetEvent() == "waits" && e.GetPending().GetProposal() == now.GetProposal()
			if found && !strings.Contains(e.GetReason(), "another policy came into force") {
				t.Errorf("told %v", e)
			}
		case <-deadline:
			t.Fatal("nobody tells of the new proposal")
		}
	}
	res, err := h.admin().WatchPending(t.Context(), w.GetLeaf()-1, 0)
	if err != nil || res.GetEvents()[0].GetPending().GetState() != "replaced" {
		t.Errorf("of the old proposal it is told %v, %v", res.GetEvents(), err)
	}
	h.agree(now, "signed")
	h.sound()
	p.stop()
}

// Those who only look do not hold up the stop.
func TestWatchersDoNotHoldUpTheStop(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	h.ask(payment("r1", 7))
	over := make(chan error, 3)
	go func() { _, err := h.admin().WatchPending(t.Context(), 0, 100*time.Second); over <- err }()
	go func() { _, err := h.sign().Watch(t.Context(), "r1", "", "waiting"); over <- err }()
	go func() {
		_, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: payment("r1", 7), WaitForApprovals: true, Wait: durationpb.New(100 * time.Second)})
		over <- err
	}()
	eventually(t, "they wait", func() bool {
		_, body := h.get("metrics.sock", "GET", "/metrics")
		return strings.Contains(body, "sealward_requests_waiting 1")
	})
	began := time.Now()
	p.stop()
	if took := time.Since(began); took > 25*time.Second { // stop_timeout is 30 s
		t.Errorf("the stop took %s", took)
	}
	for range 3 {
		<-over
	}
}

// Nothing of it is to be had on a socket for callers.
func TestApprovalsAreForTheAdminSocket(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	w := h.ask(payment("r1", 7))
	c := h.sign()
	for name, call := range map[string]func() error{
		"ListPending": func() error { _, err := c.ListPending(t.Context(), 0, 0); return err },
		"GetPending":  func() error { _, err := c.Pending(t.Context(), w.GetProposal()); return err },
		"PostApproval": func() error {
			_, err := c.PostApproval(t.Context(), h.alice.signs(h.about(w, signer.WordApprove)))
			return err
		},
		"WatchPending": func() error { _, err := c.WatchPending(t.Context(), 0, time.Millisecond); return err },
		"Freeze":       func() error { _, err := c.Freeze(t.Context(), "x", nil); return err },
	} {
		if err := call(); codeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "does not serve this call") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if q := h.pending("r1").GetQuorums()[0]; len(q.GetApproved()) != 0 {
		t.Errorf("those who approved are %v", q.GetApproved())
	}
	if s := h.status(); s.GetFrozen() != "" {
		t.Errorf("it is frozen: %s", s.GetFrozen())
	}
	p.stop()
}
