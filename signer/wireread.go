package signer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// ParseEvent reads what [Event.Canonical] wrote, and refuses anything else: an
// unknown field, another version, an encoding that is not canonical.
func ParseEvent(data []byte) (Event, error) {
	var w eventWire
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Event{}, fmt.Errorf("event: %w", err)
	}
	if w.Version < 1 || w.Version > eventVersion {
		return Event{}, fmt.Errorf("event: version %d; this program reads versions 1 to %d", w.Version, eventVersion)
	}
	var r reader
	e := Event{
		Type: w.Type, Time: r.time(w.Time), Wall: r.time(w.Wall),
		Code: w.Code, Detail: w.Detail, Dropped: w.Dropped,
		Override: w.Override, TrustsFile: w.Trusts, Waited: w.Waited,
	}
	if h := w.Heard; h != nil {
		a, err := ParseApproval([]byte(h.Approval))
		if err != nil {
			return Event{}, fmt.Errorf("event: %w", err)
		}
		e.Heard = &Heard{Approval: a, Approver: h.Approver, Device: h.Device, Signed: []byte(h.Signed)}
	}
	if w.Policy != "" {
		e.Policy = r.hash(w.Policy)
	}
	if w.Bundle != "" {
		e.Bundle = r.hash(w.Bundle)
	}
	if w.Caller != nil {
		c := w.Caller.caller()
		e.Caller = &c
	}
	if w.Proposal != nil {
		if w.Intent == nil || w.Key == nil {
			return Event{}, fmt.Errorf("event: a proposal without its intent or key")
		}
		e.Proposal = r.event(&w)
	}
	if w.Facts != nil {
		e.Facts = &Facts{Time: r.time(w.Facts.Time), Wall: r.time(w.Facts.Wall), Recipients: w.Facts.Recipients, NewRecipients: w.Facts.NewRecipients, Pending: w.Facts.Pending}
		for _, s := range w.Facts.Spent {
			e.Facts.Spent = append(e.Facts.Spent, Spent{s.Asset, r.duration(s.Window), r.int(s.Amount), r.time(s.Frees), s.Per, s.Subject})
		}
	}
	if w.Decision != nil {
		e.Decision = r.decision(*w.Decision)
		e.Decision.Dropped, e.Dropped = w.Dropped, 0
	}
	if o := w.Outcome; o != nil {
		e.Outcome = &Outcome{Authorization: o.Authorization, Code: o.Code, Detail: o.Detail, Signatures: r.hexes(o.Signatures)}
		if o.Result != "" {
			e.Outcome.Result = []byte(o.Result)
		}
	}
	if r.err != nil {
		return Event{}, fmt.Errorf("event: %w", r.err)
	}
	if !bytes.Equal(e.Canonical(), data) {
		return Event{}, fmt.Errorf("event: not in canonical form")
	}
	return e, nil
}

// reader turns wire forms back and keeps the first error.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) time(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		r.fail("time %q: want RFC 3339", s)
	}
	return t.UTC()
}

func (r *reader) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		r.fail("duration %q", s)
	}
	return d
}

func (r *reader) int(s string) *big.Int {
	if s == "" {
		return nil
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		r.fail("integer %q: want decimal", s)
	}
	return n
}

func (r *reader) hex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		r.fail("bytes %q: want hexadecimal", clip(s))
	}
	return b
}

func (r *reader) hexes(ss []string) [][]byte {
	var out [][]byte
	for _, s := range ss {
		out = append(out, r.hex(s))
	}
	return out
}

func (r *reader) hash(s string) [32]byte {
	b := r.hex(s)
	if len(b) != 32 {
		r.fail("hash %q: want 32 bytes", clip(s))
		return [32]byte{}
	}
	return [32]byte(b)
}

func (r *reader) quantity(w quantityWire) Quantity {
	for k, name := range quantityNames {
		if name == w.Kind {
			return Quantity{QuantityKind(k), w.Asset, r.int(w.Amount)}
		}
	}
	r.fail("quantity of unknown kind %q", w.Kind)
	return Quantity{Kind: QuantityUnknown}
}

func (r *reader) messages(ws []messageWire) []Message {
	var out []Message
	for _, w := range ws {
		out = append(out, Message{w.Scheme, r.hex(w.Bytes)})
	}
	return out
}

func (r *reader) intent(w intentWire) Intent {
	in := Intent{Complete: w.Complete, Kind: w.Kind, Fee: r.quantity(w.Fee), Messages: r.messages(w.Messages)}
	for _, e := range w.Effects {
		in.Effects = append(in.Effects, Effect{e.Class, e.Actor, e.Counterparty, r.quantity(e.Quantity), r.time(e.Until), e.Attributes})
	}
	for _, q := range w.Outflow {
		in.Outflow = append(in.Outflow, r.quantity(q))
	}
	for _, f := range w.Fields {
		in.Fields = append(in.Fields, Field(f))
	}
	for _, d := range w.Digests {
		in.Digests = append(in.Digests, Digest{d.Name, r.hash(d.Value)})
	}
	for _, x := range w.Warnings {
		in.Warnings = append(in.Warnings, Warning(x))
	}
	return in
}

func (r *reader) event(w *eventWire) *Proposal {
	pub := PublicKey{w.Key.Algorithm, r.hex(w.Key.Public)}
	key := KeyInfo{w.Key.Name, pub, pub.Fingerprint(), w.Key.Protection, w.Key.Origin, w.Key.Padding, w.Key.Kinds, w.Key.Chains}
	p := r.proposal(*w.Proposal, key, r.hex(w.Payload), w.Claim)
	p.Intent = r.intent(*w.Intent)
	return &p
}

func (r *reader) proposal(w proposalWire, key KeyInfo, payload []byte, claim string) Proposal {
	return Proposal{
		Instance: w.Instance, Caller: w.Caller.caller(), Policy: r.hash(w.Policy), Decoder: w.Decoder, Key: key,
		Request: Request{
			ID: w.RequestID, Key: key.Name, Kind: w.Kind, Payload: payload,
			NotBefore: r.time(w.NotBefore), Expires: r.time(w.Expires), Claim: claim,
		},
		Created: r.time(w.Created), Nonce: r.hash(w.Nonce),
	}
}

func (r *reader) decision(w decisionWire) *Decision {
	d := &Decision{Reason: w.Reason, Rules: w.Rules, Approvals: w.Approvals}
	switch w.Verdict {
	case "allow":
		d.Verdict = Allow
	case "ask":
		d.Verdict = Ask
	case "deny":
	default:
		r.fail("unknown verdict %q", w.Verdict)
	}
	for _, l := range w.Limits {
		d.Limits = append(d.Limits, LimitUse{
			Rule: l.Rule, Limit: l.Limit, Asset: l.Asset, Window: r.duration(l.Window),
			Max: r.int(l.Max), Spent: r.int(l.Spent), Amount: r.int(l.Amount), Frees: r.time(l.Frees), Per: l.Per, Subject: l.Subject,
		})
	}
	for _, q := range w.Quorums {
		d.Quorums = append(d.Quorums, Quorum{q.Rule, q.Limit, q.Group, q.Approvals, q.ExcludeCaller, q.Including, q.Devices})
	}
	if w.Delay != "" {
		d.Delay = r.duration(w.Delay)
	}
	if w.Expires != "" {
		d.Expires = r.duration(w.Expires)
	}
	return d
}
