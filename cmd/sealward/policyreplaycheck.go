package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// gather loads every policy that a decision in the span was made by.
func (r *replay) gather(ctx context.Context, first, end uint64) error {
	r.own = map[[32]byte]ownPolicy{}
	return eachDecision(ctx, r.src, first, end, func(_ logged, ev signer.Event) error {
		version := ev.Proposal.Policy
		if _, known := r.own[version]; known {
			return nil
		}
		own, err := r.load(ctx, version)
		if err != nil {
			return err
		}
		r.own[version] = own
		if own.policy != nil {
			n := own.policy.Needs()
			r.needs.Measures = append(r.needs.Measures, n.Measures...)
			r.needs.Recipients = r.needs.Recipients || n.Recipients
		}
		return nil
	})
}

// load loads a policy out of the journal. Its version is what proves that the kept bundle
// is the policy's.
func (r *replay) load(ctx context.Context, version [32]byte) (ownPolicy, error) {
	data, ok, err := r.src.bundle(ctx, version)
	if err != nil {
		return ownPolicy{}, err
	}
	if !ok {
		return ownPolicy{why: fmt.Sprintf("the journal does not keep policy %x", version)}, nil
	}
	b, err := policy.ReadBundle(data)
	if err != nil {
		return ownPolicy{why: fmt.Sprintf("policy %x: %v", version, err)}, nil
	}
	p, err := b.Load()
	switch {
	case err != nil:
		return ownPolicy{why: fmt.Sprintf("policy %x does not load in this version of sealward: %v", version, err)}, nil
	case p.Version() != version:
		return ownPolicy{why: fmt.Sprintf("what the journal keeps as policy %x is policy %x", version, p.Version())}, nil
	}
	return ownPolicy{policy: p}, nil
}

// again makes a decision again by its own policy, from the facts that were journalled,
// and measures these once more. Nothing may come out otherwise.
func (r *replay) again(l logged, ev signer.Event) error {
	own := r.own[ev.Proposal.Policy]
	if own.policy == nil {
		r.out.unchecked(own.why)
	} else if err := r.check(l, ev, own.policy); err != nil {
		return fmt.Errorf("leaf %d: %w", l.leaf, err)
	}
	if ev.Type == signer.EventAuthorized {
		r.spend(*ev.Proposal, ev.Facts.Time)
	}
	return nil
}

func (r *replay) check(l logged, ev signer.Event, own *policy.Policy) error {
	p := *ev.Proposal
	measured, err := r.facts(p, *ev.Facts, own.Needs())
	if err != nil {
		return err
	}
	found := otherFacts(*ev.Facts, measured)
	if d := r.all[p.Request.Kind]; d != nil && d.Version() == p.Decoder { // another version may well read it otherwise
		in, err := r.decode(p, own.Book())
		found = append(found, otherIntent(p, in, err)...)
	}
	d := judge(own, p, *ev.Facts)
	if byDaemon(ev) || endedByDaemon(ev, d) {
		r.out.ByDaemon++
	} else {
		found = append(found, otherDecision(ev, d)...)
	}
	r.out.found(l.leaf, ev, found, own.Book())
	return nil
}

// otherFacts says in what measured facts are not the recorded ones.
func otherFacts(told, measured signer.Facts) (found []string) {
	for i := range max(len(told.Spent), len(measured.Spent)) {
		var a, b string
		if i < len(told.Spent) {
			a = spentText(told.Spent[i])
		}
		if i < len(measured.Spent) {
			b = spentText(measured.Spent[i])
		}
		if a != b {
			found = append(found, fmt.Sprintf("the decision was told: %s; the journal adds up to: %s", orNothing(a), orNothing(b)))
		}
	}
	if told.Recipients != measured.Recipients {
		found = append(found, fmt.Sprintf("whether the decision was told which recipients are new: %t; its policy asks that: %t", told.Recipients, measured.Recipients))
	}
	if !slices.Equal(told.NewRecipients, measured.NewRecipients) {
		found = append(found, fmt.Sprintf("the decision was told that these recipients are new: %s; by the journal it is these: %s",
			orNothing(strings.Join(told.NewRecipients, ", ")), orNothing(strings.Join(measured.NewRecipients, ", "))))
	}
	return found
}

func spentText(s signer.Spent) string {
	text := fmt.Sprintf("%v of %s in %s", s.Amount, s.Asset, s.Window)
	if s.Per != signer.PerKey {
		text += fmt.Sprintf(" per %s %s", s.Per, s.Subject)
	}
	if !s.Frees.IsZero() {
		text += ", frees at " + s.Frees.UTC().Format(time.RFC3339Nano)
	}
	return text
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// otherIntent says whether a payload reads as it did.
func otherIntent(p signer.Proposal, in signer.Intent, err error) []string {
	if err != nil {
		return []string{"the payload is refused now: " + message(err)}
	}
	now := p
	now.Intent = in
	if !bytes.Equal(signer.Event{Proposal: &p}.Canonical(), signer.Event{Proposal: &now}.Canonical()) {
		return []string{fmt.Sprintf("the payload reads otherwise now, by the same decoder (%s)", p.Decoder)}
	}
	return nil
}

// asPolicySaid is a recorded decision without what the daemon added to it.
func asPolicySaid(ev signer.Event, is signer.Decision) signer.Decision {
	was := *ev.Decision
	switch {
	case is.Verdict == signer.Allow && ev.Type == signer.EventWaiting && was.Reason == signer.ReasonKept:
		was.Verdict, was.Reason, was.Expires = signer.Allow, "", is.Expires
		return was
	case is.Verdict != signer.Ask:
		return was
	case was.Verdict == signer.Ask && strings.HasPrefix(was.Reason, is.Reason+"; "): // of older daemons
		was.Reason = is.Reason
	case was.Verdict == signer.Allow && ev.Waited != 0 && (len(is.Quorums) == 0 || len(was.Approvals) > 0):
		was.Verdict, was.Reason = signer.Ask, is.Reason
	}
	if is.Expires == 0 && was.Expires == is.Delay+signer.Patience {
		was.Expires = 0
	}
	return was
}

// endedByDaemon says of a refusal that policy did not give it: the request waited, and
// expired, or was rejected, or taken back; or it could not have waited. is what policy
// says of it.
func endedByDaemon(ev signer.Event, is signer.Decision) bool {
	was := *ev.Decision
	if was.Verdict != signer.Deny || len(was.Limits) > 0 || is.Verdict == signer.Deny && was.Reason == is.Reason {
		return false
	}
	return ev.Waited != 0 || is.Verdict == signer.Ask && strings.HasPrefix(was.Reason, is.Reason+"; ")
}

// otherDecision says in what a decision is not the recorded one.
func otherDecision(ev signer.Event, is signer.Decision) (found []string) {
	was := asPolicySaid(ev, is)
	for _, part := range []struct {
		name string
		of   func(signer.Decision) signer.Decision
	}{
		{"verdict", func(d signer.Decision) signer.Decision { return signer.Decision{Verdict: d.Verdict} }},
		{"rules", func(d signer.Decision) signer.Decision { return signer.Decision{Rules: d.Rules} }},
		{"reason", func(d signer.Decision) signer.Decision { return signer.Decision{Reason: d.Reason} }},
		{"limits", func(d signer.Decision) signer.Decision { return signer.Decision{Limits: d.Limits} }},
		{"quorums", func(d signer.Decision) signer.Decision { return signer.Decision{Quorums: d.Quorums} }},
		{"delay", func(d signer.Decision) signer.Decision { return signer.Decision{Delay: d.Delay} }},
		{"expiry", func(d signer.Decision) signer.Decision { return signer.Decision{Expires: d.Expires} }},
	} {
		a, b := canonicalDecision(part.of(was)), canonicalDecision(part.of(is))
		if a != b {
			found = append(found, fmt.Sprintf("another %s: recorded %s, now %s", part.name, a, b))
		}
	}
	return found
}

// canonicalDecision is a decision as a record has it.
func canonicalDecision(d signer.Decision) string {
	var w struct {
		Decision json.RawMessage `json:"decision"`
	}
	if err := json.Unmarshal(signer.Event{Decision: &d}.Canonical(), &w); err != nil {
		return err.Error()
	}
	return string(w.Decision)
}
