package signer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// brake is whether Sealward is frozen: nothing is authorised or released then, but for the
// acts that help out of it. It follows from the journal, as [switches] does: a freeze
// takes effect with its record, and before it in memory, a thaw with its outcome.
type brake struct {
	mu     sync.Mutex
	why    string // for people; empty: it is not frozen
	leaf   uint64 // of the freeze
	coming bool   // it is not on record, or not yet: later than any leaf
	inside map[runKey]Recorded
}

func newBrake() *brake { return &brake{inside: map[runKey]Recorded{}} }

// freezeExempt are the acts that go on while all else is frozen.
var freezeExempt = []Class{ClassPolicyChange, ClassThaw, ClassKeyDisable}

// refusal says why a proposal may not go on; nil: it may.
func (b *brake) refusal(p Proposal) *Error {
	if slices.ContainsFunc(freezeExempt, p.is) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.frozen()
}

// frozen is the error of what is frozen, or nil. Who froze, and why, is no business of
// those who ask for signatures. The lock is held.
func (b *brake) frozen() *Error {
	if b.why == "" {
		return nil
	}
	return &Error{Code: CodeFrozen, Detail: "nothing is signed or released until the approvers thaw it; the operator knows why"}
}

// orNil is the error as an interface, which is nil where it is.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

// enter marks a request as inside its device, unless it is frozen or goes on even then.
func (b *brake) enter(key runKey, rec Recorded) *Error {
	if slices.ContainsFunc(freezeExempt, rec.Proposal.is) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.frozen(); err != nil {
		return err
	}
	b.inside[key] = rec
	return nil
}

func (b *brake) leave(key runKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.inside, key)
}

// since reports whether a thaw was asked for before the freeze that is in effect: who
// approves it did not see that one.
func (b *brake) since(was Recorded) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why != "" && was.Proposal.is(ClassThaw) && b.after(was.Leaf)
}

// after reports whether the freeze came after a leaf. The lock is held.
func (b *brake) after(leaf uint64) bool { return b.coming || b.leaf > leaf }

// overtaken refuses a thaw that a freeze came after.
func (b *brake) overtaken(rec Recorded) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why == "" || !b.after(rec.Leaf) {
		return nil
	}
	return &Error{Code: CodeDenied, Detail: "after it was authorised, " + b.why + "; to thaw that, use a new id"}
}

// learn takes in what a record says. It may be told the same twice.
func (b *brake) learn(rec Recorded) (thawed bool) {
	if !rec.Proposal.is(ClassThaw) || rec.Decision.Verdict != Allow || !rec.Done() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.after(rec.Leaf) {
		b.why = ""
	}
	return b.why == ""
}

// set freezes, and returns what is inside devices then.
func (b *brake) set(why string) (inside []Recorded) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.why, b.coming = why, true
	for _, rec := range b.inside {
		inside = append(inside, rec)
	}
	slices.SortFunc(inside, func(x, y Recorded) int { return cmp.Compare(x.Leaf, y.Leaf) })
	return inside
}

// recorded says that a freeze is on record.
func (b *brake) recorded(why string, leaf uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.coming || b.leaf < leaf {
		b.why, b.leaf, b.coming = why, leaf, false
	}
}

// is reports whether a proposal is an administrative act of a class.
func (p Proposal) is(c Class) bool {
	return p.Request.Kind == KindAdmin && len(p.Intent.Effects) == 1 && p.Intent.Effects[0].Class == c
}

// freezes says why Sealward is frozen, of an event.
func freezes(e Event) string {
	who, reason := "root's override", e.Detail
	if e.Caller != nil {
		who = e.Caller.ID()
		if e.Caller.User != "" {
			who = fmt.Sprintf("user %q", e.Caller.User)
		}
	}
	if h := e.Heard; h != nil {
		who, reason = fmt.Sprintf("approver %q", h.Approver), h.Approval.Reason
	}
	return fmt.Sprintf("frozen at %s by %s: %s", e.Time.UTC().Format(time.RFC3339), who, reason)
}

// Frozen is what a freeze did.
type Frozen struct {
	Leaf uint64 // of its record; 0: there is none
	// Unrecorded is why it is not on record: it holds for as long as this process runs.
	Unrecorded error
	// InDevice are the requests that are inside a device. What it signs is not released,
	// but exists.
	InDevice []Recorded
}

// Freeze stops all signing until a thaw: for an approver, by a signed approval with the
// word freeze, which works once, or for a user whom the configuration lists. It holds
// from before its record on, and also when it cannot be recorded.
func (e *Engine) Freeze(ctx context.Context, c Caller, reason string, signed []byte) (Frozen, error) {
	ctx = context.WithoutCancel(ctx)
	ev := Event{Type: EventFrozen, Time: e.c.Now(), Caller: &c, Detail: reason}
	switch {
	case !c.Identified:
		return Frozen{}, &Error{Code: CodeUnauthenticated, Detail: "the kernel does not say who is asking"}
	case len(signed) > 0:
		h, err := e.verified(ctx, c, signed)
		if err != nil {
			return Frozen{}, err
		}
		if h.Approval.Word != WordFreeze || reason != "" {
			return Frozen{}, e.refuse(ctx, c, Request{}, invalid("a freeze by an approver takes a signed approval with the word freeze, and has its reason in it"))
		}
		ev.Heard = &h
	case c.User == "" || !slices.Contains(e.c.FreezeUsers, c.User):
		return Frozen{}, e.refuse(ctx, c, Request{}, &Error{Code: CodeDenied, Detail: fmt.Sprintf("user %q (%s) may not freeze: sealward.hcl does not list it in freeze_users; an approver can, with a signed statement", c.User, c.ID())})
	case strings.TrimSpace(reason) == "" || len(reason) > MaxReason || !utf8.ValidString(reason):
		return Frozen{}, invalid("say why it is frozen, in 1 to %d bytes of UTF-8", MaxReason)
	}
	why := freezes(ev)
	var out Frozen
	var prior bool
	var err error
	set := sync.OnceFunc(func() { out.InDevice = e.brake.set(why) })
	if ev.Heard == nil {
		set()
		out.Leaf, err = e.c.Journal.Note(ctx, ev)
	} else { // one that was obeyed before freezes not even for a moment
		out.Leaf, prior, err = e.c.Journal.Hear(ctx, ev, func(Recorded) error { set(); return nil })
	}
	switch {
	case prior:
		return Frozen{}, &Error{Code: CodeConflict, Detail: fmt.Sprintf("this approval froze at leaf %d already, and works once; sign a new one", out.Leaf)}
	case err != nil:
		set()
		out.Leaf, out.Unrecorded = 0, err
		e.c.Log.Error("frozen, in memory alone: it cannot be recorded", "why", why, "error", err)
	default:
		e.brake.recorded(why, out.Leaf)
		e.c.Log.Warn("frozen", "why", why, "leaf", out.Leaf, "inside devices", len(out.InDevice))
	}
	return out, nil
}

// Frozen says why nothing is signed until a thaw; empty: it is not frozen.
func (e *Engine) Frozen() string {
	e.brake.mu.Lock()
	defer e.brake.mu.Unlock()
	return e.brake.why
}
