package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
)

// step is one thing that is signed, mined and looked at.
type step struct {
	name    string
	key     string // hot where it is left out
	kind    signer.Kind
	payload func() string
	// send has what was signed mined. Left out, it is a transaction and is broadcast.
	send    func(artifact []byte) outcome
	classes []signer.Class // of the effects, in their order
	create  common.Address // of a contract that is created
	// becomes is for a permission that is used in the same step: what its use leads to.
	becomes func(signer.Effect) signer.Effect
}

// prove has each step signed and mined, and holds what changed on the chain to what the
// intent announced: to all of it, and to nothing else.
func (w *world) prove(steps []step) {
	w.t.Helper()
	for _, s := range steps {
		w.step = s.name
		if s.key == "" {
			s.key = "hot"
		}
		if s.kind == "" {
			s.kind = signer.KindEVMTransaction
		}
		if s.send == nil {
			s.send = w.broadcast
		}
		payload := s.payload() // it may itself have something signed, and mined
		watches := w.watches(s.create)
		before := w.state(watches)
		in, artifact := w.sign(s.key, s.kind, payload)
		mined := s.send(artifact)
		after := w.state(watches)
		w.compare(s, in, mined, before, after)
	}
}

func (w *world) compare(s step, in signer.Intent, mined outcome, before, after state) {
	w.t.Helper()
	f := forecast{state: maps.Clone(before), after: after, charged: w.charged(mined)}
	var classes []signer.Class
	for _, e := range in.Effects {
		classes = append(classes, e.Class)
		if s.becomes != nil {
			e = s.becomes(e)
		}
		f.effect(e)
	}
	if !slices.Equal(classes, s.classes) {
		f.fail("the classes of the effects are %s, want %s", classes, s.classes)
	}
	if created := slices.Contains(classes, signer.ClassCreate); in.Complete == created {
		f.fail("complete is %t", in.Complete)
	}
	f.fee(s, in, caip10(w.at[s.key]), caip10(w.at["other"]), mined)
	for name, want := range f.state {
		if got := after[name]; got != want {
			f.fail("%s is %s, announced is %s; before, it was %s", name, got, want, before[name])
		}
	}
	f.outflow(in, caip10(w.at[s.key]), before)
	for _, wrong := range f.wrong {
		w.t.Errorf("%s: %s", s.name, wrong)
	}
}

// fee takes what a transaction cost from its signer, and what an operation cost from its
// account. Who signs something else pays nothing.
func (f *forecast) fee(s step, in signer.Intent, signerOf, beneficiary string, mined outcome) {
	if s.kind != signer.KindEVMTransaction {
		for account := range f.charged { // it is one
			f.charge(account, beneficiary, in.Fee)
			return
		}
		if in.Fee.Kind != signer.QuantityNone {
			f.fail("it announces a fee of %s", in.Fee.N)
		}
		return
	}
	paid := mined.fee()
	if in.Fee.Kind != signer.QuantityAtMost || in.Fee.Asset != devcoin || paid.Sign() <= 0 || paid.Cmp(in.Fee.N) > 0 {
		f.fail("the fee was %s, announced is %s %s of %s", paid, in.Fee.Kind, in.Fee.N, in.Fee.Asset)
	}
	f.add(balanceOf(signerOf, devcoin), new(big.Int).Neg(paid))
}

// outflow holds the outflow, which is what limits count, to the effects and the fee, and
// to what left the accounts that the intent speaks of.
func (f *forecast) outflow(in signer.Intent, signerOf string, before state) {
	quantities := []signer.Quantity{in.Fee}
	actors := []string{signerOf}
	for _, e := range in.Effects {
		quantities, actors = append(quantities, e.Quantity), append(actors, e.Actor)
	}
	if want := signer.Outflow(quantities...); fmt.Sprint(in.Outflow) != fmt.Sprint(want) {
		f.fail("the outflow is %v, but effects and fee make it %v", in.Outflow, want)
	}
	left := map[string]*big.Int{} // by asset
	for name, was := range before {
		account, asset, ok := strings.Cut(strings.TrimPrefix(name, "balance of "), ": ")
		if !strings.HasPrefix(name, "balance of ") || !ok || !slices.Contains(actors, account) {
			continue
		}
		if gone := new(big.Int).Sub(number(was), number(f.after[name])); gone.Sign() > 0 {
			if left[asset] == nil {
				left[asset] = new(big.Int)
			}
			left[asset].Add(left[asset], gone)
		}
	}
	for asset, gone := range left {
		i := slices.IndexFunc(in.Outflow, func(q signer.Quantity) bool { return q.Asset == asset })
		if i < 0 {
			f.fail("%s of %s left, and the outflow has none of it", gone, asset)
		} else if most, bounded := in.Outflow[i].Bound(); bounded && gone.Cmp(most) > 0 {
			f.fail("%s of %s left, and the outflow is %s", gone, asset, most)
		}
	}
}

// typed is the JSON of typed data. The types are written as EIP-712 encodes them
// ("encodeType"), the first is the primary type.
func (w *world) typed(domain map[string]any, types string, message map[string]any) string {
	w.t.Helper()
	members := map[string][]map[string]string{}
	for _, name := range []string{"name", "version", "chainId", "verifyingContract"} { // the order of EIP-712
		if _, ok := domain[name]; ok {
			sort := map[string]string{"chainId": "uint256", "verifyingContract": "address"}[name]
			if sort == "" {
				sort = "string"
			}
			members["EIP712Domain"] = append(members["EIP712Domain"], map[string]string{"name": name, "type": sort})
		}
	}
	all := regexp.MustCompile(`(\w+)\(([^)]*)\)`).FindAllStringSubmatch(types, -1)
	for _, m := range all {
		for _, member := range strings.Split(m[2], ",") {
			sort, name, _ := strings.Cut(member, " ")
			members[m[1]] = append(members[m[1]], map[string]string{"name": name, "type": sort})
		}
	}
	text, err := json.Marshal(map[string]any{"domain": domain, "types": members, "primaryType": all[0][1], "message": message})
	must(w.t, err)
	return string(text)
}
