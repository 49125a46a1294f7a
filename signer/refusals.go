package signer

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Refusals are recorded, so a caller that is refused all the time could fill the
// disk. Each account has a bucket and pays for the size of the record; what does
// not fit is counted, and the count stands in the next refusal of that account that
// is recorded.
const (
	refusalPayload = 256 // bytes of payload that cost as much as the rest of a record
	refusalBurst   = 256
	refusalRefill  = 50 * time.Millisecond // one more, each
	refusalUIDs    = 1024                  // tracked at once
)

type refusals struct {
	mu   sync.Mutex
	uids map[uint32]*bucket // by [Caller.Share]; owned by mu
}

type bucket struct {
	who     Caller // the first that shared it
	tokens  float64
	at      time.Time
	dropped uint64
}

func newRefusals() *refusals { return &refusals{uids: map[uint32]*bucket{}} }

// take reports whether a refusal of a caller is to be recorded, with so many bytes
// of payload, and how many before it were not. A large one leaves a debt, which
// later ones wait for.
func (r *refusals) take(c Caller, payload int, now time.Time) (record bool, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(c, now)
	if !b.pay(payload) {
		return false, 0
	}
	dropped, b.dropped = b.dropped, 0
	return true, dropped
}

// pay takes tokens for what is no refusal, so the count waits for one that is.
func (r *refusals) pay(c Caller, payload int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bucket(c, now).pay(payload)
}

// bucket returns the caller's, refilled. The lock is held.
func (r *refusals) bucket(c Caller, now time.Time) *bucket {
	b := r.uids[c.Share()]
	if b == nil {
		r.forget(now)
		b = &bucket{who: c, tokens: refusalBurst, at: now}
		r.uids[c.Share()] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(refusalBurst, b.tokens+float64(d)/float64(refusalRefill))
		b.at = now
	}
	return b
}

// pay takes what a record with so many bytes of payload costs, or counts it as
// dropped.
func (b *bucket) pay(payload int) bool {
	if b.tokens < 1 {
		b.dropped++
		return false
	}
	b.tokens -= float64(1 + payload/refusalPayload)
	return true
}

// forget makes room: a bucket that is full again and owes no count is as good as
// none. The lock is held.
func (r *refusals) forget(now time.Time) {
	if len(r.uids) < refusalUIDs {
		return
	}
	for uid, b := range r.uids {
		if b.dropped == 0 && now.Sub(b.at) > refusalBurst*refusalRefill {
			delete(r.uids, uid)
		}
	}
}

// limitRefusals marks a refusal that is one too many as not to be recorded. A request that
// is to wait for no longer than its caller wants makes room for the next, so it costs as
// much.
func (e *Engine) limitRefusals(p Proposal, f Facts, d Decision) Decision {
	c, now := p.Caller, e.c.Now()
	switch d.Verdict {
	case Deny:
		record, dropped := e.rate.take(c, len(p.Request.Payload), now)
		d.Unrecorded, d.Dropped = !record, dropped
	case Ask:
		wait := Recorded{Time: f.Time, Proposal: p, Decision: d}
		if wait.Deadline().Equal(p.Request.Expires) && !e.rate.pay(c, p.weight(), now) {
			return Decision{Rules: d.Rules, Reason: "too many requests that wait until they expire themselves; wait a while", Unrecorded: true}
		}
	}
	return d
}

// refuse records a request that never became a proposal, and returns its error.
// A refusal that cannot be recorded is still a refusal.
func (e *Engine) refuse(ctx context.Context, c Caller, r Request, err error) error {
	record, dropped := e.rate.take(c, 0, e.c.Now())
	if !record {
		return err
	}
	ev := Event{Type: EventMalformed, Caller: &c, Code: CodeOf(err), Detail: refusalDetail(r, err), Dropped: dropped}
	if _, jerr := e.c.Journal.Note(ctx, ev); jerr != nil {
		e.c.Log.Error("a refusal could not be recorded", "caller", c.ID(), "error", jerr)
	}
	return err
}

// refusalDetail says what was asked beside what was wrong with it.
func refusalDetail(r Request, err error) string {
	detail := strings.ToValidUTF8(detailOf(err), "\uFFFD")
	if r.ID == "" && r.Key == "" {
		return detail
	}
	return strings.ToValidUTF8(fmt.Sprintf("request %q, key %q, kind %q: %s", clip(r.ID), clip(r.Key), clip(string(r.Kind)), detail), "\uFFFD")
}

// prior finds the record of the very same request, for the answer it was given.
func (e *Engine) prior(ctx context.Context, c Caller, r Request) (Recorded, bool) {
	rec, ok, err := e.c.Journal.Lookup(ctx, c.ID(), r.ID)
	if err != nil || !ok || rec.RequestDigest != r.Digest() {
		return Recorded{}, false
	}
	return rec, true
}

// quota bounds how many requests are in the pipeline, in all and for each account.
// It is guarded by the engine's lock.
type quota struct {
	free, each int
	used       map[uint32]int
}

func newQuota(all, each int) *quota { return &quota{free: all, each: each, used: map[uint32]int{}} }

func (q *quota) take(c Caller) bool {
	share := c.Share()
	if q.free == 0 || q.used[share] >= q.each {
		return false
	}
	q.free--
	q.used[share]++
	return true
}

func (q *quota) give(c Caller) {
	share := c.Share()
	q.free++
	if q.used[share]--; q.used[share] == 0 {
		delete(q.used, share)
	}
}

// tellDropped records the counts that no later refusal told. The lock is not held
// meanwhile, as decisions in the journal's turn wait for it.
func (e *Engine) tellDropped(ctx context.Context) error {
	var left []bucket
	e.rate.mu.Lock()
	for _, b := range e.rate.uids {
		if b.dropped > 0 {
			left = append(left, *b)
			b.dropped = 0
		}
	}
	e.rate.mu.Unlock()
	for _, b := range left {
		ev := Event{Type: EventMalformed, Caller: &b.who, Code: CodeDenied, Detail: "refusals that were not recorded until the stop", Dropped: b.dropped}
		if _, err := e.c.Journal.Note(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}
