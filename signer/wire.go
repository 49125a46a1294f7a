package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	ExcludeCaller bool   `json:"exclude_caller,omitempty"`
	Group         string `json:"group"`
	Limit         string `json:"limit,omitempty"`
	Rule          string `json:"rule"`
}

type decisionWire struct {
	Delay   string       `json:"delay,omitempty"`
	Expires string       `json:"expires,omitempty"`
	Limits  []limitWire  `json:"limits,omitempty"`
	Quorums []quorumWire `json:"quorums,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Rules   []string     `json:"rules,omitempty"`
	Verdict string       `json:"verdict"`
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

type eventWire struct {
	Bundle   string        `json:"bundle_sha256,omitempty"`
	Caller   *callerWire   `json:"caller,omitempty"`
	Claim    string        `json:"claim,omitempty"`
	Code     Code          `json:"code,omitempty"`
	Decision *decisionWire `json:"decision,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	Dropped  uint64        `json:"dropped,omitempty"`
	Facts    *factsWire    `json:"facts,omitempty"`
	Intent   *intentWire   `json:"intent,omitempty"`
	Key      *keyWire      `json:"key,omitempty"`
	Outcome  *outcomeWire  `json:"outcome,omitempty"`
	Payload  string        `json:"payload,omitempty"`
	Policy   string        `json:"policy,omitempty"`
	Proposal *proposalWire `json:"proposal,omitempty"`
	Request  string        `json:"request_digest,omitempty"`
	Time     string        `json:"time"`
	Type     EventType     `json:"type"`
	Version  int           `json:"version"`
	Wall     string        `json:"wall"`
}

// The versions of an event, and that of a proposal. A field that came later makes an
// event one of version 2 or 3, so that what was written before it stays what it was, and a
// reader that does not know the field says which version it knows.
const (
	wireVersion  = 1
	eventVersion = 3
)

// version is the first that has every field of an event.
func (w *eventWire) version() int {
	switch {
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

// Canonical returns what a proposal commits to, as canonical JSON.
func (p Proposal) Canonical() []byte { return canonical(toProposalWire(&p)) }

// Canonical returns an event as canonical JSON; [ParseEvent] is its inverse.
func (e Event) Canonical() []byte {
	w := eventWire{
		Code: e.Code, Detail: e.Detail, Dropped: e.Dropped,
		Time: formatTime(e.Time), Type: e.Type, Wall: formatTime(e.Wall),
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
		w.Decision = &decisionWire{Delay: formatDuration(d.Delay), Expires: formatDuration(d.Expires), Reason: d.Reason, Rules: d.Rules, Verdict: d.Verdict.String()}
		if w.Dropped == 0 {
			w.Dropped = d.Dropped
		}
		for _, l := range d.Limits {
			w.Decision.Limits = append(w.Decision.Limits, limitWire{
				formatInt(l.Amount), l.Asset, formatTime(l.Frees), l.Limit, formatInt(l.Max), l.Per, l.Rule, formatInt(l.Spent), l.Subject, l.Window.String(),
			})
		}
		for _, q := range d.Quorums {
			w.Decision.Quorums = append(w.Decision.Quorums, quorumWire{q.Approvals, q.ExcludeCaller, q.Group, q.Limit, q.Rule})
		}
	}
	if o := e.Outcome; o != nil {
		w.Outcome = &outcomeWire{Authorization: o.Authorization, Code: o.Code, Detail: o.Detail, Result: string(o.Result), Signatures: hexAll(o.Signatures)}
	}
	w.Version = w.version()
	return canonical(w)
}

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
		e.Proposal = r.proposal(&w)
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

func (r *reader) proposal(w *eventWire) *Proposal {
	p := w.Proposal
	pub := PublicKey{w.Key.Algorithm, r.hex(w.Key.Public)}
	return &Proposal{
		Instance: p.Instance, Caller: p.Caller.caller(), Policy: r.hash(p.Policy), Decoder: p.Decoder,
		Request: Request{
			ID: p.RequestID, Key: w.Key.Name, Kind: p.Kind, Payload: r.hex(w.Payload),
			NotBefore: r.time(p.NotBefore), Expires: r.time(p.Expires), Claim: w.Claim,
		},
		Key:     KeyInfo{w.Key.Name, pub, pub.Fingerprint(), w.Key.Protection, w.Key.Origin, w.Key.Padding, w.Key.Kinds, w.Key.Chains},
		Intent:  r.intent(*w.Intent),
		Created: r.time(p.Created), Nonce: r.hash(p.Nonce),
	}
}

func (r *reader) decision(w decisionWire) *Decision {
	d := &Decision{Reason: w.Reason, Rules: w.Rules}
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
		d.Quorums = append(d.Quorums, Quorum{q.Rule, q.Limit, q.Group, q.Approvals, q.ExcludeCaller})
	}
	if w.Delay != "" {
		d.Delay = r.duration(w.Delay)
	}
	if w.Expires != "" {
		d.Expires = r.duration(w.Expires)
	}
	return d
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
