package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// Crossing refuses a payload that is one thing as the kind it was given as and could
// be another thing elsewhere: a message that is a transaction, or has one in it. Every
// decoder but the kind's own is asked.
func Crossing(kind Kind, payload []byte, decoders map[Kind]Decoder) error {
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(decoders)), func(k Kind) bool { return k == kind })
	if kind == KindDigest {
		return nil // by chance some hashes have the shape of a transaction
	}
	for _, form := range forms(payload) {
		for _, other := range others {
			if decoders[other].Recognises(form) {
				return Invalid("the payload was given as kind %q, and it is one of kind %q or has one in it: ask with that kind, or do not sign it", kind, other)
			}
		}
	}
	return nil
}

// forms are the ways in which a payload carries bytes, each of them once: as they are;
// without the white space, quotes and byte order mark around them; as the content of a
// JSON string; and as what they spell as hexadecimal or base64 text, which may be
// wrapped into lines. A text of other sorts may have bytes in it as long hexadecimal
// numbers. All forms together are a few times as long as the payload, however it is
// made.
func forms(payload []byte) [][]byte {
	out := [][]byte{payload}
	seen := map[string]bool{string(payload): true}
	add := func(form []byte) {
		if len(form) > 0 && !seen[string(form)] {
			seen[string(form)] = true
			out = append(out, form)
		}
	}
	unmarked := bytes.TrimPrefix(payload, []byte("\ufeff"))
	trimmed := bytes.Trim(unmarked, " \t\r\n\"'`")
	add(trimmed)
	var quoted string // as eth_signTypedData_v4 has typed data
	if json.Unmarshal(unmarked, &quoted) == nil {
		add([]byte(quoted))
	}
	text := bytes.Join(bytes.Fields(trimmed), nil)
	if b, ok := fromHex(text); ok {
		add(b)
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := encoding.AppendDecode(nil, bytes.TrimRight(text, "=")); err == nil {
			add(b)
		}
	}
	for _, run := range longRuns(payload) {
		add(run)
	}
	return out
}

// fromHex reads text that is hexadecimal from its beginning to its end.
func fromHex(text []byte) ([]byte, bool) {
	if bytes.HasPrefix(text, []byte("0x")) || bytes.HasPrefix(text, []byte("0X")) {
		text = text[2:]
	}
	b, err := hex.AppendDecode(nil, text)
	return b, err == nil
}

// longRun is the fewest digits that are taken for bytes within a text: 25 bytes, which an
// authorisation has at the least (EIP-7702: type, list, chain, address, nonce), and less
// than any transaction has. An address has 20.
const longRun = 50

// longRuns are the bytes that the runs of hexadecimal digits in a text stand for. A
// digit too many may stand on either side.
func longRuns(text []byte) (out [][]byte) {
	for start := 0; start < len(text); start++ {
		end := start
		for end < len(text) && isDigit(text[end]) {
			end++
		}
		if run := text[start:end]; len(run) >= longRun {
			if b, err := hex.AppendDecode(nil, run[:len(run)&^1]); err == nil {
				out = append(out, b)
			}
			if b, err := hex.AppendDecode(nil, run[1:]); len(run)%2 == 1 && err == nil {
				out = append(out, b)
			}
		}
		start = end
	}
	return out
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
