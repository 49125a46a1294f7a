package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// erc20Methods are those of a fungible token: ERC-20, the permits of ERC-2612, ERC-7597
// and DAI, and the transfers by signature of ERC-3009. A token that lacks one of them
// does less than what is said here, never more.
var erc20Methods = newFamily(
	reads("transfer(address to, uint256 amount)", readERC20Transfer),
	reads("approve(address spender, uint256 amount)", readERC20Approve),
	reads("transferFrom(address from, address to, uint256 amount)", readERC20TransferFrom),
	reads("increaseAllowance(address spender, uint256 added)", readERC20Increase),
	reads("decreaseAllowance(address spender, uint256 subtracted)", readERC20Decrease),
	reads("permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)", callPermit),
	reads("permit(address owner, address spender, uint256 value, uint256 deadline, bytes signature)", callPermit),
	reads("permit(address holder, address spender, uint256 nonce, uint256 expiry, bool allowed, uint8 v, bytes32 r, bytes32 s)", callDAIPermit),
	reads("transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)", callAuthorizedTransfer),
	reads("transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)", callAuthorizedTransfer),
	reads("receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)", callAuthorizedTransfer),
	reads("receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)", callAuthorizedTransfer),
	reads("cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)", callCancelAuthorization),
	reads("cancelAuthorization(address authorizer, bytes32 nonce, bytes signature)", callCancelAuthorization),
)

func readERC20Transfer(r *reading, f frame, args []abi.Value) error {
	token := r.called(f)
	r.tokenTransfer(f, token, args[0].Address(), args[1].Uint(), signer.Effect{Attributes: r.of(f)})
	return nil
}

// readERC20TransferFrom: the caller spends what another account allowed it.
func readERC20TransferFrom(r *reading, f frame, args []abi.Value) error {
	token, from := r.called(f), args[0].Address()
	r.field(f.named("from"), r.hex(from))
	r.tokenTransfer(f, token, args[1].Address(), args[2].Uint(), signer.Effect{Actor: r.account(from), Attributes: r.spent(f)})
	return nil
}

func readERC20Approve(r *reading, f frame, args []abi.Value) error {
	token := r.called(f)
	r.allowance(f, args[0].Address(), args[1].Uint(), token, signer.Effect{Attributes: r.of(f)})
	r.tokenWarnings(f, args[0].Address(), token)
	return nil
}

// readERC20Increase counts what is added: what was allowed before was counted then.
func readERC20Increase(r *reading, f frame, args []abi.Value) error {
	if args[1].Uint().IsZero() {
		return f.invalid("it adds 0 to what was allowed before, which changes nothing; to revoke, approve 0")
	}
	token, attributes := r.called(f), r.of(f)
	attributes["act"] = "increase"
	r.field(f.named("change"), "adds to what was allowed before")
	r.allowance(f, args[0].Address(), args[1].Uint(), token, signer.Effect{Attributes: attributes})
	r.tokenWarnings(f, args[0].Address(), token)
	return nil
}

// readERC20Decrease cannot say what is left to the spender: calldata does not tell what
// was allowed before. So it is no revocation, and no limit lets it pass unseen; to
// approve zero is the way to be sure.
func readERC20Decrease(r *reading, f frame, args []abi.Value) error {
	token, spender, attributes := r.called(f), args[0].Address(), r.of(f)
	attributes["act"] = "decrease"
	r.field(f.named("spender"), r.hex(spender))
	r.field(f.named("allowance"), "less by "+amount(args[1].Uint(), token)+"; how much is left is not known")
	r.effect(f, signer.Effect{
		Class: signer.ClassAllowance, Counterparty: r.account(spender),
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: attributes,
	})
	r.tokenWarnings(f, spender, token)
	return nil
}

// token is the fungible token at an address; one that the book does not have has no
// name but its id and counts in base units.
func (r *reading) token(contract common.Address) signer.Asset {
	id := r.asset("erc20", contract)
	if a, ok := r.book.Assets[id]; ok {
		return a
	}
	return signer.Asset{ID: id, Name: id}
}

// listed is [reading.token], shown, with a warning where the book does not have it.
func (r *reading) listed(f frame, contract common.Address) signer.Asset {
	token := r.token(contract)
	r.field(f.named("token"), tokenText(token))
	if _, ok := r.book.Assets[token.ID]; !ok {
		r.warn(WarnUnknownToken, signer.SeverityWarn,
			f.named("token "+r.hex(contract)+" is in none of your lists: its name and decimals are not known, amounts are in base units"))
	}
	return token
}

// fungible reports whether the owner's book, or this package, has a contract as a
// fungible token and as nothing else.
func (r *reading) fungible(contract common.Address) bool {
	at := r.at(contract)
	_, ok := r.book.Assets[r.asset("erc20", contract)]
	return !at.twice && (ok || at.contract.Kind == signer.ContractWETH)
}

// To Permit2 and to a Safe that pays for gas, a token is an address to call. A collection
// (ERC-721) may have the same method, and takes the amount for the number of an item: whoever
// is allowed 0 may then take item 0.
const notFungible = "is not known as a fungible token: of a collection the amount would be the number of an item"

// mustBeFungible adds an effect that may be anything for a token that is not known. The
// actor is who has it called; empty: the caller.
func (r *reading) mustBeFungible(f frame, token common.Address, actor string) {
	if r.fungible(token) {
		return
	}
	r.in.Complete = false
	r.effect(f, signer.Effect{
		Class: signer.ClassUnknownCall, Actor: actor, Counterparty: r.account(token),
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: r.of(f),
	})
	r.warn(WarnUnknownContract, signer.SeverityDanger, f.named(r.hex(token)+" "+notFungible))
}

// called is the token whose contract is called.
func (r *reading) called(f frame) signer.Asset {
	if !f.value.IsZero() {
		r.warn(WarnValueWithTokenCall, signer.SeverityWarn,
			f.named("sends "+amount(&f.value, r.coin)+" along with a token call, which has no use for it"))
	}
	return r.listed(f, f.to)
}

func tokenText(a signer.Asset) string {
	if a.Name == a.ID {
		return a.ID
	}
	return a.Name + " (" + a.ID + ")"
}

// of are the attributes of an effect that a contract has: which contract it is.
func (r *reading) of(f frame) map[string]string {
	return map[string]string{"contract": r.account(f.to)}
}

// spent is [reading.of] for what is taken from somebody: the caller takes it.
func (r *reading) spent(f frame) map[string]string {
	attributes := r.of(f)
	if f.from != nil {
		attributes["spender"] = r.account(*f.from)
	}
	return attributes
}

// tokenTransfer adds the transfer of n of a token. The effect may say more about it,
// such as whose tokens they are.
func (r *reading) tokenTransfer(f frame, token signer.Asset, to common.Address, n *uint256.Int, e signer.Effect) {
	e.Class, e.Counterparty, e.Quantity = signer.ClassTransfer, r.account(to), signer.Exact(token.ID, n.ToBig())
	r.field(f.named("recipient"), r.hex(to))
	r.field(f.named("token amount"), amount(n, token))
	r.effect(f, e)
	r.tokenWarnings(f, to, token)
}

// allowance adds the permission to take up to n of a token. The effect may say more
// about it, such as when it ends. One of zero takes back what was allowed before, unless
// the effect has a quantity already: of what is allowed once, zero leaves the rest as it
// is.
func (r *reading) allowance(f frame, spender common.Address, n *uint256.Int, token signer.Asset, e signer.Effect) {
	e.Class, e.Counterparty = signer.ClassAllowance, r.account(spender)
	ends := "until used up or revoked"
	if !e.Until.IsZero() {
		ends = "until used up, revoked or " + timeText(e.Until)
	}
	r.field(f.named("spender"), r.hex(spender))
	switch {
	case isUnlimited(n):
		// Amounts that no supply reaches stand for "everything"; wallets and tokens
		// write 2^256-1, and 2^96-1 or 2^160-1 where a token or Permit2 counts so.
		e.Quantity = signer.Quantity{Kind: signer.QuantityUnlimited, Asset: token.ID}
		r.field(f.named("allowance"), "unlimited ("+n.Dec()+" base units), "+ends)
		r.warn(WarnUnlimitedAllowance, signer.SeverityDanger,
			f.named(r.hex(spender)+" may take all "+token.Name+" of this account, now and later, "+ends))
	case n.IsZero() && e.Quantity.Kind == signer.QuantityNone:
		e.Quantity = signer.Exact(token.ID, n.ToBig())
		r.field(f.named("allowance"), "0: revokes what was allowed before")
	default:
		e.Quantity = signer.AtMost(token.ID, n.ToBig())
		r.field(f.named("allowance"), amount(n, token)+", "+ends)
	}
	r.effect(f, e)
}

// isUnlimited: no token has a supply of 2^127, which is 1.7e20 whole ones of 18 decimals.
func isUnlimited(n *uint256.Int) bool {
	most96 := new(uint256.Int).SubUint64(new(uint256.Int).Lsh(uint256.NewInt(1), 96), 1)
	return n.BitLen() >= 128 || n.Eq(most96)
}

func (r *reading) tokenWarnings(f frame, who common.Address, token signer.Asset) {
	switch {
	case who == common.Address{}:
		r.warn(WarnZeroAddress, signer.SeverityDanger, f.named("the recipient or spender is the zero address: what is sent there is lost"))
	case r.asset("erc20", who) == token.ID:
		r.warn(WarnTokenContract, signer.SeverityDanger, f.named("the recipient or spender is the contract of "+token.Name+" itself: what is sent there is most likely lost"))
	}
}
