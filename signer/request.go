package signer

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kind says what a payload is, e.g. "evm.transaction"; it chooses the decoder.
// It is named by the caller and never guessed from the payload.
type Kind string

// The kinds that Sealward decodes.
const (
	KindEVMTransaction   Kind = "evm.transaction"
	KindEVMTypedData     Kind = "evm.typed_data"
	KindEVMAuthorization Kind = "evm.authorization"
	KindEVMMessage       Kind = "evm.message"
	KindDigest           Kind = "digest"
	// KindAdmin is an administrative request: it goes the same way as any other, and
	// ends at the record and an act instead of a signature.
	KindAdmin Kind = "sealward.admin"
)

// AdminKey is the key that administrative requests name: Sealward itself. It signs
// nothing, and no key of the configuration may have its name.
const AdminKey = "sealward"

// Bounds of a request. What is larger is refused before anything looks at it.
const (
	MaxPayload = 128 << 10 // bytes; the transaction pool of go-ethereum stops there too
	MaxClaim   = 1 << 10   // bytes
	MaxID      = 128       // characters
)

// Request is what a caller wants signed.
type Request struct {
	// ID is chosen by the caller and scoped to it. Asking again with the same id
	// and the same content gives the same answer.
	ID      string
	Key     string // name of the key in the configuration
	Kind    Kind
	Payload []byte
	// NotBefore and Expires bound when it may be signed; zero means no bound.
	NotBefore, Expires time.Time
	// Claim is free text of the caller's, shown apart as unverified.
	Claim string
}

// Digest identifies the content of a request, for telling "the same again" from
// "the same id with other bytes". Each field is preceded by its length.
func (r Request) Digest() [32]byte {
	h := sha256.New()
	h.Write([]byte("sealward.dev/request/v1\x00"))
	var n [8]byte
	field := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	field([]byte(r.Key))
	field([]byte(r.Kind))
	field(r.Payload)
	field([]byte(formatTime(r.NotBefore)))
	field([]byte(formatTime(r.Expires)))
	field([]byte(r.Claim))
	return [32]byte(h.Sum(nil))
}

// check refuses what no decoder should have to look at.
func (r Request) check() *Error {
	switch {
	case !validID(r.ID):
		return invalid("request id %q: want 1 to %d characters out of a-z A-Z 0-9 . _ : -", clip(r.ID), MaxID)
	case r.Key == "":
		return invalid("no key named: say which key is to sign")
	case r.Kind == "":
		return invalid("no kind named: say what the payload is, e.g. %q", KindEVMTransaction)
	case len(r.Payload) == 0:
		return invalid("the payload is empty")
	case len(r.Payload) > MaxPayload:
		return invalid("the payload has %d bytes; the most is %d", len(r.Payload), MaxPayload)
	case len(r.Claim) > MaxClaim:
		return invalid("the claim has %d bytes; the most is %d", len(r.Claim), MaxClaim)
	case !utf8.ValidString(r.Claim) || !utf8.ValidString(r.Key) || !utf8.ValidString(string(r.Kind)):
		return invalid("key, kind and claim must be valid UTF-8")
	case !r.NotBefore.IsZero() && !r.Expires.IsZero() && !r.NotBefore.Before(r.Expires):
		return invalid("not-before %s is not before expiry %s", formatTime(r.NotBefore), formatTime(r.Expires))
	}
	return nil
}

func validID(s string) bool {
	if s == "" || len(s) > MaxID {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// clip bounds hostile text in an error; the record holds what was cut.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:most], len(s))
}
