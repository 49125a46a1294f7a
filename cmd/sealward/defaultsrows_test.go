package main

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ethereum/go-ethereum/common"
	"google.golang.org/protobuf/proto"

	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

const noPower, noDanger, noFee, noDelegation, noAllowance = `rule "no power over the account" denies`, `rule "no danger" denies`,
	`rule "no high fee" denies`, `rule "delegation to known code only" denies`, `rule "allowances are for spenders, bounded and short" denies`

// row is a payload that must not fool anyone, and what comes of it.
type row struct {
	payload
	meaning, warns string
	// refused is in the words of the decoder, where that refuses; else denied is in
	// those of the policy. A rule that denies does so beside a careless one.
	refused, denied string
}

// TestWhatMustNotFoolAnyone has each payload read with all that the owner could know,
// and denied by the policy as `sealward init` writes it: with empty books, with full
// ones, and beside a careless rule of the owner's.
func TestWhatMustNotFoolAnyone(t *testing.T) {
	bare, full, beside := asInit(t, false, ""), asInit(t, true, contracts), asInit(t, true, contracts+careless)
	for name, r := range hostileRows(t) {
		t.Run(name, func(t *testing.T) {
			in, err := readAs(t, r.payload, full.Book())
			if r.refused != "" {
				if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), r.refused) || len(in.Messages) != 0 {
					t.Errorf("it is read as %q, with error %v; want it refused: %q", meaning(in), err, r.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := meaning(in); got != r.meaning {
				t.Errorf("it means\n%s\nwant\n%s", got, r.meaning)
			}
			if got := codes(in); got != r.warns {
				t.Errorf("warnings %q, want %q", got, r.warns)
			}
			if d := decide(t, full, r.payload, in, ""); d.Verdict != signer.Deny {
				t.Error("the policy lets it through")
			}
			asked := full
			if strings.HasPrefix(r.denied, "rule ") {
				asked = beside
			}
			if d := decide(t, asked, r.payload, in, ""); !strings.Contains(d.Reason, r.denied) {
				t.Errorf("denied because %q, want %q in it", d.Reason, r.denied)
			}
			if in, err := readAs(t, r.payload, bare.Book()); err == nil && decide(t, bare, r.payload, in, "").Verdict != signer.Deny {
				t.Error("the policy lets it through while its books are empty")
			}
		})
	}
}

func hostileRows(t *testing.T) map[string]row {
	soon := fmt.Sprint(decided.Add(7 * day).Unix())
	const y2100 = "4102444800"
	paysAcme, cheats := transfers(t, acme, 100e6), approves(t, thief, all)
	hides := func(hidden []byte) []called { return []called{{usdc, paysAcme}, {usdc, hidden}, {usdc, paysAcme}} }
	burns := func(gasPrice string) func(obj) { return func(o obj) { o["maxFeePerGas"] = gasPrice } }
	creates := func(o obj) { delete(o, "to") }
	return map[string]row{
		"row 1: an unlimited approve for a spender of the book": {payload: transaction(t, usdc, 0, approves(t, exchange, all)),
			meaning: "allowance; allowance exchange unlimited usdc", warns: "evm_unlimited_allowance", denied: noAllowance},
		"row 1: an unlimited increaseAllowance": {payload: transaction(t, usdc, 0, calldata(t, "increaseAllowance(address,uint256)", exchange, all)),
			meaning: "allowance; allowance exchange unlimited usdc act=increase", warns: "evm_unlimited_allowance", denied: noAllowance},
		"row 1: an approve for a stranger": {payload: transaction(t, usdc, 0, approves(t, thief, hundred)),
			meaning: "allowance; allowance thief at_most 100000000 usdc", denied: noAllowance},
		"row 2: a permit until 2100": {payload: permits(t, tokenDomain(1, usdc), exchange, y2100),
			meaning: "allowance; allowance exchange at_most 100000000 usdc usable_until=2100-01-01T00:00:00Z", denied: noAllowance},
		"row 2: a permit until the end of numbers": {payload: permits(t, tokenDomain(1, usdc), exchange, all.String()),
			meaning: "allowance; allowance exchange at_most 100000000 usdc", warns: "evm_never_expires", denied: noAllowance},
		"row 2: a permit of Permit2 until 2100": {payload: permits2(t, exchange, y2100, soon),
			meaning: "allowance; allowance exchange at_most 100000000 usdc until 2100-01-01T00:00:00Z usable_until=2026-11-30T12:00:00Z", denied: noAllowance},
		"row 2: a permit of Permit2 whose signature lasts": {payload: permits2(t, exchange, soon, all.String()),
			meaning: "allowance; allowance exchange at_most 100000000 usdc until 2026-11-30T12:00:00Z", warns: "evm_never_expires", denied: noAllowance},
		"row 2: a permit of DAI's form, which is unlimited": {payload: typedData(t, daiType, tokenDomain(1, usdc), obj{
			"holder": galleryAccount, "spender": exchange, "nonce": "0", "expiry": "0", "allowed": true}),
			meaning: "allowance; allowance exchange unlimited usdc", warns: "evm_never_expires evm_unlimited_allowance", denied: noAllowance},
		"row 3: control over a collection": {payload: transaction(t, apes, 0, calldata(t, "setApprovalForAll(address,bool)", exchange, true)),
			meaning: "operator; operator exchange unlimited apes", warns: "evm_operator", denied: noPower},

		"row 4: a delegatecall that looks like a transfer": {payload: safeTx(t, vaultDomain(), thief, transfers(t, thief, 0), "1"),
			meaning: "delegatecall?; delegatecall thief unknown as vault looks_like=transfer(address,uint256) call=1", warns: "evm_delegatecall", denied: noPower},
		"row 4: a delegatecall of a token's transfer": {payload: safeTx(t, vaultDomain(), usdc, paysAcme, "1"),
			meaning: "delegatecall?; delegatecall usdc unknown as vault looks_like=transfer(address,uint256) call=1", warns: "evm_delegatecall", denied: noPower},
		"row 4: the same in the transaction that carries it": {payload: transaction(t, vault, 0, execs(t, thief, transfers(t, thief, 0), 1)),
			meaning: "delegatecall?; delegatecall thief unknown as vault looks_like=transfer(address,uint256) call=1", warns: "evm_delegatecall", denied: noPower},
		"row 5: a refund for gas to a stranger": {payload: safeTx(t, vaultDomain(), usdc, paysAcme, "0", refunds(thief, "1000000000")),
			meaning: "transfer; transfer acme exact 100000000 usdc as vault call=1; transfer thief at_most 301536000000000 wei as vault act=gas_refund", warns: "evm_gas_refund", denied: "its condition is false"},
		"row 5: a refund for gas to whoever": {payload: safeTx(t, vaultDomain(), usdc, paysAcme, "0", refunds(nobody, "1000000000")),
			meaning: "transfer; transfer acme exact 100000000 usdc as vault call=1; transfer at_most 301536000000000 wei as vault act=gas_refund", warns: "evm_gas_refund", denied: "its condition is false"},
		"row 5: a refund for gas to a payee, above the limit": {payload: safeTx(t, vaultDomain(), usdc, paysAcme, "0", refunds(acme, "5000000000000")),
			meaning: "transfer; transfer acme exact 100000000 usdc as vault call=1; transfer acme at_most 1507680000000000000 wei as vault act=gas_refund", warns: "evm_gas_refund", denied: `limit "each"`},
		"row 6: an account handed over to unknown code": {payload: authorization(t, "0x1", thief),
			meaning: "delegation?; delegation thief unknown", warns: "evm_delegation", denied: noDelegation},
		"row 6: an account handed over on every chain": {payload: authorization(t, "0x0", delegate), refused: "every chain"},
		"row 6: hidden in a payment": {payload: handsOver(t, 1, thief),
			meaning: "delegation?; delegation thief unknown; transfer acme exact 5 wei", warns: "evm_delegation", denied: noDelegation},
		"row 6: hidden in a payment, to known code, everywhere": {payload: handsOver(t, 0, delegate),
			meaning: "delegation?; delegation delegate unknown every_chain=true; transfer acme exact 5 wei", warns: "evm_every_chain evm_delegation", denied: noDelegation},

		"row 7: a payee that only looks like one": {payload: transaction(t, lookAlike, 0.1, nil),
			meaning: "transfer; transfer look-alike exact 100000000000000000 wei", warns: "evm_resembles_known", denied: noDanger},
		"row 7: the same in a token's calldata": {payload: transaction(t, usdc, 0, transfers(t, lookAlike, 100e6)),
			meaning: "transfer; transfer look-alike exact 100000000 usdc", warns: "evm_resembles_known", denied: noDanger},
		"row 7: a payment of nothing from a look-alike": {payload: transaction(t, usdc, 0, calldata(t, "transferFrom(address,address,uint256)", galleryAccount, lookAlike, 0)),
			meaning: "transfer; transfer look-alike exact 0 usdc", warns: "evm_resembles_known", denied: noDanger},
		"row 8: a text that turns around": {payload: typedData(t, orderType, tokenDomain(1, thief), obj{"note": "pay \u202e001 ot", "maker": galleryAccount}),
			meaning: "unknown_message?; unknown_message thief unknown", warns: "evm_message_hidden_characters evm_unknown_typed_data", denied: noDanger},
		"row 8: a message with letters that look alike": {payload: says("I agree to the terms of \u0430cme.example"),
			meaning: "message; message", warns: "evm_message_mixed_scripts", denied: "not for kind"},
		"row 8: a token that takes the name of another": {payload: permits(t, tokenDomain(1, thief), exchange, soon),
			meaning: "unknown_message?; allowance exchange at_most 100000000 thief usable_until=2026-11-30T12:00:00Z; unknown_message thief unknown looks_like=ERC-2612 permit", warns: "evm_unknown_token evm_unknown_contract", denied: noDanger},
		"row 9: typed data for another chain": {payload: permits(t, tokenDomain(5, usdc), exchange, soon), refused: "domain.chainId"},
		"row 9: typed data for no chain": {payload: permits(t, obj{"name": "USD Coin", "version": "2", "verifyingContract": usdc}, exchange, soon),
			meaning: "unknown_message?; allowance exchange at_most 100000000 usdc usable_until=2026-11-30T12:00:00Z every_chain=true; unknown_message usdc unknown every_chain=true", warns: "evm_every_chain", denied: noDanger},
		"row 9: typed data for another contract": {payload: permits2At(t, thief, soon),
			meaning: "unknown_message?; allowance exchange at_most 100000000 usdc until 2026-11-30T12:00:00Z usable_until=2026-11-30T12:00:00Z; unknown_message thief unknown looks_like=Permit2 allowance", warns: "evm_unknown_contract", denied: noDanger},
		"row 9: a domain that has more than is signed":  {payload: altered(t, permits(t, tokenDomain(1, usdc), exchange, soon), `"name":"USD Coin"`, `"name":"USD Coin","salt":"0x01"`), refused: "salt"},
		"row 10: calldata with dirt before an address":  {payload: transaction(t, usdc, 0, dirty(paysAcme, 4)), refused: "non-canonical"},
		"row 10: calldata with more behind it":          {payload: transaction(t, usdc, 0, append(transfers(t, acme, 100e6), 0)), refused: "non-canonical"},
		"row 10: calldata that is cut off":              {payload: transaction(t, usdc, 0, paysAcme[:67]), refused: "non-canonical"},
		"row 10: a batch whose length is a lie":         {payload: transaction(t, vault, 0, execs(t, multiSend, dirty(batch(t, hides(cheats)...), 4+32), 1)), refused: "non-canonical"},
		"row 11: a spender that is written as a number": {payload: altered(t, permits(t, tokenDomain(1, usdc), exchange, soon), `"spender":"`+exchange+`"`, `"spender":"715468419"`), refused: "spender"},
		"row 11: a spender that is there twice":         {payload: altered(t, permits(t, tokenDomain(1, usdc), exchange, soon), `"spender":"`+exchange+`"`, `"spender":"`+exchange+`","spender":"`+thief+`"`), refused: "spender"},
		"row 11: a spender with one letter off":         {payload: altered(t, permits(t, tokenDomain(1, usdc), exchange, soon), exchange, "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), refused: "checksum"},
		"row 11: a payee that is there twice":           {payload: altered(t, transaction(t, acme, 0.1, nil), `"to":"`+acme+`"`, `"to":"`+acme+`","to":"`+thief+`"`), refused: "to: repeats"},
		"row 12: a fee that drains the account": {payload: transaction(t, acme, 0.000001, nil, burns("0x8bb2c97000")),
			meaning: "transfer; transfer acme exact 1000000000000 wei", denied: noFee},
		"row 12: blobs whose fee drains the account": {payload: blobs(t, 300e9),
			meaning: "transfer; transfer acme exact 5 wei", denied: noFee},
		"row 18: a hash as a transaction":    {payload: payload{signer.KindEVMTransaction, hash()}, refused: "transaction"},
		"row 18: a hash as typed data":       {payload: payload{signer.KindEVMTypedData, hash()}, refused: "typed data"},
		"row 18: a hash as an authorisation": {payload: payload{signer.KindEVMAuthorization, hash()}, refused: "authorization"},
		"row 18: a hash as a message": {payload: payload{signer.KindEVMMessage, hash()},
			meaning: "opaque?; opaque unknown", warns: "evm_message_looks_like_hash", denied: noDanger},
		"row 18: a hash as a hash": {payload: payload{signer.KindDigest, hash()},
			meaning: "opaque?; opaque unknown", warns: "digest_opaque", denied: noDanger},
		"row 18: the Safe agrees to a hash": {payload: transaction(t, vault, 0, calldata(t, "approveHash(bytes32)", [32]byte(hash()))),
			meaning: "unknown_call?; unknown_call vault unknown looks_like=approveHash(bytes32)", warns: "evm_unknown_call", denied: noDanger},
		"row 19: a message that is a transaction": {payload: says("0x" + hex.EncodeToString(rawTransaction(t, thief, nil).bytes)), refused: "evm.transaction"},
		"row 19: a message that has one in it":    {payload: says("Order 17, reference 0x" + hex.EncodeToString(rawTransaction(t, thief, nil).bytes) + ", of today."), refused: "evm.transaction"},
		"row 19: a message that is typed data":    {payload: payload{signer.KindEVMMessage, permits(t, tokenDomain(1, usdc), exchange, soon).bytes}, refused: "evm.typed_data"},
		"row 19: a sign-in for another account": {payload: signIn("service.example", thief),
			meaning: "login; login as thief domain=service.example", warns: "evm_login_mismatch", denied: noDanger},
		"row 19: a sign-in at another domain": {payload: signIn("service.example.evil.test", galleryAccount),
			meaning: "login; login domain=service.example.evil.test", denied: "not for kind"},
		"row 19: a sign-in that is none to the letter": {payload: says(strings.Replace(string(signIn("service.example", galleryAccount).bytes), "Version: 1", "version: 1", 1)), refused: "ersion"},
		"row 20: a token that calls itself USDC": {payload: transaction(t, thief, 0, transfers(t, acme, 1)),
			meaning: "unknown_call?; unknown_call thief unknown looks_like=transfer(address,uint256)", warns: "evm_unknown_call", denied: noDanger},
		"row 21: an approve in a Safe's batch": {payload: safeTx(t, vaultDomain(), multiSend, batch(t, hides(cheats)...), "1"),
			meaning: "allowance; transfer acme exact 100000000 usdc as vault call=1.1; allowance thief unlimited usdc as vault call=1.2; transfer acme exact 100000000 usdc as vault call=1.3", warns: "evm_unlimited_allowance", denied: noAllowance},
		"row 21: an approve in a multicall": {payload: transaction(t, multicall3, 0, multicalls(t, hides(cheats)...)),
			meaning: "allowance; transfer acme exact 100000000 usdc as 0xcA11bde05977b3631167028862bE2a173976CA11 call=1; allowance thief unlimited usdc as 0xcA11bde05977b3631167028862bE2a173976CA11 call=2; transfer acme exact 100000000 usdc as 0xcA11bde05977b3631167028862bE2a173976CA11 call=3", warns: "evm_unlimited_allowance", denied: noAllowance},
		"row 21: an approve in a user operation": {payload: operation(t, "0x", executes(t, usdc, cheats)),
			meaning: "allowance; allowance thief unlimited usdc as ours call=1.1", warns: "evm_unlimited_allowance", denied: noAllowance},
		"row 21: a batch within a batch": {payload: safeTx(t, vaultDomain(), multiSend, batch(t, called{usdc, paysAcme}, called{multicall3, multicalls(t, called{usdc, cheats})}), "1"),
			meaning: "allowance; transfer acme exact 100000000 usdc as vault call=1.1; allowance thief unlimited usdc as 0xcA11bde05977b3631167028862bE2a173976CA11 call=1.2.1", warns: "evm_unlimited_allowance", denied: noAllowance},
		"row 21: one leaf that cannot be read": {payload: safeTx(t, vaultDomain(), multiSend, batch(t, hides([]byte{1, 2, 3, 4})...), "1"),
			meaning: "unknown_call?; transfer acme exact 100000000 usdc as vault call=1.1; unknown_call usdc unknown as vault call=1.2; transfer acme exact 100000000 usdc as vault call=1.3", warns: "evm_unknown_call", denied: noDanger},
		"row 22: a selector at an unknown contract": {payload: transaction(t, thief, 0, calldata(t, "setApprovalForAll(address,bool)", acme, false)),
			meaning: "unknown_call?; unknown_call thief unknown looks_like=setApprovalForAll(address,bool)", warns: "evm_unknown_call", denied: noDanger},
		"row 22: a selector that the contract lacks": {payload: transaction(t, usdc, 0, calldata(t, "setApprovalForAll(address,bool)", acme, false)),
			meaning: "unknown_call?; unknown_call usdc unknown looks_like=setApprovalForAll(address,bool)", warns: "evm_unknown_call", denied: noDanger},
		"row 23: an account that does not exist yet": {payload: operation(t, thief+"01020304", executes(t, usdc, paysAcme)),
			meaning: "create?; create ours as ours call=1; transfer acme exact 100000000 usdc as ours call=1.1", warns: "evm_contract_creation", denied: noPower},
		"row 23: other code for a Safe": {payload: safeTx(t, vaultDomain(), vault, calldata(t, "changeMasterCopy(address)", thief), "0"),
			meaning: "delegation?; delegation thief unknown as vault call=1", warns: "evm_delegation evm_unknown_contract", denied: noDelegation},
		"row 23: a module for a Safe": {payload: safeTx(t, vaultDomain(), vault, calldata(t, "enableModule(address)", thief), "0"),
			meaning: "control?; control thief unknown as vault act=enable_module call=1", warns: "evm_account_control evm_unknown_contract", denied: noPower},
		"row 24: a contract is created": {payload: transaction(t, acme, 0, []byte{0x60, 0x2a}, creates),
			meaning: "create?; create 0x8A6de3991848E884EFa9335cD97F929Fc6c7A218", warns: "evm_contract_creation", denied: noPower},
		"row 25: a transaction without a chain":   {payload: transaction(t, acme, 0.1, nil, func(o obj) { delete(o, "chainId") }), refused: "chain"},
		"row 25: a transaction for another chain": {payload: transaction(t, acme, 0.1, nil, func(o obj) { o["chainId"] = "0xa" }), refused: "chain"},
		"row 25: an old Safe, whose domain has no chain": {payload: safeTx(t, obj{"verifyingContract": vault}, usdc, paysAcme, "0"),
			meaning: "unknown_message?; transfer acme exact 100000000 usdc as vault call=1 every_chain=true; unknown_message vault unknown every_chain=true", warns: "evm_every_chain", denied: noDanger},
		"row 26: one stranger among 500 payees": {payload: rawTransaction(t, vault, execs(t, multiSend, batch(t, many(t, 500, 317)...), 1)),
			meaning: "transfer; 499 times transfer acme exact 1 usdc as vault; 1 times transfer thief exact 1 usdc as vault", denied: "its condition is false"},
		"row 26: 500 payees whose sum is above a limit": {payload: rawTransaction(t, vault, execs(t, multiSend, batch(t, append(many(t, 499, -1), called{usdc, transfers(t, acme, 500e6)})...), 1)),
			meaning: "transfer; 499 times transfer acme exact 1 usdc as vault; 1 times transfer acme exact 500000000 usdc as vault", denied: `limit "usdc each"`},
	}
}

// many are payments of one unit, of which one may be to a stranger.
func many(t testing.TB, n, bad int) (out []called) {
	good, evil := transfers(t, acme, 1), transfers(t, thief, 1)
	for i := range n {
		if i == bad {
			out = append(out, called{usdc, evil})
		} else {
			out = append(out, called{usdc, good})
		}
	}
	return out
}

// dirty sets the first byte of a word that has to be zero.
func dirty(data []byte, at int) []byte {
	out := append([]byte(nil), data...)
	out[at] = 1
	return out
}

// altered is a payload with something else in its JSON.
func altered(t testing.TB, p payload, old, new string) payload {
	t.Helper()
	if strings.Count(string(p.bytes), old) != 1 {
		t.Fatalf("%q is not once in %s", old, p.bytes)
	}
	return payload{p.kind, []byte(strings.Replace(string(p.bytes), old, new, 1))}
}

// permits2At is an allowance of Permit2, but for a contract that is not.
func permits2At(t testing.TB, contract, deadline string) payload {
	return altered(t, permits2(t, exchange, deadline, deadline), permit2, contract)
}

func hash() []byte { return []byte(strings.Repeat("\xa5", 32)) }

// blobs is a payment with two blobs, at a price for each unit of their gas.
func blobs(t testing.TB, price int64) payload {
	return unsigned(t, 3, big.NewInt(1), uint64(7), big.NewInt(1e9), big.NewInt(20e9), uint64(21_000), common.HexToAddress(acme), big.NewInt(5), []byte{}, []any{},
		big.NewInt(price), []common.Hash{{1, 2}, {1, 3}})
}

// TestWhatAnOwnerWantsGoesThrough has the benign twin of each, with the books filled,
// and with a rule where nothing in the policy of `sealward init` allows its like.
func TestWhatAnOwnerWantsGoesThrough(t *testing.T) {
	soon := fmt.Sprint(decided.Add(7 * day).Unix())
	pays := transfers(t, acme, 100e6)
	bare, full := asInit(t, false, ""), asInit(t, true, contracts)
	for name, r := range map[string]struct {
		payload
		more, meaning string
	}{
		"row 1: a bounded approve for a spender": {payload: transaction(t, usdc, 0, approves(t, exchange, hundred)),
			meaning: "allowance; allowance exchange at_most 100000000 usdc"},
		"row 1: an approve taken back": {payload: transaction(t, usdc, 0, approves(t, thief, new(big.Int))),
			meaning: "allowance; allowance thief exact 0 usdc"},
		"row 2: a permit for a spender, for a week": {payload: permits(t, tokenDomain(1, usdc), exchange, soon),
			meaning: "allowance; allowance exchange at_most 100000000 usdc usable_until=2026-11-30T12:00:00Z"},
		"row 2: a permit of Permit2, for a week": {payload: permits2(t, exchange, soon, soon),
			meaning: "allowance; allowance exchange at_most 100000000 usdc until 2026-11-30T12:00:00Z usable_until=2026-11-30T12:00:00Z"},
		"row 3: an operator sent away": {payload: transaction(t, apes, 0, calldata(t, "setApprovalForAll(address,bool)", thief, false)), more: revocations,
			meaning: "operator; operator thief exact 0 apes"},
		"row 4: a call of the Safe's that pays": {payload: safeTx(t, vaultDomain(), usdc, pays, "0"),
			meaning: "transfer; transfer acme exact 100000000 usdc as vault call=1"},
		"row 5: a refund for gas to a payee": {payload: safeTx(t, vaultDomain(), usdc, pays, "0", refunds(acme, "1000000000")),
			meaning: "transfer; transfer acme exact 100000000 usdc as vault call=1; transfer acme at_most 301536000000000 wei as vault act=gas_refund"},
		"row 6: an account handed over to code of the book": {payload: authorization(t, "0x1", delegate), more: delegations,
			meaning: "delegation; delegation delegate unknown"},
		"row 6: an account taken back": {payload: authorization(t, "0x1", nobody), more: delegations,
			meaning: "delegation; delegation nobody"},
		"row 7: the payee": {payload: transaction(t, acme, 0.1, nil),
			meaning: "transfer; transfer acme exact 100000000000000000 wei"},
		"row 8: a message without anything hidden": {payload: says("I agree to the terms of acme.example"), more: texts,
			meaning: "message; message"},
		"row 10: calldata that is canonical": {payload: transaction(t, usdc, 0, pays),
			meaning: "transfer; transfer acme exact 100000000 usdc"},
		"row 12: blobs at an ordinary price": {payload: blobs(t, 3e9),
			meaning: "transfer; transfer acme exact 5 wei"},
		"row 19: a sign-in at the domain of a rule": {payload: signIn("service.example", galleryAccount), more: texts,
			meaning: "login; login domain=service.example"},
		"row 21: a batch of payments": {payload: safeTx(t, vaultDomain(), multiSend, batch(t, called{usdc, pays}, called{usdc, pays}), "1"),
			meaning: "transfer; transfer acme exact 100000000 usdc as vault call=1.1; transfer acme exact 100000000 usdc as vault call=1.2"},
		"row 21: a user operation that pays": {payload: operation(t, "0x", executes(t, usdc, pays)),
			meaning: "transfer; transfer acme exact 100000000 usdc as ours call=1.1"},
		"row 26: 500 payees": {payload: rawTransaction(t, vault, execs(t, multiSend, batch(t, many(t, 500, -1)...), 1)),
			meaning: "transfer; 500 times transfer acme exact 1 usdc as vault"},
	} {
		t.Run(name, func(t *testing.T) {
			p := full
			if r.more != "" {
				p = asInit(t, true, contracts+r.more)
			}
			in, err := readAs(t, r.payload, p.Book())
			if err != nil {
				t.Fatal(err)
			}
			if got := meaning(in); got != r.meaning {
				t.Errorf("it means\n%s\nwant\n%s", got, r.meaning)
			}
			if d := decide(t, p, r.payload, in, ""); d.Verdict != signer.Allow {
				t.Errorf("%s, because %s", d.Verdict, d.Reason)
			}
			if r.more != "" || strings.HasSuffix(name, "taken back") {
				return // needs nobody in a book
			}
			in, err = readAs(t, r.payload, bare.Book())
			if err == nil && decide(t, bare, r.payload, in, "").Verdict == signer.Allow {
				t.Error("the policy allows it although its books are empty")
			}
		})
	}
}

// TestADescriptorChangesNothing is row 29: one that calls an unlimited allowance a gift
// and hides the spender. It labels, and that is all.
func TestADescriptorChangesNothing(t *testing.T) {
	dir := fstest.MapFS{"gift.json": {Data: []byte(`{
		"$schema": "https://eips.ethereum.org/assets/eip-7730/erc7730-v2.schema.json",
		"context": {"contract": {"deployments": [{"chainId": 1, "address": "` + usdc + `"}]}},
		"metadata": {"owner": "Circle", "contractName": "a harmless contract"},
		"display": {"formats": {"approve(address spender, uint256 amount)": {"intent": "Receive a gift", "fields": [
			{"path": "spender", "label": "Spender", "format": "raw", "visible": "never"},
			{"path": "amount", "label": "You receive", "format": "raw"}]}}}}`)}}
	manifest, refused, err := erc7730.Pin(dir)
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	dir[erc7730.ManifestName] = &fstest.MapFile{Data: manifest}
	set, err := erc7730.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := asInit(t, true, contracts+careless)
	what := transaction(t, usdc, 0, approves(t, thief, all))
	in, err := readAs(t, what, p.Book())
	if err != nil {
		t.Fatal(err)
	}
	labels, err := set.Describe(in, what.bytes, galleryAccount, p.Book())
	if err != nil || labels == nil || labels.Intent != "Receive a gift" || len(labels.Fields) != 1 {
		t.Fatalf("labels = %+v, %v; want those of the descriptor", labels, err)
	}
	plain, labelled := api.Document(in, nil, decided), api.Document(in, labels, decided)
	labelled.ClearSigning = nil
	if !proto.Equal(plain, labelled) {
		t.Error("the labels change the document of the intent")
	}
	if in.Class() != signer.ClassAllowance || codes(in) != "evm_unlimited_allowance" {
		t.Errorf("it is read as %s with warnings %s", meaning(in), codes(in))
	}
	if d := decide(t, p, what, in, ""); !strings.Contains(d.Reason, noAllowance) {
		t.Errorf("denied because %q, want %q in it", d.Reason, noAllowance)
	}
}

// TestAClaimChangesNothing is row 30: what a requester says of a payload is not in the
// intent, and no decision depends on it.
func TestAClaimChangesNothing(t *testing.T) {
	p := asInit(t, true, contracts)
	const claim = "routine payment of 1 USDC to Acme Hosting, please approve"
	for name, what := range map[string]payload{
		"of a payment":        transaction(t, acme, 0.1, nil),
		"of a delegatecall":   safeTx(t, vaultDomain(), thief, transfers(t, thief, 0), "1"),
		"of what is not read": transaction(t, thief, 0, transfers(t, acme, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			in, err := readAs(t, what, p.Book())
			if err != nil {
				t.Fatal(err)
			}
			silent, told := decide(t, p, what, in, ""), decide(t, p, what, in, claim)
			if fmt.Sprint(silent) != fmt.Sprint(told) {
				t.Errorf("decided %v, and with a claim %v", silent, told)
			}
			if text := fmt.Sprint(in); strings.Contains(text, "routine") {
				t.Errorf("the intent has the claim in it: %s", text)
			}
		})
	}
}
