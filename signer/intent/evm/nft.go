package evm

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// erc721Methods are those of a collection of single items (ERC-721). Two of them have
// the selectors of ERC-20: what the owner's book has the contract as decides.
var erc721Methods = newFamily(slices.Concat([]method{
	reads("transferFrom(address from, address to, uint256 tokenId)", readItemTransfer),
	reads("safeTransferFrom(address from, address to, uint256 tokenId)", readItemTransfer),
	reads("safeTransferFrom(address from, address to, uint256 tokenId, bytes data)", readItemTransfer),
	reads("approve(address to, uint256 tokenId)", readItemApprove),
	reads("setApprovalForAll(address operator, bool approved)", operator("erc721")),
}, selfCallMethods)...)

// erc1155Methods are those of a collection of items that there are several of (ERC-1155).
var erc1155Methods = newFamily(slices.Concat([]method{
	reads("safeTransferFrom(address from, address to, uint256 id, uint256 amount, bytes data)", readItemsTransfer),
	reads("safeBatchTransferFrom(address from, address to, uint256[] ids, uint256[] amounts, bytes data)", readItemsBatch),
	reads("setApprovalForAll(address operator, bool approved)", operator("erc1155")),
}, selfCallMethods)...)

// collection is the collection whose contract is called.
func (r *reading) collection(f frame, namespace string) signer.Asset {
	id := r.asset(namespace, f.to)
	c, ok := r.book.Assets[id]
	if !ok {
		c = signer.Asset{ID: id, Name: id}
	}
	r.field(f.named("collection"), tokenText(c))
	return c
}

// readItemTransfer: whoever calls is the owner, or was allowed to by the owner.
func readItemTransfer(r *reading, f frame, args []abi.Value) error {
	c := r.collection(f, "erc721")
	r.itemTransfer(f, c, args[0].Address(), args[1].Address(), args[2].Uint(), uint256.NewInt(1))
	if len(args) > 3 {
		r.field(f.named("data for the recipient"), bytesText(args[3].Bytes))
	}
	return nil
}

func readItemsTransfer(r *reading, f frame, args []abi.Value) error {
	c := r.collection(f, "erc1155")
	r.itemTransfer(f, c, args[0].Address(), args[1].Address(), args[2].Uint(), args[3].Uint())
	r.field(f.named("data for the recipient"), bytesText(args[4].Bytes))
	return nil
}

func readItemsBatch(r *reading, f frame, args []abi.Value) error {
	ids, amounts := args[2].Elems, args[3].Elems
	if len(ids) != len(amounts) {
		return f.invalid("%d ids and %d amounts: it would fail", len(ids), len(amounts))
	}
	if err := f.batch(len(ids)); err != nil {
		return err
	}
	c := r.collection(f, "erc1155")
	for i := range ids {
		r.itemTransfer(f, c, args[0].Address(), args[1].Address(), ids[i].Uint(), amounts[i].Uint())
	}
	r.field(f.named("data for the recipient"), bytesText(args[4].Bytes))
	return nil
}

func (r *reading) itemTransfer(f frame, c signer.Asset, from, to common.Address, id, n *uint256.Int) {
	r.field(f.named("from"), r.hex(from))
	r.field(f.named("recipient"), r.hex(to))
	r.field(f.named("item"), id.Dec())
	r.field(f.named("number of it"), n.Dec())
	r.effect(f, signer.Effect{
		Class: signer.ClassTransfer, Actor: r.account(from), Counterparty: r.account(to),
		Quantity: signer.Exact(c.ID+"/"+id.Dec(), n.ToBig()), Attributes: r.spent(f),
	})
	switch to {
	case common.Address{}:
		r.warn(WarnZeroAddress, signer.SeverityDanger, f.named("the recipient is the zero address: what is sent there is lost"))
	case f.to:
		r.warn(WarnTokenContract, signer.SeverityDanger, f.named("the recipient is the contract of "+c.Name+" itself: what is sent there is most likely lost"))
	}
}

// readItemApprove lets one account take one item, until it changes hands. The zero
// address takes that back, from whoever had it.
func readItemApprove(r *reading, f frame, args []abi.Value) error {
	c, to, id := r.collection(f, "erc721"), args[0].Address(), args[1].Uint()
	item := c.ID + "/" + id.Dec()
	e := signer.Effect{Class: signer.ClassAllowance, Attributes: r.of(f)}
	r.field(f.named("item"), id.Dec())
	if to == (common.Address{}) {
		e.Quantity = signer.Exact(item, uint256.NewInt(0).ToBig())
		r.field(f.named("spender"), "nobody (the zero address): revokes what was allowed before")
	} else {
		e.Counterparty, e.Quantity = r.account(to), signer.AtMost(item, uint256.NewInt(1).ToBig())
		r.field(f.named("spender"), r.hex(to)+", until the item changes hands or that is revoked")
	}
	r.effect(f, e)
	return nil
}

// operator reads a permission to take everything of a collection, now and later.
func operator(namespace string) func(*reading, frame, []abi.Value) error {
	return func(r *reading, f frame, args []abi.Value) error {
		c, who := r.collection(f, namespace), args[0].Address()
		e := signer.Effect{Class: signer.ClassOperator, Counterparty: r.account(who), Attributes: r.of(f)}
		r.field(f.named("operator"), r.hex(who))
		if args[1].Bool() {
			e.Quantity = signer.Quantity{Kind: signer.QuantityUnlimited, Asset: c.ID}
			r.field(f.named("permission"), "all items, now and later, until revoked")
			r.warn(WarnOperator, signer.SeverityDanger, f.named(r.hex(who)+" may take every item of "+c.Name+", now and later, until revoked"))
		} else {
			e.Quantity = signer.Exact(c.ID, uint256.NewInt(0).ToBig())
			r.field(f.named("permission"), "none: revokes what was allowed before")
		}
		r.effect(f, e)
		return nil
	}
}
