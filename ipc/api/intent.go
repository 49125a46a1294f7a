package api

import (
	"encoding/hex"
	"fmt"
	"math/big"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// ReadIntent turns an intent as it travels into the one that package signer
// speaks of, for showing it with package ipc/console. What it does not understand
// is an error or stands for the worst, never left out.
func ReadIntent(m *v1.Intent) (signer.Intent, error) {
	var r intentReader
	in := signer.Intent{Kind: signer.Kind(m.GetKind()), Complete: m.GetComplete(), Fee: r.quantity(m.GetFee())}
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
	for q.Kind = signer.QuantityNone; q.Kind.String() != m.GetKind(); q.Kind++ {
		if q.Kind == signer.QuantityUnknown {
			r.fail("quantity of kind %.40q", m.GetKind())
			return q
		}
	}
	if counted := q.Kind == signer.QuantityExact || q.Kind == signer.QuantityAtMost; counted == (m.GetAmount() == "") {
		r.fail("quantity of kind %q with amount %.100q", m.GetKind(), m.GetAmount())
		return q
	}
	if m.GetAmount() == "" {
		return q
	}
	n, ok := new(big.Int).SetString(m.GetAmount(), 10)
	if !ok || n.Sign() < 0 || len(m.GetAmount()) > 100 {
		r.fail("amount %.100q", m.GetAmount())
		return q
	}
	q.N = n
	return q
}

func (r *intentReader) hash(s string) (sum [32]byte) {
	if b, err := hex.DecodeString(s); err != nil || len(b) != len(sum) {
		r.fail("digest %.100q: want 32 bytes in hexadecimal", s)
	} else {
		sum = [32]byte(b)
	}
	return sum
}

// WriteIntent is the inverse of [ReadIntent].
func WriteIntent(in signer.Intent) *v1.Intent { return toIntent(in) }
