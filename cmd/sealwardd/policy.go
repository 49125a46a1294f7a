package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sealward/sealward/ipc"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// What is on disk becomes the policy at a start, by a signal, or by an administrative
// act, and at no other time. Each of them reads the policy file and all that it names
// afresh, and each is a record that keeps what it read.

// reload puts the policy on disk in force, or keeps the one that is and says why. Who
// may write the file and signal the daemon is trusted with that: root, or the daemon's
// own account.
func (d *daemon) reload(ctx context.Context) {
	if err := ipc.NotifyReloading(); err != nil {
		d.log.Error("systemd does not take the notification", "error", err)
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	p, err := d.loadPolicy()
	if err == nil {
		err = d.adopt(ctx, p)
	}
	if err != nil {
		d.mu.Lock()
		d.policyError = told(err)
		d.mu.Unlock()
		d.log.Error("the new policy is refused; the old one stays in force", "error", err)
		refused := signer.Event{Type: signer.EventPolicy, Code: signer.CodeInvalid, Policy: d.policyNow().Version(), Detail: "a reload was refused: " + told(err)}
		if _, err := d.journal.Note(ctx, refused); err != nil {
			d.log.Error("that cannot be recorded", "error", err)
		}
	}
	d.notifyReady()
}

// told is why a policy is refused, for status and the record: a file can have any number
// of mistakes.
func told(err error) string {
	const most = 4 << 10
	text := err.Error()
	if len(text) > most {
		text = text[:most] + " ...; sealward policy validate has all of it"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// adopt puts a policy in force and records it. Whoever calls it holds d.changing.
func (d *daemon) adopt(ctx context.Context, p *inForce) error {
	if err := d.engine.SetPolicy(ctx, p.Policy); err != nil {
		return err
	}
	d.policy.Store(p)
	d.mu.Lock()
	d.policyError, d.policyLoaded = "", time.Now()
	d.mu.Unlock()
	d.log.Info("a new policy is in force", "version", fmt.Sprintf("%x", p.Version()))
	for _, n := range policyNotices(p.Policy) {
		d.log.Warn(n)
	}
	return nil
}

func (d *daemon) notifyReady() {
	d.mu.Lock()
	status := fmt.Sprintf("%d keys, policy %.8x", len(d.keys), d.policyNow().Version())
	if d.policyError != "" {
		status += "; the last reload was refused"
	}
	d.mu.Unlock()
	if err := ipc.NotifyReady(status); err != nil {
		d.log.Error("systemd does not take the notification", "error", err)
	}
}

// policyNotices are what an operator should know of a policy that is valid.
func policyNotices(p *policy.Policy) []string {
	out := strangers(p)
	if asks := p.Asks(); len(asks) > 0 {
		out = append(out, fmt.Sprintf("approvals cannot be collected yet, nor delays waited out: what these rules of the policy ask for with require, over or delay is refused: %q", asks))
	}
	return out
}

type changedWire struct {
	From string `json:"from"`
	Leaf uint64 `json:"leaf"` // of the record by which it came into force
	To   string `json:"to"`
}

// changePolicy puts the policy on disk in force if it is, to the bit, the one that was
// decided on. The policy that decided has to be the one in force still, unless the act
// was done before and is asked for again, since the daemon was ended before its outcome
// was on record: then there is nothing left to do.
func (d administrator) changePolicy(ctx context.Context, a signer.Act, o admin.Order) (any, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	switch now := versionText(d.engine.Policy()); now {
	case o.To:
	case o.From:
		p, err := d.loadPolicy()
		if err != nil {
			return nil, signer.Invalid("the policy on disk cannot be loaded, so policy %s stays in force: %s", now, told(err))
		}
		if found := versionText(p); found != o.To {
			return nil, signer.Invalid("the policy on disk is version %s, not %s, which was asked for: it was changed since, or is another file; policy %s stays in force", found, o.To, now)
		}
		if err := d.adopt(ctx, p); err != nil {
			return nil, err
		}
		d.notifyReady()
	default:
		return nil, signer.Invalid("policy %s came into force meanwhile in place of %s, which decided; compare with it, and ask with a new id", now, o.From)
	}
	leaf, err := d.adoptedSince(ctx, o.To, a.Leaf())
	return changedWire{o.From, leaf, o.To}, err
}

// adoptedSince finds the first record after a leaf by which a policy came into force. So
// an act that is asked for again has the same result.
func (d *daemon) adoptedSince(ctx context.Context, version string, after uint64) (found uint64, err error) {
	const page = 100
	for before := uint64(0); ; {
		all, err := d.journal.Policies(ctx, before, page) // the latest first
		if err != nil {
			return 0, err
		}
		for _, p := range all {
			if before = p.Leaf; p.Leaf > after && hex.EncodeToString(p.Version[:]) == version {
				found = p.Leaf
			}
		}
		if len(all) < page || before <= after {
			break
		}
	}
	if found == 0 {
		return 0, &signer.Error{Code: signer.CodeInternal, Detail: fmt.Sprintf("policy %s is in force, and no record says since when", version)}
	}
	return found, nil
}

func versionText(p signer.Policy) string {
	v := p.Version()
	return hex.EncodeToString(v[:])
}
