package typeddata_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// verdict is what one reader makes of a payload.
type verdict string

const (
	takes   verdict = "takes" // all who take a payload have one digest of it,
	differs verdict = "differs"
	refuses verdict = "refuses" // or differ from the first who takes it
)

// verdicts are those of ours, go-ethereum, ethers and viem.
type verdicts [4]verdict

// difference is a payload that not all readers take in one way, and why we are on
// the side where we are.
type difference struct {
	payload string
	want    verdicts
	why     string
}

const (
	domainMembers = `[{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}]`
	domainObject  = `{"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"}`
)

// accepted is what we take and somebody does not.
func accepted(t *testing.T) map[string]difference {
	inOrder := `{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId"`
	reordered := changed(t, changed(t, mail, inOrder, `{"name": "chainId"`), `"type": "uint256"}`, `"type": "uint256"}, {"name": "version", "type": "string"}, {"name": "name", "type": "string"}`)
	return map[string]difference{
		"members of the domain in another order": {reordered, verdicts{takes, takes, differs, takes},
			"EIP-712 wants any order taken as EIP712Domain has it; ethers makes that type up in the order of the standard"},
		"empty name of a domain": {changed(t, mail, `"Ether Mail"`, `""`), verdicts{takes, refuses, takes, takes},
			"empty text is text; go-ethereum takes it for none"},
		"struct type with an array of itself": {holding("Box[] boxes", `{"boxes":[{"boxes":[]}]}`), verdicts{takes, takes, refuses, takes},
			"Solidity has such types and every value of them ends; ethers wants no type to lead back to itself"},
		"struct types in a ring with an array": {holding("Other[] others", `{"others":[{"box":{"others":[]}}]}`, "Other:Box box"), verdicts{takes, takes, refuses, takes},
			"as above"},
		"name of a type that begins with an underscore": {holding("_O a", `{"a":{"b":true}}`, "_O:bool b"), verdicts{takes, refuses, takes, takes},
			"it is an identifier; go-ethereum wants a letter"},
		"address in capitals": {changed(t, mail, "CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826", "CD2A3D9F938E13CD947EC05ABC7FE734DF8DD826"), verdicts{takes, takes, takes, refuses},
			"digits of one letter case have no checksum (EIP-55); viem wants small letters then"},
	}
}

// refusedTypes is what we refuse of types and domains, and somebody takes.
func refusedTypes(t *testing.T) map[string]difference {
	noDomainType := changed(t, mail, `"EIP712Domain": `+domainMembers+",", ``)
	emptyDomainType := changed(t, mail, domainMembers, `[]`)
	return map[string]difference{
		"no EIP712Domain": {noDomainType, verdicts{refuses, refuses, takes, takes},
			"ethers and viem make it up from the domain, MetaMask takes one without members: who reads decides what is signed"},
		"EIP712Domain without members": {emptyDomainType, verdicts{refuses, refuses, takes, differs},
			"viem signs nothing of the domain that is shown, ethers all of it"},
		"domain without members": {changed(t, emptyDomainType, domainObject, "{}"), verdicts{refuses, refuses, takes, takes},
			"EIP-712 wants one member or more; without, the signature is good everywhere"},
		"neither EIP712Domain nor domain": {changed(t, noDomainType, domainObject, "{}"), verdicts{refuses, refuses, takes, takes},
			"as above"},
		"member of the domain that EIP712Domain lacks": {changed(t, mail, `, {"name": "verifyingContract", "type": "address"}`, ``), verdicts{refuses, refuses, takes, differs},
			"viem shows it and does not sign it, ethers signs it"},
		"member of the domain that is missing": {changed(t, mail, `"version": "1",`, ``), verdicts{refuses, refuses, takes, refuses},
			"ethers makes another EIP712Domain up than the one there"},
		"member of the domain that the standard lacks": {changed(t, changed(t, mail, `{"name": "version",`, `{"name": "vendor",`), `"version": "1"`, `"vendor": "1"`), verdicts{refuses, refuses, refuses, takes},
			"nobody knows what it binds the signature to"},
		"chain id of another type": {changed(t, mail, `"chainId", "type": "uint256"`, `"chainId", "type": "uint64"`), verdicts{refuses, takes, differs, takes},
			"EIP-712 has uint256, and ethers signs that"},
		"chain id of 65 bits": {changed(t, mail, `"chainId": 1,`, `"chainId": "0x10000000000000000",`), verdicts{refuses, takes, takes, takes},
			"there is no such chain, and no key here could name it"},
		"EIP712Domain as primary type": {changed(t, mail, `"primaryType": "Mail"`, `"primaryType": "EIP712Domain"`), verdicts{refuses, refuses, refuses, takes},
			"viem leaves the message out"},
		"domain as a member": {holding("EIP712Domain d", `{"d":{"name":"x"}}`), verdicts{refuses, takes, refuses, takes},
			"ethers has no such type, and a second domain misleads"},
		"type without a part in the message": {changed(t, mail, `"Mail": [`, `"Extra": [{"name": "b", "type": "bool"}], "Mail": [`), verdicts{refuses, takes, refuses, takes},
			"it would be shown and not signed"},
		"two members of one name": {holding("bool a,bool a", `{"a":true}`), verdicts{refuses, takes, refuses, takes},
			"one value for two"},
		"two members of one name and two types": {holding("bool a,uint8 a", `{"a":true}`), verdicts{refuses, refuses, refuses, takes},
			"one value for two"},
		"two members that differ in letter case": {holding("bool a,bool A", `{"a":true,"A":false}`), verdicts{refuses, takes, takes, takes},
			"many readers of JSON take one for the other"},
		"name of a member that is no identifier": {changed(t, holding("bool a", `{"a,b":true}`), `"name":"a"`, `"name":"a,b"`), verdicts{refuses, takes, takes, takes},
			"its type text reads as one of two members"},
		"name of the primary type that is no identifier": {strings.ReplaceAll(holding("bool a", `{"a":true}`), "Box", "Box:Send"), verdicts{refuses, takes, takes, takes},
			"EIP-712 wants an identifier"},
		"name of a type that is no identifier": {strings.ReplaceAll(holding("Other a", `{"a":{"b":true}}`, "Other:bool b"), "Other", "Box:Other"), verdicts{refuses, refuses, takes, takes},
			"EIP-712 wants an identifier"},
		"name of a type with a dollar sign": {holding("O$ a", `{"a":{"b":true}}`, "O$:bool b"), verdicts{refuses, refuses, takes, takes},
			"MetaMask leaves the type out of the type text, and signs another digest"},
		"struct type named address": {holding("address a", `{"a":{"b":true}}`, "address:bool b"), verdicts{refuses, takes, refuses, refuses},
			"one type text for two types"},
		"struct type named nearly like an integer": {holding("uint7 a", `{"a":{"b":true}}`, "uint7:bool b"), verdicts{refuses, takes, refuses, refuses},
			"it looks like what it is not"},
		"struct type named mapping": {holding("mapping a", `{"a":{"b":true}}`, "mapping:bool b"), verdicts{refuses, takes, takes, takes},
			"it is no identifier of Solidity"},
		"struct type without members": {holding("Other a", `{"a":{}}`, "Other:"), verdicts{refuses, takes, takes, takes},
			"Solidity has none, and there is nothing of it to show"},
		"alias uint": {holding("uint a", `{"a":1}`), verdicts{refuses, takes, differs, refuses},
			"EIP-712 has no aliases; ethers signs the type text of uint256"},
		"array of length 0": {holding("uint8[0] a", `{"a":[]}`), verdicts{refuses, takes, takes, takes},
			"Solidity has none"},
		"length of an array with a leading zero": {holding("uint8[01] a", `{"a":[1]}`), verdicts{refuses, takes, takes, takes},
			"two type texts for one type"},
		"key beside the four": {changed(t, mail, `"primaryType": "Mail"`, `"primaryType": "Mail", "comment": "hello"`), verdicts{refuses, takes, takes, takes},
			"it would be shown and not signed"},
		"primary type in other letter case too": {changed(t, mail, `"primaryType": "Mail"`, `"primaryType": "Mail", "PrimaryType": "Person"`), verdicts{refuses, refuses, takes, takes},
			"go-ethereum takes the second, ethers and viem the first"},
		"65 types":                     {manyTypes(65), verdicts{refuses, takes, takes, takes}, "a bound"},
		"129 members":                  {manyMembers(129), verdicts{refuses, takes, takes, takes}, "a bound"},
		"17 structs within each other": {chain(17), verdicts{refuses, takes, takes, takes}, "a bound"},
		"4097 elements":                {holding("bool[] b", `{"b":`+list("true", 4097)+`}`), verdicts{refuses, takes, takes, takes}, "a bound"},
		"17 dimensions":                {holding("bool"+strings.Repeat("[]", 17)+" b", `{"b":[]}`), verdicts{refuses, takes, takes, takes}, "a bound"},
	}
}

// refusedValues is what we refuse of values, and somebody takes.
func refusedValues(t *testing.T) map[string]difference {
	const wallet = "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"
	notSigned, oneForm, range8 := "it would be shown and not signed", "a number is written in few ways here; the others take it without harm", "go-ethereum counts bits without the sign, and signs a word that no int8 has"
	return map[string]difference{
		"member that the types lack":        {changed(t, mail, `"contents": "Hello`, `"amount": 1, "contents": "Hello`), verdicts{refuses, refuses, takes, takes}, notSigned},
		"nested member that the types lack": {changed(t, mail, `"name": "Bob",`, `"name": "Bob", "note": 1,`), verdicts{refuses, refuses, takes, takes}, notSigned},
		"repeated member": {changed(t, mail, `"name": "Bob",`, `"name": "Eve", "name": "Bob",`), verdicts{refuses, takes, takes, takes},
			"the last wins in all three; one who shows the first misleads"},
		"member in other letter case": {changed(t, mail, `"name": "Bob",`, `"name": "Bob", "Name": "Eve",`), verdicts{refuses, refuses, takes, takes}, notSigned},
		"address with a wrong checksum": {changed(t, mail, wallet, strings.Replace(wallet, "C", "c", 1)), verdicts{refuses, takes, refuses, refuses},
			"a digit may be wrong (EIP-55)"},
		"address without 0x": {changed(t, mail, wallet, wallet[2:]), verdicts{refuses, takes, takes, refuses}, "addresses are written in one way here"},
		"address in the ICAP format": {changed(t, mail, wallet, "XE65GB6LDNXYOFTX0NSV3FUWKOWIXAMJK36"), verdicts{refuses, refuses, takes, refuses},
			"nobody compares it with the address it stands for"},
		"number for text": {changed(t, mail, `"Hello, Bob!"`, `7`), verdicts{refuses, refuses, refuses, takes}, "viem signs the byte 7"},
		"lone surrogate": {changed(t, mail, `"Hello, Bob!"`, `"\ud800"`), verdicts{refuses, takes, refuses, takes},
			"go-ethereum and viem sign U+FFFD instead"},
		"whole number with a fraction":   {holding("uint8 a", `{"a":1.0}`), verdicts{refuses, takes, takes, takes}, oneForm},
		"whole number with an exponent":  {holding("uint256 a", `{"a":1e3}`), verdicts{refuses, takes, takes, takes}, oneForm},
		"minus zero":                     {holding("int8 a", `{"a":-0}`), verdicts{refuses, takes, takes, takes}, oneForm},
		"number after 0X":                {holding("uint256 a", `{"a":"0X1"}`), verdicts{refuses, takes, takes, takes}, oneForm},
		"number after a plus":            {holding("uint256 a", `{"a":"+1"}`), verdicts{refuses, takes, takes, takes}, oneForm},
		"octal number":                   {holding("uint256 a", `{"a":"0o7"}`), verdicts{refuses, refuses, takes, takes}, oneForm},
		"number in blanks":               {holding("uint256 a", `{"a":" 1 "}`), verdicts{refuses, refuses, takes, takes}, oneForm},
		"negative number in hexadecimal": {holding("int256 a", `{"a":"-0x1"}`), verdicts{refuses, refuses, takes, refuses}, oneForm},
		"number with a leading zero": {holding("uint256 a", `{"a":"010"}`), verdicts{refuses, takes, takes, takes},
			"some read eight"},
		"empty text for a number": {holding("uint256 a", `{"a":""}`), verdicts{refuses, takes, refuses, takes},
			"go-ethereum and viem sign zero"},
		"number that is rounded": {holding("uint256 a", `{"a":9007199254740993}`), verdicts{refuses, takes, refuses, takes},
			"go-ethereum and viem sign 9007199254740992"},
		"number that is too large to be sure of": {holding("uint256 a", `{"a":1000000000000000000}`), verdicts{refuses, takes, refuses, takes},
			"exact by chance; the next one is not"},
		"int8 of 255":                  {holding("int8 a", `{"a":"255"}`), verdicts{refuses, takes, refuses, refuses}, range8},
		"int8 of -200":                 {holding("int8 a", `{"a":"-200"}`), verdicts{refuses, takes, refuses, refuses}, range8},
		"boolean for a number":         {holding("uint8 a", `{"a":true}`), verdicts{refuses, refuses, refuses, takes}, "viem signs 1"},
		"text for a boolean":           {holding("bool a", `{"a":"false"}`), verdicts{refuses, refuses, takes, refuses}, "ethers signs true"},
		"number for a boolean":         {holding("bool a", `{"a":1}`), verdicts{refuses, refuses, takes, refuses}, "a boolean is true or false"},
		"odd hexadecimal digits":       {holding("bytes a", `{"a":"0x123"}`), verdicts{refuses, refuses, refuses, takes}, "viem pads them"},
		"text for bytes":               {holding("bytes a", `{"a":"Hello"}`), verdicts{refuses, refuses, refuses, takes}, "viem reads digits that are none"},
		"array too short":              {holding("uint8[2] a", `{"a":[1]}`), verdicts{refuses, takes, refuses, takes}, "no contract makes this hash"},
		"array too long":               {holding("uint8[2] a", `{"a":[1,2,3]}`), verdicts{refuses, takes, refuses, takes}, "no contract makes this hash"},
		"array in an array of numbers": {holding("uint8[] a", `{"a":[[1]]}`), verdicts{refuses, takes, refuses, differs}, "no contract makes this hash"},
	}
}

// TestDifferences holds four readers to the tables: where we take what somebody
// refuses, and the reverse, it is known and meant.
func TestDifferences(t *testing.T) {
	all := accepted(t)
	for _, more := range []map[string]difference{refusedTypes(t), refusedValues(t)} {
		maps.Copy(all, more)
	}
	names := slices.Sorted(maps.Keys(all))
	payloads := make([][]byte, len(names))
	for i, name := range names {
		payloads[i] = line(t, all[name].payload)
	}
	for i, js := range byJavaScript(t, payloads) {
		d := all[names[i]]
		answers := [4]answer{byUs(payloads[i]), byGeth(payloads[i]), js.Ethers, js.Viem}
		if got := compare(answers); got != d.want || d.why == "" {
			t.Errorf("%s: %s, want %s because %q\n%s\n%s", names[i], got, d.want, d.why, payloads[i], answers)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(d.want[:])))) == 1 {
			t.Errorf("%s: all agree, so it is no difference", names[i])
		}
	}
}

func byUs(payload []byte) answer {
	d, err := typeddata.Parse(payload)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Digest: d.Digest.Hex()}
}

// compare holds digests against the first there is.
func compare(answers [4]answer) (v verdicts) {
	first := ""
	for i, a := range answers {
		switch {
		case a.Error != "":
			v[i] = refuses
			continue
		case first == "":
			first = a.Digest
		}
		if v[i] = takes; a.Digest != first {
			v[i] = differs
		}
	}
	return v
}
