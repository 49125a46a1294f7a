package evm

import (
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// safeTransaction reads SafeTx, by which an owner agrees to what the Safe does. The
// effects are the Safe's, as if the agreements of the other owners were there already.
func (t *typed) safeTransaction(m abi.Value) error {
	e := m.Elems
	err := t.safeTx(t.frame(), safeTx{
		to: e[0].Address(), value: e[1].Uint(), data: e[2].Bytes, operation: e[3].Uint(),
		safeTxGas: e[4].Uint(), baseGas: e[5].Uint(), gasPrice: e[6].Uint(),
		gasToken: e[7].Address(), refundReceiver: e[8].Address(),
	})
	t.mark(0, map[string]string{"nonce": e[9].Uint().Dec()})
	return err
}

// safeMessage reads SafeMessage, by which an owner has the Safe sign (ERC-1271). What it
// signs is most often the hash of something else: an order, a permit, a login. So it is
// an unknown message even where there is a text.
func (t *typed) safeMessage(m abi.Value) error {
	message := m.Elems[0].Bytes
	switch {
	case len(message) == 32:
		t.warn(WarnLooksLikeHash, signer.SeverityDanger, "the Safe signs 32 bytes, as a hash has: it may stand for anything, such as an order or a permit")
	case len(message) > 0 && utf8.Valid(message):
		t.field("text", string(message))
		t.textWarnings("text", string(message))
	}
	t.actor = t.data.Domain.VerifyingContract
	t.unknownMessage("")
	t.warn(WarnUnknownTypedData, signer.SeverityDanger, "what the Safe signs with this is not known: it could be anything that takes the signature of the Safe")
	return nil
}

// packedUserOperation reads PackedUserOperation, which EntryPoints sign since 0.8
// (UserOperationLib.sol). Of an account that was handed to code (EIP-7702) its initCode
// begins with the address of that code, which cannot be told from a factory's.
func (t *typed) packedUserOperation(m abi.Value) error {
	op, err := packedOp(m.Elems)
	if err != nil {
		return err
	}
	return t.operationAt(t.frame(), op)
}

// safeOperation6 reads SafeOp of Safe's module for EntryPoint 0.6 (Safe4337Module.sol
// 0.2.0): a user operation of that version, and then validAfter, validUntil, entryPoint.
func (t *typed) safeOperation6(m abi.Value) error {
	op, err := unpackedOp(m.Elems[:10])
	if err != nil {
		return err
	}
	return t.safeOperation(m.Elems[10:], op)
}

// safeOperation7 reads SafeOp of the module for EntryPoint 0.7 (Safe4337Module.sol
// 0.3.0), which spells out the numbers that a packed operation has two to a word.
func (t *typed) safeOperation7(m abi.Value) error {
	e := m.Elems
	two := func(high, low abi.Value) abi.Value {
		word := high.Word.Bytes32()
		half := low.Word.Bytes32()
		return abi.FixedBytesValue(append(word[16:], half[16:]...))
	}
	op, err := packedOp([]abi.Value{e[0], e[1], e[2], e[3], two(e[4], e[5]), e[6], two(e[7], e[8]), e[9]})
	if err != nil {
		return err
	}
	return t.safeOperation(e[10:], op)
}

// safeOperation adds an operation of a Safe that can be used for a time: validAfter,
// validUntil, entryPoint. A validUntil of 0 is for ever, as are other operations.
func (t *typed) safeOperation(times []abi.Value, op userOp) error {
	f := t.frame()
	f.to = times[2].Address()
	if start := times[0].Uint(); !start.IsZero() {
		t.moment(frame{}, "start of the signature", start)
	}
	more := map[string]string{}
	if end := times[1].Uint(); !end.IsZero() {
		if until := t.moment(frame{}, "end of the signature", end); !until.IsZero() {
			more = lasting(more, until)
		}
	}
	if !t.isKind(f.to, signer.ContractEntryPoint) {
		t.unknownMessage("")
		t.warn(WarnUnknownContract, signer.SeverityDanger, "it is for an EntryPoint at "+t.hex(f.to)+", which is not known")
	}
	err := t.operationAt(f, op)
	t.mark(0, more)
	return err
}

// operationAt adds a user operation as if its EntryPoint got it, alone. What it costs is
// paid by the account, or by its paymaster.
func (t *typed) operationAt(f frame, op userOp) error {
	most, err := t.userOp(f, 1, op)
	if err != nil {
		return err
	}
	t.fee(most)
	return nil
}
