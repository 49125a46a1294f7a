package evm

import (
	"bytes"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// TypedData decodes typed structured data (EIP-712): kind "evm.typed_data". A payload
// is the JSON object that eth_signTypedData_v4 takes.
//
// A type is known by its whole text, and what it does is what its standard says it
// does, at a contract that the owner's book or this package knows. The same type at any
// other contract is read too, and is an unknown message besides: a contract may do as
// it likes with a signature.
//
// It cannot be known whether an account that is a contract takes the key's signatures
// for its own (ERC-1271), for data that does not name it.
type TypedData struct {
	// Chain is what Preview reads data for that names no chain (CAIP-2), where one is
	// meant.
	Chain string
}

var _ signer.Decoder = TypedData{}

// Version implements [signer.Decoder].
func (TypedData) Version() string { return "evm.typed_data/1" }

// Decode implements [signer.Decoder].
func (TypedData) Decode(payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return signer.Intent{}, err
	}
	data, err := typeddata.Parse(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	if id := data.Domain.ChainID; id != nil && !slices.Contains(key.Chains, chainName(*id)) {
		return signer.Intent{}, wrongChain("typed data: domain.chainId", *id, key)
	}
	return readTyped(data, typedChain(data, key.Chains...), &from, book)
}

// Preview is what [Transaction.Preview] is.
func (d TypedData) Preview(payload []byte, from string, book signer.Book) (signer.Intent, error) {
	sender, err := readSender(from)
	if err != nil {
		return signer.Intent{}, err
	}
	data, err := typeddata.Parse(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	in, err := readTyped(data, typedChain(data, d.Chain), sender, book)
	in.Messages = nil
	return in, err
}

// typedChain is the chain to read typed data for. Without one in its domain it holds on
// every chain, and is read for the one that is meant; where several are, or none, that is
// "eip155:0", which is no chain.
func typedChain(data *typeddata.Data, meant ...string) string {
	switch id := data.Domain.ChainID; {
	case id != nil:
		return chainName(*id)
	case len(meant) == 1 && meant[0] != "":
		return meant[0]
	default:
		return chainName(everyChain)
	}
}

// Recognises implements [signer.Decoder]: the JSON object, and what its signature is
// made over before the last hash.
func (TypedData) Recognises(payload []byte) bool {
	const preimage = 2 + 2*common.HashLength // 0x1901 || domain hash || message hash
	return len(payload) == preimage && bytes.HasPrefix(payload, []byte("\x19\x01")) || typeddata.Looks(payload)
}

// Assemble implements [signer.Decoder]: it returns the signature as eth_signTypedData_v4
// does.
func (TypedData) Assemble(_ []byte, _ signer.KeyInfo, signatures [][]byte) ([]byte, error) {
	return forContracts("typed data", signatures)
}

// typed is the reading of typed data.
type typed struct {
	*reading
	data   *typeddata.Data
	from   *common.Address // who signs; nil: not known
	actor  *common.Address // for whom: the signer, or an account that the signer acts for
	unread bool            // there is an effect of class unknown_message
}

func readTyped(data *typeddata.Data, chain string, from *common.Address, book signer.Book) (signer.Intent, error) {
	t := &typed{reading: newReading(signer.KindEVMTypedData, chain, book), data: data, from: from, actor: from}
	t.in.Messages = []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: slices.Clone(data.Digest[:])}}
	// Named as by ERC-8213, so that another device can show the same.
	t.digest("EIP-712 digest", data.Digest)
	t.digest("EIP-712 domain hash", data.DomainHash)
	t.digest("EIP-712 message hash", data.MessageHash)
	if err := t.envelope(); err != nil {
		return signer.Intent{}, err
	}
	if err := t.message(); err != nil {
		return signer.Intent{}, err
	}
	more := map[string]string{"type": data.PrimaryType}
	if data.Domain.ChainID == nil {
		// On other chains than the one it was read for, what the addresses in it stand
		// for is not known.
		t.unknownMessage("")
		t.warn(WarnEveryChain, signer.SeverityDanger, "the domain names no chain: it holds on every chain, and may be used again on each")
		more["every_chain"] = "true"
	}
	t.mark(0, more)
	return t.finish(), nil
}

// message adds what the message does: at least one effect.
func (t *typed) message() error {
	s, ok := standardOf(t.data)
	switch {
	case !ok:
		t.unknownMessage(lookAlikes[t.data.TypeText])
		t.warn(WarnUnknownTypedData, signer.SeverityDanger, "what type "+t.data.PrimaryType+" does is not known: it could move anything")
		return nil
	case t.data.Domain.VerifyingContract == nil:
		t.unknownMessage(s.name)
		t.warn(WarnUnknownContract, signer.SeverityDanger, "the domain names no contract (verifyingContract): any could take it")
		return nil
	}
	known := s.known(t) // first: what is read may take a contract for what it is addressed as
	if err := s.read(t, t.data.Message); err != nil {
		return err
	}
	if !known {
		t.unknownMessage(s.name)
		t.warn(WarnUnknownContract, signer.SeverityDanger,
			"it is read as "+s.name+", but "+t.hex(t.verifier())+" with this domain is not known as a contract that reads it so: it could do anything")
	}
	return nil
}

// verifier is the contract that the data is for. Who asks knows that there is one.
func (t *typed) verifier() common.Address { return *t.data.Domain.VerifyingContract }

// frame is what the effects of the message itself stand in: it is no call, and has no
// path. Who asks knows that a contract is named.
func (t *typed) frame() frame { return frame{from: t.from, to: t.verifier()} }

// unknownMessage says that a part of what is signed was not understood. There is one
// such effect however many parts there are.
func (t *typed) unknownMessage(looksLike string) {
	t.in.Complete = false
	if t.unread {
		return
	}
	t.unread = true
	e := signer.Effect{
		Class: signer.ClassUnknownMessage, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: map[string]string{},
	}
	if c := t.data.Domain.VerifyingContract; c != nil {
		e.Counterparty, e.Attributes["contract"] = t.account(*c), t.account(*c)
	}
	if looksLike != "" {
		e.Attributes["looks_like"] = looksLike
		t.field("looks like", looksLike)
	}
	t.effect(frame{from: t.actor}, e)
}

// maxShown bounds the names and values of the leaves in bytes. Names are paths, and
// short data of nested types can spell very long ones.
const maxShown = 1 << 20

// envelope adds the fields that all typed data has: everything that is signed.
func (t *typed) envelope() error {
	if t.data.Domain.ChainID == nil {
		t.field("chain", "every chain; read for "+t.chain)
	} else {
		t.field("chain", t.chain)
	}
	t.field("signer", senderText(t.from))
	t.field("type", t.data.PrimaryType)
	t.field("type text", t.data.TypeText)
	t.field("domain type text", t.data.DomainText)
	shown := 0
	for _, part := range []struct {
		name  string
		value abi.Value
	}{{"domain", t.data.DomainValue}, {"message", t.data.Message}} {
		for path, leaf := range typeddata.Leaves(part.name, part.value) {
			value := t.leaf(path, leaf)
			if shown += len(path) + len(value); shown > maxShown {
				return signer.Invalid("typed data: its fields would take more than %d bytes to show: sign less at once", maxShown)
			}
			t.field(path, value)
		}
	}
	return nil
}

// leaf is a value as people read it, whole and raw. What may mislead is warned of.
func (t *typed) leaf(path string, v abi.Value) string {
	switch v.Type.Kind {
	case abi.Address:
		a := v.Address()
		t.compare(t.account(a))
		return t.hex(a)
	case abi.Uint:
		return v.Uint().Dec()
	case abi.Int:
		return v.Signed().String()
	case abi.Bool:
		if v.Bool() {
			return "true"
		}
		return "false"
	case abi.String:
		s := v.Text()
		t.textWarnings(path, s)
		return s
	case abi.Slice, abi.Array:
		return "no elements"
	default:
		return bytesText(v.Bytes)
	}
}
