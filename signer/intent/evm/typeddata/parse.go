package typeddata

import (
	"bytes"
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/strictjson"
)

// domainType is the struct type of the domain (EIP-712, "Definition of
// domainSeparator").
const domainType = "EIP712Domain"

// document is the object that eth_signTypedData_v4 takes.
type document struct {
	Types       *map[string][]member `json:"types"`
	PrimaryType *string              `json:"primaryType"`
	Domain      *tree                `json:"domain"`
	Message     *tree                `json:"message"`
}

// member is a member of a struct type.
type member struct {
	Name *string `json:"name"`
	Type *string `json:"type"`
}

// tree is JSON that only the types of its own document describe. Its numbers are
// kept as they are written.
type tree struct{ value any }

// UnmarshalJSON is called by package strictjson, which has checked the text.
func (t *tree) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(&t.value)
}

// Parse reads typed data and computes its digests. Its errors are for the caller
// and begin with the place, such as message.details[2].token.
func Parse(payload []byte) (*Data, error) {
	if len(payload) > signer.MaxPayload {
		return nil, signer.Invalid("typed data: %d bytes; the most is %d", len(payload), signer.MaxPayload)
	}
	var doc document
	if err := strictjson.Unmarshal(payload, &doc); err != nil {
		return nil, signer.Invalid("typed data: %v%s", err, wrapping(payload))
	}
	switch {
	case doc.Types == nil:
		return nil, root("types").errorf("missing")
	case doc.PrimaryType == nil:
		return nil, root("primaryType").errorf("missing")
	case doc.Domain == nil:
		return nil, root("domain").errorf("missing")
	case doc.Message == nil:
		return nil, root("message").errorf("missing")
	}
	types, err := resolve(*doc.Types, *doc.PrimaryType, doc.Domain.value)
	if err != nil {
		return nil, err
	}
	in := reader{types: types}
	domain, err := in.value(types.of(domainType), doc.Domain.value, root("domain"), 0)
	if err != nil {
		return nil, err
	}
	message, err := in.value(types.of(*doc.PrimaryType), doc.Message.value, root("message"), 0)
	if err != nil {
		return nil, err
	}
	d := &Data{PrimaryType: *doc.PrimaryType, DomainValue: domain, Message: message}
	if d.Domain, err = domainOf(domain); err != nil {
		return nil, err
	}
	d.hash(types)
	return d, nil
}

// wrapping says which part to give of what typed data comes wrapped in.
func wrapping(payload []byte) string {
	var request struct {
		Params json.RawMessage `json:"params"`
	}
	switch payload = bytes.TrimSpace(payload); {
	case bytes.HasPrefix(payload, []byte("[")):
		return "; of the parameters of eth_signTypedData_v4 give the second alone, as an object and not as text"
	case bytes.HasPrefix(payload, []byte(`"`)):
		return "; give the object that is in the string, without the quotes around it and the backslashes in it"
	case json.Unmarshal(payload, &request) == nil && request.Params != nil:
		return "; of a request give the typed data in its params alone, as an object and not as text"
	}
	return ""
}

// domainOf reads the members of a domain; resolve has held their names and types
// to the standard.
func domainOf(v abi.Value) (Domain, error) {
	var d Domain
	for i, f := range v.Type.Fields {
		e := v.Elems[i]
		switch f.Name {
		case "name":
			d.Name = new(string(e.Bytes))
		case "version":
			d.Version = new(string(e.Bytes))
		case "chainId":
			if !e.Word.IsUint64() {
				return Domain{}, root("domain").member("chainId").errorf("more than 64 bits; no such chain is known")
			}
			d.ChainID = new(e.Word.Uint64())
		case "verifyingContract":
			d.VerifyingContract = new(common.Address(e.Word.Bytes20()))
		case "salt":
			d.Salt = new(common.BytesToHash(e.Bytes))
		}
	}
	return d, nil
}

// Looks reports whether text could be meant as typed data, well made or not: a JSON
// object with types, primaryType, domain and message. It serves to refuse such text
// where something else is asked for, so it is as lenient as a reader may be: keys in
// any letter case, keys of its own, whatever follows the object.
func Looks(payload []byte) bool {
	var doc struct {
		Types       json.RawMessage `json:"types"`
		PrimaryType json.RawMessage `json:"primaryType"`
		Domain      json.RawMessage `json:"domain"`
		Message     json.RawMessage `json:"message"`
	}
	payload = bytes.TrimPrefix(payload, []byte("\ufeff"))
	if json.NewDecoder(bytes.NewReader(payload)).Decode(&doc) != nil {
		return false
	}
	return doc.Types != nil && doc.PrimaryType != nil && doc.Domain != nil && doc.Message != nil
}
