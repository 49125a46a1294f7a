package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// longestCall is how long one call may wait, and longestWait how long calls are repeated.
const (
	longestCall = 2 * time.Minute
	longestWait = 7 * 24 * time.Hour
)

// askFor asks for a signature or an act until it is there, refused, or the wait is over. What
// waits for people is waited for if the request says so, over restarts of the daemon too:
// asking again with the same id asks for nothing new. Else who is asked is shown.
func (c *cli) askFor(ctx context.Context, socket string, m *v1.SignRequest, wait time.Duration) (*v1.SignResponse, error) {
	id, patient := m.GetRequest().GetId(), m.GetWaitForApprovals()
	tell := func(id, state string) {
		if patient && state == string(signer.ProgressWaiting) {
			c.showWaiting(ctx, socket, id)
			return
		}
		c.tell(id, state)
	}
	end := time.Now().Add(wait)
	res, err := whileTelling(ctx, c, socket, id, tell, func(client *api.Client) (*v1.SignResponse, error) {
		waits := false
		for left := wait; ; left = max(time.Until(end), time.Millisecond) {
			began := time.Now()
			res, err := c.askOnce(ctx, client, m, min(longestCall, left))
			code := codeOf(err)
			waits = waits || code == signer.CodeWaiting
			again := code == signer.CodeWaiting || code == signer.CodePending || code == signer.CodeUnavailable && waits
			if err == nil || !patient || !again || ctx.Err() != nil || time.Until(end) <= 0 {
				return res, err
			}
			pause(ctx, time.Until(began.Add(time.Second))) // a daemon that is stopping answers at once
		}
	})
	if codeOf(err) == signer.CodeWaiting && !patient && c.output == outputText {
		c.showWaiting(ctx, socket, id)
	}
	return res, err
}

func (c *cli) askOnce(ctx context.Context, client *api.Client, m *v1.SignRequest, wait time.Duration) (*v1.SignResponse, error) {
	m.Wait = durationpb.New(wait)
	// The daemon answers when the wait is over; this is for one that does not.
	ctx, cancel := context.WithTimeout(ctx, wait+10*time.Second)
	defer cancel()
	return client.Sign(ctx, m)
}

// pause waits, unless there is nothing to wait for any more.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// showWaiting says on standard error whom a request waits for, and until when.
func (c *cli) showWaiting(ctx context.Context, socket, id string) {
	if c.output == outputJSON {
		_ = jsonLine(c.stderr, map[string]string{"notice": string(signer.ProgressWaiting), "request_id": id})
		return
	}
	r, err := on(c, socket, func(client *api.Client) (*v1.GetRequestResponse, error) { return client.Request(ctx, id, "") })
	if err != nil || r.GetProposalDigest() == "" {
		return // the call that it is about says what is wrong
	}
	fmt.Fprintln(c.stderr, "it waits:")
	_ = sheet(c.stderr, [2]string{"request", r.GetCaller() + "/" + id}, [2]string{"proposal", r.GetProposalDigest()}, [2]string{"not before", when(r.GetDue())}, [2]string{"expires", when(r.GetDeadline())})
	_ = showQuorums(c.stderr, r.GetQuorums())
}
