package evm

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
)

// Message decodes personal messages (EIP-191, version 0x45): kind "evm.message".
// The payload is the message itself, byte for byte; hexadecimal text in it is
// text. The prefix keeps its signature from ever being that of a transaction, and
// no chain is part of it. A sign-in (ERC-4361) is of class login; a text that asks for
// a sign-in and is none to the letter is refused.
type Message struct{}

var _ signer.Decoder = Message{}

// prefix191 begins what a personal message hashes, before its length and itself.
const prefix191 = "\x19Ethereum Signed Message:\n"

// maxMessage is the longest message in bytes. People read what they sign, and a
// record holds a message several times over, escaped.
const maxMessage = 8 << 10

// Version implements [signer.Decoder].
func (Message) Version() string { return "evm.message/2" }

// Decode implements [signer.Decoder].
func (Message) Decode(payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return signer.Intent{}, err
	}
	digest, err := digest191(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	in, err := readMessage(payload, digest, &from, key.Chains, book)
	if err != nil {
		return signer.Intent{}, err
	}
	in.Messages = []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: digest[:]}}
	return in, nil
}

// Preview is what [Transaction.Preview] is.
func (Message) Preview(payload []byte, from string, book signer.Book) (signer.Intent, error) {
	sender, err := readSender(from)
	if err != nil {
		return signer.Intent{}, err
	}
	digest, err := digest191(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	return readMessage(payload, digest, sender, nil, book)
}

// Recognises implements [signer.Decoder]: any text is a message, but only bytes with
// the prefix of EIP-191 are what a signed message hashes.
func (Message) Recognises(payload []byte) bool {
	return bytes.HasPrefix(payload, []byte(prefix191))
}

// digest191 is the hash that is signed (ERC-191, version 0x45).
func digest191(payload []byte) (common.Hash, error) {
	if len(payload) == 0 {
		return common.Hash{}, signer.Invalid("message: empty")
	}
	if len(payload) > maxMessage {
		return common.Hash{}, signer.Invalid("message: %d bytes; the most is %d", len(payload), maxMessage)
	}
	return crypto.Keccak256Hash([]byte(prefix191+strconv.Itoa(len(payload))), payload), nil
}

func readMessage(payload []byte, digest common.Hash, from *common.Address, chains []string, book signer.Book) (signer.Intent, error) {
	r := newReading(signer.KindEVMMessage, "", book)
	r.digest("ERC-191 digest", digest)
	r.text(payload)
	// No effect has an actor: an account has a chain, a message none.
	switch {
	case looksLikeLogin(string(payload)):
		l, err := parseLogin(string(payload))
		if err != nil {
			return signer.Intent{}, err
		}
		r.login(l, from, chains)
	case len(payload) == 32 || len(hexText(payload)) == 32:
		// A Safe takes it for an owner's yes to a transaction (Safe.sol, checkNSignatures,
		// v above 30), and accounts of EntryPoint 0.6 and 0.7 for one to an operation.
		r.in.Complete = false
		r.effect(frame{}, signer.Effect{Class: signer.ClassOpaque, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}})
		r.warn(WarnLooksLikeHash, signer.SeverityDanger,
			"32 bytes, as a hash has: it may stand for anything, such as an order or the operation of a smart account")
	case !utf8.Valid(payload) || bytes.IndexByte(payload, 0) >= 0:
		// No text: most likely what some contract reads, in its own encoding.
		r.in.Complete = false
		r.effect(frame{}, signer.Effect{Class: signer.ClassUnknownMessage, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}})
	default:
		r.effect(frame{}, signer.Effect{Class: signer.ClassMessage})
	}
	r.field("signer", senderText(from))
	r.textWarnings("the message", string(payload))
	return r.finish(), nil
}

// Assemble implements [signer.Decoder]: it returns the signature as personal_sign does.
func (Message) Assemble(_ []byte, _ signer.KeyInfo, signatures [][]byte) ([]byte, error) {
	return forContracts("message", signatures)
}

// text shows the text, and the bytes too unless the text shows them all.
func (r *reading) text(payload []byte) {
	r.field("length", strconv.Itoa(len(payload))+" bytes")
	text := utf8.Valid(payload)
	if text {
		r.field("text", string(payload))
	}
	if !text || hides(string(payload)) {
		r.field("bytes", "0x"+hex.EncodeToString(payload))
	}
}

// hexText returns the bytes that a text spells in hexadecimal, or nil.
func hexText(text []byte) []byte {
	digits := strings.TrimPrefix(strings.TrimSpace(string(text)), "0x")
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil
	}
	return b
}
