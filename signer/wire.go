package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"slices"
	"time"
)

// The JSON forms of what is recorded and approved. Within each struct the fields
// stand in the order of their JSON names, so that encoding/json writes canonical
// JSON (RFC 8785, 3.2.3) without a second pass; TestWireIsCanonical holds them to
// it. Integers that may exceed 2^53 are decimal strings, bytes are lower-case
// hexadecimal, times are RFC 3339 in UTC with nanoseconds.

type callerWire struct {
	GID    uint32   `json:"gid"`
	Groups []string `json:"groups,omitempty"`
	PID    int32    `json:"pid"`
	Socket string   `json:"socket"`
	UID    uint32   `json:"uid"`
	Unit   string   `json:"unit,omitempty"`
	User   string   `json:"user,omitempty"`
}

type messageWire struct {
	Bytes  string `json:"bytes"`
	Scheme Scheme `json:"scheme"`
}

type proposalWire struct {
	Caller    callerWire    `json:"caller"`
	Created   string        `json:"created"`
	Decoder   string        `json:"decoder"`
	Expires   string        `json:"expires,omitempty"`
	Instance  string        `json:"instance"`
	Key       string        `json:"key"`
	Kind      Kind          `json:"kind"`
	Messages  []messageWire `json:"messages"`
	Nonce     string        `json:"nonce"`
	NotBefore string        `json:"not_before,omitempty"`
	Payload   string        `json:"payload_sha256"`
	Policy    string        `json:"policy"`
	RequestID string        `json:"request_id"`
	Version   int           `json:"version"`
}

type quantityWire struct {
	Amount string `json:"amount,omitempty"`
	Asset  string `json:"asset,omitempty"`
	Kind   string `json:"kind"`
}

type effectWire struct {
	Actor        string            `json:"actor,omitempty"`
	Attributes   map[string]string `json:"attributes,omitempty"`
	Class        Class             `json:"class"`
	Counterparty string            `json:"counterparty,omitempty"`
	Quantity     quantityWire      `json:"quantity"`
	Until        string            `json:"until,omitempty"`
}

type fieldWire struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type warningWire struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
}

type intentWire struct {
	Complete bool           `json:"complete"`
	Digests  []fieldWire    `json:"digests,omitempty"`
	Effects  []effectWire   `json:"effects"`
	Fee      quantityWire   `json:"fee"`
	Fields   []fieldWire    `json:"fields,omitempty"`
	Kind     Kind           `json:"kind"`
	Messages []messageWire  `json:"messages"`
	Outflow  []quantityWire `json:"outflow,omitempty"`
	Warnings []warningWire  `json:"warnings,omitempty"`
}

type spentWire struct {
	Amount  string `json:"amount"`
	Asset   string `json:"asset"`
	Frees   string `json:"frees,omitempty"`
	Per     Per    `json:"per,omitempty"`
	Subject string `json:"subject,omitempty"`
	Window  string `json:"window"`
}

type factsWire struct {
	NewRecipients []string    `json:"new_recipients,omitempty"`
	Pending       int         `json:"pending,omitempty"`
	Recipients    bool        `json:"recipients,omitempty"`
	Spent         []spentWire `json:"spent,omitempty"`
	Time          string      `json:"time"`
	Wall          string      `json:"wall"`
}

type limitWire struct {
	Amount  string `json:"amount"`
	Asset   string `json:"asset"`
	Frees   string `json:"frees,omitempty"`
	Limit   string `json:"limit"`
	Max     string `json:"max"`
	Per     Per    `json:"per,omitempty"`
	Rule    string `json:"rule"`
	Spent   string `json:"spent"`
	Subject string `json:"subject,omitempty"`
	Window  string `json:"window"`
}

type quorumWire struct {
	Approvals     int    `json:"approvals"`
	Devices       int    `json:"devices,omitempty"`
	ExcludeCaller bool   `json:"exclude_caller,omitempty"`
	Group         string `json:"group"`
	Including     string `json:"including,omitempty"`
	Limit         string `json:"limit,omitempty"`
	Rule          string `json:"rule"`
}

type decisionWire struct {
	Approvals []uint64     `json:"approvals,omitempty"`
	Delay     string       `json:"delay,omitempty"`
	Expires   string       `json:"expires,omitempty"`
	Limits    []limitWire  `json:"limits,omitempty"`
	Quorums   []quorumWire `json:"quorums,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	Rules     []string     `json:"rules,omitempty"`
	Verdict   string       `json:"verdict"`
}

type keyWire struct {
	Algorithm  Algorithm  `json:"algorithm"`
	Chains     []string   `json:"chains,omitempty"`
	Kinds      []Kind     `json:"kinds"`
	Name       string     `json:"name"`
	Origin     Origin     `json:"origin,omitempty"`
	Padding    Padding    `json:"padding,omitempty"`
	Protection Protection `json:"protection"`
	Public     string     `json:"public"`
}

type outcomeWire struct {
	Authorization uint64   `json:"authorization"`
	Code          Code     `json:"code,omitempty"`
	Detail        string   `json:"detail,omitempty"`
	Result        string   `json:"result,omitempty"`
	Signatures    []string `json:"signatures,omitempty"`
}

// heardWire has the approval as the text that was signed.
type heardWire struct {
	Approval string `json:"approval"`
	Approver string `json:"approver"`
	Device   string `json:"device,omitempty"`
	Signed   string `json:"signed"`
}

type eventWire struct {
	Bundle   string        `json:"bundle_sha256,omitempty"`
	Caller   *callerWire   `json:"caller,omitempty"`
	Claim    string        `json:"claim,omitempty"`
	Code     Code          `json:"code,omitempty"`
	Decision *decisionWire `json:"decision,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	Dropped  uint64        `json:"dropped,omitempty"`
	Facts    *factsWire    `json:"facts,omitempty"`
	Heard    *heardWire    `json:"heard,omitempty"`
	Intent   *intentWire   `json:"intent,omitempty"`
	Key      *keyWire      `json:"key,omitempty"`
	Outcome  *outcomeWire  `json:"outcome,omitempty"`
	Override uint64        `json:"override,omitempty"`
	Payload  string        `json:"payload,omitempty"`
	Policy   string        `json:"policy,omitempty"`
	Proposal *proposalWire `json:"proposal,omitempty"`
	Request  string        `json:"request_digest,omitempty"`
	Time     string        `json:"time"`
	Trusts   string        `json:"trusts_file,omitempty"`
	Type     EventType     `json:"type"`
	Version  int           `json:"version"`
	Waited   uint64        `json:"waited,omitempty"`
	Wall     string        `json:"wall"`
}

// The versions of an event, and that of a proposal. A field that came later makes an
// event one of a later version, so that what was written before it stays what it was, and a
// reader that does not know the field says which version it knows.
const (
	wireVersion  = 1
	eventVersion = 4
)

// version is the first that has every field of an event.
func (w *eventWire) version() int {
	switch {
	case w.Heard != nil, w.Waited != 0, w.Override != 0, w.Trusts != "", w.Type == EventWaiting, w.Type == EventFrozen, w.Type == EventOverridden, w.Decision.latest():
		return 4
	case w.Bundle != "", w.Facts.later(), w.Decision.later():
		return 3
	case w.Key != nil && (w.Key.Origin != "" || w.Key.Padding != ""),
		w.Outcome != nil && w.Outcome.Result != "":
		return 2
	default:
		return 1
	}
}

// later reports whether facts have what only version 3 has.
func (w *factsWire) later() bool {
	return w != nil && (w.Recipients || len(w.NewRecipients) > 0 || w.Pending != 0 || slices.ContainsFunc(w.Spent, func(s spentWire) bool { return s.Per != PerKey }))
}

// later reports whether a decision has what only version 3 has.
func (w *decisionWire) later() bool {
	return w != nil && (w.Delay != "" || w.Expires != "" || len(w.Quorums) > 0 ||
		slices.ContainsFunc(w.Limits, func(l limitWire) bool { return l.Per != PerKey }))
}

// latest reports whether a decision has what only version 4 has.
func (w *decisionWire) latest() bool {
	return w != nil && (len(w.Approvals) > 0 || slices.ContainsFunc(w.Quorums, func(q quorumWire) bool { return q.Devices != 0 || q.Including != "" }))
}

// Canonical returns what a proposal commits to, as canonical JSON.
func (p Proposal) Canonical() []byte { return canonical(toProposalWire(&p)) }

// Canonical returns an event as canonical JSON; [ParseEvent] is its inverse.
func (e Event) Canonical() []byte {
	w := eventWire{
		Code: e.Code, Detail: e.Detail, Dropped: e.Dropped,
		Time: formatTime(e.Time), Type: e.Type, Wall: formatTime(e.Wall),
		Override: e.Override, Trusts: e.TrustsFile, Waited: e.Waited,
	}
	if h := e.Heard; h != nil {
		w.Heard = &heardWire{string(h.Approval.Canonical()), h.Approver, h.Device, string(h.Signed)}
	}
	if e.Caller != nil {
		c := toCallerWire(*e.Caller)
		w.Caller = &c
	}
	if e.Policy != ([32]byte{}) {
		w.Policy = hex.EncodeToString(e.Policy[:])
	}
	if e.Bundle != ([32]byte{}) {
		w.Bundle = hex.EncodeToString(e.Bundle[:])
	}
	if p := e.Proposal; p != nil {
		d := p.Request.Digest()
		pw, iw := toProposalWire(p), toIntentWire(p.Intent)
		w.Proposal, w.Intent = &pw, &iw
		w.Key = &keyWire{p.Key.Public.Algorithm, p.Key.Chains, p.Key.Kinds, p.Key.Name, p.Key.Origin, p.Key.Padding, p.Key.Protection, hex.EncodeToString(p.Key.Public.Bytes)}
		w.Claim, w.Payload, w.Request = p.Request.Claim, hex.EncodeToString(p.Request.Payload), hex.EncodeToString(d[:])
	}
	if f := e.Facts; f != nil {
		w.Facts = &factsWire{NewRecipients: f.NewRecipients, Pending: f.Pending, Recipients: f.Recipients, Time: formatTime(f.Time), Wall: formatTime(f.Wall)}
		for _, s := range f.Spent {
			w.Facts.Spent = append(w.Facts.Spent, spentWire{formatInt(s.Amount), s.Asset, formatTime(s.Frees), s.Per, s.Subject, s.Window.String()})
		}
	}
	if d := e.Decision; d != nil {
		w.Decision = &decisionWire{Approvals: d.Approvals, Delay: formatDuration(d.Delay), Expires: formatDuration(d.Expires), Reason: d.Reason, Rules: d.Rules, Verdict: d.Verdict.String()}
		if w.Dropped == 0 {
			w.Dropped = d.Dropped
		}
		for _, l := range d.Limits {
			w.Decision.Limits = append(w.Decision.Limits, limitWire{
				formatInt(l.Amount), l.Asset, formatTime(l.Frees), l.Limit, formatInt(l.Max), l.Per, l.Rule, formatInt(l.Spent), l.Subject, l.Window.String(),
			})
		}
		for _, q := range d.Quorums {
			w.Decision.Quorums = append(w.Decision.Quorums, quorumWire{q.Approvals, q.Devices, q.ExcludeCaller, q.Group, q.Including, q.Limit, q.Rule})
		}
	}
	if o := e.Outcome; o != nil {
		w.Outcome = &outcomeWire{Authorization: o.Authorization, Code: o.Code, Detail: o.Detail, Result: string(o.Result), Signatures: hexAll(o.Signatures)}
	}
	w.Version = w.version()
	return canonical(w)
}

// canonical encodes v, whose fields are in canonical order. What encoding/json
// escapes beyond RFC 8785, 3.2.2.2 is put back.
func canonical(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("signer: encode wire form: " + err.Error()) // every field is a string, number or bool
	}
	out := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !bytes.Contains(out, []byte(`\u202`)) && !bytes.Contains(out, []byte(`\ufffd`)) {
		return out
	}
	// U+2028 and U+2029 are the two that encoding/json escapes and the RFC does
	// not; what is not UTF-8 it replaces by an escaped U+FFFD. An escaped backslash
	// before the u is text, not an escape.
	var fixed []byte
	for i := 0; i < len(out); i++ {
		if out[i] != '\\' {
			fixed = append(fixed, out[i])
			continue
		}
		switch {
		case bytes.HasPrefix(out[i:], []byte(`\u2028`)):
			fixed = append(fixed, "\u2028"...)
			i += 5
		case bytes.HasPrefix(out[i:], []byte(`\u2029`)):
			fixed = append(fixed, "\u2029"...)
			i += 5
		case bytes.HasPrefix(out[i:], []byte(`\ufffd`)):
			fixed = append(fixed, "\uFFFD"...)
			i += 5
		default:
			fixed = append(fixed, out[i], out[i+1])
			i++
		}
	}
	return fixed
}

func toCallerWire(c Caller) callerWire {
	return callerWire{c.GID, c.Groups, c.PID, c.Socket, c.UID, c.Unit, c.User}
}

func (w callerWire) caller() Caller {
	return Caller{UID: w.UID, GID: w.GID, PID: w.PID, User: w.User, Groups: w.Groups, Socket: w.Socket, Unit: w.Unit, Identified: true}
}

func toProposalWire(p *Proposal) proposalWire {
	payload := sha256.Sum256(p.Request.Payload)
	return proposalWire{
		Caller: toCallerWire(p.Caller), Created: formatTime(p.Created), Decoder: p.Decoder,
		Expires: formatTime(p.Request.Expires), Instance: p.Instance, Key: p.Key.Fingerprint, Kind: p.Request.Kind,
		Messages: toMessagesWire(p.Intent.Messages), Nonce: hex.EncodeToString(p.Nonce[:]),
		NotBefore: formatTime(p.Request.NotBefore), Payload: hex.EncodeToString(payload[:]),
		Policy: hex.EncodeToString(p.Policy[:]), RequestID: p.Request.ID, Version: wireVersion,
	}
}

func toMessagesWire(ms []Message) []messageWire {
	out := make([]messageWire, 0, len(ms))
	for _, m := range ms {
		out = append(out, messageWire{hex.EncodeToString(m.Bytes), m.Scheme})
	}
	return out
}

func toQuantityWire(q Quantity) quantityWire {
	w := quantityWire{Asset: q.Asset, Kind: q.Kind.String()}
	if q.N != nil {
		w.Amount = q.N.String()
	}
	return w
}

func toIntentWire(in Intent) intentWire {
	w := intentWire{Complete: in.Complete, Kind: in.Kind, Fee: toQuantityWire(in.Fee), Messages: toMessagesWire(in.Messages)}
	w.Effects = make([]effectWire, 0, len(in.Effects))
	for _, e := range in.Effects {
		w.Effects = append(w.Effects, effectWire{e.Actor, e.Attributes, e.Class, e.Counterparty, toQuantityWire(e.Quantity), formatTime(e.Until)})
	}
	for _, q := range in.Outflow {
		w.Outflow = append(w.Outflow, toQuantityWire(q))
	}
	for _, f := range in.Fields {
		w.Fields = append(w.Fields, fieldWire(f))
	}
	for _, d := range in.Digests {
		w.Digests = append(w.Digests, fieldWire{d.Name, hex.EncodeToString(d.Value[:])})
	}
	for _, x := range in.Warnings {
		w.Warnings = append(w.Warnings, warningWire(x))
	}
	return w
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func formatDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func formatInt(n *big.Int) string {
	if n == nil {
		return ""
	}
	return n.String()
}

func hexAll(bs [][]byte) []string {
	var out []string
	for _, b := range bs {
		out = append(out, hex.EncodeToString(b))
	}
	return out
}
