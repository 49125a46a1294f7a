package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/trustfile"
)

// A start takes the policy that was in force last, as the journal keeps it, so that who
// can write the file and restart the daemon changes nothing. It takes the one on disk
//
//   - where the journal knows of none: that is the first start, and it is recorded;
//   - where this host trusts its policy file, which each start records, and which it does
//     not begin to do again without an act that the policy in force allowed;
//   - where root overrides, which leaves the daemon frozen, and shows in every decision
//     from then on.

// What a start records of its trust in the policy file.
const (
	trustYes = "yes"
	trustNo  = "no"
)

// toApply is how the policy on disk comes into force where it is not trusted.
const toApply = "`sealward policy apply` asks for it to be put in force"

// choosePolicy finds the policy that is in force from this start on.
func (d *daemon) choosePolicy(ctx context.Context) (err error) {
	if d.trusts, err = d.mayTrust(ctx); err != nil {
		return err
	}
	p, err := d.override(ctx)
	if err == nil && p == nil && !d.trusts {
		p, err = d.lastInForce(ctx)
	}
	if err == nil && p == nil {
		p, err = d.loadPolicy()
	}
	if err != nil {
		return err
	}
	d.policy.Store(p)
	return nil
}

// mayTrust reports whether this start trusts the policy file: the configuration says so,
// and either the starts before did, or somebody was allowed to have that changed since.
func (d *daemon) mayTrust(ctx context.Context) (bool, error) {
	if !d.cfg.TrustPolicyFile {
		return false, nil
	}
	last, leaf, ok, err := d.journal.Last(ctx, signer.EventStarted)
	if err != nil || !ok || last.TrustsFile != trustNo { // older versions of Sealward trusted it, and did not say
		return err == nil, err
	}
	acts, err := d.journal.Acts(ctx, signer.ClassTrustFile)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(acts, func(a signer.Recorded) bool { return a.Done() && a.Outcome.Leaf > leaf }) {
		return true, nil
	}
	d.remark("trust_policy_file = true is not in effect: the last start did not trust the policy file, and nobody was allowed to have that changed since; the act policy.trust_file asks for it, and the next start after it heeds the setting")
	return false, nil
}

// remark keeps a notice about this start.
func (d *daemon) remark(format string, args ...any) {
	d.remarks = append(d.remarks, fmt.Sprintf(format, args...))
}

// lastInForce returns the policy that was in force last, or nil where the journal does not
// keep it: it is new, or was kept by a version of Sealward that kept no policies.
func (d *daemon) lastInForce(ctx context.Context) (*inForce, error) {
	last, err := d.journal.Policies(ctx, 0, 1)
	if err != nil || len(last) == 0 || !last[0].Kept {
		return nil, err
	}
	version := hex.EncodeToString(last[0].Version[:])
	p, err := d.kept(ctx, version)
	if err == nil && p == nil {
		err = errors.New("its bundle is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("policy %s was in force last, and cannot be put in force again (%w); mend the policy on disk and force that with %s (docs/operations.md, \"Root's override\")", version, err, config.OverrideFile)
	}
	return p, nil
}

// override obeys root's override, once: it puts the policy on disk in force and freezes,
// and both are on record before anything is decided. It returns nil where there is none.
func (d *daemon) override(ctx context.Context) (*inForce, error) {
	if err := d.freezeOverridden(ctx); err != nil { // a crash came between the two
		return nil, err
	}
	path := d.overridePath()
	o, digest, err := d.readOverride()
	if err != nil || o == nil {
		return nil, err
	}
	switch before, err := d.obeyed(ctx, digest); {
	case err != nil:
		return nil, err
	case before != 0:
		d.remark("%s was obeyed before, at leaf %d of the journal, and is not obeyed again; remove it", path, before)
		return nil, nil
	case d.begun:
		return nil, fmt.Errorf("%s: this start begins a new journal, and takes the policy on disk without an override; remove the file", path)
	}
	p, err := d.loadPolicy()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if p.Version() != o.Policy {
		return nil, fmt.Errorf("%s is for policy %x, and the policy on disk is version %x: review that, and write its version, or put the right one back", path, o.Policy, p.Version())
	}
	forced := signer.Event{Type: signer.EventOverridden, Policy: p.Version(), Detail: fmt.Sprintf("%s: %s", digestText(digest), o.Reason)}
	leaf, err := d.journal.Adopt(ctx, forced, p.Bundle())
	if err != nil {
		return nil, err
	}
	d.log.Warn("root put a policy in force that nobody approved", "version", versionText(p), "leaf", leaf, "reason", o.Reason)
	d.remark("%s was obeyed at this start; remove it", path)
	return p, d.freezeOverridden(ctx)
}

func (d *daemon) overridePath() string {
	return filepath.Join(filepath.Dir(d.cfg.Path), config.OverrideFile)
}

// readOverride reads root's override and its digest, or nil where there is none.
func (d *daemon) readOverride() (*config.Override, [32]byte, error) {
	path := d.overridePath()
	src, err := d.ofRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, [32]byte{}, nil
	}
	if err != nil {
		return nil, [32]byte{}, fmt.Errorf("read root's override: %w", err)
	}
	o, err := config.ParseOverride(path, src)
	return o, sha256.Sum256(src), err
}

// ofRoot reads a file that is root's to write. In a private set-up the daemon's own account
// may have written it, as nothing separates that from its owner.
func (d *daemon) ofRoot(path string) ([]byte, error) {
	src, err := trustfile.Read(path)
	if err != nil || d.cfg.Private {
		return src, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 {
		return nil, fmt.Errorf("%s belongs to an account that is not root; only root overrides: chown root %s", path, path)
	}
	return src, nil
}

func digestText(digest [32]byte) string { return fmt.Sprintf("override sha256:%x", digest) }

// obeyed returns the leaf by which an override of this content was obeyed, or 0.
func (d *daemon) obeyed(ctx context.Context, digest [32]byte) (uint64, error) {
	if _, _, ok, err := d.journal.Last(ctx, signer.EventOverridden); err != nil || !ok {
		return 0, err
	}
	const page = 100
	for before := uint64(0); ; {
		all, err := d.journal.Policies(ctx, before, page) // the latest first
		if err != nil {
			return 0, err
		}
		for _, p := range all {
			if before = p.Leaf; p.Type != signer.EventOverridden {
				continue
			}
			entries, err := d.journal.Entries(ctx, p.Leaf, 1)
			if err != nil {
				return 0, err
			}
			ev, err := signer.ParseEvent(entries[0].Body)
			if err != nil {
				return 0, err
			}
			if strings.HasPrefix(ev.Detail, digestText(digest)+":") {
				return p.Leaf, nil
			}
		}
		if len(all) < page {
			return 0, nil
		}
	}
}

// freezeOverridden freezes after an override, unless that is on record.
func (d *daemon) freezeOverridden(ctx context.Context) error {
	ev, leaf, ok, err := d.journal.Last(ctx, signer.EventOverridden)
	if err != nil || !ok {
		return err
	}
	_, frozen, ok, err := d.journal.Last(ctx, signer.EventFrozen)
	if err != nil || ok && frozen > leaf {
		return err
	}
	_, err = d.journal.Note(ctx, signer.Event{Type: signer.EventFrozen, Detail: fmt.Sprintf("root put policy %x in force, which nobody approved (leaf %d)", ev.Policy, leaf)})
	return err
}

// differs names what is on disk otherwise than in force. It compares bytes, and reads
// nothing into them.
func (p *inForce) differs(path string) (out []string) {
	folder := filepath.Dir(path)
	same := func(path string, want []byte) {
		if found, err := trustfile.Read(path); err != nil {
			out = append(out, fmt.Sprintf("%s (%v)", path, err))
		} else if !bytes.Equal(found, want) {
			out = append(out, path)
		}
	}
	same(path, p.bundle.Source)
	for _, name := range slices.Sorted(maps.Keys(p.bundle.Files)) {
		same(filepath.Join(folder, name), p.bundle.Files[name])
	}
	return out
}

// unbound says which keys no rule of the policy can match: it was loaded when their names
// stood for other public keys, or for none.
func (p *inForce) unbound(keys []signer.ManagedKey) (out []string) {
	for _, k := range keys {
		switch bound, ok := p.bundle.Keys[k.Info.Name]; {
		case !ok:
			out = append(out, fmt.Sprintf("key %q is in the configuration, and the policy in force was made without it, so no rule matches it; %s", k.Info.Name, toApply))
		case bound.Fingerprint != k.Info.Fingerprint:
			out = append(out, fmt.Sprintf("key %q is %s, and the policy in force is about %s under that name, so no rule matches it; if it was replaced on purpose, %s", k.Info.Name, k.Info.Fingerprint, bound.Fingerprint, toApply))
		}
	}
	return out
}

// onDisk says how the policy on disk differs from the one in force; empty: it does not.
func (d *daemon) onDisk() string {
	other := d.policy.Load().differs(d.cfg.Policy)
	switch {
	case len(other) == 0:
		return ""
	case d.trusts:
		return fmt.Sprintf("on disk, other than in force, is %s; a reload or a start puts it in force", strings.Join(other, ", "))
	default:
		return fmt.Sprintf("on disk, other than in force, is %s; nothing of it counts until it is asked for: %s", strings.Join(other, ", "), toApply)
	}
}

// halted says why nothing is signed until a thaw; empty: it is not so.
func (d *daemon) halted() string {
	why := d.engine.Frozen()
	if why == "" {
		return ""
	}
	return why + "; nothing is signed until the act thaw is done"
}

// forced says that root put a policy in force; empty: never.
func (d *daemon) forced() string {
	ev, leaf, ok, err := d.journal.Last(context.Background(), signer.EventOverridden)
	if err != nil || !ok {
		return ""
	}
	return fmt.Sprintf("root put policy %.8x in force at leaf %d, which nobody approved; every decision and receipt since says so", ev.Policy, leaf)
}

// strangersWhoFreeze are the users who may freeze and have no account here.
func strangersWhoFreeze(users []string) (out []string) {
	for _, name := range users {
		if _, err := user.Lookup(name); err != nil {
			out = append(out, fmt.Sprintf("freeze_users lists %q, and there is no such account", name))
		}
	}
	return out
}
