package signer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Refusals are recorded, so a caller that is refused all the time could fill the
// disk. Each uid has a bucket; what does not fit is counted, and the count stands
// in the next refusal of that uid that is recorded.
const (
	refusalBurst  = 256
	refusalRefill = 50 * time.Millisecond // one more, each
	refusalUIDs   = 1024                  // tracked at once
)

type refusals struct {
	mu   sync.Mutex
	uids map[uint32]*bucket // owned by mu
}

type bucket struct {
	tokens  float64
	at      time.Time
	dropped uint64
}

func newRefusals() *refusals { return &refusals{uids: map[uint32]*bucket{}} }

// take reports whether a refusal of uid is to be recorded, and how many before it
// were not.
func (r *refusals) take(uid uint32, now time.Time) (record bool, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.uids[uid]
	if b == nil {
		r.forget(now)
		b = &bucket{tokens: refusalBurst, at: now}
		r.uids[uid] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(refusalBurst, b.tokens+float64(d)/float64(refusalRefill))
		b.at = now
	}
	if b.tokens < 1 {
		b.dropped++
		return false, 0
	}
	b.tokens--
	dropped, b.dropped = b.dropped, 0
	return true, dropped
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

// limitRefusals marks a refusal that is one too many as not to be recorded.
func (e *Engine) limitRefusals(c Caller, d Decision) Decision {
	if d.Verdict != Deny {
		return d
	}
	record, dropped := e.rate.take(c.UID, e.c.Now())
	d.Unrecorded, d.Dropped = !record, dropped
	return d
}

// refuse records a request that never became a proposal, and returns its error.
// A refusal that cannot be recorded is still a refusal.
func (e *Engine) refuse(ctx context.Context, c Caller, r Request, err error) error {
	record, dropped := e.rate.take(c.UID, e.c.Now())
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
	detail := err.Error()
	if e, ok := errors.AsType[*Error](err); ok {
		detail = e.Detail
	}
	detail = strings.ToValidUTF8(detail, "\uFFFD")
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

// quota bounds how many requests are in the pipeline, in all and for each uid. It
// is guarded by the engine's lock.
type quota struct {
	free, each int
	used       map[uint32]int
}

func newQuota(all, each int) *quota { return &quota{free: all, each: each, used: map[uint32]int{}} }

func (q *quota) take(uid uint32) bool {
	if q.free == 0 || q.used[uid] >= q.each {
		return false
	}
	q.free--
	q.used[uid]++
	return true
}

func (q *quota) give(uid uint32) {
	q.free++
	if q.used[uid]--; q.used[uid] == 0 {
		delete(q.used, uid)
	}
}
