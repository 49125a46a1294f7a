package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// What is on disk becomes the policy by an administrative act alone, unless this host
// trusts its policy file: then a start and a signal put it in force, too. Either way it is
// read afresh, with all that it names, and is a record that keeps what was read. trust.go
// says which policy a start takes.

// reload puts the policy on disk in force, or keeps the one that is and says why. Who
// may write the file and signal the daemon is trusted with that only where the
// configuration says so.
func (d *daemon) reload(ctx context.Context) {
	if err := ipc.NotifyReloading(); err != nil {
		d.log.Error("systemd does not take the notification", "error", err)
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	switch err := d.reloaded(ctx); {
	case err != nil:
		d.mu.Lock()
		d.policyError = told(err)
		d.mu.Unlock()
		d.log.Error("the new policy is refused; the old one stays in force", "error", err)
		refused := signer.Event{Type: signer.EventPolicy, Code: signer.CodeInvalid, Policy: d.policyNow().Version(), Detail: "a reload was refused: " + told(err)}
		if _, err := d.journal.Note(ctx, refused); err != nil {
			d.log.Error("that cannot be recorded", "error", err)
		}
	case !d.trusts:
		d.mu.Lock()
		d.policyError = ""
		d.mu.Unlock()
		d.log.Info("nothing is reloaded: the policy on disk is the one in force")
	}
	d.notifyReady()
}

// reloaded puts the policy on disk in force, on a host that trusts it. On any other it is
// an error if that is not what is in force already.
func (d *daemon) reloaded(ctx context.Context) error {
	if !d.trusts {
		if other := d.policy.Load().differs(d.cfg.Policy); len(other) > 0 {
			return fmt.Errorf("this host does not trust its policy file, so a reload changes nothing: on disk, other than in force, is %s; %s", strings.Join(other, ", "), toApply)
		}
		return nil
	}
	p, err := d.loadPolicy()
	if err != nil {
		return err
	}
	return d.adopt(ctx, p)
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
	for _, n := range d.policyNotices() {
		d.log.Warn(n)
	}
	return nil
}

func (d *daemon) notifyReady() {
	d.mu.Lock()
	status := fmt.Sprintf("%d keys, policy %.8x", len(d.keys), d.policyNow().Version())
	switch {
	case d.policyError != "" && !d.trusts:
		status += "; the last reload changed nothing, as this host does not trust its policy file: sealward policy apply asks for a change"
	case d.policyError != "":
		status += "; the last reload was refused"
	}
	d.mu.Unlock()
	if err := ipc.NotifyReady(status); err != nil {
		d.log.Error("systemd does not take the notification", "error", err)
	}
}

// policyNotices are what an operator should know of a policy that is valid, and in force.
func (d *daemon) policyNotices() []string {
	p := d.policy.Load()
	out := append(strangers(p.Policy), p.unbound(d.keys)...)
	if err := p.Changeable(); err != nil && !d.trusts {
		out = append(out, fmt.Sprintf("this host does not trust its policy file, and %v: it takes root and %s to change it", err, config.OverrideFile))
	}
	return out
}

type changedWire struct {
	From string `json:"from"`
	Leaf uint64 `json:"leaf"` // of the record by which it came into force
	To   string `json:"to"`
}

// changePolicy puts in force what was decided on, as the journal keeps it: what is on disk
// by now does not matter. The policy that decided has to be the one in force still, unless
// the act was done before and is asked for again, since the daemon was ended before its
// outcome was on record: then there is nothing left to do.
func (d administrator) changePolicy(ctx context.Context, a signer.Act, o admin.Order) (any, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	switch now := versionText(d.engine.Policy()); now {
	case o.To:
	case o.From:
		p, err := d.kept(ctx, o.To)
		if err == nil && p == nil {
			err = &signer.Error{Code: signer.CodeInternal, Detail: fmt.Sprintf("the journal does not keep policy %s, which was decided on", o.To)}
		}
		if err != nil {
			return nil, err
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

// Candidate implements [signer.Administrator]. What the journal keeps comes first: it is
// what was proposed, or was in force once, and nobody can swap it.
func (d administrator) Candidate(ctx context.Context, version string) ([]byte, error) {
	p, err := d.kept(ctx, version)
	if err == nil && p == nil {
		p, err = d.disk(version)
	}
	if err != nil {
		return nil, err
	}
	if err := p.Changeable(); err != nil && !d.trusts {
		return nil, signer.Invalid("policy %s would be the last: %v; and this host does not trust its policy file", version, err)
	}
	return p.Bundle(), nil
}

// disk returns the policy on disk, if it has a version.
func (d *daemon) disk(version string) (*inForce, error) {
	now := versionText(d.policyNow())
	p, err := d.loadPolicy()
	if err != nil {
		return nil, signer.Invalid("the policy on disk cannot be loaded, and the journal keeps none of version %s, so policy %s stays in force: %s", version, now, told(err))
	}
	if found := versionText(p); found != version {
		return nil, signer.Invalid("the policy on disk is version %s, not %s, which was asked for, and the journal keeps none of that version: it was changed since, or is another file; policy %s stays in force", found, version, now)
	}
	return p, nil
}

// kept returns a version of the policy as the journal keeps it, or nil.
func (d *daemon) kept(ctx context.Context, version string) (*inForce, error) {
	raw, err := hex.DecodeString(version)
	if err != nil || len(raw) != 32 {
		return nil, signer.Invalid("version %.80q: want all 64 hexadecimal digits", version)
	}
	bundle, ok, err := d.journal.PolicyBundle(ctx, [32]byte(raw))
	if err != nil || !ok {
		return nil, err
	}
	b, err := policy.ReadBundle(bundle)
	if err != nil {
		return nil, signer.Invalid("policy %s, as the journal keeps it, cannot be read: %v", version, err)
	}
	p, err := b.Load()
	if err != nil {
		return nil, signer.Invalid("policy %s, as the journal keeps it, cannot be loaded: %s", version, told(err))
	}
	if found := versionText(p); found != version {
		return nil, signer.Invalid("what the journal keeps as policy %s is version %s: this program understands it otherwise than the one that recorded it", version, found)
	}
	labels, err := d.loadLabels(p)
	if err != nil { // nothing depends on labels
		d.log.Warn("what the policy calls its contracts is not shown", "version", version, "error", err)
	}
	return &inForce{p, b, labels}, nil
}

type trustedWire struct {
	State string `json:"state"`
}

// trustFile is done by its record, which the next start looks for.
func (administrator) trustFile() (any, error) {
	return trustedWire{"the policy file is trusted from the next start on whose configuration says trust_policy_file = true"}, nil
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
