package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// permit2Methods are those of Permit2: allowances with an end (AllowanceTransfer.sol) and
// transfers by signature (SignatureTransfer.sol). Tokens are named in the calls; those
// that no list has are counted in base units.
var permit2Methods = newFamily(
	reads("approve(address token, address spender, uint160 amount, uint48 expiration)", readPermit2Approve),
	reads("permit(address owner, ((address token, uint160 amount, uint48 expiration, uint48 nonce) details, address spender, uint256 sigDeadline) permitSingle, bytes signature)", readPermit2Permit),
	reads("permit(address owner, ((address token, uint160 amount, uint48 expiration, uint48 nonce)[] details, address spender, uint256 sigDeadline) permitBatch, bytes signature)", readPermit2Permit),
	reads("transferFrom(address from, address to, uint160 amount, address token)", readPermit2Transfer),
	reads("transferFrom((address from, address to, uint160 amount, address token)[] transferDetails)", readPermit2Transfers),
	reads("lockdown((address token, address spender)[] approvals)", readLockdown),
	reads("invalidateNonces(address token, address spender, uint48 newNonce)", readInvalidateNonces),
	reads("invalidateUnorderedNonces(uint256 wordPos, uint256 mask)", readInvalidateUnordered),
	reads("permitTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes signature)", readSignatureTransfer),
	reads("permitTransferFrom(((address token, uint256 amount)[] permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount)[] transferDetails, address owner, bytes signature)", readSignatureTransfer),
	reads("permitWitnessTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)", readSignatureTransfer),
	reads("permitWitnessTransferFrom(((address token, uint256 amount)[] permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount)[] transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)", readSignatureTransfer),
)

func readPermit2Approve(r *reading, f frame, args []abi.Value) error {
	r.permit2Allowance(f, args[0].Address(), args[1].Address(), args[2].Uint(), args[3].Uint(), signer.Effect{Attributes: r.of(f)})
	r.mustBeFungible(f, args[0].Address(), "")
	return nil
}

// permit2Allowance is an allowance that ends by itself. An expiration of 0 stands for the
// time of the block (Allowance.sol, updateAmountAndExpiration), which nobody knows yet:
// the effect then has no end, which is the worse.
func (r *reading) permit2Allowance(f frame, contract, spender common.Address, n, expiration *uint256.Int, e signer.Effect) {
	token := r.listed(f, contract)
	switch {
	case expiration.IsZero():
		r.field(f.named("expiration"), "0: with the block that it is in")
	default:
		if e.Until = r.moment(f, "expiration", expiration); e.Until.IsZero() && !n.IsZero() {
			r.warn(WarnNeverExpires, signer.SeverityWarn, f.named("the allowance of "+r.hex(spender)+" has no end in this age"))
		}
	}
	r.allowance(f, spender, n, token, e)
	r.tokenWarnings(f, spender, token)
}

// readPermit2Permit: the details are one or a list. The owner signed them before.
func readPermit2Permit(r *reading, f frame, args []abi.Value) error {
	owner, permit := args[0].Address(), args[1].Elems
	r.field(f.named("owner"), r.hex(owner))
	r.moment(f, "deadline of the permit", permit[2].Uint())
	r.field(f.named("signature"), bytesText(args[2].Bytes))
	details := oneOrAll(permit[0])
	if err := f.batch(len(details)); err != nil {
		return err
	}
	for _, d := range details {
		attributes := r.of(f)
		attributes["nonce"] = d.Elems[3].Uint().Dec()
		r.field(f.named("nonce"), attributes["nonce"])
		r.permit2Allowance(f, d.Elems[0].Address(), permit[1].Address(), d.Elems[1].Uint(), d.Elems[2].Uint(),
			signer.Effect{Actor: r.account(owner), Attributes: attributes})
		r.mustBeFungible(f, d.Elems[0].Address(), "")
	}
	return nil
}

// oneOrAll are the elements of a list, or the one value that is none.
func oneOrAll(v abi.Value) []abi.Value {
	if v.Type.Kind == abi.Slice {
		return v.Elems
	}
	return []abi.Value{v}
}

// readPermit2Transfer: the caller spends what another account allowed it.
func readPermit2Transfer(r *reading, f frame, args []abi.Value) error {
	from := args[0].Address()
	token := r.listed(f, args[3].Address())
	r.field(f.named("from"), r.hex(from))
	r.tokenTransfer(f, token, args[1].Address(), args[2].Uint(), signer.Effect{Actor: r.account(from), Attributes: r.spent(f)})
	r.mustBeFungible(f, args[3].Address(), "")
	return nil
}

func readPermit2Transfers(r *reading, f frame, args []abi.Value) error {
	if err := f.batch(len(args[0].Elems)); err != nil {
		return err
	}
	for _, d := range args[0].Elems {
		if err := readPermit2Transfer(r, f, d.Elems); err != nil {
			return err
		}
	}
	return nil
}

func readLockdown(r *reading, f frame, args []abi.Value) error {
	if err := f.batch(len(args[0].Elems)); err != nil {
		return err
	}
	for _, pair := range args[0].Elems {
		attributes := r.of(f)
		attributes["act"] = "lockdown"
		token := r.listed(f, pair.Elems[0].Address())
		r.allowance(f, pair.Elems[1].Address(), new(uint256.Int), token, signer.Effect{Attributes: attributes})
	}
	return nil
}

// readInvalidateNonces makes void all permits of the caller for a token and a spender
// with a nonce below the new one. What a permit set before stays.
func readInvalidateNonces(r *reading, f frame, args []abi.Value) error {
	attributes, spender := r.of(f), args[1].Address()
	attributes["act"], attributes["nonce"] = "invalidate_nonces", args[2].Uint().Dec()
	r.listed(f, args[0].Address())
	r.field(f.named("spender"), r.hex(spender))
	r.field(f.named("new nonce"), attributes["nonce"]+": permits with a lower one become void")
	r.effect(f, signer.Effect{Class: signer.ClassInvalidate, Counterparty: r.account(spender), Attributes: attributes})
	return nil
}

func readInvalidateUnordered(r *reading, f frame, args []abi.Value) error {
	attributes := r.of(f)
	attributes["act"] = "invalidate_nonces"
	r.field(f.named("word of nonces"), args[0].Uint().Dec())
	r.field(f.named("mask"), args[1].Uint().Hex()+": signed transfers with these nonces of the word become void")
	r.effect(f, signer.Effect{Class: signer.ClassInvalidate, Attributes: attributes})
	return nil
}

// readSignatureTransfer: the owner signed what the caller may take, once, and the caller
// says how much of it goes where. With a witness the owner signed the caller's own terms
// along, which Permit2 does not look at.
func readSignatureTransfer(r *reading, f frame, args []abi.Value) error {
	permit, owner := args[0].Elems, args[2].Address()
	permitted, details := oneOrAll(permit[0]), oneOrAll(args[1])
	if len(permitted) != len(details) {
		return f.invalid("%d permitted and %d transfers: it would fail", len(permitted), len(details))
	}
	if err := f.batch(len(details)); err != nil {
		return err
	}
	r.field(f.named("from"), r.hex(owner))
	r.field(f.named("nonce"), permit[1].Uint().Dec())
	r.moment(f, "deadline of the permit", permit[2].Uint())
	if len(args) > 4 {
		r.field(f.named("witness"), bytesText(args[3].Bytes))
		r.field(f.named("witness type"), args[4].Text())
	}
	r.field(f.named("signature"), bytesText(args[len(args)-1].Bytes))
	for i, d := range details {
		most, n := permitted[i].Elems[1].Uint(), d.Elems[1].Uint()
		if n.Gt(most) {
			return f.invalid("transfer %d of %s base units, and %s are permitted: it would fail", i+1, n.Dec(), most.Dec())
		}
		token := r.listed(f, permitted[i].Elems[0].Address())
		r.field(f.named("permitted"), amount(most, token))
		attributes := r.spent(f)
		attributes["nonce"] = permit[1].Uint().Dec()
		r.tokenTransfer(f, token, d.Elems[0].Address(), n, signer.Effect{Actor: r.account(owner), Attributes: attributes})
		r.mustBeFungible(f, permitted[i].Elems[0].Address(), "")
	}
	return nil
}
