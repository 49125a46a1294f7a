package typeddata_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// TestMailOfTheStandard has the values that EIP-712 gives in its Example.js.
func TestMailOfTheStandard(t *testing.T) {
	d := parse(t, mail)
	for what, test := range map[string]struct{ got, want string }{
		"primary type": {d.PrimaryType, "Mail"},
		"type text":    {d.TypeText, "Mail(Person from,Person to,string contents)Person(string name,address wallet)"},
		"domain text":  {d.DomainText, "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"},
		"domain hash":  {d.DomainHash.Hex(), "0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"},
		"message hash": {d.MessageHash.Hex(), "0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"},
		"digest":       {d.Digest.Hex(), "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"},
		"name":         {*d.Domain.Name, "Ether Mail"},
		"version":      {*d.Domain.Version, "1"},
		"chain":        {fmt.Sprint(*d.Domain.ChainID), "1"},
		"contract":     {d.Domain.VerifyingContract.Hex(), "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
		"type name":    {d.Message.Elems[0].Type.Name, "Person"},
		"member name":  {d.Message.Type.Fields[2].Name, "contents"},
		"text":         {string(d.Message.Elems[2].Bytes), "Hello, Bob!"},
	} {
		if test.got != test.want {
			t.Errorf("%s = %q, want %q", what, test.got, test.want)
		}
	}
	if d.Domain.Salt != nil {
		t.Errorf("salt = %v, want none", d.Domain.Salt)
	}
}

func TestDomainHasOnlyWhatIsDeclared(t *testing.T) {
	text := changed(t, holding("bool b", `{"b":true}`), `{"name":"Test"}`, `{"salt":"0x`+strings.Repeat("ab", 32)+`"}`)
	d := parse(t, changed(t, text, `"name":"name","type":"string"`, `"name":"salt","type":"bytes32"`))
	if d.Domain.Name != nil || d.Domain.Version != nil || d.Domain.ChainID != nil || d.Domain.VerifyingContract != nil {
		t.Errorf("domain = %+v, want a salt alone", d.Domain)
	}
	if d.Domain.Salt == nil || d.Domain.Salt.Hex() != "0x"+strings.Repeat("ab", 32) {
		t.Errorf("salt = %v", d.Domain.Salt)
	}
}

// TestIntegersMeanTheSameInEveryForm also shows the edges of types.
func TestIntegersMeanTheSameInEveryForm(t *testing.T) {
	maxWord := strings.Repeat("f", 64)
	for _, test := range []struct {
		typ   string
		forms []string
		word  string
	}{
		{"uint8", []string{`0`, `"0"`, `"0x0"`, `"0x00"`}, "0x0"},
		{"uint8", []string{`255`, `"255"`, `"0xff"`, `"0xFF"`, `"0x` + strings.Repeat("0", 62) + `ff"`}, "0xff"},
		{"uint64", []string{`9007199254740991`, `"9007199254740991"`, `"0x1fffffffffffff"`}, "0x1fffffffffffff"},
		{"uint64", []string{`"9007199254740993"`, `"0x20000000000001"`}, "0x20000000000001"},
		{"uint256", []string{`"115792089237316195423570985008687907853269984665640564039457584007913129639935"`, `"0x` + maxWord + `"`}, "0x" + maxWord},
		{"int8", []string{`127`, `"127"`, `"0x7f"`}, "0x7f"},
		{"int8", []string{`-128`, `"-128"`}, "0x" + maxWord[2:] + "80"},
		{"int16", []string{`-1`, `"-1"`}, "0x" + maxWord},
		{"int256", []string{`"-57896044618658097711785492504343953926634992332820282019728792003956564819968"`}, "0x8" + strings.Repeat("0", 63)},
	} {
		for _, form := range test.forms {
			d := parse(t, holding(test.typ+" n", `{"n":`+form+`}`))
			if got := d.Message.Elems[0].Word.Hex(); got != test.word {
				t.Errorf("%s as %s = %s, want %s", form, test.typ, got, test.word)
			}
		}
	}
}

func TestAddressesInOneLetterCaseNeedNoChecksum(t *testing.T) {
	const digits = "cd2a3d9f938e13cd947ec05abc7fe734df8dd826"
	want := parse(t, mail).Digest
	for _, form := range []string{digits, strings.ToUpper(digits)} {
		if got := parse(t, changed(t, mail, "CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826", form)).Digest; got != want {
			t.Errorf("%s gives %s, want %s", form, got, want)
		}
	}
}

// TestAllowedAreTheWidestAndDeepest is the accepting side of the bounds.
func TestAllowedAreTheWidestAndDeepest(t *testing.T) {
	for name, payload := range map[string]string{
		"64 types":                        manyTypes(64),
		"128 members":                     manyMembers(128),
		"a name of 128 characters":        holding("bool "+strings.Repeat("n", 128), `{"`+strings.Repeat("n", 128)+`":true}`),
		"4096 elements":                   holding("bool[] a,bool[] b", `{"a":`+list("true", 4000)+`,"b":`+list("true", 96)+`}`),
		"16 structs within each other":    chain(16),
		"15 structs by way of arrays":     holding("Box[] boxes", nestedBoxes(15)),
		"16 dimensions":                   holding("bool"+strings.Repeat("[]", 16)+" b", `{"b":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+`}`),
		"payload of the greatest size":    padded(t, signer.MaxPayload),
		"a type that refers to itself":    holding("Box[] boxes,uint8 n", `{"boxes":[{"boxes":[],"n":1}],"n":2}`),
		"two types that refer in a ring":  holding("Other[] others", `{"others":[{"box":{"others":[]}}]}`, "Other:Box box"),
		"domain members in another order": changed(t, changed(t, mail, `{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId"`, `{"name": "chainId"`), `"type": "uint256"}`, `"type": "uint256"}, {"name": "version", "type": "string"}, {"name": "name", "type": "string"}`),
		"empty text and bytes":            holding("string s,bytes b,string[] l", `{"s":"","b":"0x","l":[]}`),
		"dollar and underscore":           holding("_S a", `{"a":{"$":true}}`, "_S:bool $"),
	} {
		t.Run(name, func(t *testing.T) {
			if d := parse(t, payload); d.Digest == [32]byte{} {
				t.Error("no digest")
			}
		})
	}
}

func list(element string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

// nestedBoxes is a message of n structs Box, each with an array of them.
func nestedBoxes(n int) string {
	return strings.Repeat(`{"boxes":[`, n-1) + `{"boxes":[]}` + strings.Repeat(`]}`, n-1)
}

// chain is a message of n structs within each other, of n types.
func chain(n int) string {
	types := []string{fmt.Sprintf("T%d:bool b", n-1)}
	for i := 1; i < n-1; i++ {
		types = append(types, fmt.Sprintf("T%d:T%d t", i, i+1))
	}
	return holding("T1 t", strings.Repeat(`{"t":`, n-1)+`{"b":true}`+strings.Repeat("}", n-1), types...)
}

// manyTypes has n types, EIP712Domain and Box among them.
func manyTypes(n int) string {
	var members, values, types []string
	for i := range n - 2 {
		name := fmt.Sprint("T", i)
		members, types = append(members, name+" m"+name), append(types, name+":bool b")
		values = append(values, `"m`+name+`":{"b":true}`)
	}
	return holding(strings.Join(members, ","), "{"+strings.Join(values, ",")+"}", types...)
}

func manyMembers(n int) string {
	var members, values []string
	for i := range n {
		members, values = append(members, fmt.Sprint("bool m", i)), append(values, fmt.Sprintf(`"m%d":true`, i))
	}
	return holding(strings.Join(members, ","), "{"+strings.Join(values, ",")+"}")
}

// padded has so many bytes.
func padded(t *testing.T, size int) string {
	t.Helper()
	short := holding("string s", `{"s":"~"}`)
	return changed(t, short, "~", strings.Repeat("a", size-len(short)+1))
}

func TestLeavesAreAllThereIs(t *testing.T) {
	d := parse(t, holding("Item[] items,uint8[2][] grid,string note", `{"items":[{"b":true,"raw":"0x01"},{"b":false,"raw":"0x"}],"grid":[[1,2]],"note":""}`, "Item:bool b,bytes raw"))
	var got []string
	for path, v := range typeddata.Leaves("message", d.Message) {
		got = append(got, path+" "+v.Type.String())
	}
	want := []string{"message.items[0].b bool", "message.items[0].raw bytes", "message.items[1].b bool", "message.items[1].raw bytes",
		"message.grid[0][0] uint8", "message.grid[0][1] uint8", "message.note string"}
	if !slices.Equal(got, want) {
		t.Errorf("leaves %q, want %q", got, want)
	}
	empty := parse(t, holding("bool[] a", `{"a":[]}`))
	for path, v := range typeddata.Leaves("message", empty.Message) {
		if path != "message.a" || len(v.Elems) != 0 {
			t.Errorf("leaf %s %v, want the empty array", path, v)
		}
	}
	for range typeddata.Leaves("message", d.Message) {
		break // a walk may end early
	}
}

func TestLooks(t *testing.T) {
	for text, want := range map[string]bool{
		mail:                                   true,
		" \n" + mail:                           true,
		"\ufeff" + mail:                        true,
		mail + " and more":                     true,
		strings.ToUpper(mail):                  true,
		changed(t, mail, `"Mail",`, `"Post",`): true,
		`{"types":0,"primaryType":0,"domain":0,"message":0}`:                  true,
		`{"types":0,"primaryType":0,"domain":0,"message":0,"also":0}`:         true,
		`{"types":null,"primaryType":null,"domain":null,"message":null}`:      true,
		`{"types":0,"types":1,"primaryType":0,"domain":0,"message":"\ud800"}`: true,
		`{"types":{},"primaryType":"Mail","domain":{}}`:                       false,
		`{"chainId":"0x1"}`: false,
		`[` + mail + `]`:    false,
		"I own this":        false,
		"":                  false,
		mail[:len(mail)-1]:  false,
	} {
		if got := typeddata.Looks([]byte(text)); got != want {
			t.Errorf("Looks(%q) = %v, want %v", text, got, want)
		}
	}
}
