package evm_test

import (
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	permit2Single  = "permit(address owner, ((address token, uint160 amount, uint48 expiration, uint48 nonce) details, address spender, uint256 sigDeadline) permitSingle, bytes signature)"
	permit2Batch   = "permit(address owner, ((address token, uint160 amount, uint48 expiration, uint48 nonce)[] details, address spender, uint256 sigDeadline) permitBatch, bytes signature)"
	permit2Take    = "permitTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes signature)"
	permit2TakeAll = "permitTransferFrom(((address token, uint256 amount)[] permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount)[] transferDetails, address owner, bytes signature)"
	permit2Witness = "permitWitnessTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)"
)

// unlistedToken is in no list.
const (
	unlistedToken   = "0x1f9840a85d5aF5bf1D1762F925BDADdC4201F984"
	unlistedTokenID = "eip155:1/erc20:" + unlistedToken
)

func TestPermit2CallsMean(t *testing.T) {
	from := func(class signer.Class, actor, counterparty string, q signer.Quantity, more ...string) signer.Effect {
		return does(class, actor, counterparty, q, append(more, "contract", account(permit2At))...)
	}
	until := func(e signer.Effect, seconds int64) signer.Effect {
		e.Until = time.Unix(seconds, 0).UTC()
		return e
	}
	notFungible := func(actor, token string) signer.Effect {
		return from(signer.ClassUnknownCall, actor, token, signer.Quantity{Kind: signer.QuantityUnknown})
	}
	const in2030 = 1893456000
	checkCalls(t, map[string]callCase{
		"an allowance with an end": {to: permit2At, data: calldata("approve(address,address,uint160,uint48)", usdc, stranger, 5, in2030),
			effects: []signer.Effect{until(from(signer.ClassAllowance, sender, stranger, atMost(usdcID, 5)), in2030)}},
		"an allowance for one block has no end that is known": {to: permit2At, data: calldata("approve(address,address,uint160,uint48)", usdc, stranger, 5, 0),
			effects: []signer.Effect{from(signer.ClassAllowance, sender, stranger, atMost(usdcID, 5))}},
		"all there could be, for ever": {to: permit2At, data: calldata("approve(address,address,uint160,uint48)", usdc, stranger, below(pow2(160)), below(pow2(48))),
			effects: []signer.Effect{from(signer.ClassAllowance, sender, stranger, unlimited(usdcID))},
			warns:   []string{evm.WarnNeverExpires, evm.WarnUnlimitedAllowance}},
		"a token that no list has": {to: permit2At, data: calldata("approve(address,address,uint160,uint48)", unlistedToken, stranger, 5, in2030),
			effects: []signer.Effect{until(from(signer.ClassAllowance, sender, stranger, atMost(unlistedTokenID, 5)), in2030), notFungible(sender, unlistedToken)},
			warns:   []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, blind: true},
		"nothing of a collection is its item 0": {to: permit2At, data: calldata("approve(address,address,uint160,uint48)", apes, stranger, 0, in2030),
			effects: []signer.Effect{until(from(signer.ClassAllowance, sender, stranger, exactly("eip155:1/erc20:"+apes, 0)), in2030), notFungible(sender, apes)},
			warns:   []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, blind: true},
		"a transfer from a collection": {to: permit2At, data: calldata("transferFrom(address,address,uint160,address)", stranger, payee, 5, apes),
			effects: []signer.Effect{from(signer.ClassTransfer, stranger, payee, exactly("eip155:1/erc20:"+apes, 5), "spender", account(sender)), notFungible(sender, apes)},
			warns:   []string{evm.WarnUnknownToken, evm.WarnUnknownContract}, blind: true},
		"a permit that another account signed": {to: permit2At, data: calldata(permit2Single, payee, []any{[]any{usdc, 5, in2030, 3}, stranger, in2030 + 9}, sig65),
			effects: []signer.Effect{until(from(signer.ClassAllowance, payee, stranger, atMost(usdcID, 5), "nonce", "3"), in2030)}},
		"permits that another account signed": {to: permit2At,
			data: calldata(permit2Batch, payee, []any{[]any{[]any{usdc, 5, in2030, 3}, []any{usdc, 0, in2030, 4}}, stranger, in2030 + 9}, sig65),
			effects: []signer.Effect{
				until(from(signer.ClassAllowance, payee, stranger, atMost(usdcID, 5), "nonce", "3"), in2030),
				until(from(signer.ClassAllowance, payee, stranger, exactly(usdcID, 0), "nonce", "4"), in2030)}},
		"a transfer": {to: permit2At, data: calldata("transferFrom(address,address,uint160,address)", stranger, payee, 5, usdc),
			effects: []signer.Effect{from(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5), "spender", account(sender))}},
		"transfers": {to: permit2At, data: calldata("transferFrom((address,address,uint160,address)[])", []any{[]any{stranger, payee, 5, usdc}, []any{payee, stranger, 6, usdc}}),
			effects: []signer.Effect{
				from(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5), "spender", account(sender)),
				from(signer.ClassTransfer, payee, stranger, exactly(usdcID, 6), "spender", account(sender))}},
		"allowances that are all taken back": {to: permit2At, data: calldata("lockdown((address,address)[])", []any{[]any{usdc, stranger}, []any{usdc, payee}}),
			effects: []signer.Effect{
				from(signer.ClassAllowance, sender, stranger, exactly(usdcID, 0), "act", "lockdown"),
				from(signer.ClassAllowance, sender, payee, exactly(usdcID, 0), "act", "lockdown")}},
		"permits that become void": {to: permit2At, data: calldata("invalidateNonces(address,address,uint48)", usdc, stranger, 9),
			effects: []signer.Effect{from(signer.ClassInvalidate, sender, stranger, signer.Quantity{}, "act", "invalidate_nonces", "nonce", "9")}},
		"signed transfers that become void": {to: permit2At, data: calldata("invalidateUnorderedNonces(uint256,uint256)", 1, 255),
			effects: []signer.Effect{from(signer.ClassInvalidate, sender, "", signer.Quantity{}, "act", "invalidate_nonces")}},
		"a signed transfer": {to: permit2At, data: calldata(permit2Take, []any{[]any{usdc, 9}, 3, in2030}, []any{payee, 5}, stranger, sig65),
			effects: []signer.Effect{from(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5), "spender", account(sender), "nonce", "3")}},
		"signed transfers": {to: permit2At, data: calldata(permit2TakeAll, []any{[]any{[]any{usdc, 9}, []any{usdc, 9}}, 3, in2030}, []any{[]any{payee, 5}, []any{payee, 0}}, stranger, sig65),
			effects: []signer.Effect{
				from(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5), "spender", account(sender), "nonce", "3"),
				from(signer.ClassTransfer, stranger, payee, exactly(usdcID, 0), "spender", account(sender), "nonce", "3")}},
		"a signed transfer with terms of the spender's": {to: permit2At,
			data:    calldata(permit2Witness, []any{[]any{usdc, 9}, 3, in2030}, []any{payee, 5}, stranger, word, []byte("Order witness)Order(uint256 x)"), sig65),
			effects: []signer.Effect{from(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5), "spender", account(sender), "nonce", "3")}},
	})
}

func TestPermit2CallsThatWouldFailAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"more than was permitted": {calldata(permit2Take, []any{[]any{usdc, 4}, 3, 9}, []any{payee, 5}, stranger, sig65), "transfer 1 of 5 base units, and 4 are permitted"},
		"fewer permitted":         {calldata(permit2TakeAll, []any{[]any{}, 3, 9}, []any{[]any{payee, 5}}, stranger, sig65), "0 permitted and 1 transfers"},
		"nothing to take":         {calldata(permit2TakeAll, []any{[]any{}, 3, 9}, []any{}, stranger, sig65), "an empty batch"},
		"nothing to permit":       {calldata(permit2Batch, payee, []any{[]any{}, stranger, 9}, sig65), "an empty batch"},
		"nothing to lock":         {calldata("lockdown((address,address)[])", []any{}), "an empty batch"},
		"nothing to transfer":     {calldata("transferFrom((address,address,uint160,address)[])", []any{}), "an empty batch"},
	} {
		t.Run(name, func(t *testing.T) { refusedCall(t, permit2At, 0, test.data, test.want) })
	}
}
