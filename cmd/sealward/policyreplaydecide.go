package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
)

// replay makes the decisions of a span of the journal again. The leaves are read once,
// in order; of what was read only the sums over windows are kept, and who was paid
// before, if a policy asks for that.
type replay struct {
	src         journalSource
	since, till time.Time // till: zero for all that is there
	// candidate is the policy to decide by, and keys are those that it was loaded
	// with; without one, each decision is made again by its own policy.
	candidate *policy.Policy
	keys      map[string]signer.KeyInfo
	// recorded counts as spent what the journal authorised, also in the span; else it is
	// what the candidate would have.
	recorded bool

	needs  signer.Needs               // of all policies: the windows that have to be read
	own    map[[32]byte]ownPolicy     // by version; of the decisions in the span
	ledger *ledger.Ledger             // what is spent so far
	paid   map[string]map[string]bool // recipients that are not new, by fingerprint
	asked  map[uint64]signer.Verdict  // what the candidate makes of requests that waited, by the leaves that say so
	all    map[signer.Kind]signer.Decoder
	out    replayed
}

// ownPolicy is a policy that decisions in the span were made by, or why it is not there.
type ownPolicy struct {
	policy *policy.Policy
	why    string
}

// run replays. Before the span it reads what a window or a new recipient can depend on.
func (r *replay) run(ctx context.Context) error {
	r.paid, r.asked, r.all = map[string]map[string]bool{}, map[uint64]signer.Verdict{}, engineDecoders()
	first, end, err := span(ctx, r.src, r.since, r.till)
	if err != nil {
		return err
	}
	r.out.First, r.out.Leaves = first, end-first
	if r.candidate != nil {
		r.needs = r.candidate.Needs()
	} else if err := r.gather(ctx, first, end); err != nil {
		return err
	}
	r.ledger = ledger.Over(r.needs.Measures...)
	begin, err := r.reach(ctx, first)
	if err != nil {
		return err
	}
	err = each(ctx, r.src, begin, first, func(l logged) error {
		if l.kind != signer.EventAuthorized {
			return nil
		}
		ev, err := l.decision()
		if err == nil {
			r.spend(*ev.Proposal, ev.Facts.Time)
		}
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, r.src, first, end, r.leaf)
}

// span finds the leaves from a time until before another.
func span(ctx context.Context, src journalSource, since, till time.Time) (first, end uint64, err error) {
	if first, err = firstFrom(ctx, src, since); err != nil {
		return 0, 0, err
	}
	end = src.size()
	if !till.IsZero() {
		end, err = firstFrom(ctx, src, till)
	}
	return first, max(first, end), err
}

// reach is the first leaf that a decision in the span can depend on.
func (r *replay) reach(ctx context.Context, first uint64) (uint64, error) {
	var longest time.Duration
	for _, m := range r.needs.Measures {
		longest = max(longest, m.Window)
	}
	switch {
	case r.needs.Recipients:
		return 0, nil
	case longest == 0:
		return first, nil
	}
	return firstFrom(ctx, r.src, r.since.Add(-longest))
}

// leaf replays one leaf of the span.
func (r *replay) leaf(l logged) error {
	switch {
	case l.kind == signer.EventMalformed:
		r.out.NotProposals++
		return nil
	case !l.decides():
		return nil
	}
	ev, err := l.decision()
	if err != nil {
		return err
	}
	if r.candidate != nil && ev.Waited != 0 {
		r.settled(l, ev)
		return nil
	}
	r.out.Decisions++
	r.out.Unrecorded += ev.Decision.Dropped
	if r.candidate == nil {
		return r.again(l, ev)
	}
	return r.under(l, ev)
}

// settled follows a request that waited to its end. A candidate is asked about it once,
// when it was asked for: that people then approved it, they would have done under the
// candidate, too.
func (r *replay) settled(l logged, ev signer.Event) {
	verdict, judged := r.asked[ev.Waited]
	delete(r.asked, ev.Waited)
	switch {
	case ev.Type == signer.EventWaiting && judged: // it waits on, by another policy
		r.asked[l.leaf] = verdict
	case ev.Type == signer.EventAuthorized && (r.recorded || !judged || verdict == signer.Ask):
		r.spend(*ev.Proposal, ev.Facts.Time)
	}
}

// under decides once more by the candidate.
func (r *replay) under(l logged, ev signer.Event) error {
	if byDaemon(ev) {
		r.out.ByDaemon++
		return nil
	}
	p, will, err := r.would(ev)
	if err != nil {
		return fmt.Errorf("leaf %d: %w", l.leaf, err)
	}
	names := r.candidate.Book()
	r.out.compare(l.leaf, ev, p, will, names)
	if ev.Type == signer.EventWaiting {
		r.asked[l.leaf] = will.Verdict
	}
	switch {
	case r.recorded && ev.Type == signer.EventAuthorized:
		r.spend(*ev.Proposal, ev.Facts.Time)
	case !r.recorded && will.Verdict == signer.Allow:
		r.spend(p, ev.Facts.Time)
	}
	return nil
}

// would is what the candidate makes of a request that was decided: the payload is read
// again, with the candidate's book, as the daemon would.
func (r *replay) would(ev signer.Event) (signer.Proposal, signer.Decision, error) {
	p := *ev.Proposal
	p.Policy = r.candidate.Version()
	if why := gone(p.Key, r.keys); why != "" {
		return p, signer.Decision{Reason: why}, nil
	}
	intent, err := r.decode(p, r.candidate.Book())
	if err != nil {
		return p, signer.Decision{Reason: "it is refused before any rule is asked: " + message(err)}, nil
	}
	p.Intent, p.Decoder = intent, r.all[p.Request.Kind].Version()
	facts, err := r.facts(p, *ev.Facts, r.candidate.Needs())
	if err != nil {
		return p, signer.Decision{}, err
	}
	if r.recorded {
		for i, s := range facts.Spent {
			if told, ok := ev.Facts.Find(s.Asset, signer.Measure{Window: s.Window, Per: s.Per}, s.Subject); ok {
				facts.Spent[i] = told
			}
		}
	}
	return p, inTime(p, facts, judge(r.candidate, p, facts)), nil
}

// inTime refuses, as the daemon does, what would have to wait beyond its own end.
func inTime(p signer.Proposal, f signer.Facts, d signer.Decision) signer.Decision {
	late := f.Time
	if f.Wall.After(late) {
		late = f.Wall
	}
	end := p.Request.Expires
	if d.Verdict != signer.Ask || end.IsZero() || late.Add(d.Delay).Before(end) {
		return d
	}
	return signer.Decision{Rules: d.Rules, Reason: fmt.Sprintf("%s; the request itself expires at %s, before that", d.Reason, rfc3339(end))}
}

// judge asks a policy as the journal does: a defect of its is a refusal.
func judge(by *policy.Policy, p signer.Proposal, f signer.Facts) (d signer.Decision) {
	defer func() {
		if recover() != nil {
			d = signer.Decision{Reason: "the policy could not be evaluated because of an internal error, so the request is refused; tell the operator"}
		}
	}()
	return by.Decide(p, f)
}

// gone says why the key of a request is none that policy could name today; empty: it is.
func gone(k signer.KeyInfo, keys map[string]signer.KeyInfo) string {
	if k.Name == signer.AdminKey {
		return ""
	}
	now, ok := keys[k.Name]
	if ok && now.Fingerprint == k.Fingerprint {
		return ""
	}
	why := fmt.Sprintf("key %q (%s) is gone", k.Name, k.Fingerprint)
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if keys[name].Fingerprint == k.Fingerprint {
			return fmt.Sprintf("%s: it is called %q now", why, name)
		}
	}
	if ok {
		return fmt.Sprintf("%s: another one has its name, %s", why, now.Fingerprint)
	}
	return why + ": the configuration has none of that name"
}

// decode reads the payload of a proposal again. What the engine adds to an intent, about
// keys, is as it was recorded: no policy changes it.
func (r *replay) decode(p signer.Proposal, book signer.Book) (signer.Intent, error) {
	in, err := signer.Read(p.Request, p.Key, r.all, book)
	if err == nil {
		err = ledger.Check(in)
	}
	if err != nil {
		return signer.Intent{}, err
	}
	for _, w := range p.Intent.Warnings {
		if w.Code == signer.WarnKeyWrapped {
			in.Warnings = append(in.Warnings, w)
		}
	}
	if in.Kind == signer.KindAdmin && len(in.Effects) == 1 && len(p.Intent.Effects) == 1 {
		for name, value := range p.Intent.Effects[0].Attributes {
			if _, decoded := in.Effects[0].Attributes[name]; !decoded {
				in.Effects[0].Attributes[name] = value
			}
		}
	}
	return in, nil
}

// facts are measured as the journal measures them, before the request itself is counted.
func (r *replay) facts(p signer.Proposal, told signer.Facts, needs signer.Needs) (signer.Facts, error) {
	s := ledger.Of(p, told.Time)
	f := signer.Facts{Time: told.Time, Wall: told.Wall, Pending: told.Pending, Recipients: needs.Recipients}
	var err error
	if f.Spent, err = r.ledger.Measure(s, needs, told.Time); err != nil || !needs.Recipients {
		return f, err
	}
	for _, recipient := range s.Recipients() {
		if !r.paid[s.Key][recipient] {
			f.NewRecipients = append(f.NewRecipients, recipient)
		}
	}
	return f, nil
}

// spend counts an authorisation.
func (r *replay) spend(p signer.Proposal, at time.Time) {
	s := ledger.Of(p, at)
	r.ledger.Add(s)
	if !r.needs.Recipients {
		return
	}
	if r.paid[s.Key] == nil {
		r.paid[s.Key] = map[string]bool{}
	}
	for _, recipient := range s.Recipients() {
		r.paid[s.Key][recipient] = true
	}
}

// byDaemon says of a refusal that the daemon itself refused before policy was asked, as it
// would under any policy: a key that is disabled, a request that is not valid at the
// time.
func byDaemon(ev signer.Event) bool {
	d, r := ev.Decision, ev.Proposal.Request
	if d.Verdict != signer.Deny || len(d.Rules) > 0 || len(d.Limits) > 0 {
		return false
	}
	early, late := ev.Facts.Time, ev.Facts.Wall
	if late.Before(early) {
		early, late = late, early
	}
	names := []string{r.Key}
	if r.Kind == signer.KindAdmin && len(ev.Proposal.Intent.Effects) == 1 {
		a := ev.Proposal.Intent.Effects[0].Attributes
		names = []string{a[signer.AttributeKey], a[signer.AttributeSuccessor]}
	}
	disabled := func(name string) bool {
		return strings.HasPrefix(d.Reason, fmt.Sprintf("key %q is disabled at ", name)) || d.Reason == fmt.Sprintf("key %q is being disabled", name)
	}
	return slices.ContainsFunc(names, disabled) ||
		!r.NotBefore.IsZero() && early.Before(r.NotBefore) || !r.Expires.IsZero() && !late.Before(r.Expires)
}
