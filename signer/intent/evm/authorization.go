package evm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// Authorization decodes set-code authorisations (EIP-7702): kind "evm.authorization".
// With its signature anybody can hand the key's account over to the code of the
// delegate, and the account stays handed over. A payload is the JSON object of
// chainId, address and nonce that wallets sign, or 0x05 and the RLP list of the
// three, as bytes or as hexadecimal text with 0x. A signed one has yParity, r and s
// besides and must be signed by the key, which then signs the three again.
//
// One for chain 0 holds on every chain. A key signs for the chains that its owner
// named, so for a key it is refused; a preview gives its accounts on "eip155:0", which
// is no chain.
type Authorization struct{}

var _ signer.Decoder = Authorization{}

// magic7702 begins what an authorisation hashes (EIP-7702).
const magic7702 = 0x05

// everyChain is the chain id of an authorisation that holds on all of them.
const everyChain = 0

// authorization is one that an account may be handed over with.
type authorization struct {
	chainID  uint64
	delegate common.Address // whose code the account runs; zero ends the delegation
	nonce    uint64

	signed    bool           // given alone, it came with a signature
	signature signature      // then, and in a transaction
	authority common.Address // whose signature it is: the account handed over
}

// Version implements [signer.Decoder].
func (Authorization) Version() string { return "evm.authorization/2" }

// Decode implements [signer.Decoder].
func (Authorization) Decode(payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return signer.Intent{}, err
	}
	a, err := readAuthorization(payload, &from, theKey)
	switch {
	case err != nil:
		return signer.Intent{}, err
	case a.chainID == everyChain:
		return signer.Intent{}, signer.Invalid("authorization: chain id 0 would hand the account over on every chain; key %q signs for chains by their names, so name one", key.Name)
	case !slices.Contains(key.Chains, chainName(a.chainID)):
		return signer.Intent{}, wrongChain("authorization", a.chainID, key)
	}
	in := a.meaning(&from, book)
	hash := a.hash()
	in.Messages = []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: hash[:]}}
	return in, nil
}

// Preview is what [Transaction.Preview] is.
func (Authorization) Preview(payload []byte, from string, book signer.Book) (signer.Intent, error) {
	account, err := readSender(from)
	if err != nil {
		return signer.Intent{}, err
	}
	a, err := readAuthorization(payload, account, theAccount)
	if err != nil {
		return signer.Intent{}, err
	}
	if a.signed {
		account = &a.authority
	}
	return a.meaning(account, book), nil
}

func (a *authorization) meaning(account *common.Address, book signer.Book) signer.Intent {
	r := newReading(signer.KindEVMAuthorization, chainName(a.chainID), book)
	r.digest("authorization digest", a.hash())
	r.authorization("", a, account)
	if a.signed {
		r.field("signed by", a.authority.Hex())
	}
	return r.finish()
}

// Recognises implements [signer.Decoder].
func (Authorization) Recognises(payload []byte) bool {
	if bytes.HasPrefix(payload, []byte("{")) {
		return isAuthorizationJSON(payload)
	}
	_, err := parseAuthorization(payload)
	return err == nil
}

// Assemble implements [signer.Decoder]: it returns the signed authorisation as an
// element of the authorizationList of a transaction in JSON.
func (Authorization) Assemble(payload []byte, key signer.KeyInfo, signatures [][]byte) ([]byte, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return nil, err
	}
	a, err := readAuthorization(payload, &from, theKey)
	if err != nil {
		return nil, err
	}
	sig, err := onlySignature(signatures)
	if err != nil {
		return nil, fmt.Errorf("assemble authorization: %w", err)
	}
	a.signature = signatureOf(sig)
	// go-ethereum must agree with us on what was signed.
	geth := a.forGeth()
	if geth.SigHash() != a.hash() {
		return nil, fmt.Errorf("assemble authorization: its digest is another one to go-ethereum")
	}
	return json.Marshal(geth)
}

// readAuthorization reads any of the forms of a payload. It holds a signed one to a
// sender, where that is known, whom errors call as it was named.
func readAuthorization(payload []byte, from *common.Address, called string) (*authorization, error) {
	raw := payload
	switch {
	case bytes.HasPrefix(payload, []byte("{")):
		a, err := parseAuthorizationJSON(payload)
		if err != nil {
			return nil, err
		}
		raw = a.encoding()
	case bytes.HasPrefix(payload, []byte("0x")):
		b, err := hex.DecodeString(string(payload[2:]))
		if err != nil {
			return nil, signer.Invalid("authorization as hexadecimal text: %v", err)
		}
		raw = b
	}
	a, err := parseAuthorization(raw)
	if err != nil || !a.signed {
		return a, err
	}
	if a.authority, err = a.signature.by(a.hash()); err != nil {
		return nil, signer.Invalid("authorization: its signature: %v; give it without one to see what it would do", err)
	}
	if from != nil && a.authority != *from {
		return nil, wrongSigner("authorization", a.authority, called, *from)
	}
	return a, nil
}

// parseAuthorization reads the bytes whose hash is signed, or the same with a signature,
// and refuses them unless they are the one encoding of what was read. Whose signature it
// is, it does not ask.
func parseAuthorization(raw []byte) (*authorization, error) {
	if len(raw) == 0 || raw[0] != magic7702 {
		return nil, signer.Invalid("authorization: want JSON, or 0x05 and the list of chain id, address and nonce (EIP-7702)")
	}
	items, rest, err := rlp.SplitList(raw[1:])
	if err != nil {
		return nil, signer.Invalid("authorization: %v", err)
	}
	f, a := newFields("authorization", items), &authorization{}
	a.read(f, "")
	if a.signed = f.more(); a.signed {
		a.signature = f.signature("")
	}
	switch {
	case *f.err != nil:
		return nil, *f.err
	case len(rest)+len(f.rest) > 0:
		return nil, signer.Invalid("authorization: more than chain id, address and nonce, or behind them y parity, r and s")
	case !bytes.Equal(a.encoding(), raw):
		return nil, signer.Invalid("authorization: non-canonical: it encodes to other bytes")
	}
	return a, a.check("authorization")
}

// check refuses what no node would act on (EIP-7702, "Behavior").
func (a *authorization) check(what string) error {
	if a.nonce == math.MaxUint64 {
		return signer.Invalid("%s: nonce is 2^64-1, which no account can use", what)
	}
	return nil
}

func (a *authorization) read(f *fields, prefix string) {
	a.chainID = f.uint64(prefix + "chain id")
	a.delegate = f.address(prefix + "address")
	a.nonce = f.uint64(prefix + "nonce")
}

// write writes the three values that are signed.
func (a *authorization) write(w rlp.EncoderBuffer) {
	w.WriteUint64(a.chainID)
	w.WriteBytes(a.delegate[:])
	w.WriteUint64(a.nonce)
}

// hash is what is signed: that of the encoding without a signature.
func (a *authorization) hash() common.Hash {
	unsigned := *a
	unsigned.signed = false
	return crypto.Keccak256Hash(unsigned.encoding())
}

// encoding returns the bytes that it is read from.
func (a *authorization) encoding() []byte {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	a.write(w)
	if a.signed {
		a.signature.write(w)
	}
	w.ListEnd(list)
	out := w.AppendToBytes([]byte{magic7702})
	w.Flush() // gives the buffer back; there is no writer, so no error
	return out
}

// forGeth returns the authorisation in go-ethereum's own type.
func (a *authorization) forGeth() types.SetCodeAuthorization {
	return types.SetCodeAuthorization{
		ChainID: *uint256.NewInt(a.chainID), Address: a.delegate, Nonce: a.nonce,
		V: byte(a.signature.parity), R: a.signature.r, S: a.signature.s,
	}
}

// authorizationJSON is what wallets are given to sign and, with a signature, what they
// return. Libraries write the numbers of it as quantities or as numbers.
type authorizationJSON struct {
	ChainID *numberJSON `json:"chainId"`
	Address *string     `json:"address"`
	Nonce   *numberJSON `json:"nonce"`
	YParity *numberJSON `json:"yParity"`
	R       *string     `json:"r"`
	S       *string     `json:"s"`
	V       *numberJSON `json:"v"` // the parity once more, or that and 27
}

func parseAuthorizationJSON(payload []byte) (*authorization, error) {
	var in authorizationJSON
	if err := strictjson.Unmarshal(payload, &in); err != nil {
		return nil, signer.Invalid("authorization as JSON: %v", err)
	}
	r, a := textReader{what: "authorization"}, &authorization{}
	a.chainID, a.nonce = r.number("chainId", in.ChainID), r.number("nonce", in.Nonce)
	a.delegate = r.wantAddress("address", in.Address)
	if in.YParity == nil && in.R == nil && in.S == nil && in.V == nil {
		return a, r.err
	}
	a.signed = true
	a.signature.parity = r.number("yParity", in.YParity)
	r.scalar("r", in.R, &a.signature.r)
	r.scalar("s", in.S, &a.signature.s)
	if in.V == nil {
		return a, r.err
	}
	if v := r.number("v", in.V); v != a.signature.parity && v != a.signature.parity+27 {
		r.fail("v", "%d, but yParity is %d; they say the same twice, so one of the two is wrong", v, a.signature.parity)
	}
	return a, r.err
}

// authorizations adds those of a transaction. Nodes apply them before the call.
func (r *reading) authorizations(tx *transaction) {
	r.calls += len(tx.auths)
	for i := range tx.auths {
		r.authorization("authorization "+strconv.Itoa(i+1)+": ", &tx.auths[i], &tx.auths[i].authority)
	}
}

// authorization says what one authorisation does to an account, nil where that is not
// known. The prefix names the authorisation in a list.
func (r *reading) authorization(prefix string, a *authorization, account *common.Address) {
	chain, named := chainName(a.chainID), chainName(a.chainID)
	if a.chainID == everyChain {
		chain, named = r.chain, "every chain (chain id 0)"
	}
	r.field(prefix+"chain", named)
	r.field(prefix+"authority", senderText(account))
	r.field(prefix+"nonce", strconv.FormatUint(a.nonce, 10))
	e := signer.Effect{
		Class:        signer.ClassDelegation,
		Counterparty: chain + ":" + a.delegate.Hex(),
		Quantity:     signer.Quantity{Kind: signer.QuantityUnknown},
		Attributes:   map[string]string{"nonce": strconv.FormatUint(a.nonce, 10)},
	}
	if account != nil {
		e.Actor = chain + ":" + account.Hex()
	}
	if a.chainID == everyChain {
		e.Attributes["every_chain"] = "true"
		r.warn(WarnEveryChain, signer.SeverityDanger, prefix+"holds on every chain, also on those that come later")
	} else if chain != r.chain {
		r.warn(WarnOtherChain, signer.SeverityWarn, prefix+"is for "+chain+" and does nothing on "+r.chain+", but anybody can use it there")
	}
	if a.delegate == (common.Address{}) {
		e.Quantity = signer.Quantity{} // it takes power away and gives none
		r.field(prefix+"delegate", "nobody: ends the delegation of the account")
	} else {
		r.handOver(prefix, a, e.Counterparty)
	}
	r.in.Effects, r.out = append(r.in.Effects, e), append(r.out, e.Quantity)
}

// handOver is about a delegate that is code. Without the owner's word we cannot say
// what the code does; and the owner's word is about one chain.
func (r *reading) handOver(prefix string, a *authorization, delegate string) {
	c, known := r.book.Contracts[delegate]
	// Not an account of its own: its code may take whoever comes first for the owner of
	// an account that has nothing set up.
	known = known && c.Kind == signer.ContractDelegate
	text, owner := a.delegate.Hex(), "code that was not read"
	if known {
		text, owner = text+" ("+c.Name+")", c.Name
	}
	r.field(prefix+"delegate", text)
	r.in.Complete = r.in.Complete && known && a.chainID != everyChain
	r.warn(WarnDelegation, signer.SeverityDanger,
		prefix+"hands the account over to the code at "+a.delegate.Hex()+" ("+owner+"), which may do all that the account can, until another authorization ends it")
	r.compare(delegate)
}
