package typeddata_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// vector is one of go-ethereum's (and, before, of ethers') random typed data.
type vector struct {
	Name        string          `json:"name"`
	Types       json.RawMessage `json:"types"`
	PrimaryType string          `json:"primaryType"`
	Domain      json.RawMessage `json:"domain"`
	Data        json.RawMessage `json:"data"`
	Digest      string          `json:"digest"`
}

func (v vector) payload(t *testing.T) []byte {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"types": v.Types, "primaryType": v.PrimaryType, "domain": v.Domain, "message": v.Data})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// gethVectors reads them from the module itself.
func gethVectors(t *testing.T) []vector {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "signer/core/apitypes/testdata/typed-data.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 100 {
		t.Fatalf("%d vectors; go-ethereum has more than 100, so this test looks in the wrong place", len(vectors))
	}
	return vectors
}

// TestGoEthereumVectors: all of them are accepted, with the same digest.
func TestGoEthereumVectors(t *testing.T) {
	for _, v := range gethVectors(t) {
		if got := parse(t, string(v.payload(t))).Digest.Hex(); got != v.Digest {
			t.Errorf("%s: digest %s, want %s", v.Name, got, v.Digest)
		}
	}
}

// TestRefusesWhatGoEthereumExpectsToFail has the failures that go-ethereum's module
// carried as files up to v1.17.3, by the names they had there.
func TestRefusesWhatGoEthereumExpectsToFail(t *testing.T) {
	for name, test := range map[string]struct{ payload, want string }{
		"expfail_arraytype_overload":   {holding("Person from,Person[] to", `{"from":{"name":"Cow"},"to":{"baz":"foo"}}`, "Person:string name", "Person[]:string baz"), `types["Person[]"]: the name of a type`},
		"expfail_datamismatch_1":       {changed(t, mail, `"contents", "type": "string"`, `"contents", "type": "Person"`), "message.contents: want an object of type Person"},
		"expfail_extradata":            {changed(t, mail, `"contents": "Hello`, `"blahonga": "zonk bonk", "contents": "Hello`), "message.blahonga: not declared by Mail"},
		"expfail_malformeddomainkeys":  {changed(t, mail, `"verifyingContract": `, `"vFAILFAILerifyingContract": `), "domain.verifyingContract: missing"},
		"expfail_nonexistant_type":     {changed(t, mail, `"contents", "type": "string"`, `"contents", "type": "Blahonga"`), `type "Blahonga" is neither declared`},
		"expfail_nonexistant_type2":    {changed(t, mail, `"type": "uint256"`, `"type": "uint256 ... and now for something completely different"`), "types.EIP712Domain[2]: type"},
		"expfail_toolargeuint":         {holding("uint8 test", `{"test":"257"}`), "message.test: the text \"257\" does not fit uint8"},
		"expfail_toolargeuint2":        {holding("uint8 test", `{"test":257}`), "message.test: the number 257 does not fit uint8"},
		"expfail_unconvertiblefloat":   {holding("uint8 test", `{"test":"255.3"}`), "message.test: the text \"255.3\""},
		"expfail_unconvertiblefloat2":  {holding("uint8 test", `{"test":255.3}`), "message.test: the number 255.3: want a whole number"},
		"a type without name and type": {`{"types":{"0":[{}]},"primaryType":"0","domain":{},"message":{}}`, "types[\"0\"]: the name of a type must be an identifier"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, test.payload, test.want)
			if a := byGeth([]byte(test.payload)); a.Error == "" {
				t.Errorf("go-ethereum takes it as %s", a)
			}
		})
	}
}
