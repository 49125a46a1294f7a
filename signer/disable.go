package signer

import (
	"fmt"
	"sync"
	"time"
)

// switches is which keys are disabled, by the fingerprint of the public key, so that
// renaming a key resets nothing. It follows from the journal alone: each change takes
// effect at a leaf, and of two the one with the later leaf holds, in whatever order
// they are learned. A disable takes effect with its authorisation, and once more with
// its outcome; an enable with its outcome only.
type switches struct {
	mu     sync.Mutex
	last   map[string]change // by fingerprint
	coming map[string]int    // disables that are decided and not yet on disk, by fingerprint
}

// change is the last one of a key.
type change struct {
	leaf uint64
	why  string // it is disabled, for people; empty: it is enabled
}

func newSwitches() *switches {
	return &switches{last: map[string]change{}, coming: map[string]int{}}
}

// learn takes in what a record says about a key. It may be told the same twice.
func (s *switches) learn(rec Recorded) {
	p := rec.Proposal
	print, off, ok := p.Switches()
	if !ok || rec.Decision.Verdict != Allow {
		return
	}
	why := ""
	if off {
		why = fmt.Sprintf("disabled at %s by request %q of %s: %s",
			rec.Time.UTC().Format(time.RFC3339), p.Request.ID, p.Caller.ID(), p.Intent.Effects[0].Attributes[AttributeReason])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set := func(leaf uint64) {
		if c, seen := s.last[print]; !seen || leaf >= c.leaf {
			s.last[print] = change{leaf, why}
		}
	}
	if off {
		set(rec.Leaf)
	}
	if rec.Done() {
		set(rec.Outcome.Leaf)
	}
}

// expect holds a key back while the disable that was decided is made durable, and
// settle ends that.
func (s *switches) expect(print string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming[print]++
}

func (s *switches) settle(print string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming[print]--; s.coming[print] == 0 {
		delete(s.coming, print)
	}
}

// hold is expect for the key that a proposal disables, if it does; what it returns is
// settle.
func (s *switches) hold(p Proposal) (settle func()) {
	print, off, _ := p.Switches()
	if !off {
		return func() {}
	}
	s.expect(print)
	return func() { s.settle(print) }
}

// why says why a key is disabled; empty: it is not.
func (s *switches) why(print string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := s.last[print].why; why != "" || s.coming[print] == 0 {
		return why
	}
	return "being disabled"
}

// overtaken refuses an enable that a disable came after: who disabled the key meant
// what was authorised until then, too.
func (s *switches) overtaken(rec Recorded) error {
	print, _, _ := rec.Proposal.Switches()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.last[print]
	if c.why == "" || c.leaf < rec.Leaf {
		return nil
	}
	return &Error{Code: CodeDenied, Detail: fmt.Sprintf("after it was authorised the key was %s; to enable it, use a new id", c.why)}
}

// Switches returns the fingerprint of the key that a proposal disables (off) or
// enables, or false when it does neither.
func (p Proposal) Switches() (print string, off, ok bool) {
	if p.Request.Kind != KindAdmin || len(p.Intent.Effects) != 1 {
		return "", false, false
	}
	e := p.Intent.Effects[0]
	switch e.Class {
	case ClassKeyDisable:
		return e.Attributes[AttributeFingerprint], true, true
	case ClassKeyEnable:
		return e.Attributes[AttributeFingerprint], false, true
	default:
		return "", false, false
	}
}

// used is a key that has to be enabled for a proposal.
type used struct{ name, print string }

func (p Proposal) uses() []used {
	if p.Request.Kind != KindAdmin {
		return []used{{p.Key.Name, p.Key.Fingerprint}}
	}
	e := p.Intent.Effects[0]
	key := used{e.Attributes[AttributeKey], e.Attributes[AttributeFingerprint]}
	switch e.Class {
	case ClassKeyRotate:
		return []used{key, {e.Attributes[AttributeSuccessor], e.Attributes[AttributeSuccessorFingerprint]}}
	case ClassKeyDuplicate:
		return []used{key}
	default:
		return nil
	}
}

// refusal is why a proposal cannot go on because a key is disabled; empty: it can.
func (s *switches) refusal(p Proposal) string {
	for _, u := range p.uses() {
		if why := s.why(u.print); why != "" {
			return fmt.Sprintf("key %q is %s", u.name, why)
		}
	}
	return ""
}

// record has a decision on a proposal written, unless the policy was replaced in the
// meantime. What the decision is passes through held, so that nothing that is frozen is
// allowed, and a key that is disabled is held back from the decision on: what is decided
// after it in the same commit meets it disabled.
func (e *Engine) record(box *policyBox, p Proposal, write func(held func(Decision) Decision) (Recorded, error)) (rec Recorded, replaced bool, err error) {
	e.deciding.RLock()
	defer e.deciding.RUnlock()
	if e.policy.Load() != box {
		return Recorded{}, true, nil
	}
	print, off, _ := p.Switches()
	held := false
	rec, err = write(func(d Decision) Decision {
		if off && d.Verdict == Allow && !held {
			e.off.expect(print)
			held = true
		}
		return d
	})
	if held {
		defer e.off.settle(print)
	}
	if err == nil {
		e.learn(rec)
	}
	return rec, false, err
}

// Disabled says why the key with a fingerprint is disabled, when, and by which
// request; it is empty while the key is enabled.
func (e *Engine) Disabled(fingerprint string) string { return e.off.why(fingerprint) }
