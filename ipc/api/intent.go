package api

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// ReadIntent turns an intent as it travels into the one that package signer
// speaks of, for showing it with package ipc/console. What it does not understand
// is an error or stands for the worst, never left out: a class that it does not know is
// the worst there is, and a quantity of a kind that it does not know has no bound.
func ReadIntent(m *v1.Intent) (signer.Intent, error) {
	var r intentReader
	if v := m.GetVersion(); v != intentVersion {
		r.fail("it has version %d, and this program reads version %d: sealward and the daemon are of different releases", v, intentVersion)
	}
	in := signer.Intent{Kind: signer.Kind(m.GetKind()), Complete: m.GetComplete(), Fee: r.quantity(m.GetFees())}
	for _, e := range m.GetEffects() {
		effect := signer.Effect{
			Class: signer.Class(e.GetClass()), Actor: e.GetActor(), Counterparty: e.GetCounterparty(),
			Quantity: r.quantity(e.GetQuantity()), Attributes: e.GetAttributes(),
		}
		if e.GetUntil() != nil {
			effect.Until = e.GetUntil().AsTime()
		}
		in.Effects = append(in.Effects, effect)
	}
	for _, q := range m.GetOutflow() {
		in.Outflow = append(in.Outflow, r.quantity(q))
	}
	for _, f := range m.GetFields() {
		in.Fields = append(in.Fields, signer.Field{Name: f.GetName(), Value: f.GetValue()})
	}
	for _, w := range m.GetWarnings() {
		in.Warnings = append(in.Warnings, signer.Warning{Code: w.GetCode(), Severity: signer.Severity(w.GetSeverity()), Text: w.GetText()})
	}
	for _, d := range m.GetDigests() {
		in.Digests = append(in.Digests, signer.Digest{Name: d.GetName(), Value: r.hash(d.GetValue())})
	}
	for _, msg := range m.GetMessages() {
		in.Messages = append(in.Messages, signer.Message{Scheme: signer.Scheme(msg.GetScheme()), Bytes: msg.GetBytes()})
	}
	named := func(e signer.Effect) bool { return string(e.Class) == m.GetClass() }
	if m.GetClass() != string(in.Class()) && !slices.ContainsFunc(in.Effects, named) {
		r.fail("it is of class %.40q, and none of its effects is", m.GetClass())
	}
	if r.err != nil {
		return signer.Intent{}, &Error{Code: codeOfNonsense, Message: fmt.Sprintf("the intent in the answer cannot be read: %v", r.err)}
	}
	return in, nil
}

// intentReader keeps the first error.
type intentReader struct{ err error }

func (r *intentReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *intentReader) quantity(m *v1.Quantity) signer.Quantity {
	if m == nil {
		return signer.Quantity{}
	}
	q := signer.Quantity{Asset: m.GetAsset()}
	if m.GetKind() == "" {
		r.fail("a quantity without a kind")
		return q
	}
	for q.Kind = signer.QuantityNone; q.Kind.String() != m.GetKind(); q.Kind++ {
		if q.Kind == signer.QuantityUnknown {
			return q // of a newer daemon
		}
	}
	if counted := q.Kind == signer.QuantityExact || q.Kind == signer.QuantityAtMost; counted == (m.GetAmount() == "") {
		r.fail("quantity of kind %q with amount %.100q", m.GetKind(), m.GetAmount())
		return q
	}
	if m.GetAmount() == "" {
		return q
	}
	n, ok := Integer(m.GetAmount())
	if !ok || n.Sign() < 0 {
		r.fail("amount %.100q", m.GetAmount())
		return q
	}
	q.N = n
	return q
}

// Integer reads an integer of an answer; ok is false for what is none. The largest has 78
// digits. To read as many as an answer can hold takes hours.
func Integer(text string) (n *big.Int, ok bool) {
	if len(text) > 100 {
		return nil, false
	}
	return new(big.Int).SetString(text, 10)
}

func (r *intentReader) hash(s string) (sum [32]byte) {
	if b, err := hex.DecodeString(s); err != nil || len(b) != len(sum) {
		r.fail("digest %.100q: want 32 bytes in hexadecimal", s)
	} else {
		sum = [32]byte(b)
	}
	return sum
}

// intentVersion is that of the intent document.
const intentVersion = 1

// Document is the intent document of a payload that is looked at now. The labels are
// nil where no descriptor applies.
func Document(in signer.Intent, labels *signer.ClearSigning, now time.Time) *v1.Intent {
	out := toIntent(in)
	for _, e := range out.GetEffects() {
		if e.GetUntil() != nil {
			// A time.Duration ends after 292 years.
			e.Remaining = &durationpb.Duration{Seconds: e.GetUntil().GetSeconds() - now.Unix()}
		}
	}
	if labels != nil {
		out.ClearSigning = &v1.ClearSigning{
			Descriptor_: labels.Descriptor, Owner: labels.Owner, Intent: labels.Intent, InterpolatedIntent: labels.InterpolatedIntent,
		}
		for _, f := range labels.Fields {
			out.ClearSigning.Fields = append(out.ClearSigning.Fields, &v1.Labelled{Label: f.Label, Value: f.Value})
		}
	}
	return out
}

// ReadClearSigning returns the labels of a document, or nil.
func ReadClearSigning(m *v1.Intent) *signer.ClearSigning {
	c := m.GetClearSigning()
	if c == nil {
		return nil
	}
	out := &signer.ClearSigning{
		Descriptor: c.GetDescriptor_(), Owner: c.GetOwner(), Intent: c.GetIntent(), InterpolatedIntent: c.GetInterpolatedIntent(),
	}
	for _, f := range c.GetFields() {
		out.Fields = append(out.Fields, signer.Labelled{Label: f.GetLabel(), Value: f.GetValue()})
	}
	return out
}
