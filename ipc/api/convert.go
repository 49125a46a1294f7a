package api

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// request turns a message into a request. Whether its parts are sound is the
// engine's to say; here only the message's own ambiguities are refused.
func request(m *v1.Request) (signer.Request, error) {
	if m == nil {
		return signer.Request{}, signer.Invalid("the message has no request")
	}
	payload := m.GetPayload()
	switch {
	case len(payload) > 0 && m.GetPayloadText() != "":
		return signer.Request{}, signer.Invalid("give payload or payload_text, not both")
	case m.GetPayloadText() != "":
		payload = []byte(m.GetPayloadText())
	}
	r := signer.Request{ID: m.GetId(), Key: m.GetKey(), Kind: signer.Kind(m.GetKind()), Payload: payload, Claim: m.GetClaim()}
	for _, t := range []struct {
		name string
		from *timestamppb.Timestamp
		to   *time.Time
	}{{"not_before", m.GetNotBefore(), &r.NotBefore}, {"expires", m.GetExpires(), &r.Expires}} {
		if t.from == nil {
			continue
		}
		if err := t.from.CheckValid(); err != nil || t.from.AsTime().IsZero() {
			return signer.Request{}, signer.Invalid("%s is not a time", t.name)
		}
		*t.to = t.from.AsTime()
	}
	return r, nil
}

func waitOf(wait *durationpb.Duration) (time.Duration, error) {
	if wait == nil {
		return defaultWait, nil
	}
	d := wait.AsDuration()
	if err := wait.CheckValid(); err != nil || d <= 0 || d > maxWait {
		return 0, signer.Invalid("wait is a duration above 0 and up to %s", maxWait)
	}
	return d, nil
}

func toIntent(in signer.Intent) *v1.Intent {
	out := &v1.Intent{
		Version: intentVersion, Kind: string(in.Kind), Class: string(in.Class()), Complete: in.Complete, Fees: toQuantity(in.Fee),
	}
	for _, e := range in.Effects {
		out.Effects = append(out.Effects, &v1.Effect{
			Class: string(e.Class), Actor: e.Actor, Counterparty: e.Counterparty, Quantity: toQuantity(e.Quantity),
			Until: toTime(e.Until), Attributes: e.Attributes,
		})
	}
	for _, q := range in.Outflow {
		out.Outflow = append(out.Outflow, toQuantity(q))
	}
	for _, f := range in.Fields {
		out.Fields = append(out.Fields, &v1.Field{Name: f.Name, Value: f.Value})
	}
	for _, w := range in.Warnings {
		out.Warnings = append(out.Warnings, &v1.Warning{Code: w.Code, Severity: string(w.Severity), Text: w.Text})
	}
	for _, d := range in.Digests {
		out.Digests = append(out.Digests, &v1.Field{Name: d.Name, Value: hex.EncodeToString(d.Value[:])})
	}
	for _, m := range in.Messages {
		out.Messages = append(out.Messages, &v1.Message{Scheme: string(m.Scheme), Bytes: m.Bytes})
	}
	return out
}

func toQuantity(q signer.Quantity) *v1.Quantity {
	return &v1.Quantity{Kind: q.Kind.String(), Asset: q.Asset, Amount: toInt(q.N)}
}

func toDecision(d signer.Decision) *v1.Decision {
	out := &v1.Decision{Verdict: d.Verdict.String(), Rules: d.Rules, Reason: d.Reason}
	for _, l := range d.Limits {
		out.Limits = append(out.Limits, &v1.LimitUse{
			Rule: l.Rule, Limit: l.Limit, Asset: l.Asset, Window: toDuration(l.Window),
			Max: toInt(l.Max), Spent: toInt(l.Spent), Amount: toInt(l.Amount), Frees: toTime(l.Frees),
			Per: string(l.Per), Subject: l.Subject,
		})
	}
	for _, q := range d.Quorums {
		out.Quorums = append(out.Quorums, toQuorum(q))
	}
	out.Delay, out.Expires = toDuration(d.Delay), toDuration(d.Expires)
	return out
}

func (d *door) record(scope string, rec signer.Recorded, res *signer.Result) *v1.GetRequestResponse {
	p := rec.Proposal
	digest := p.Digest()
	out := &v1.GetRequestResponse{
		Id: p.Request.ID, Caller: scope, Kind: string(p.Request.Kind), Key: p.Request.Key, Claim: p.Request.Claim,
		Intent: toIntent(p.Intent), Decision: toDecision(rec.Decision), Leaf: rec.Leaf, Time: toTime(rec.Time),
		ProposalDigest: hex.EncodeToString(digest[:]), State: stateOf(rec), Heard: toHeard(rec.Heard),
	}
	if rec.Waits || rec.Waited != 0 {
		out.Quorums = toQuorums(d.tally(rec))
	}
	switch {
	case rec.Waits:
		out.Deadline = toTime(rec.Deadline())
		if rec.Decision.Delay > 0 {
			out.Due = toTime(rec.Due())
		}
	case rec.Outcome == nil:
	case res == nil:
		out.Detail, out.OutcomeLeaf = rec.Outcome.Detail, rec.Outcome.Leaf
	default:
		out.Signatures, out.Artifact, out.OutcomeLeaf = res.Signatures, res.Artifact, res.OutcomeLeaf
	}
	return out
}

// stateOf is where a request is, by its record.
func stateOf(rec signer.Recorded) string {
	switch {
	case rec.Waits:
		return "waiting"
	case rec.Decision.Verdict != signer.Allow:
		return "denied"
	case rec.Outcome == nil:
		return "outcome_unknown"
	case !rec.Done():
		return "failed"
	case rec.Proposal.Request.Kind == signer.KindAdmin:
		return "acted"
	default:
		return "signed"
	}
}

func (d *door) key(k signer.KeyInfo) *v1.Key {
	out := &v1.Key{
		Name: k.Name, Algorithm: string(k.Public.Algorithm), Public: k.Public.Bytes, Fingerprint: k.Fingerprint,
		Protection: string(k.Protection), Origin: string(k.Origin), Chains: k.Chains, EthereumAddress: d.c.Address(k),
	}
	if k.Public.Algorithm == signer.AlgorithmRSA {
		out.Padding = string(k.Padding)
	}
	for _, kind := range k.Kinds {
		out.Kinds = append(out.Kinds, string(kind))
	}
	d.c.Devices.Describe(out)
	if !d.admin {
		out.Token = ""
	}
	return out
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func toInt(n *big.Int) string {
	if n == nil {
		return ""
	}
	return n.String()
}

func noKey(name string) error {
	return &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("there is no key %.100q that policy gives to you", name)}
}
