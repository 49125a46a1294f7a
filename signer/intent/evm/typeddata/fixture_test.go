package typeddata_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// mail is the example of EIP-712.
const mail = `{
  "types": {
    "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],
    "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
    "Mail": [{"name": "from", "type": "Person"}, {"name": "to", "type": "Person"}, {"name": "contents", "type": "string"}]
  },
  "primaryType": "Mail",
  "domain": {"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
  "message": {
    "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
    "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
    "contents": "Hello, Bob!"
  }
}`

// changed replaces one place of a text, which must be there once.
func changed(t testing.TB, text, old, with string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q is there %d times", old, n)
	}
	return strings.Replace(text, old, with, 1)
}

// holding is typed data of one struct type Box with members as in "uint8 n", and a
// message. More types follow as in "Other:bytes b,uint8 n".
func holding(members, message string, types ...string) string {
	all := map[string][]map[string]string{"EIP712Domain": {{"name": "name", "type": "string"}}}
	for _, declaration := range append([]string{"Box:" + members}, types...) {
		name, list, _ := strings.Cut(declaration, ":")
		all[name] = []map[string]string{}
		for m := range strings.SplitSeq(list, ",") {
			if typ, member, ok := strings.Cut(m, " "); ok {
				all[name] = append(all[name], map[string]string{"name": member, "type": typ})
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings always marshal
	}
	return `{"types":` + string(text) + `,"primaryType":"Box","domain":{"name":"Test"},"message":` + message + `}`
}

// line is a text on one line.
func line(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(t testing.TB, payload string) *typeddata.Data {
	t.Helper()
	d, err := typeddata.Parse([]byte(payload))
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return d
}

// refused checks that there is an error for the caller, which says what it should,
// and nothing else.
func refused(t testing.TB, payload, want string) {
	t.Helper()
	d, err := typeddata.Parse([]byte(payload))
	if err == nil || d != nil || !strings.Contains(err.Error(), want) || signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("Parse = %v, %v; want an invalid request saying %q", d, err, want)
	}
	if err != nil && len(err.Error()) > 8<<10 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}
