package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// The acts.
const (
	ActCreate    = "keys.create"
	ActImport    = "keys.import"
	ActAttest    = "keys.attest"
	ActDisable   = "keys.disable"
	ActEnable    = "keys.enable"
	ActRotate    = "keys.rotate"
	ActDuplicate = "keys.duplicate"
	ActPolicy    = "policy.change"
	ActTrustFile = "policy.trust_file"
	ActThaw      = "thaw"
)

// Order is what an administrative request asks for. Which fields an act has, and what
// they mean, docs/formats.md has; the others are empty. The fields stand in the order
// of their names, as RFC 8785 wants them.
type Order struct {
	Act           string            `json:"act"`
	Algorithm     signer.Algorithm  `json:"algorithm,omitempty"`
	Bits          int               `json:"bits,omitempty"`
	Blob          string            `json:"blob,omitempty"`      // base64 (RFC 4648, 4)
	Challenge     string            `json:"challenge,omitempty"` // base64
	From          string            `json:"from,omitempty"`      // version of the policy in force
	Key           string            `json:"key,omitempty"`
	Name          string            `json:"name,omitempty"`
	Options       map[string]string `json:"options,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Recovery      bool              `json:"recovery,omitempty"` // the recovery quorum is asked, in place of the rules
	Successor     string            `json:"successor,omitempty"`
	Target        string            `json:"target,omitempty"` // base64
	TestException string            `json:"test_exception,omitempty"`
	To            string            `json:"to,omitempty"` // version of the policy that is to come into force
	Token         string            `json:"token,omitempty"`
	Wrapped       bool              `json:"wrapped,omitempty"`
}

// Encode returns the payload of an order, as canonical JSON, or what is wrong with it.
func (o Order) Encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return o.encode()
}

// encode relies on check: no text has a character that encoding/json escapes and RFC
// 8785, 3.2.2.2 does not, and the names of options are ASCII, so that encoding/json
// sorts them as RFC 8785, 3.2.3 does.
func (o Order) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Parse reads a payload. An error is an [*signer.Error] with code
// [signer.CodeInvalid].
func Parse(payload []byte) (Order, error) {
	var o Order
	if err := strictjson.Unmarshal(payload, &o); err != nil {
		return Order{}, signer.Invalid("administrative request: %v", err)
	}
	if err := o.check(); err != nil {
		return Order{}, err
	}
	again, err := o.encode()
	if err != nil {
		return Order{}, signer.Invalid("administrative request: %v", err)
	}
	if !bytes.Equal(again, payload) {
		return Order{}, signer.Invalid("administrative request: it is not in canonical form (RFC 8785): no white space, fields sorted by name, none that is empty; %s", difference(again, payload))
	}
	return o, nil
}

// difference says where two texts part.
func difference(want, got []byte) string {
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	show := func(b []byte) string { return fmt.Sprintf("%.40q", b[at:min(len(b), at+40)]) }
	return fmt.Sprintf("from byte %d on it has %s instead of %s", at, show(got), show(want))
}

// Of reads the order of an authorised act, for [signer.Administrator].
func Of(a signer.Act) (Order, error) {
	payload, ok := a.Payload()
	if !ok {
		return Order{}, &signer.Error{Code: signer.CodeInternal, Detail: "the act was never authorised"}
	}
	return Parse(payload)
}

// Bytes reads a field in base64: Blob, Challenge or Target. An order that was parsed
// has nothing else there.
func Bytes(field string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(field)
	if err != nil {
		return nil, fmt.Errorf("want base64 (RFC 4648, section 4, with padding): %w", err)
	}
	if base64.StdEncoding.EncodeToString(b) != field { // the decoder passes over line ends
		return nil, fmt.Errorf("want base64 without line ends")
	}
	return b, nil
}
