package signer

import "context"

// runKey scopes a request id to its caller.
type runKey struct{ caller, id string }

// running is a request in the pipeline. The goroutine that runs it sets result
// and err and then closes done.
type running struct {
	digest [32]byte
	notice Notice // owned by the engine's mu
	done   chan struct{}
	result Result
	err    error
}

// start puts a request into the pipeline, or joins the same one that is there.
func (e *Engine) start(ctx context.Context, c Caller, r Request) (*running, error) {
	e.mu.Lock()
	run := e.running[runKey{c.ID(), r.ID}]
	switch {
	case run != nil && run.digest == r.Digest():
		e.mu.Unlock()
		return run, nil
	case run != nil:
		e.mu.Unlock() // a record takes its time
		return nil, e.refuse(context.WithoutCancel(ctx), c, r, conflict(r.ID))
	case e.closed:
		e.mu.Unlock()
		return nil, stopping()
	case !e.quota.take(c):
		e.mu.Unlock()
		return nil, &Error{Code: CodeOverloaded, Detail: "too many requests at once; wait for some to finish, then ask again"}
	}
	run = e.work(c, r, func() (Result, error) { return e.run(context.WithoutCancel(ctx), c, r) }, func() { e.quota.give(c) })
	e.mu.Unlock()
	return run, nil
}

// begin puts work on a request that waits into the pipeline, or returns what is there for
// it already; nil: the engine is closed.
func (e *Engine) begin(c Caller, r Request, do func() (Result, error)) (run *running, begun bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if run := e.running[runKey{c.ID(), r.ID}]; run != nil {
		return run, false
	}
	if e.closed {
		return nil, false
	}
	return e.work(c, r, do, func() {}), true
}

// work runs what is to be done for a request. The lock is held, now and when done is
// called.
func (e *Engine) work(c Caller, r Request, do func() (Result, error), done func()) *running {
	key := runKey{c.ID(), r.ID}
	run := &running{digest: r.Digest(), done: make(chan struct{})}
	e.running[key] = run
	e.tell(key)
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		run.err = &Error{Code: CodeInternal, Detail: "the request could not be handled; its operator finds the cause in the log"}
		defer func() {
			if p := recover(); p != nil {
				e.c.Log.Error("a request made the pipeline panic", "caller", key.caller, "request", key.id, "panic", p)
			}
			e.mu.Lock()
			delete(e.running, key)
			e.tell(key)
			done()
			e.mu.Unlock()
			close(run.done)
		}()
		run.result, run.err = do()
	}()
	return run
}

func stopping() *Error {
	return &Error{Code: CodeUnavailable, Detail: "sealward is stopping; ask again when it is back"}
}
