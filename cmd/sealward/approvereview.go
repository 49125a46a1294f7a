package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// reviewed is a request that waits, as this program read it for itself. Its texts may be
// hostile: render them with package ipc/console.
type reviewed struct {
	told *v1.GetPendingResponse // what the daemon says
	// proposal has the approver's own intent, and digest is its own; both are zero unless
	// it is readable.
	proposal signer.Proposal
	digest   [32]byte
	readable bool
	// refusals are why it must not be approved; differences those facts that are other here
	// than at the daemon, and one of the refusals counts them.
	refusals    []string
	differences []approval.Difference
	// risks are what to think of before it is approved, the worst first.
	risks []string
	// changes are what another policy would decide otherwise, where it is about one.
	changes    []consequence
	comparable bool // changes could be found
}

// refusal is nil where the request may be approved.
func (r reviewed) refusal() error {
	switch {
	case len(r.differences) > 0:
		return problems{"not to be approved: " + strings.Join(r.refusals, "; ") + "; " + differencesText(r.differences)}
	case len(r.refusals) > 0:
		return problems{"not to be approved: " + strings.Join(r.refusals, "; ")}
	case !r.readable: // the zero one
		return problems{"not to be approved: it was not reviewed"}
	}
	return nil
}

func (r *reviewed) refuse(format string, args ...any) {
	r.refusals = append(r.refusals, fmt.Sprintf(format, args...))
}

// review fetches a request that waits, by the whole digest of its proposal, and all that
// it takes to judge it, and reads it. An error says that it could not be fetched.
func (a *approver) review(ctx context.Context, client *api.Client, proposal string) (reviewed, error) {
	d, err := fetchDossier(ctx, client, proposal)
	if err != nil {
		return reviewed{}, err
	}
	return a.examine(d), nil
}

// names are for showing it: the approver's own.
func (a *approver) names() console.Names {
	return console.Names{Assets: a.book.Assets, Accounts: a.book.Accounts, Contracts: a.book.Contracts, Canonical: canonical, Now: a.now()}
}

// examine reads a request for itself: the payload by the approver's own book, the digest
// from the parts, keys and daemon as approver.hcl has them. What the daemon says is only
// compared.
func (a *approver) examine(d dossier) reviewed {
	r := reviewed{told: d.told}
	theirs, err := api.ReadIntent(d.told.GetIntent())
	if err != nil {
		r.refuse("what the daemon says that it does cannot be read: %s", message(err))
		return r
	}
	told := approval.Told{Canonical: d.told.GetProposal(), Payload: d.told.GetPayload(), Claim: d.told.GetClaim(), Intent: theirs}
	digest, err := hex.DecodeString(d.told.GetPending().GetProposal())
	if err != nil || len(digest) != len(told.Digest) {
		r.refuse("the daemon calls it %.80q, which is no digest of a proposal", d.told.GetPending().GetProposal())
		return r
	}
	told.Digest = [32]byte(digest)
	r.proposal, r.differences, err = approval.Review(told, publicKeyInfo(d.told.GetKey()), func(q signer.Request, k signer.KeyInfo) (signer.Intent, error) {
		in, err := signer.Read(q, k, engineDecoders(), a.book)
		if err != nil {
			return in, err
		}
		return in, in.Identify(k, d.key)
	})
	if err != nil {
		r.refuse("%v", err)
		return r
	}
	r.digest, r.readable = r.proposal.Digest(), true
	r.differences = append(r.differences, summaries(d.told, r.proposal)...)
	if n := len(r.differences); n > 0 {
		r.refuse("%s here than the daemon says", facts(n))
	}
	a.recognise(&r)
	a.comparePolicies(&r, d)
	a.weigh(&r)
	return r
}

func facts(n int) string {
	if n == 1 {
		return "one fact is other"
	}
	return strconv.Itoa(n) + " facts are other"
}

// differencesText names the first few; all of them are shown apart.
func differencesText(ds []approval.Difference) string {
	const most = 3
	var parts []string
	for _, d := range ds[:min(most, len(ds))] {
		parts = append(parts, d.String())
	}
	if len(ds) > most {
		parts = append(parts, "...")
	}
	return strings.Join(parts, "; ")
}

// summaries compares the list's own words about a request with what the proposal commits
// to: whoever finds a request in a list is to find it again in the proposal.
func summaries(told *v1.GetPendingResponse, p signer.Proposal) (ds []approval.Difference) {
	list := told.GetPending()
	for _, f := range []struct{ what, mine, theirs string }{
		{"caller", p.Caller.ID(), list.GetCaller()}, {"caller's account", p.Caller.User, list.GetUser()}, {"request id", p.Request.ID, list.GetId()},
		{"key", p.Key.Name, list.GetKey()}, {"kind in the list", string(p.Request.Kind), list.GetKind()}, {"class", string(p.Intent.Class()), list.GetClass()},
		{"outflow in the list", outflowText(api.Document(p.Intent, nil, p.Created).GetOutflow()), outflowText(list.GetOutflow())},
		{"claim", told.GetClaim(), list.GetClaim()},
	} {
		if f.mine != f.theirs {
			ds = append(ds, approval.Difference{What: f.what, Mine: strconv.Quote(f.mine), Theirs: strconv.Quote(f.theirs)})
		}
	}
	return ds
}

func outflowText(qs []*v1.Quantity) string {
	var parts []string
	for _, q := range qs {
		parts = append(parts, strings.TrimSpace(strings.Join([]string{q.GetKind(), q.GetAmount(), q.GetAsset()}, " ")))
	}
	return strings.Join(parts, ", ")
}

// recognise holds the daemon and the keys to what approver.hcl says of them.
func (a *approver) recognise(r *reviewed) {
	if a.path == "" {
		r.refuse("there is no approver.hcl here, so nothing but the daemon says which daemon this is and which keys are yours")
		return
	}
	p := r.proposal
	if p.Instance != a.Instance {
		r.refuse("it is of the daemon with instance %q, and %s is about instance %q", p.Instance, a.path, a.Instance)
	}
	named := map[string]string{}
	if p.Request.Kind == signer.KindAdmin { // what it is about
		about := p.Intent.Effects[0].Attributes
		named[about[signer.AttributeKey]] = about[signer.AttributeFingerprint]
		named[about[signer.AttributeSuccessor]] = about[signer.AttributeSuccessorFingerprint]
		delete(named, "")
	} else {
		named[p.Key.Name] = p.Key.Fingerprint
	}
	for _, name := range sorted(named) {
		switch want, ok := a.Keys[name]; {
		case !ok:
			r.refuse("key %q is not in %s; make sure by another way than this one that its fingerprint is %s, then write key %q { fingerprint = %q } there", name, a.path, named[name], name, named[name])
		case want != named[name]:
			r.refuse("the daemon's key %q is %s, and in %s it is %s", name, named[name], a.path, want)
		}
	}
}

// comparePolicies finds what a change of policy would change, between two bundles that are
// held to their versions here.
func (a *approver) comparePolicies(r *reviewed, d dossier) {
	in := r.proposal.Intent
	if in.Class() != signer.ClassPolicyChange {
		return
	}
	attributes := in.Effects[0].Attributes
	from, to := attributes[signer.AttributePolicyFrom], attributes[signer.AttributePolicyTo]
	if decided := hex.EncodeToString(r.proposal.Policy[:]); from != decided {
		r.refuse("it is to replace policy %s, and policy %s decides about it", from, decided)
	}
	old, _ := loadTold(r, d, from)
	next, bundle := loadTold(r, d, to)
	if old == nil || next == nil {
		return
	}
	r.changes, r.comparable = consequences(old, next), true
	for _, name := range sorted(a.Keys) {
		if k, ok := bundle.Keys[name]; ok && k.Fingerprint != a.Keys[name] {
			r.refuse("the policy that is to be calls %s key %q, and in %s that is %s", k.Fingerprint, name, a.path, a.Keys[name])
		}
	}
	if err := next.Changeable(); err != nil {
		r.risks = append(r.risks, err.Error())
	}
}

// loadTold loads a policy out of the daemon's bundle, if it is of its version.
func loadTold(r *reviewed, d dossier, version string) (*policy.Policy, policy.Bundle) {
	res := d.policy(version)
	if res == nil {
		r.refuse("the daemon did not say what policy %s is", version)
		return nil, policy.Bundle{}
	}
	b, err := policy.ReadBundle(res.GetBundle())
	if err != nil {
		r.refuse("what the daemon returned as policy %s cannot be read: %v", version, err)
		return nil, b
	}
	p, err := b.Load()
	if err != nil {
		r.refuse("policy %s cannot be loaded here, so what would change cannot be shown: %v", version, err)
		return nil, b
	}
	if found := fmt.Sprintf("%x", p.Version()); found != version {
		r.refuse("what the daemon returned as policy %s is policy %s", version, found)
		return nil, b
	}
	return p, b
}
