package policy

import (
	"math/big"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// A rule that limits what may leave lets through any personal message, such as the
// hash of a Safe's transaction that an owner approves by eth_sign.
func TestARuleOfAmountsLetsNoMessageThroughUnlessItNamesTheKind(t *testing.T) {
	message := func(_ *testing.T, p *signer.Proposal) {
		p.Request.Kind, p.Intent = signer.KindEVMMessage, signer.Intent{
			Kind: signer.KindEVMMessage, Complete: true, Effects: []signer.Effect{{Class: signer.ClassMessage}},
			Warnings: []signer.Warning{{Code: "evm_message_looks_like_hash", Severity: signer.SeverityWarn}},
			Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: make([]byte, 32)}},
		}
	}
	const limit = "limit \"a day\" {\n amount = \"1 eth\"\n window = \"24h\"\n}\n"
	run(t, map[string]decision{
		"a limit that no kind names the message for": {policy: allow(limit), change: message},
		"named":    {policy: allow("kinds = [\"evm.message\"]\n" + limit), change: message, allow: true},
		"no limit": {policy: allow(""), change: message, allow: true},
	})
}

// What typed data and authorisations do is done by others, at a time of their own, so a
// limit alone is no word about them.
func TestARuleOfAmountsLetsSignedPermissionsThroughOnlyByTheirKind(t *testing.T) {
	of := func(kind signer.Kind, effects ...signer.Effect) func(*testing.T, *signer.Proposal) {
		return func(t *testing.T, p *signer.Proposal) { *p = asked(t, kind, effects...) }
	}
	const limit = "limit \"a day\" {\n amount = \"100 usdc\"\n window = \"24h\"\n}\nlimit \"fees\" {\n amount = \"1 eth\"\n window = \"24h\"\n}\n"
	typedData, authorization := "kinds = [\"evm.typed_data\"]\n"+limit, "kinds = [\"evm.authorization\"]\n"+limit
	soon := at.Add(time.Hour)
	permit := of(signer.KindEVMTypedData, allowed(exchange, units(100e6), soon))
	login := signer.Effect{Class: signer.ClassLogin}
	handover := of(signer.KindEVMAuthorization, power(signer.ClassDelegation, delegate))
	run(t, map[string]decision{
		"a permit within the limit":                      {allow(limit), permit, nil, false, []string{`what kind "evm.typed_data" authorises is done by others, when they like`, `name kind "evm.typed_data"`}},
		"where the kind is named":                        {allow(typedData), permit, nil, true, nil},
		"where another kind is named":                    {allow(authorization), permit, nil, false, []string{"not for kind"}},
		"beside a rule for transactions":                 {allow(typedData) + "rule \"s\" {\n  kinds = [\"evm.transaction\"]\n  allow = true\n  limit \"l\" {\n    amount = \"1 eth\"\n  }\n}\n", permit, nil, true, nil},
		"beside a rule for whatever":                     {allow(typedData) + "rule \"s\" {\n  allow = true\n  limit \"l\" {\n    amount = \"1000 usdc\"\n  }\n}\n", permit, nil, false, []string{`rule "s" limits amounts`}},
		"no limits, no questions":                        {allow(""), permit, nil, true, nil},
		"above the limit it counts by its effects":       {allow(typedData), of(signer.KindEVMTypedData, allowed(exchange, units(100e6+1), soon)), nil, false, []string{`limit "a day": asked 100.000001 usdc`}},
		"and what was spent counts too":                  {allow(typedData), permit, func(f signer.Facts) signer.Facts { return spent(f, usdc, day, big.NewInt(1)) }, false, []string{"left 99.999999 usdc"}},
		"a permit without a bound":                       {allow(typedData), of(signer.KindEVMTypedData, allowed(exchange, unlimitedUSDC, soon)), nil, false, []string{"an outflow of usdc is unlimited"}},
		"a permit of another token":                      {allow(typedData), of(signer.KindEVMTypedData, allowed(exchange, signer.Exact(dai, big.NewInt(1)), soon)), nil, false, []string{"is not covered by any limit"}},
		"one part of a batch without a bound":            {allow(typedData), of(signer.KindEVMTypedData, allowed(exchange, units(1), soon), power(signer.ClassControl, hacker)), nil, false, []string{"no limit of rule"}},
		"an operator":                                    {allow(typedData), of(signer.KindEVMTypedData, signer.Effect{Class: signer.ClassOperator, Counterparty: exchange, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: apes}}), nil, false, []string{"is unlimited"}},
		"what takes back, of an asset without a limit":   {allow(typedData), of(signer.KindEVMTypedData, allowed(exchange, signer.Exact(dai, new(big.Int)), soon)), nil, true, nil},
		"an operator that goes, in a transaction":        {allow(limit), of(signer.KindEVMTransaction, signer.Effect{Class: signer.ClassOperator, Counterparty: exchange, Quantity: signer.Exact(apes, new(big.Int))}), nil, true, nil},
		"what voids permissions moves nothing":           {allow(limit), of(signer.KindEVMTransaction, signer.Effect{Class: signer.ClassInvalidate}), nil, true, nil},
		"what is given for another asset counts":         {allow(limit), of(signer.KindEVMTransaction, signer.Effect{Class: signer.ClassExchange, Quantity: weis(1e18)}), nil, false, []string{`limit "fees": asked 1.001 eth`}},
		"a delegation, by a limit":                       {allow(limit), handover, nil, false, []string{`what kind "evm.authorization" authorises`}},
		"a delegation, where the kind is named":          {allow(authorization), handover, nil, false, []string{"an outflow of an asset that could not be read is unknown"}},
		"a delegation, by a rule that limits its number": {allow("kinds = [\"evm.authorization\"]\nlimit \"l\" {\n count = 1\n window = \"1h\"\n}\n"), handover, nil, true, nil},
		"a delegation inside of a transaction":           {allow(limit), of(signer.KindEVMTransaction, power(signer.ClassDelegation, delegate)), nil, false, []string{"an outflow of an asset that could not be read is unknown"}},
		"a login":                                        {allow(limit), of(signer.KindEVMMessage, login), nil, false, []string{"what a message can move has none"}},
		"a login in whatever kind":                       {allow(limit), of(signer.KindEVMTransaction, login), nil, false, []string{"what a message can move has none"}},
		"a login, where the kind is named":               {allow("kinds = [\"evm.message\"]\n" + limit), of(signer.KindEVMMessage, login), nil, true, nil},
		"a kind that nobody set":                         {allow(limit), func(t *testing.T, p *signer.Proposal) { p.Intent.Kind = "" }, nil, false, []string{"is done by others"}},
		"a hash, whatever is named":                      {allow("kinds = [\"digest\"]\nblind = [\"opaque\"]\n" + limit), of(signer.KindDigest, power(signer.ClassOpaque, "")), nil, false, []string{"an outflow of an asset that could not be read is unknown"}},
	})
}
