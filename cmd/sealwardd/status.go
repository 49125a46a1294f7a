package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/cmd/version"
	"github.com/sealward/sealward/ipc"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/scheme"
)

// notices are what an operator should know of a configuration that works.
func (d *daemon) notices() (out []string) {
	if d.cfg.Private {
		out = append(out, "this is a private set-up: the daemon's own account may be a caller, so nothing separates the daemon from its callers")
	}
	if err := ipc.UnitsProvable(); err != nil {
		out = append(out, fmt.Sprintf("callers cannot be told apart by their unit here, so selectors \"unit:\" never match: %v", err))
	}
	if n := unconfined(backends.LandlockABI()); n != "" {
		out = append(out, n)
	}
	out = append(out, "only checkpoints kept elsewhere can reveal that the journal was put back to an earlier state, or rewritten after the latest of them")
	if d.policy.Load() != nil { // a check does not open the journal that knows it
		out = append(out, d.policyNotices()...)
	}
	out = append(out, strangersWhoFreeze(d.cfg.FreezeUsers)...)
	out = append(out, d.remarks...)
	if d.begun {
		out = append(out, "this start began a new journal: limits count from nothing, so make sure that no earlier one was meant")
	}
	if d.journal != nil {
		if behind, held := d.journal.TimeHeld(); held {
			out = append(out, fmt.Sprintf("journal time is %s behind the wall clock, and limits count in journal time; if the wall clock is right, restart once with --accept-time", behind.Round(time.Second)))
		}
	}
	if d.engine != nil {
		out = append(out, d.halted(), d.forced())
	}
	return slices.DeleteFunc(out, func(n string) bool { return n == "" })
}

// unconfined says what a kernel's version of Landlock, 0 where it has none, does not
// keep from workers.
func unconfined(abi int) string {
	if abi > 0 {
		return ""
	}
	return "this kernel has no Landlock, or it is switched off: the process that drives a device can read and write every file that the daemon's account can, the PINs of other tokens and the journal among them; a kernel with \"landlock\" in /sys/kernel/security/lsm confines it"
}

// strangers are names in the policy that no account has: a rule for a misspelt one
// never matches. That is no reason to refuse the policy, as the accounts of services
// may come and go with them.
func strangers(p *policy.Policy) (out []string) {
	users, groups := p.Callers()
	for _, name := range users {
		if _, err := user.Lookup(name); err != nil {
			out = append(out, fmt.Sprintf("policy picks callers by user %q, and there is no such account", name))
		}
	}
	for _, name := range groups {
		if _, err := user.LookupGroup(name); err != nil {
			out = append(out, fmt.Sprintf("policy picks callers by group %q, and there is no such group", name))
		}
	}
	return out
}

func (d *daemon) status(ctx context.Context, operator bool) *v1.GetStatusResponse {
	d.mu.Lock()
	loaded, policyError := d.policyLoaded, d.policyError
	d.mu.Unlock()
	v := d.policyNow().Version()
	s := &v1.GetStatusResponse{
		Version: version.Full(), Instance: d.journal.Instance(), Started: timestamppb.New(d.started),
		Policy: fmt.Sprintf("%x", v), PolicyLoaded: timestamppb.New(loaded), PolicyError: policyError,
		Private: d.cfg.Private, JournalSize: d.journal.Size(), Frozen: d.engine.Frozen(), TrustsPolicyFile: d.trusts,
	}
	if _, leaf, ok, err := d.journal.Last(ctx, signer.EventOverridden); err == nil && ok {
		s.Overridden = leaf
	}
	if operator {
		s.Notices = d.notices()
		if s.PolicyFile = d.onDisk(); s.PolicyFile != "" {
			s.Notices = append(s.Notices, s.PolicyFile)
		}
		if all, err := d.engine.AllWaiting(ctx); err == nil {
			s.Pending = uint64(len(all))
		}
	}
	if c, ok := d.journal.Latest(); ok {
		s.CheckpointSize = c.Size
	}
	if f, err := d.journal.Facts(ctx, signer.Proposal{}, signer.Needs{}); err == nil {
		s.JournalTime = timestamppb.New(f.Time)
	}
	if behind, held := d.journal.TimeHeld(); held {
		s.JournalTimeHeld = durationpb.New(behind)
	}
	if err := ipc.UnitsProvable(); err != nil {
		s.UnitsUnprovable = err.Error()
	}
	if err := d.journal.Stopped(); err != nil {
		s.JournalError = err.Error()
	}
	for _, k := range d.cfg.Keys {
		h := d.tokens[k.Token].Health()
		s.Keys = append(s.Keys, &v1.KeyHealth{Key: k.Name, Device: k.Token, Available: h.Up, Reason: h.Reason})
	}
	for _, t := range d.cfg.Tokens {
		s.Tokens = append(s.Tokens, devices{d}.health(t))
	}
	return s
}

// limits are those of the policy in force that bear on a key and a caller; nil: any.
func (d *daemon) limits(k signer.KeyInfo, c *signer.Caller) (out []api.Limit) {
	for _, l := range d.policyNow().Limits(k.Name, c) {
		out = append(out, api.Limit{Rule: l.Rule, Name: l.Name, Asset: l.Asset, Window: l.Window, Per: l.Per, Max: l.Max})
	}
	return out
}

// verifyPrefix begins the name of the folder that a copy of the journal is in.
const verifyPrefix = "verify-"

// madeCopy matches the folders that os.MkdirTemp makes with it, and not a journal or
// a backup that somebody named so.
var madeCopy = regexp.MustCompile("^" + verifyPrefix + "[0-9]+$")

// removeCopies removes what a daemon that was killed while it verified left behind.
func (d *daemon) removeCopies() error {
	folder := filepath.Dir(d.cfg.Journal.Path)
	left, err := os.ReadDir(folder)
	for _, f := range left {
		if f.IsDir() && madeCopy.MatchString(f.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder, f.Name())))
		}
	}
	return err
}

// roomToCopy refuses a copy that could fill the journal's disk, as a full one stops
// the journal.
func (d *daemon) roomToCopy() error {
	var disk unix.Statfs_t
	info, err := os.Stat(d.cfg.Journal.Path)
	if err = errors.Join(err, unix.Statfs(filepath.Dir(d.cfg.Journal.Path), &disk)); err != nil {
		return err
	}
	if need, free := 2*uint64(info.Size())+(64<<20), disk.Bavail*uint64(disk.Bsize); free < need {
		return &signer.Error{Code: signer.CodeUnavailable, Detail: fmt.Sprintf("verifying needs %d MiB of room beside the journal, %d are free; make room, or stop the daemon and verify the file", need>>20, free>>20)}
	}
	return nil
}

// verifyJournal checks a copy of the journal, as the journal itself is in use. One
// at a time: it takes as much disk as the journal and a core for a while.
func (d *daemon) verifyJournal(ctx context.Context) (_ *v1.VerifyResponse, err error) {
	if !d.verifying.TryLock() {
		return nil, &signer.Error{Code: signer.CodeOverloaded, Detail: "the journal is being verified for somebody else; ask again later"}
	}
	defer d.verifying.Unlock()
	if err := d.roomToCopy(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(d.cfg.Journal.Path), verifyPrefix)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "copy.db")
	if err := d.journal.Copy(ctx, path); err != nil {
		return nil, &signer.Error{Code: signer.CodeUnavailable, Detail: "the journal cannot be copied to be verified; is there room on its disk?", Err: err}
	}
	r, err := journal.Verify(ctx, journal.VerifyConfig{Path: path, Trusted: d.verifier, Signature: scheme.Verify})
	if err != nil {
		return nil, err
	}
	out := &v1.VerifyResponse{
		Records: r.Leaves, Authorized: r.Authorized, Denied: r.Denied, Malformed: r.Malformed, Signed: r.Signed, Acted: r.Acted, Failed: r.Failed, Asked: r.Asked, Waiting: r.Waiting, Approvals: r.Approvals,
		OutcomeUnknown: r.Unknown, Checkpoints: r.Checkpoints,
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, p.String())
	}
	if r.More {
		out.Problems = append(out.Problems, "and more")
	}
	return out, nil
}
