package erc7730_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// refusals pins files and returns why each is refused.
func refusals(t *testing.T, files ...string) map[string]erc7730.Refusal {
	t.Helper()
	out := map[string]erc7730.Refusal{}
	for _, r := range folder(t, files...).Refused() {
		out[r.File] = r
	}
	return out
}

func isRefused(t *testing.T, text, place, reason string) {
	t.Helper()
	set := folder(t, "bad.json", text)
	r := set.Refused()
	if len(r) != 1 || len(set.Files()) > 0 {
		t.Fatalf("refused = %v, in use = %v; want one refusal", r, set.Files())
	}
	if r[0].File != "bad.json" || !strings.Contains(r[0].Place, place) || !strings.Contains(r[0].Reason, reason) {
		t.Errorf("refused = %v\nwant bad.json, %q and %q", r[0], place, reason)
	}
}

// TestRefusedFields has what is wrong in a field, and where.
func TestRefusedFields(t *testing.T) {
	const at = `display.formats["f(address to,uint256[] list,(uint8 a) s,bytes data,bool b)"].fields[0]`
	const metadata = `, "constants": {"list": {"a": "b"}, "word": "x"}, "enums": {"e": {"1": [2]}}, "maps": {"m": {"values": {"1": "0x01"}}, "n": {"1": "2"}, "o": {"values": {"1": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}}}`
	for name, test := range map[string]struct{ field, place, reason string }{
		"no object":                         {`7`, at, "want an object, got a number"},
		"an unknown member":                 {`{"path":"to","formt":"raw"}`, at + ".formt", "unknown member"},
		"neither path nor value":            {`{"label":"x"}`, at, "want either path or value"},
		"both path and value":               {`{"path":"to","value":1}`, at, "want either path or value"},
		"a path that names nothing":         {`{"path":"from"}`, at + ".path", `there is no "from"`},
		"a path that names nothing, hidden": {`{"path":"from","visible":"never"}`, at + ".path", `there is no "from"`},
		"an empty path":                     {`{"path":""}`, at + ".path", "the path is empty"},
		"a path with an empty step":         {`{"path":"s..a"}`, at + ".path", "a step is empty"},
		"a path with a step of a slice":     {`{"path":"list.[0:4:2]"}`, at + ".path", "want whole numbers"},
		"a path with an open bracket":       {`{"path":"list.[0"}`, at + ".path", "want [index] or [start:end]"},
		"a path with a huge index":          {`{"path":"list.[99999999999]"}`, at + ".path", "want whole numbers"},
		"a path of too many steps":          {`{"path":"` + strings.Repeat("a.", 40) + `a"}`, at + ".path", "more than 32 steps"},
		"a root without a dot":              {`{"path":"#to"}`, at + ".path", "want a dot after the root"},
		"a path into the descriptor":        {`{"path":"$.metadata.owner"}`, at + ".path", "use value for a constant"},
		"a value that no container has":     {`{"path":"@.gas"}`, at + ".path", "the container has from, to, value and chainId"},
		"an element of what is no list":     {`{"path":"s.[0]"}`, at + ".path", `there is no "[0]"`},
		"a member of a list":                {`{"path":"list.a"}`, at + ".path", "is a list"},
		"a member of an address":            {`{"path":"to.a"}`, at + ".path", "has no member"},
		"a part of a bool":                  {`{"path":"b.[0:1]"}`, at + ".path", "a bool has no parts"},
		"something after a part":            {`{"path":"data.[0:20].a"}`, at + ".path", "nothing can follow"},
		"a struct as a value":               {`{"path":"s"}`, at, `format "raw" is not for a value of type`},
		"a format for another type":         {`{"path":"to","format":"amount"}`, at, `format "amount" is not for a value of type "address"`},
		"a format that is not there":        {`{"path":"to","format":"number"}`, at + ".format", `the schema has no format "number"`},
		"a label that is no text":           {`{"path":"to","label":1}`, at + ".label", "want a string"},
		"parameters of another format":      {`{"path":"list","format":"unit","params":{"base":"x","token":"y"}}`, at + ".params.token", "unknown member"},
		"parameters of a format with none":  {`{"path":"to","format":"raw","params":{}}`, at + ".params", "has no parameters"},
		"a date without its encoding":       {`{"path":"list","format":"date"}`, at + ".params", "is missing; want an object"},
		"a date of another encoding":        {`{"path":"list","format":"date","params":{"encoding":"days"}}`, at + ".params.encoding", "timestamp"},
		"a unit without its base":           {`{"path":"list","format":"unit","params":{}}`, at + ".params", "base is missing"},
		"a unit that makes a number longer": {`{"path":"list","format":"unit","params":{"base":"000 USDC"}}`, at + ".params.base", "has a digit"},
		"a unit with digits of elsewhere":   {`{"path":"list","format":"unit","params":{"base":"\u0660 USDC"}}`, at + ".params.base", "has a digit"},
		"a message that is an amount":       {`{"path":"list","format":"tokenAmount","params":{"threshold":"1","message":"0.01"}}`, at + ".params.message", "has a digit"},
		"more decimals than there are":      {`{"path":"list","format":"unit","params":{"base":"x","decimals":256}}`, at + ".params.decimals", "from 0 to 255"},
		"decimals that are no integer":      {`{"path":"list","format":"unit","params":{"base":"x","decimals":1.5}}`, at + ".params.decimals", "want an integer"},
		"a prefix that is no bool":          {`{"path":"list","format":"unit","params":{"base":"x","prefix":"yes"}}`, at + ".params.prefix", "want a boolean"},
		"a token twice":                     {`{"path":"list","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `","tokenPath":"to"}}`, at + ".params", "want either token or tokenPath"},
		"a token that is no address":        {`{"path":"list","format":"tokenAmount","params":{"token":"0x0"}}`, at + ".params.token", "is no token"},
		"a token with a wrong checksum":     {`{"path":"list","format":"tokenAmount","params":{"token":"0xa0B86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}}`, at + ".params.token", "is no token"},
		"a token in a list, beside one":     {`{"path":"to","format":"tokenTicker","params":{"chainIdPath":"list"}}`, at + ".params.chainIdPath", "is a list where one value is due"},
		"a constant that is not there":      {`{"path":"list","format":"tokenAmount","params":{"token":"$.metadata.constants.x"}}`, at + ".params.token", "names nothing in this descriptor"},
		"a constant that is an object":      {`{"path":"list","format":"tokenAmount","params":{"token":"$.metadata.constants.list"}}`, "metadata.constants.list", "want a string, a number or a boolean"},
		"a threshold that is no number":     {`{"path":"list","format":"tokenAmount","params":{"threshold":"many"}}`, at + ".params.threshold", "want an integer"},
		"a native address that is none":     {`{"path":"list","format":"tokenAmount","params":{"nativeCurrencyAddress":["eth"]}}`, at + ".params.nativeCurrencyAddress[0]", "is no address"},
		"a chain that is none":              {`{"path":"to","format":"tokenTicker","params":{"chainId":0}}`, at + ".params.chainId", "is no chainId"},
		"an enum that is not there":         {`{"path":"list","format":"enum","params":{"$ref":"$.metadata.enums.x"}}`, at + ".params.$ref", "names nothing"},
		"an enum of lists":                  {`{"path":"list","format":"enum","params":{"$ref":"$.metadata.enums.e"}}`, "metadata.enums.e.1", "want a string, a number or a boolean, got an array"},
		"an enum without a reference":       {`{"path":"list","format":"enum"}`, at + ".params", "is missing; want an object"},
		"an enum elsewhere":                 {`{"path":"list","format":"enum","params":{"$ref":"mode"}}`, at + ".params.$ref", `begins with "$."`},
		"a map without values":              {`{"path":"list","format":"tokenAmount","params":{"token":{"map":"$.metadata.maps.n","keyPath":"@.chainId"}}}`, "metadata.maps.n.1", "unknown member"},
		"a map without a key":               {`{"path":"list","format":"tokenAmount","params":{"token":{"map":"$.metadata.maps.o"}}}`, at + ".params.token.keyPath", "is missing"},
		"a map of other things":             {`{"path":"list","format":"tokenAmount","params":{"token":{"map":"$.metadata.maps.m","keyPath":"@.chainId"}}}`, "metadata.maps.m.values", `"0x01", for "1", is no token`},
		"a type of name that is none":       {`{"path":"to","format":"addressName","params":{"types":["bank"]}}`, at + ".params.types[0]", "want wallet, eoa"},
		"sources that are no list":          {`{"path":"to","format":"addressName","params":{"sources":"ens"}}`, at + ".params.sources", "want an array"},
		"calldata without a callee":         {`{"path":"data","format":"calldata","params":{}}`, at + ".params", "callee is missing"},
		"calldata without parameters":       {`{"path":"data","format":"calldata"}`, at + ".params", "is missing; want an object"},
		"a selector that is none":           {`{"path":"data","format":"calldata","params":{"callee":"` + usdc.Hex() + `","selector":"0x01"}}`, at + ".params.selector", "is no selector"},
		"a collection that is missing":      {`{"path":"list","format":"nftName"}`, at + ".params", "is missing; want an object"},
		"an amount that is an address":      {`{"path":"data","format":"calldata","params":{"calleePath":"to","amountPath":"to"}}`, at + ".params.amountPath", "is no amount"},
		"an amount that is a bool":          {`{"path":"data","format":"calldata","params":{"calleePath":"to","amountPath":"b"}}`, at + ".params.amountPath", "is no amount"},
		"a token that is a bool":            {`{"path":"list","format":"tokenAmount","params":{"tokenPath":"b"}}`, at + ".params.tokenPath", "is no address"},
		"a chain that is an address":        {`{"path":"list","format":"tokenAmount","params":{"chainIdPath":"to"}}`, at + ".params.chainIdPath", "is no chain"},
		"a selector that is a number":       {`{"path":"data","format":"calldata","params":{"calleePath":"to","selectorPath":"s.a"}}`, at + ".params.selectorPath", "is no selector"},
		"a literal that is no address":      {`{"value":"acme","format":"addressName"}`, at + ".value", "is no address"},
		"a literal that is no number":       {`{"value":"many","format":"amount"}`, at + ".value", "want an integer"},
		"a literal that is no bytes":        {`{"value":"0x0","format":"calldata","params":{"calleePath":"to"}}`, at + ".value", "hexadecimal"},
		"a literal null":                    {`{"value":null}`, at + ".value", "got null"},
		"a rule that is none":               {`{"path":"to","visible":"sometimes"}`, at + ".visible", "want \"always\""},
		"two rules":                         {`{"path":"to","visible":{"ifNotIn":["x"],"mustMatch":["y"]}}`, at + ".visible", "want either ifNotIn or mustMatch"},
		"an empty rule":                     {`{"path":"to","visible":{}}`, at + ".visible.ifNotIn", "is missing"},
		"a rule with an empty list":         {`{"path":"to","visible":{"mustMatch":[]}}`, at + ".visible.mustMatch", "is empty"},
		"a rule of another type":            {`{"path":"list","visible":{"ifNotIn":["many"]}}`, at + ".visible.ifNotIn[0]", "is no value of type"},
		"a rule of a list":                  {`{"path":"to","visible":{"ifNotIn":[["x"]]}}`, at + ".visible.ifNotIn[0]", "got an array"},
		"a separator of what is no list":    {`{"path":"to","separator":"{index}"}`, at + ".separator", "this field is none"},
		"encryption without a scheme":       {`{"path":"data","encryption":{}}`, at + ".encryption.scheme", "is missing"},
		"encryption of no type":             {`{"path":"data","encryption":{"scheme":"x","plaintextType":"coin"}}`, at + ".encryption.plaintextType", "coin"},
		"encryption of another type":        {`{"path":"data","format":"amount","encryption":{"scheme":"x","plaintextType":"string"}}`, at + ".encryption.plaintextType", "is not for a value of type"},
		"a reference to nothing":            {`{"path":"to","$ref":"$.display.definitions.x"}`, at + ".$ref", "names nothing"},
		"a reference to what is no field":   {`{"path":"to","$ref":"$.metadata.owner"}`, "metadata.owner", "want an object"},
		"a reference to a reference":        {`{"path":"to","$ref":"$.display.definitions.again"}`, at + ".$ref", "is no definition of a field"},
		"a reference with a format":         {`{"path":"to","$ref":"$.display.definitions.who","format":"raw"}`, at + ".format", "unknown member"},
		"an override that is no text":       {`{"path":"to","$ref":"$.display.definitions.who","params":{"types":["eoa"]}}`, at + ".params.types", "want a string"},
		"an override that does not exist":   {`{"path":"to","$ref":"$.display.definitions.who","params":{"type":"eoa"}}`, at + ".params.type", "unknown member"},
		"a group without fields":            {`{"path":"s","fields":{}}`, at + ".fields", "want an array"},
		"a group of the transaction":        {`{"path":"@.to","fields":[]}`, at + ".path", "a group is of values of the payload"},
		"an iteration that is none":         {`{"iteration":"random","fields":[]}`, at + ".iteration", "want \"sequential\" or \"bundled\""},
		"a bundle without a list":           {`{"iteration":"bundled","fields":[{"path":"to"}]}`, at + ".iteration", "no field of the group is a list"},
		"a group with a format":             {`{"fields":[],"format":"raw"}`, at + ".format", "unknown member"},
	} {
		t.Run(name, func(t *testing.T) {
			text := descriptor(metadata, "f(address to,uint256[] list,(uint8 a) s,bytes data,bool b)", `{"fields":[`+test.field+`]}`)
			text = strings.Replace(text, `"definitions": {}`, `"definitions": {"who": {"label":"Who","format":"addressName"}, "again": {"$ref":"$.display.definitions.who"}}`, 1)
			isRefused(t, text, test.place, test.reason)
		})
	}
}

// TestRefusedFiles has what is wrong elsewhere in a file.
func TestRefusedFiles(t *testing.T) {
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the good descriptor has no %s", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	message := func(context, key string) string {
		return fmt.Sprintf(`{"$schema":"erc7730-v2.schema.json","context":{"eip712":%s},"display":{"formats":{%q:{"fields":[]}}}}`, context, key)
	}
	bound := `{"domain":{"name":"x"}}`
	groups := func(n int) string { return `[` + strings.Repeat(`{"fields":[`, n) + strings.Repeat(`]}`, n) + `]` }
	for name, test := range map[string]struct{ text, place, reason string }{
		"no JSON":                           {`{`, "", "ends in the middle"},
		"a repeated member":                 {`{"$schema":"erc7730-v2.schema.json","$schema":"erc7730-v2.schema.json"}`, "", "repeats"},
		"something after the end":           {good + `{}`, "", "trailing data"},
		"no object":                         {`[]`, "", "want an object"},
		"no schema":                         {`{}`, "$schema", "this is no descriptor"},
		"version 1":                         {swap("v2.schema", "v1.schema"), "$schema", "version 1 of the schema is not read; convert the descriptor to version 2"},
		"version 3":                         {swap("v2.schema", "v3.schema"), "$schema", `version "3" of the schema is not read`},
		"a draft of version 2":              {swap("v2.schema", "v2.1.0-next.schema"), "$schema", "is a draft"},
		"another schema":                    {swap("erc7730-v2", "package"), "$schema", "is no schema of ERC-7730"},
		"an unknown section":                {swap(`"metadata"`, `"meta"`), "meta", "unknown member"},
		"no context that there is":          {swap(`"contract":`, `"program":`), "context.program", "unknown member"},
		"two contexts":                      {swap(`"context": {`, `"context": {"eip712": {}, `), "context", "want either contract or eip712"},
		"an unknown constraint":             {swap(`"deployments":`, `"owners": [], "deployments":`), "context.contract.owners", "unknown member"},
		"a deployment without a chain":      {swap(`"chainId": 1, `, ``), "context.contract.deployments[0].chainId", "is missing"},
		"a chain that is text":              {swap(`"chainId": 1`, `"chainId": "1"`), "context.contract.deployments[0].chainId", "want a number"},
		"chain zero":                        {swap(`"chainId": 1`, `"chainId": 0`), "context.contract.deployments[0].chainId", "want an integer from 1"},
		"a deployment with a bad address":   {swap(`0x68b3465833fb72A`, `0x68B3465833fb72A`), "context.contract.deployments[0].address", "EIP-55"},
		"a factory that is not described":   {swap(`"deployments":`, `"factory": {}, "deployments":`), "context.contract.factory.deployEvent", "is missing"},
		"an owner that is no text":          {swap(`"Router Labs"`, `7`), "metadata.owner", "want a string"},
		"an unknown fact of the owner":      {swap(`"metadata": {`, `"metadata": {"info": {"url": "u", "legalName": "x"}, `), "metadata.info.legalName", "unknown member"},
		"a token without decimals":          {swap(`"metadata": {`, `"metadata": {"token": {"name": "x", "ticker": "X"}, `), "metadata.token.decimals", "is missing"},
		"no formats":                        {swap(`"f(address to)": {"intent":"Do","fields":[{"path":"to"}]}`, ``), "display.formats", "has no formats"},
		"a key that is no function":         {swap(`f(address to)`, `f(address to`), `display.formats["f(address to"]`, "is due"},
		"a key of no type":                  {swap(`f(address to)`, `f(adress to)`), `display.formats["f(adress to)"]`, "adress"},
		"two keys of one signature":         {swap(`"f(address to)":`, `"f(address x)": {}, "f(address to)":`), `display.formats["f(address to)"]`, `a second key for the selector of "f(address)"`},
		"an unknown member of a format":     {swap(`"intent":"Do"`, `"required":[]`), `display.formats["f(address to)"].required`, "unknown member"},
		"an intent that is a list":          {swap(`"intent":"Do"`, `"intent":["Do"]`), ".intent", "want an object, got an array"},
		"an intent of numbers":              {swap(`"intent":"Do"`, `"intent":{"Do":1}`), ".intent.Do", "want a string"},
		"too many fields":                   {swap(`[{"path":"to"}]`, `[`+strings.Repeat(`{"path":"to"},`, 512)+`{"path":"to"}]`), ".fields[512]", "more than 512 fields"},
		"too many groups in each other":     {swap(`[{"path":"to"}]`, groups(9)), ".fields[0].fields[0].fields[0].fields[0].fields[0].fields[0].fields[0].fields[0].fields[0].fields", "groups nest more than 8 deep"},
		"groups without end":                {swap(`[{"path":"to"}]`, groups(17)), "", "nested more than 32 deep"},
		"an include by address":             {swap(`"context"`, `"includes": "https://example.org/x.json", "context"`), "includes", "nothing is fetched"},
		"an include from the root":          {swap(`"context"`, `"includes": "/etc/x.json", "context"`), "includes", "is not a relative path"},
		"an include from outside":           {swap(`"context"`, `"includes": "../x.json", "context"`), "includes", "is outside of this folder"},
		"an include that is not there":      {swap(`"context"`, `"includes": "./x.json", "context"`), "includes", `"x.json" is not in this folder`},
		"an include of itself":              {swap(`"context"`, `"includes": "bad.json", "context"`), "includes", "includes itself"},
		"a message without a type":          {message(bound, "() "), "", "want a type such as"},
		"a message type that is not closed": {message(bound, "A(uint8 x"), "", `")" is missing`},
		"a member without a name":           {message(bound, "A(uint8)"), "", "want a type and a name"},
		"two members of one name":           {message(bound, "A(uint8 x,uint8 x)"), "", "that no other member has"},
		"a member of no type":               {message(bound, "A(B x)"), "", `"B"`},
		"a type twice":                      {message(bound, "A(B x)B(uint8 y)B(uint8 y)"), "", "a second type"},
		"a type that is not used":           {message(bound, "A(uint8 x)B(uint8 y)"), "", "does not use all"},
		"an unknown member of a domain":     {message(`{"domain":{"title":"x"}}`, "A(uint8 x)"), "context.eip712.domain.title", "unknown member"},
		"a separator that is none":          {message(`{"domainSeparator":"0x12"}`, "A(uint8 x)"), "context.eip712.domainSeparator", "64 hexadecimal digits"},
	} {
		t.Run(name, func(t *testing.T) { isRefused(t, test.text, test.place, test.reason) })
	}
}

// TestTemplates are files that are bound to nothing: no refusal, and no use of their
// own.
func TestTemplates(t *testing.T) {
	display := `"display":{"formats":{"f(address to)":{"fields":[{"path":"to"}]}}}`
	for name, text := range map[string]string{
		"no context":           `{"$schema":"erc7730-v2.schema.json",` + display + `}`,
		"an empty contract":    `{"$schema":"erc7730-v2.schema.json","context":{"contract":{}},` + display + `}`,
		"no deployments":       `{"$schema":"erc7730-v2.schema.json","context":{"contract":{"deployments":[]}},` + display + `}`,
		"a factory alone":      `{"$schema":"erc7730-v2.schema.json","context":{"contract":{"factory":{"deployEvent":"x(address)","deployments":[{"chainId":1,"address":"` + acme.Hex() + `"}]}}},` + display + `}`,
		"an empty eip712":      `{"$schema":"erc7730-v2.schema.json","context":{"eip712":{}},` + display + `}`,
		"an empty domain":      `{"$schema":"erc7730-v2.schema.json","context":{"eip712":{"domain":{}}},` + display + `}`,
		"one of no contracts":  `{"$schema":"erc7730-v2.schema.json","context":{"eip712":{"deployments":[],"domain":{"name":"x"}}},` + display + `}`,
		"nothing to show":      `{"$schema":"erc7730-v2.schema.json","context":{"contract":{"deployments":[{"chainId":1,"address":"` + acme.Hex() + `"}]}}}`,
		"a definition at most": `{"$schema":"../erc7730-v2.1.schema.json"}`,
	} {
		t.Run(name, func(t *testing.T) {
			set := folder(t, "common.json", text)
			if len(set.Refused())+len(set.Files()) > 0 || len(set.Templates()) != 1 || set.Templates()[0] != "common.json" {
				t.Errorf("refused %v, in use %v, templates %v; want one template", set.Refused(), set.Files(), set.Templates())
			}
		})
	}
}

// TestManyThatSpeakOfOne: what is said of one function or message is held against all
// that is said of it, and only that.
func TestManyThatSpeakOfOne(t *testing.T) {
	const schema = `{"$schema":"erc7730-v2.schema.json",`
	here := `"deployments":[{"chainId":1,"address":"` + acme.Hex() + `"}]`
	message := func(context, intent string) string {
		return schema + fmt.Sprintf(`"context":{"eip712":{%s}},"display":{"formats":{"A(uint8 x)":{"intent":%q,"fields":[]}}}}`, context, intent)
	}
	function := func(name, intent string) string {
		return descriptor("", name+"()", fmt.Sprintf(`{"intent":%q,"fields":[]}`, intent))
	}
	versions := func(n int) (files []string) {
		for i := range n {
			files = append(files, fmt.Sprintf("%03d.json", i), message(here+fmt.Sprintf(`,"domain":{"version":"%d"}`, i), "v"+strings.Repeat("i", i)))
		}
		return files
	}
	for name, test := range map[string]struct {
		files []string
		want  string // the refused
	}{
		"one of three that lies":                  {[]string{"a.json", function("f", "x"), "b.json", function("f", "y"), "c.json", function("f", "x")}, "a.json b.json c.json"},
		"three that say three things":             {[]string{"a.json", function("f", "x"), "b.json", function("f", "y"), "c.json", function("f", "z")}, "a.json b.json c.json"},
		"two of four, of another function":        {[]string{"a.json", function("f", "x"), "b.json", function("g", "x"), "c.json", function("g", "y"), "d.json", function("f", "x")}, "b.json c.json"},
		"two for any contract and one for one":    {[]string{"a.json", message(`"domain":{"name":"x"}`, "x"), "b.json", message(`"domain":{"name":"x"}`, "x"), "c.json", message(here, "y")}, "a.json b.json c.json"},
		"two for one and one for any contract":    {[]string{"a.json", message(here, "x"), "b.json", message(here, "x"), "c.json", message(`"domain":{"name":"x"}`, "y")}, "a.json b.json c.json"},
		"as many versions as are compared":        {versions(64), ""},
		"one version more":                        {versions(65), "064.json"},
		"one version more, and one for any other": {append(versions(65), "a.json", message(`"domain":{"version":"3"}`, "x")), "003.json 064.json a.json"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range folder(t, test.files...).Refused() {
				got = append(got, r.File)
				if !strings.Contains(r.Reason, "says something else of it") && r.Reason != "more than 64 descriptors say different things of it; remove some of them" {
					t.Errorf("refused: %v", r)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("refused %v, want %s", got, test.want)
			}
		})
	}
}

func TestTwoThatSayDifferentThings(t *testing.T) {
	a := descriptor("", "f(address to)", `{"intent":"Do","fields":[{"path":"to"}]}`)
	reordered := strings.Replace(a, `"intent":"Do","fields":[{"path":"to"}]`, `"$id":"x","fields":[{"path":"to"}],"intent":"Do"`, 1)
	lie := strings.Replace(a, `"Do"`, `"Claim a gift"`, 1)
	other := strings.Replace(a, `f(address to)`, `g(address to)`, 1)
	message := func(context, intent string) string {
		return fmt.Sprintf(`{"$schema":"erc7730-v2.schema.json","context":{"eip712":%s},"display":{"formats":{"A(uint8 x)":{"intent":%q,"fields":[]}}}}`, context, intent)
	}
	here := `"deployments":[{"chainId":1,"address":"` + acme.Hex() + `"}]`
	for name, test := range map[string]struct {
		a, b string
		bad  bool
	}{
		"the same of one function":               {a, a, false},
		"the same in another order":              {a, reordered, false},
		"different functions":                    {a, other, false},
		"different things of one function":       {a, lie, true},
		"different things of one message":        {message(`{`+here+`}`, "a"), message(`{`+here+`}`, "b"), true},
		"the same of one message":                {message(`{`+here+`}`, "a"), message(`{`+here+`}`, "a"), false},
		"of messages of different versions":      {message(`{`+here+`,"domain":{"version":"1"}}`, "a"), message(`{`+here+`,"domain":{"version":"2"}}`, "b"), false},
		"of messages of different separators":    {message(`{`+here+`,"domainSeparator":"0x`+strings.Repeat("00", 32)+`"}`, "a"), message(`{`+here+`,"domainSeparator":"0x`+strings.Repeat("11", 32)+`"}`, "b"), false},
		"of any contract and of one":             {message(`{"domain":{"name":"x"}}`, "a"), message(`{`+here+`}`, "b"), true},
		"of any contract of a chain and another": {message(`{"domain":{"chainId":2}}`, "a"), message(`{`+here+`}`, "b"), false},
		"of any contract, by two constraints":    {message(`{"domain":{"name":"x"}}`, "a"), message(`{"domain":{"version":"1"}}`, "b"), true},
		"of any contract, by different names":    {message(`{"domain":{"name":"x"}}`, "a"), message(`{"domain":{"name":"y"}}`, "b"), false},
	} {
		t.Run(name, func(t *testing.T) {
			set := folder(t, "a.json", test.a, "b.json", test.b, "c.json", descriptor("", "other()", `{"fields":[]}`))
			refused := map[string]string{}
			for _, r := range set.Refused() {
				refused[r.File] = r.String()
			}
			switch {
			case !test.bad && len(refused) > 0:
				t.Errorf("refused %v, want nothing refused", refused)
			case test.bad && (len(refused) != 2 || !strings.Contains(refused["a.json"], `"b.json" says something else`) || !strings.Contains(refused["b.json"], `"a.json" says something else`)):
				t.Errorf("refused %v, want both, each with the other's name", refused)
			}
		})
	}
}
