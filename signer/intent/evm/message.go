package evm

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/sealward/sealward/signer"
)

// Message decodes personal messages (EIP-191, version 0x45): kind "evm.message".
// The payload is the message itself, byte for byte; hexadecimal text in it is
// text. The prefix keeps its signature from ever being that of a transaction, and
// no chain is part of it.
type Message struct{}

var _ signer.Decoder = Message{}

// maxMessage is the longest message in bytes. People read what they sign, and a
// record holds a message several times over, escaped.
const maxMessage = 8 << 10

// Version implements [signer.Decoder].
func (Message) Version() string { return "evm.message/1" }

// Decode implements [signer.Decoder].
func (Message) Decode(payload []byte, key signer.KeyInfo, _ signer.Book) (signer.Intent, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return signer.Intent{}, err
	}
	return read191(payload, &from)
}

// Preview is what [Transaction.Preview] is.
func (Message) Preview(payload []byte, _ signer.Book) (signer.Intent, error) {
	in, err := read191(payload, nil)
	in.Messages = nil
	return in, err
}

func read191(payload []byte, from *common.Address) (signer.Intent, error) {
	if len(payload) == 0 {
		return signer.Intent{}, signer.Invalid("message: empty")
	}
	if len(payload) > maxMessage {
		return signer.Intent{}, signer.Invalid("message: %d bytes; the most is %d", len(payload), maxMessage)
	}
	embedded := hexText(payload)
	if isTransaction(payload) || isTransaction(embedded) {
		return signer.Intent{}, signer.Invalid("message: it is an Ethereum transaction; to sign that, ask with kind %q", signer.KindEVMTransaction)
	}
	digest := crypto.Keccak256Hash(
		[]byte("\x19Ethereum Signed Message:\n"+strconv.Itoa(len(payload))), payload)
	in := signer.Intent{
		Kind:     signer.KindEVMMessage,
		Complete: true,
		Effects:  []signer.Effect{{Class: signer.ClassMessage}}, // no actor: an account has a chain, a message none
		Fields:   append(messageFields(payload), signer.Field{Name: "signer", Value: senderText(from)}),
		Digests:  []signer.Digest{{Name: "message digest", Value: digest}},
		Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: digest[:]}},
	}
	if len(payload) == 32 || len(embedded) == 32 {
		in.Warnings = append(in.Warnings, signer.Warning{Code: WarnLooksLikeHash, Severity: signer.SeverityWarn,
			Text: "32 bytes, as a hash has: it may stand for anything, such as an order or the operation of a smart account"})
	}
	if utf8.Valid(payload) && strings.ContainsFunc(string(payload), isHidden) {
		in.Warnings = append(in.Warnings, signer.Warning{Code: WarnHiddenCharacters, Severity: signer.SeverityWarn,
			Text: "control, bidirectional or zero-width characters: it may not read as it looks elsewhere"})
	}
	return in, nil
}

// Assemble implements [signer.Decoder]: it returns r || s || v with v 27 or 28,
// as wallets and contracts expect of personal_sign.
func (Message) Assemble(_ []byte, _ signer.KeyInfo, signatures [][]byte) ([]byte, error) {
	sig, err := onlySignature(signatures)
	if err != nil {
		return nil, fmt.Errorf("assemble message: %w", err)
	}
	out := slices.Clone(sig)
	out[crypto.RecoveryIDOffset] += 27
	return out, nil
}

// messageFields shows the text, and the bytes too unless the text shows them all.
func messageFields(payload []byte) []signer.Field {
	fields := []signer.Field{{Name: "length", Value: strconv.Itoa(len(payload)) + " bytes"}}
	text := utf8.Valid(payload)
	if text {
		fields = append(fields, signer.Field{Name: "text", Value: string(payload)})
	}
	if !text || strings.ContainsFunc(string(payload), isHidden) {
		fields = append(fields, signer.Field{Name: "bytes", Value: "0x" + hex.EncodeToString(payload)})
	}
	return fields
}

// isHidden reports characters that do not show or that change how others show.
// The line feed is an ordinary part of messages (ERC-4361).
func isHidden(r rune) bool {
	return r != '\n' && !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
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

// isTransaction reports whether bytes are a transaction in any form that we or a
// node would take, signed or not, of any type.
func isTransaction(b []byte) bool {
	if text := bytes.TrimSpace(b); bytes.HasPrefix(text, []byte("{")) {
		_, _, err := parseJSON(text)
		return err == nil
	}
	if len(b) == 0 {
		return false
	}
	body, legacy := b, b[0] >= 0xc0
	if !legacy {
		body = b[1:]
	}
	items, rest, err := rlp.SplitList(body)
	if err != nil || len(rest) > 0 {
		return false
	}
	n, err := rlp.CountValues(items)
	switch {
	case err != nil:
		return false
	case legacy:
		return (n == 6 || n == 9) && isLegacy(items)
	case b[0] < ' ':
		return n >= 4 // any type so far; with blobs along it is a list of four
	default:
		return b[0] <= 0x7f && n >= 8 && !utf8.Valid(b) // a type to come, or of another chain; not plain text
	}
}

// isLegacy reports whether the values begin like a transaction of type 0.
func isLegacy(items []byte) bool {
	f := fields{rest: items}
	tx := transaction{}
	tx.nonce = f.uint64("nonce")
	f.uint256("gas price", &tx.price)
	tx.gas = f.uint64("gas")
	tx.to = f.recipient()
	f.uint256("value", &tx.value)
	f.bytes("data")
	return f.err == nil
}
