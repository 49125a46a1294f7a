package typeddata_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// TestRefusesChangedMail changes one place of the standard's example.
func TestRefusesChangedMail(t *testing.T) {
	const person = `"Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],`
	for name, test := range map[string]struct{ old, with, want string }{
		"member of the message that the types lack":       {`"contents": "Hello`, `"amount": 1, "contents": "Hello`, "message.amount: not declared by Mail: it would be shown and not signed"},
		"nested member that the types lack":               {`"name": "Bob",`, `"name": "Bob", "note": 1,`, "message.to.note: not declared by Person"},
		"member with an empty name":                       {`"name": "Bob",`, `"name": "Bob", "": 1,`, `message.to[""]: not declared by Person`},
		"member with an invisible character":              {`"name": "Bob",`, `"name": "Bob", "na\u200bme": "Eve",`, `message.to["na\u200bme"]: not declared by Person`},
		"missing member":                                  {`,` + "\n    " + `"contents": "Hello, Bob!"`, ``, "message.contents: missing; Mail declares it"},
		"null member":                                     {`"Hello, Bob!"`, `null`, "message.contents: want string as text, got null"},
		"repeated member":                                 {`"name": "Bob",`, `"name": "Bob", "name": "Eve",`, "message.to.name: repeats"},
		"member in other letter case":                     {`"name": "Bob",`, `"name": "Bob", "Name": "Eve",`, `message.to.Name: repeats "name" in other letter case`},
		"member of the domain that EIP712Domain lacks":    {`"version": "1",`, `"version": "1", "salt": "0x00",`, "domain.salt: not declared by EIP712Domain: it would be shown and not signed"},
		"missing member of the domain":                    {`"version": "1",`, ``, "domain.version: missing; EIP712Domain declares it"},
		"no EIP712Domain":                                 {`"EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],`, ``, `types.EIP712Domain: missing or empty; declare the members of the domain, without which the signature is good everywhere; by its members: "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}]`},
		"empty EIP712Domain":                              {`[{"name": "name", "type": "string"}, {"name": "version", "type": "string"}, {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}]`, `[]`, "types.EIP712Domain: missing or empty"},
		"member of the domain that the standard lacks":    {`{"name": "version",`, `{"name": "vendor",`, "types.EIP712Domain[1]: vendor is no member of a domain"},
		"member of the domain of another type":            {`"chainId", "type": "uint256"`, `"chainId", "type": "uint64"`, `types.EIP712Domain[2]: chainId is of type "uint64"; EIP-712 wants uint256`},
		"chain id of 65 bits":                             {`"chainId": 1,`, `"chainId": "0x10000000000000000",`, "domain.chainId: more than 64 bits"},
		"negative chain id":                               {`"chainId": 1,`, `"chainId": -1,`, "domain.chainId: the number -1 does not fit uint256"},
		"EIP712Domain as primary type":                    {`"primaryType": "Mail"`, `"primaryType": "EIP712Domain"`, "primaryType: EIP712Domain is the type of the domain, not of a message"},
		"primary type that is not declared":               {`"primaryType": "Mail"`, `"primaryType": "Post"`, `primaryType: "Post" is not declared in types`},
		"array as primary type":                           {`"primaryType": "Mail"`, `"primaryType": "Mail[]"`, `primaryType: "Mail[]" is not declared in types`},
		"elementary primary type":                         {`"primaryType": "Mail"`, `"primaryType": "string"`, `primaryType: "string" is not declared in types`},
		"declared type without a part in the message":     {person, person + `"Extra": [{"name": "b", "type": "bool"}],`, "types.Extra: declared, but not part of Mail"},
		"type that is not declared":                       {`"to", "type": "Person"`, `"to", "type": "People"`, `types.Mail[1]: type "People" is neither declared in types nor a type of EIP-712`},
		"domain as a member":                              {`"to", "type": "Person"`, `"to", "type": "EIP712Domain"`, "types.Mail[1]: EIP712Domain cannot be part of a struct"},
		"type that holds itself":                          {`"to", "type": "Person"`, `"to", "type": "Mail"`, "types.Mail: holds itself without end"},
		"type that holds itself by another":               {`"wallet", "type": "address"`, `"wallet", "type": "Mail"`, "types.Mail: holds itself without end"},
		"type that holds itself in a fixed array":         {`"to", "type": "Person"`, `"to", "type": "Mail[][2][1]"`, "message.to: want an array"},
		"type that always holds two of itself":            {`"to", "type": "Person"`, `"to", "type": "Mail[2]"`, "types.Mail: holds itself without end"},
		"second member of one name":                       {`"name": "wallet", "type": "address"`, `"name": "name", "type": "address"`, "types.Person[1]: a second member name"},
		"member without a type":                           {`{"name": "wallet", "type": "address"}`, `{"name": "wallet"}`, "types.Person[1]: type is missing"},
		"member without a name":                           {`{"name": "wallet", "type": "address"}`, `{"type": "address"}`, "types.Person[1]: name is missing"},
		"member with more than name and type":             {`{"name": "wallet", "type": "address"}`, `{"name": "wallet", "type": "address", "indexed": true}`, `types.Person[1]: unknown field "indexed"`},
		"member name that is no identifier":               {`"name": "wallet", "type"`, `"name": "wallet,uint256 x", "type"`, `types.Person[1]: name "wallet,uint256 x" is not an identifier`},
		"member name of letters that look like Latin":     {`"name": "wallet", "type"`, `"name": "wаllet", "type"`, `name "w\u0430llet" is not an identifier`},
		"member name that begins with a digit":            {`"name": "wallet", "type"`, `"name": "1wallet", "type"`, `name "1wallet" is not an identifier`},
		"empty member name":                               {`"name": "wallet", "type"`, `"name": "", "type"`, `name "" is not an identifier`},
		"struct without members":                          {`[{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}]`, `[]`, "types.Person: no members"},
		"null for the members of a struct":                {`[{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}]`, `null`, "types.Person: want an array, got null"},
		"key beside the four":                             {`"primaryType": "Mail"`, `"primaryType": "Mail", "comment": "hello"`, `unknown field "comment"`},
		"primary type twice":                              {`"primaryType": "Mail"`, `"primaryType": "Mail", "primaryType": "Person"`, "primaryType: repeats"},
		"primary type in other letter case too":           {`"primaryType": "Mail"`, `"primaryType": "Mail", "PrimaryType": "Person"`, "PrimaryType: "},
		"no primary type":                                 {`"primaryType": "Mail",`, ``, "primaryType: missing"},
		"null primary type":                               {`"primaryType": "Mail",`, `"primaryType": null,`, "primaryType: missing"},
		"domain that is text":                             {`{"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"}`, `"Ether Mail"`, `domain: want an object of type EIP712Domain, got the text "Ether Mail"`},
		"null domain":                                     {`{"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"}`, `null`, "domain: missing"},
		"address with a wrong checksum":                   {`0xCD2a3d9F`, `0xcD2a3d9F`, "message.from.wallet: \"0xcD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826\": its checksum (EIP-55) does not hold"},
		"verifying contract with a wrong checksum":        {`0xCcCC`, `0xcCCC`, "domain.verifyingContract: \"0xcCCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC\": its checksum"},
		"address as a number":                             {`"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"`, `1171272903430165`, "message.from.wallet: want address as text, got the number 1171272903430165"},
		"address as decimal text":                         {`"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"`, `"1171272903430165862021093562541362413425786476582"`, "message.from.wallet: \"1171272903430165862021093562541362413425786476582\" is no address"},
		"address without 0x":                              {`"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"`, `"CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"`, "is no address"},
		"address after 0X":                                {`"0xCD2a3d9F`, `"0XCD2a3d9F`, "is no address"},
		"address of 19 bytes":                             {`5AbC7FE734Df8DD826"`, `5abc7fe734df8dd8"`, "is no address"},
		"address of 21 bytes":                             {`5AbC7FE734Df8DD826"`, `5abc7fe734df8dd82600"`, "is no address"},
		"address with space around it":                    {`Df8DD826"`, `Df8DD826 "`, "is no address"},
		"name for an address":                             {`"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"`, `"vitalik.eth"`, `"vitalik.eth" is no address`},
		"number for text":                                 {`"Hello, Bob!"`, `7`, "message.contents: want string as text, got the number 7"},
		"boolean for text":                                {`"Hello, Bob!"`, `true`, "message.contents: want string as text, got a boolean"},
		"list for text":                                   {`"Hello, Bob!"`, `["Hello"]`, "message.contents: want string as text, got an array"},
		"text for a struct":                               {`{"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"}`, `"Bob"`, `message.to: want an object of type Person, got the text "Bob"`},
		"list for a struct":                               {`{"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"}`, `[]`, "message.to: want an object of type Person, got an array"},
		"text with a lone surrogate":                      {`"Hello, Bob!"`, `"\ud800"`, "lone surrogate"},
		"text that is not UTF-8":                          {`"Hello, Bob!"`, "\"\xff\"", "invalid UTF-8"},
		"long hostile text is quoted and cut in an error": {`0xCD2a3d9F`, `\u202e` + strings.Repeat("é", 5000), `"\u202e\u00e9`},
	} {
		t.Run(name, func(t *testing.T) { refused(t, changed(t, mail, test.old, test.with), test.want) })
	}
}

// TestRefusesValues has one struct Box with a member each.
func TestRefusesValues(t *testing.T) {
	const number, digits = "want a whole number without fraction or exponent", `want decimal digits, or "0x" and hexadecimal digits`
	for name, test := range map[string]struct{ typ, value, want string }{
		"fraction":                            {"uint8", "1.0", number},
		"exponent":                            {"uint256", "1e18", number},
		"minus zero":                          {"int8", "-0", number},
		"minus zero as text":                  {"int8", `"-0"`, digits},
		"fraction as text":                    {"uint8", `"255.3"`, digits},
		"exponent as text":                    {"uint256", `"1e18"`, digits},
		"empty text for a number":             {"uint8", `""`, digits},
		"0x alone for a number":               {"uint8", `"0x"`, digits},
		"0X":                                  {"uint8", `"0X1"`, digits},
		"plus sign":                           {"uint8", `"+1"`, digits},
		"sign before hexadecimal digits":      {"int8", `"-0x1"`, digits},
		"sign alone":                          {"int8", `"-"`, digits},
		"leading zero in decimal digits":      {"uint8", `"010"`, digits},
		"separators":                          {"uint32", `"1_000"`, digits},
		"space":                               {"uint8", `" 1"`, digits},
		"digits that are not ASCII":           {"uint8", `"１"`, digits},
		"letters that are not hexadecimal":    {"uint8", `"0xg1"`, digits},
		"number that JavaScript would round":  {"uint256", "9007199254740993", "too large for some readers of JSON, which round it; write it as text"},
		"number that JavaScript might round":  {"uint256", "9007199254740992", "too large for some readers of JSON"},
		"least number that might be rounded":  {"int256", "-9007199254740992", "too large for some readers of JSON"},
		"uint8 of 256":                        {"uint8", "256", "message.v: the number 256 does not fit uint8"},
		"uint8 of 256 as text":                {"uint8", `"0x100"`, `message.v: the text "0x100" does not fit uint8`},
		"negative uint":                       {"uint256", "-1", "does not fit uint256"},
		"negative uint as text":               {"uint256", `"-1"`, "does not fit uint256"},
		"int8 of 128":                         {"int8", "128", "does not fit int8"},
		"int8 of 255 as a word":               {"int8", `"0xff"`, "does not fit int8"},
		"int8 of -129":                        {"int8", "-129", "does not fit int8"},
		"uint of 257 bits":                    {"uint256", `"0x1` + strings.Repeat("0", 64) + `"`, "does not fit uint256"},
		"uint of 66 zeros":                    {"uint256", `"0x` + strings.Repeat("0", 66) + `"`, "does not fit uint256"},
		"uint of 2^256":                       {"uint256", `"115792089237316195423570985008687907853269984665640564039457584007913129639936"`, "does not fit uint256"},
		"int of 2^255":                        {"int256", `"57896044618658097711785492504343953926634992332820282019728792003956564819968"`, "does not fit int256"},
		"int of less than -2^255":             {"int256", `"-57896044618658097711785492504343953926634992332820282019728792003956564819969"`, "does not fit int256"},
		"very long number":                    {"uint256", strings.Repeat("9", 100_000), "(100000 bytes)"},
		"boolean for a number":                {"uint8", "true", "want a number of type uint8, got a boolean"},
		"null for a number":                   {"uint8", "null", "want a number of type uint8, got null"},
		"list for a number":                   {"uint8", "[1]", "want a number of type uint8, got an array"},
		"object for a number":                 {"uint8", "{}", "want a number of type uint8, got an object"},
		"boolean as text":                     {"bool", `"true"`, `want true or false, got the text "true"`},
		"boolean as a number":                 {"bool", "1", "want true or false, got the number 1"},
		"null for a boolean":                  {"bool", "null", "want true or false, got null"},
		"odd hexadecimal digits":              {"bytes", `"0x123"`, "want bytes as \"0x\" and an even number of hexadecimal digits"},
		"bytes without 0x":                    {"bytes", `"1234"`, "want bytes as"},
		"bytes as plain text":                 {"bytes", `"Hello"`, "want bytes as"},
		"bytes as a list of numbers":          {"bytes", "[1,2]", "want bytes as text, got an array"},
		"bytes as a number":                   {"bytes", "18", "want bytes as text, got the number 18"},
		"31 bytes for 32":                     {"bytes32", `"0x` + strings.Repeat("00", 31) + `"`, "message.v: 31 bytes, want 32"},
		"33 bytes for 32":                     {"bytes32", `"0x` + strings.Repeat("00", 33) + `"`, "33 bytes, want 32"},
		"no bytes for one":                    {"bytes1", `"0x"`, "0 bytes, want 1"},
		"text for a list":                     {"uint8[]", `"1"`, `message.v: want an array, got the text "1"`},
		"object for a list":                   {"uint8[]", `{"0":1}`, "want an array, got an object"},
		"null in a list":                      {"uint8[]", `[1,null]`, "message.v[1]: want a number of type uint8, got null"},
		"list in a list of numbers":           {"uint8[]", `[[1]]`, "message.v[0]: want a number"},
		"list too short":                      {"uint8[2]", `[1]`, "message.v: want 2 elements, got 1"},
		"list too long":                       {"uint8[2]", `[1,2,3]`, "message.v: want 2 elements, got 3"},
		"inner list too long":                 {"uint8[2][]", `[[1,2],[1,2,3]]`, "message.v[1]: want 2 elements, got 3"},
		"4097 elements":                       {"bool[]", list("true", 4097), "message.v: more than 4096 elements in all arrays together"},
		"4097 elements in two lists":          {"bool[][]", "[" + list("true", 4000) + "," + list("true", 95) + "]", "message.v[1]: more than 4096 elements"},
		"alias uint":                          {"uint", "1", `types.Box[0]: type "uint" is an alias, which EIP-712 does not have; write uint256`},
		"alias int in an array":               {"int[]", "[]", `type "int" is an alias`},
		"uint7":                               {"uint7", "1", `type "uint7" is neither declared`},
		"uint264":                             {"uint264", "1", "is neither declared"},
		"uint08":                              {"uint08", "1", "is neither declared"},
		"bytes33":                             {"bytes33", `"0x"`, "is neither declared"},
		"bytes0":                              {"bytes0", `"0x"`, "is neither declared"},
		"tuple":                               {"(bool)", `[true]`, `type "(bool)" is neither declared`},
		"type with words after it":            {"uint256 ... and now for something completely different", "1", "is neither declared"},
		"type with space before it":           {" uint8", "1", "is neither declared"},
		"empty type":                          {"", "1", `type "" is neither declared`},
		"brackets alone":                      {"[]", "[]", `type "" is neither declared`},
		"array of length 0":                   {"uint8[0]", "[]", "want a length from 1 to 4096 without leading zeros"},
		"array of length 01":                  {"uint8[01]", "[1]", "want a length from 1 to 4096 without leading zeros"},
		"array of negative length":            {"uint8[-1]", "[1]", "want a length from 1 to 4096"},
		"array of a length beyond all bounds": {"uint8[4097]", "[1]", "want a length from 1 to 4096"},
		"array of a length beyond numbers":    {"uint8[99999999999999999999]", "[1]", "want a length from 1 to 4096"},
		"array without its end":               {"uint8[", "[1]", `type "uint8[" is malformed`},
		"words between arrays":                {"uint8[]x[]", "[1]", "is malformed"},
		"array of 17 dimensions":              {"uint8" + strings.Repeat("[]", 17), "[]", "an array of more than 16 dimensions"},
	} {
		t.Run(name, func(t *testing.T) { refusedBox(t, test.typ, test.value, test.want) })
	}
}

// refusedBox declares a member v of any type text, blanks included.
func refusedBox(t *testing.T, typ, value, want string) {
	t.Helper()
	text := changed(t, holding("bool v", `{"v":`+value+`}`), `"type":"bool"`, fmt.Sprintf(`"type":%q`, typ))
	refused(t, text, want)
}

func TestRefusesBeyondTheBounds(t *testing.T) {
	long := strings.Repeat("n", 129)
	for name, test := range map[string]struct{ payload, want string }{
		"payload of one byte too many": {padded(t, signer.MaxPayload+1), "131073 bytes; the most is 131072"},
		"65 types":                     {manyTypes(65), "types: 65 types; the most is 64"},
		"129 members":                  {manyMembers(129), "types.Box: 129 members; the most is 128"},
		"member name too long":         {holding("bool "+long, `{"`+long+`":true}`), "is not an identifier of at most 128 characters"},
		"type name too long":           {holding(long+" b", `{"b":{"b":true}}`, long+":bool b"), "must be an identifier of at most 128 characters"},
		"type text too long":           {holding("A[] a,B[] b,C[] c", `{"a":[],"b":[],"c":[]}`, "A:bool a"+longMembers(), "B:bool b"+longMembers(), "C:bool c"+longMembers()), "types: the type text of Box has 40816 bytes; the most is 32768"},
		"17 structs within each other": {chain(17), "t.t: structs nested more than 16 deep"},
		"structs by way of arrays":     {holding("Box[] boxes", nestedBoxes(17)), "nested more than 32 deep"},
		"type named like uint8":        {holding("uint8 b", `{"b":{"b":true}}`, "uint8:bool b"), "types.uint8: a struct cannot have the name of an elementary type"},
		"type named like no uint":      {holding("uint7 b", `{"b":{"b":true}}`, "uint7:bool b"), "types.uint7: a struct cannot have the name of an elementary type"},
		"type named address":           {holding("address b", `{"b":{"b":true}}`, "address:bool b"), "a struct cannot have the name of an elementary type"},
		"type named like an array":     {holding("Other[] b", `{"b":{"b":true}}`, "Other[]:bool b"), `types["Other[]"]: the name of a type must be an identifier`},
		"type with a blank":            {holding("Other b", `{"b":{"b":true}}`, "Ot her:bool b"), `types["Ot her"]: the name of a type must be an identifier`},
		"nothing":                      {"", "empty; want a JSON value"},
		"a list":                       {"[]", "want an object, got an array; of the parameters of eth_signTypedData_v4 give the second alone"},
		"MetaMask's parameters":        {`["0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826", ` + mail + `]`, "give the second alone, as an object and not as text"},
		"a whole request":              {`{"method":"eth_signTypedData_v4","params":["0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826", ` + mail + `]}`, "of a request give the typed data in its params alone"},
		"typed data in text":           {fmt.Sprintf("%q", "{}"), "want an object, got a string; give the object that is in the string"},
		"no types":                     {`{"primaryType":"A","domain":{},"message":{}}`, "types: missing"},
		"no domain type, no members":   {`{"types":{"A":[{"name":"b","type":"bool"}]},"primaryType":"A","domain":{"x":1},"message":{}}`, "declare the members of the domain, without which the signature is good everywhere"},
		"no domain type, some members": {`{"types":{"A":[{"name":"b","type":"bool"}]},"primaryType":"A","domain":{"salt":1,"x":1,"name":1},"message":{}}`, `: [{"name": "name", "type": "string"}, {"name": "salt", "type": "bytes32"}]`},
		"no domain type, a list":       {`{"types":{"A":[{"name":"b","type":"bool"}]},"primaryType":"A","domain":[],"message":{}}`, "types.EIP712Domain: missing or empty"},
		"no domain":                    {`{"types":{},"primaryType":"A","message":{}}`, "domain: missing"},
		"no message":                   {`{"types":{},"primaryType":"A","domain":{}}`, "message: missing"},
		"text after the object":        {mail + "{}", "trailing data"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.payload, test.want) })
	}
}
