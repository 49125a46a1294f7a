package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
)

// trial is a policy and what its cases are tried with.
type trial struct {
	policy *policy.Policy
	keys   map[string]signer.KeyInfo
	folder string // of the case file
}

// outcome is what became of a case.
type outcome struct {
	verdict string // of the policy's, or policy.ExpectInvalid
	reason  string
	intent  signer.Intent
	signer.Decision
}

// run does with a case what the engine does with a request, up to the decision. The
// error is one of the case itself.
func (t *trial) run(c policy.Case) (outcome, error) {
	payload, err := t.payload(c)
	if err != nil {
		return outcome{}, err
	}
	p, err := t.propose(c, payload)
	if err != nil {
		return outcome{verdict: policy.ExpectInvalid, reason: message(err)}, nil
	}
	facts, err := t.facts(c, p)
	if err != nil {
		return outcome{}, err
	}
	d := t.policy.Decide(p, facts)
	return outcome{d.Verdict.String(), d.Reason, p.Intent, d}, nil
}

// payload is what the case has signed, in bytes. What is wrong with it, the decoder says.
func (t *trial) payload(c policy.Case) ([]byte, error) {
	switch {
	case c.Pay != nil:
		return paying(*c.Pay)
	case c.PayloadFile == "":
		return payloadIn(c.Kind, []byte(c.Payload))
	}
	b, err := readRegular(filepath.Join(t.folder, c.PayloadFile))
	if err != nil {
		return nil, err
	}
	return payloadIn(c.Kind, b)
}

// payGas is enough for what pay makes, and a round number, for fees to be whole.
const payGas = 100_000

// paying is a payment as eth_signTransaction takes it.
func paying(p policy.Payment) ([]byte, error) {
	price, rest := new(big.Int).QuoRem(p.Fee, big.NewInt(payGas), new(big.Int))
	if rest.Sign() != 0 {
		return nil, fmt.Errorf("the fee has %s base units; pay makes fees of whole multiples of %d", p.Fee, payGas)
	}
	_, number, _ := strings.Cut(p.Chain, ":")
	chain, ok := new(big.Int).SetString(number, 10)
	if !ok {
		return nil, fmt.Errorf("chain %q has no number", p.Chain)
	}
	address := func(account string) string { return account[strings.LastIndexByte(account, ':')+1:] }
	tx := map[string]string{
		"chainId": hexNumber(chain), "nonce": "0x0", "gas": hexNumber(big.NewInt(payGas)),
		"maxFeePerGas": hexNumber(price), "maxPriorityFeePerGas": "0x0", "to": address(p.To), "value": hexNumber(p.N),
	}
	if p.Token != "" { // ERC-20, transfer(address,uint256): selector and two words
		to := strings.ToLower(strings.TrimPrefix(address(p.To), "0x"))
		tx["to"], tx["value"] = address(p.Token), "0x0"
		tx["data"] = fmt.Sprintf("0xa9059cbb%s%s%064x", strings.Repeat("00", 12), to, p.N)
	}
	return json.Marshal(tx)
}

func hexNumber(n *big.Int) string { return fmt.Sprintf("%#x", n) }

// propose is what the engine makes of a request before it asks policy, and refuses what
// that does.
func (t *trial) propose(c policy.Case, payload []byte) (signer.Proposal, error) {
	key := signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}
	if c.Key != signer.AdminKey {
		key = t.keys[c.Key]
	}
	all := engineDecoders()
	if len(payload) == 0 || len(payload) > signer.MaxPayload {
		return signer.Proposal{}, signer.Invalid("the payload has %d bytes; want 1 to %d", len(payload), signer.MaxPayload)
	}
	r := signer.Request{ID: "case", Key: c.Key, Kind: c.Kind, Payload: payload}
	in, err := signer.Read(r, key, all, t.policy.Book())
	if err != nil {
		return signer.Proposal{}, err
	}
	if err := ledger.Check(in); err != nil {
		return signer.Proposal{}, err
	}
	named := func(name string) (signer.KeyInfo, bool) { k, ok := t.keys[name]; return k, ok }
	if err := in.Identify(key, named); err != nil {
		return signer.Proposal{}, err
	}
	return signer.Proposal{
		Caller: supposed(c.Caller), Request: r,
		Key: key, Intent: in, Policy: t.policy.Version(), Decoder: all[c.Kind].Version(), Created: c.Time,
	}, nil
}

// supposed is a caller of a case. Policy is asked about it, and no engine ever is.
func supposed(c policy.CaseCaller) signer.Caller {
	return signer.Caller{UID: c.UID, GID: c.UID, PID: 1, User: c.User, Groups: c.Groups, Socket: c.Socket, Unit: c.Unit, Identified: true}
}

// facts are those that a journal would give that holds what the case says was before,
// and nothing else.
func (t *trial) facts(c policy.Case, p signer.Proposal) (signer.Facts, error) {
	facts := signer.Facts{Time: c.Time, Wall: c.Time, Pending: c.Pending}
	sums := ledger.New()
	paid := slices.Clone(c.Known)
	for _, past := range c.Before {
		s := spending(past, p.Key, c.Time)
		for range past.Times {
			sums.Add(s)
		}
		paid = append(paid, s.Recipients()...)
	}
	needs, now := t.policy.Needs(), ledger.Of(p, c.Time)
	var err error
	if facts.Spent, err = sums.Measure(now, needs, c.Time); err != nil {
		return signer.Facts{}, err
	}
	if facts.Recipients = needs.Recipients; facts.Recipients {
		facts.NewRecipients = slices.DeleteFunc(now.Recipients(), func(r string) bool { return slices.Contains(paid, r) })
	}
	return facts, nil
}

// spending is what was authorised before a case.
func spending(past policy.Past, key signer.KeyInfo, now time.Time) ledger.Spending {
	s := ledger.Spending{Key: key.Fingerprint, Caller: supposed(past.Caller).Account(), Time: now.Add(-past.Ago)}
	if past.Asset == nil {
		return s
	}
	q := signer.AtMost(past.Asset.ID, past.N)
	s.Outflow = signer.Outflow(q)
	if past.To != "" && past.N.Sign() > 0 {
		s.Flows = []signer.Flow{{Recipient: past.To, Quantity: q}}
	}
	return s
}

// mismatches are what a case expected and did not get.
func (o outcome) mismatches(want policy.Expectation) []string {
	var out []string
	differ := func(what, want, got string) {
		if want != got {
			out = append(out, fmt.Sprintf("%s: expected %s, got %s", what, want, got))
		}
	}
	differ("verdict", want.Verdict, o.verdict)
	if want.Reason != "" && !strings.Contains(o.reason, want.Reason) {
		out = append(out, fmt.Sprintf("reason: expected %q in it", want.Reason))
	}
	if want.Class != "" {
		differ("class", string(want.Class), string(o.intent.Class()))
	}
	if want.Rules != nil {
		differ("rules", listed(want.Rules), listed(o.Rules))
	}
	if want.Asks != nil {
		differ("asks", listed(want.Asks), listed(o.asks()))
	}
	if want.Warnings != nil {
		differ("warnings", listed(want.Warnings), listed(o.warnings()))
	}
	if want.Delay != 0 {
		differ("delay", want.Delay.String(), o.Delay.String())
	}
	return out
}

// asks are the quorums of a decision, as a policy writes them.
func (o outcome) asks() []string {
	out := []string{}
	for _, q := range o.Quorums {
		out = append(out, fmt.Sprintf("%s:%d", q.Group, q.Approvals))
	}
	return out
}

func (o outcome) warnings() []string {
	out := []string{}
	for _, w := range o.intent.Warnings {
		if !slices.Contains(out, w.Code) {
			out = append(out, w.Code)
		}
	}
	return out
}

// listed writes names in one order.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	var out []string
	for _, n := range slices.Sorted(slices.Values(names)) {
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, ", ")
}
