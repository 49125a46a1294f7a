package signer

import (
	"bytes"
	"encoding/hex"
	"maps"
	"slices"
)

// Crossing refuses a payload that is one thing as the kind it was given as and could
// be another thing elsewhere: a message that is a transaction. Every decoder but the
// kind's own is asked.
func Crossing(kind Kind, payload []byte, decoders map[Kind]Decoder) error {
	for _, form := range forms(payload) {
		for _, other := range slices.Sorted(maps.Keys(decoders)) {
			if other != kind && decoders[other].Recognises(form) {
				return Invalid("the payload was given as kind %q, and it is one of kind %q: ask with that kind, or do not sign it", kind, other)
			}
		}
	}
	return nil
}

// forms are the ways in which a payload carries bytes: as they are, and spelt as
// hexadecimal text.
func forms(payload []byte) [][]byte {
	out := [][]byte{payload}
	text := bytes.TrimSpace(payload)
	if len(text) < len(payload) {
		out = append(out, text)
	}
	digits := bytes.TrimPrefix(text, []byte("0x"))
	if b := make([]byte, hex.DecodedLen(len(digits))); len(digits) > 0 {
		if _, err := hex.Decode(b, digits); err == nil {
			out = append(out, b)
		}
	}
	return out
}
