package evm_test

import (
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	authorizeType   = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
	receiveType     = "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
	cancelType      = "CancelAuthorization(address authorizer,bytes32 nonce)"
	safeMessageType = "SafeMessage(bytes message)"

	year2030 = "2030-01-01T00:00:00Z"
	maxWord  = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	word1    = "0x0000000000000000000000000000000000000000000000000000000000000001"
)

var at2030 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// fromPermit2 are the attributes of an effect of a message for Permit2.
func fromPermit2(primary, nonce string) map[string]string {
	return map[string]string{"contract": account(permit2At), "type": primary, "nonce": nonce, "usable_until": year2030}
}

// fromToken are those of a message for a token.
func fromToken(token, primary, nonce string) map[string]string {
	return map[string]string{"contract": account(token), "type": primary, "nonce": nonce, "usable_until": year2030}
}

// without is a map that lacks a key.
func without(m map[string]string, key string) map[string]string {
	delete(m, key)
	return m
}

// typedCase is typed data and what it means.
type typedCase struct {
	payload  []byte
	effects  []signer.Effect
	warnings []string
	complete bool
}

func checkTyped(t *testing.T, cases map[string]typedCase) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			in := decodeTyped(t, test.payload)
			if !reflect.DeepEqual(text(in.Effects), text(test.effects)) {
				t.Errorf("effects = %v\nwant      %v", text(in.Effects), text(test.effects))
			}
			if got := warnings(in); !slices.Equal(got, test.warnings) {
				t.Errorf("warnings = %v, want %v", got, test.warnings)
			}
			if in.Complete != test.complete || in.Kind != signer.KindEVMTypedData {
				t.Errorf("complete = %v, want %v; kind = %q", in.Complete, test.complete, in.Kind)
			}
			var out []signer.Quantity
			for _, e := range in.Effects {
				out = append(out, e.Quantity)
			}
			if got, want := quantities(in.Outflow), quantities(signer.Outflow(out...)); !slices.Equal(got, want) {
				t.Errorf("outflow = %v, want the sum of the effects: %v", got, want)
			}
		})
	}
}

func allowed(owner, spender string, q signer.Quantity, until time.Time, attributes map[string]string) signer.Effect {
	return signer.Effect{Class: signer.ClassAllowance, Actor: account(owner), Counterparty: account(spender),
		Quantity: q, Until: until, Attributes: attributes}
}

func unknownMessage(contract, primary, looksLike string) signer.Effect {
	e := signer.Effect{Class: signer.ClassUnknownMessage, Actor: account(sender),
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: map[string]string{"type": primary}}
	if contract != "" {
		e.Counterparty, e.Attributes["contract"] = account(contract), account(contract)
	}
	if looksLike != "" {
		e.Attributes["looks_like"] = looksLike
	}
	return e
}

func daiMessage() obj {
	return obj{"holder": sender, "spender": stranger, "nonce": 3, "expiry": 1893456000, "allowed": true}
}

// The deadline of a permit is that of the signature: the allowance has no end.
func TestPermitsOfTokensMean(t *testing.T) {
	on := func(token, text string, m obj) []byte { return typedJSON(t, text, tokenDomain(token), m) }
	everyUSDC := unlimited(usdcID)
	everyDAI := unlimited(daiID)
	million := signer.AtMost(usdcID, big.NewInt(1000000))
	checkTyped(t, map[string]typedCase{
		"a permit is an allowance without an end": {on(usdc, permitType, permitMessage()),
			[]signer.Effect{allowed(sender, stranger, million, time.Time{}, fromToken(usdc, "Permit", "3"))}, nil, true},
		"a permit of 2^256-1 is unlimited": {on(usdc, permitType, with(permitMessage(), obj{"value": maxWord})),
			[]signer.Effect{allowed(sender, stranger, everyUSDC, time.Time{}, fromToken(usdc, "Permit", "3"))},
			[]string{evm.WarnUnlimitedAllowance}, true},
		"a permit of nothing revokes": {on(usdc, permitType, with(permitMessage(), obj{"value": 0})),
			[]signer.Effect{allowed(sender, stranger, signer.Exact(usdcID, new(big.Int)), time.Time{}, fromToken(usdc, "Permit", "3"))}, nil, true},
		"a permit of another owner is that owner's": {on(usdc, permitType, with(permitMessage(), obj{"owner": payee})),
			[]signer.Effect{allowed(payee, stranger, million, time.Time{}, fromToken(usdc, "Permit", "3"))}, nil, true},
		"a permit to the zero address": {on(usdc, permitType, with(permitMessage(), obj{"spender": zeroAddress})),
			[]signer.Effect{allowed(sender, zeroAddress, million, time.Time{}, fromToken(usdc, "Permit", "3"))},
			[]string{evm.WarnZeroAddress}, true},
		"a permit of a token that nobody knows is an unknown message too": {on(stranger, permitType, permitMessage()),
			[]signer.Effect{
				allowed(sender, stranger, signer.AtMost("eip155:1/erc20:"+stranger, big.NewInt(1000000)), time.Time{}, fromToken(stranger, "Permit", "3")),
				unknownMessage(stranger, "Permit", "ERC-2612 permit"),
			}, []string{evm.WarnUnknownToken, evm.WarnTokenContract, evm.WarnUnknownContract}, false},
		"a permit for no contract is an unknown message": {
			typedJSON(t, permitType, obj{"name": "USD Coin", "chainId": 1}, permitMessage()),
			[]signer.Effect{unknownMessage("", "Permit", "ERC-2612 permit")}, []string{evm.WarnUnknownContract}, false},
		"a permit with a member more is another type": {
			on(usdc, "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline,bool x)", with(permitMessage(), obj{"x": true})),
			[]signer.Effect{unknownMessage(usdc, "Permit", "")}, []string{evm.WarnUnknownTypedData}, false},
		"DAI is allowed as a whole": {on(dai, daiPermitType, daiMessage()),
			[]signer.Effect{allowed(sender, stranger, everyDAI, time.Time{}, fromToken(dai, "Permit", "3"))},
			[]string{evm.WarnUnlimitedAllowance}, true},
		"DAI is revoked": {on(dai, daiPermitType, with(daiMessage(), obj{"allowed": false})),
			[]signer.Effect{allowed(sender, stranger, signer.Exact(daiID, new(big.Int)), time.Time{}, fromToken(dai, "Permit", "3"))}, nil, true},
		"DAI with an expiry of 0 never expires": {on(dai, daiPermitType, with(daiMessage(), obj{"expiry": 0})),
			[]signer.Effect{allowed(sender, stranger, everyDAI, time.Time{}, without(fromToken(dai, "Permit", "3"), "usable_until"))},
			[]string{evm.WarnNeverExpires, evm.WarnUnlimitedAllowance}, true},
	})
}

func TestAuthorizationsOfTransfersMean(t *testing.T) {
	on := func(token, text string, m obj) []byte { return typedJSON(t, text, tokenDomain(token), m) }
	message := obj{"from": sender, "to": payee, "value": "2500000", "validAfter": 0, "validBefore": 1893456000, "nonce": word1}
	moved := func(to, primary string) signer.Effect {
		return signer.Effect{Class: signer.ClassTransfer, Actor: account(sender), Counterparty: account(to), Until: at2030,
			Quantity: signer.Exact(usdcID, big.NewInt(2500000)), Attributes: without(fromToken(usdc, primary, ""), "nonce")}
	}
	forEver := moved(payee, "TransferWithAuthorization")
	forEver.Until = time.Time{}
	delete(forEver.Attributes, "usable_until")
	checkTyped(t, map[string]typedCase{
		"a transfer is one until its deadline": {on(usdc, authorizeType, message), []signer.Effect{moved(payee, "TransferWithAuthorization")}, nil, true},
		"a transfer that starts later": {on(usdc, authorizeType, with(message, obj{"validAfter": 1767225600})),
			[]signer.Effect{moved(payee, "TransferWithAuthorization")}, nil, true},
		"a transfer that the recipient collects": {on(usdc, receiveType, message), []signer.Effect{moved(payee, "ReceiveWithAuthorization")}, nil, true},
		"a transfer to the zero address": {on(usdc, authorizeType, with(message, obj{"to": zeroAddress})),
			[]signer.Effect{moved(zeroAddress, "TransferWithAuthorization")}, []string{evm.WarnZeroAddress}, true},
		"a transfer without a deadline": {on(usdc, authorizeType, with(message, obj{"validBefore": maxWord})),
			[]signer.Effect{forEver}, []string{evm.WarnNeverExpires}, true},
		"a transfer of a token that nobody knows": {on(stranger, receiveType, message),
			[]signer.Effect{
				{Class: signer.ClassTransfer, Actor: account(sender), Counterparty: account(payee), Until: at2030,
					Quantity: signer.Exact("eip155:1/erc20:"+stranger, big.NewInt(2500000)), Attributes: without(fromToken(stranger, "ReceiveWithAuthorization", ""), "nonce")},
				unknownMessage(stranger, "ReceiveWithAuthorization", "ERC-3009 transfer"),
			}, []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, false},
		"a cancelled transfer": {on(usdc, cancelType, obj{"authorizer": sender, "nonce": word1}),
			[]signer.Effect{{Class: signer.ClassInvalidate, Actor: account(sender),
				Attributes: map[string]string{"contract": account(usdc), "type": "CancelAuthorization", "act": "cancel"}}}, nil, true},
	})
}

func TestPermit2Means(t *testing.T) {
	on := func(text string, m obj) []byte { return typedJSON(t, text, permit2Domain(), m) }
	details := obj{"token": usdc, "amount": "1000000", "expiration": 1893456000, "nonce": 4}
	single := obj{"details": details, "spender": payee, "sigDeadline": 1893456000}
	permitted := obj{"token": usdc, "amount": "1000000"}
	once := obj{"permitted": permitted, "spender": payee, "nonce": "5", "deadline": 1893456000}
	witness := with(once, obj{"witness": obj{"mock": 1}})
	million := signer.AtMost(usdcID, big.NewInt(1000000))
	everyUSDC := unlimited(usdcID)
	unlisted := signer.AtMost("eip155:1/erc20:"+stranger, big.NewInt(9))
	set := func(q signer.Quantity, until time.Time) signer.Effect {
		return allowed(sender, payee, q, until, fromPermit2("PermitSingle", "4"))
	}
	changed := func(change obj) []byte {
		return on(permitSingleType, with(single, obj{"details": with(details, change)}))
	}
	witnessed := unknownMessage(permit2At, "PermitWitnessTransferFrom", "")
	checkTyped(t, map[string]typedCase{
		"an allowance ends when it says": {on(permitSingleType, single), []signer.Effect{set(million, at2030)}, nil, true},
		"an allowance may outlive its signature": {changed(obj{"expiration": 1924992000}),
			[]signer.Effect{set(million, at2030.AddDate(1, 0, 0))}, nil, true},
		"an allowance of the largest number is unlimited": {changed(obj{"amount": "1461501637330902918203684832716283019655932542975"}),
			[]signer.Effect{set(everyUSDC, at2030)}, []string{evm.WarnUnlimitedAllowance}, true},
		"an allowance of nothing revokes": {changed(obj{"amount": 0}),
			[]signer.Effect{set(signer.Exact(usdcID, new(big.Int)), at2030)}, nil, true},
		"an allowance that expires at once lasts as long as its signature": {changed(obj{"expiration": 0}),
			[]signer.Effect{set(million, at2030)}, nil, true},
		"an allowance with the largest expiration has no end": {changed(obj{"expiration": "281474976710655"}),
			[]signer.Effect{set(million, time.Time{})}, []string{evm.WarnNeverExpires}, true},
		"an allowance of a token in no list": {changed(obj{"token": stranger, "amount": 9}),
			[]signer.Effect{set(unlisted, at2030), unknownMessage(permit2At, "PermitSingle", "")}, []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, false},
		// Permit2 calls transferFrom, by which an item goes whose number is the amount.
		"an allowance of nothing of a collection is its item 0": {changed(obj{"token": stranger, "amount": 0}),
			[]signer.Effect{set(signer.Exact("eip155:1/erc20:"+stranger, new(big.Int)), at2030), unknownMessage(permit2At, "PermitSingle", "")},
			[]string{evm.WarnUnknownToken, evm.WarnUnknownContract}, false},
		"a transfer of nothing of a collection is its item 0": {on(transferType, with(once, obj{"permitted": obj{"token": stranger, "amount": 0}})),
			[]signer.Effect{
				allowed(sender, payee, signer.AtMost("eip155:1/erc20:"+stranger, new(big.Int)), at2030, fromPermit2("PermitTransferFrom", "5")),
				unknownMessage(permit2At, "PermitTransferFrom", ""),
			}, []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, false},
		"a batch is an allowance each": {
			on(permitBatchType, with(single, obj{"details": []obj{details, with(details, obj{"token": stranger, "amount": 9, "nonce": 6})}})),
			[]signer.Effect{
				allowed(sender, payee, million, at2030, fromPermit2("PermitBatch", "4")),
				allowed(sender, payee, unlisted, at2030, fromPermit2("PermitBatch", "6")),
				unknownMessage(permit2At, "PermitBatch", ""),
			}, []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, false},
		"a transfer may be taken until the deadline": {on(transferType, once),
			[]signer.Effect{allowed(sender, payee, million, at2030, fromPermit2("PermitTransferFrom", "5"))}, nil, true},
		"transfers may be taken until the deadline": {on(transfersType, with(once, obj{"permitted": []obj{permitted, permitted}})),
			[]signer.Effect{
				allowed(sender, payee, million, at2030, fromPermit2("PermitBatchTransferFrom", "5")),
				allowed(sender, payee, million, at2030, fromPermit2("PermitBatchTransferFrom", "5")),
			}, nil, true},
		"a witness is not understood": {on(witnessType, witness),
			[]signer.Effect{allowed(sender, payee, million, at2030, fromPermit2("PermitWitnessTransferFrom", "5")), witnessed},
			[]string{evm.WarnUnknownTypedData}, false},
		"a witness that is a hash is not understood": {
			on("PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,bytes32 order)TokenPermissions(address token,uint256 amount)",
				with(once, obj{"order": word1})),
			[]signer.Effect{allowed(sender, payee, million, at2030, fromPermit2("PermitWitnessTransferFrom", "5")), witnessed},
			[]string{evm.WarnUnknownTypedData}, false},
		"a witness beside permissions of another type is another type": {
			on("PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,MockWitness witness)MockWitness(uint256 mock)TokenPermissions(address token,uint128 amount)", witness),
			[]signer.Effect{witnessed}, []string{evm.WarnUnknownTypedData}, false},
		"a second witness makes another type": {
			on("PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,bool a,bool b)TokenPermissions(address token,uint256 amount)",
				with(once, obj{"a": true, "b": true})),
			[]signer.Effect{witnessed}, []string{evm.WarnUnknownTypedData}, false},
	})
}

func TestPermit2BatchesAreBounded(t *testing.T) {
	batch := func(n int) []byte {
		permitted := slices.Repeat([]obj{{"token": usdc, "amount": 1}}, n)
		return typedJSON(t, transfersType, permit2Domain(), obj{"permitted": permitted, "spender": payee, "nonce": 1, "deadline": 1893456000})
	}
	if in := decodeTyped(t, batch(512)); len(in.Effects) != 512 {
		t.Errorf("%d effects of 512 permissions", len(in.Effects))
	}
	refusedTyped(t, batch(513), keyFor(t, "eip155:1"), "513 permissions in one payload; the most is 512")
	refusedTyped(t, batch(0), keyFor(t, "eip155:1"), "PermitBatchTransferFrom permits nothing")
}

func TestTypedDataSaysWhenItsOwnerIsNotTheSigner(t *testing.T) {
	const want = payee + " is not the signer: the signature counts only if that is a contract which takes it for its own"
	in := decodeTyped(t, typedJSON(t, permitType, tokenDomain(usdc), with(permitMessage(), obj{"owner": payee})))
	if got := field(in, "owner"); got != want {
		t.Errorf("owner = %q, want %q", got, want)
	}
	in = decodeTyped(t, typedJSON(t, permitType, tokenDomain(usdc), permitMessage()))
	if got := field(in, "owner"); got != "" {
		t.Errorf("owner = %q where it is the signer", got)
	}
}

func TestPermitSaysUntilWhen(t *testing.T) {
	in := decodeTyped(t, typedJSON(t, permitType, tokenDomain(usdc), permitMessage()))
	for name, want := range map[string]string{
		"message.deadline":     "1893456000",
		"end of the signature": "2030-01-01 00:00:00 UTC",
		"allowance":            "1 usdc (1000000 base units), until used up or revoked",
		"token":                "usdc (" + usdcID + ")",
		"spender":              stranger,
	} {
		if got := field(in, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}
