package signer

import "context"

// Progress is where a request is.
type Progress string

// The states of a request. What came of one that is done, [Engine.Lookup] has.
const (
	ProgressUnknown Progress = "unknown" // neither being worked on nor on record
	ProgressRunning Progress = "running"
	ProgressTouch   Progress = "touch"   // somebody has to touch the device now
	ProgressWaiting Progress = "waiting" // for approvals, or for time to pass
	ProgressDone    Progress = "done"    // on record, and not being worked on
)

// watched wakes those who watch a request.
type watched struct {
	changed chan struct{}
	by      int // how many watch
}

// Watch returns where a request is, as soon as that is something else than known, or
// when ctx ends. caller is the scope of the id, [Caller.ID].
func (e *Engine) Watch(ctx context.Context, caller, id string, known Progress) (Progress, error) {
	key := runKey{caller, id}
	for {
		now, changed := e.watch(key)
		if now == ProgressUnknown {
			// What is worked on is in the record before it leaves the pipeline, so this
			// order misses nothing.
			rec, ok, err := e.c.Journal.Lookup(ctx, caller, id)
			if err != nil {
				e.unwatch(key)
				return "", unavailable("the request cannot be looked up", err)
			}
			switch {
			case ok && rec.Waits:
				now = ProgressWaiting
			case ok:
				now = ProgressDone
			}
		}
		if now != known {
			e.unwatch(key)
			return now, nil
		}
		select {
		case <-changed:
			e.unwatch(key)
		case <-ctx.Done():
			e.unwatch(key)
			return now, nil
		}
	}
}

// watch returns where a request in the pipeline is, and what is closed when that
// changes.
func (e *Engine) watch(key runKey) (Progress, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.watchers[key]
	if w == nil {
		w = &watched{changed: make(chan struct{})}
		e.watchers[key] = w
	}
	w.by++
	switch run := e.running[key]; {
	case run == nil:
		return ProgressUnknown, w.changed
	case run.notice == NoticeTouch:
		return ProgressTouch, w.changed
	default:
		return ProgressRunning, w.changed
	}
}

func (e *Engine) unwatch(key runKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.watchers[key]
	if w.by--; w.by == 0 {
		delete(e.watchers, key)
	}
}

// tell wakes who watches a request. The lock is held.
func (e *Engine) tell(key runKey) {
	if w := e.watchers[key]; w != nil {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// notice keeps what a device waits for, for those who watch.
func (e *Engine) notice(key runKey, n Notice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if run := e.running[key]; run != nil && run.notice != n {
		run.notice = n
		e.tell(key)
	}
}
