package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
)

// marked splits a source with « and » around the place of an error into the
// source and the place as an error names it.
func marked(t *testing.T, src string) (string, string) {
	t.Helper()
	before, rest, ok := strings.Cut(src, "«")
	place, after, ok2 := strings.Cut(rest, "»")
	if !ok || !ok2 {
		t.Fatalf("no place is marked in %q", src)
	}
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return before + place + after, fmt.Sprintf("policy.hcl:%d,%d-%d: ", line, column, column+utf8.RuneCountInString(place))
}

func TestLoadErrors(t *testing.T) {
	rule := func(args string) string { return assetsText + "rule \"r\" {\n  allow = true\n  " + args + "\n}\n" }
	when := func(condition string) string { return rule(`when = "` + condition + `"`) }
	limit := func(args string) string { return rule("limit \"l\" {\n    " + args + "\n  }") }
	misplaced(t, map[string]struct{ src, want string }{
		// The frame.
		"no version":                         {"«»\n", `Missing required argument; The argument "version" is required`},
		"another version":                    {"version = «2»\n", "want a whole number from 1 to 1"},
		"the version in quotes":              {"version = «\"1\"»\n", "without quotes"},
		"an unknown block":                   {assetsText + "«rul» \"r\" {\n}\n", `Did you mean "rule"?`},
		"an unknown argument":                {rule("«whn» = \"true\""), `Did you mean "when"?`},
		"an argument twice":                  {rule("«allow» = true"), "Attribute redefined"},
		"an argument that is an expression":  {rule("when = \"true\" «+» \"\""), "literal values only"},
		"an argument that is a template":     {rule("when = \"«${»1}\""), `write "$${" for the characters`},
		"an argument that is a function":     {rule("when = file«(»\"x\")"), "literal values only"},
		"a negative number":                  {limit("count = «-»1"), "literal values only"},
		"brackets without end":               {"version = 1\nx = " + strings.Repeat("[", 20) + "«[»", "nested more than 20 deep"},
		"a rule twice":                       {rule("") + "rule «\"r\"» {\n  allow = true\n}\n", `rule "r" is defined twice; the first is on line 16`},
		"an asset twice":                     {assetsText + "asset «\"eth\"» {\n  id = \"eip155:5/slip44:60\"\n  decimals = 18\n}\n", `asset "eth" is defined twice`},
		"a book twice":                       {assetsText + "addresses «\"vendors\"» {\n  entries = {}\n}\n", `addresses "vendors" is defined twice`},
		"a rule without a name":              {assetsText + "rule «{»\n  allow = true\n}\n", "Missing name for rule"},
		"a rule with a name of spaces":       {assetsText + "rule «\" \"» {\n  allow = true\n}\n", "want 1 to 64 printable characters"},
		"a rule with a name that is hidden":  {assetsText + "rule «\"a\u200bb\"» {\n  allow = true\n}\n", "printable"},
		"a text where a number belongs":      {"version = 1\nasset \"x\" {\n  id = \"eip155:1/slip44:60\"\n  decimals = «\"18\"»\n}\n", "without quotes"},
		"a number with a fraction":           {"version = 1\nasset \"x\" {\n  id = \"eip155:1/slip44:60\"\n  decimals = «1.5»\n}\n", "a whole number from 0 to 77"},
		"a number where a text belongs":      {rule("when = «true»"), "want a text in quotes"},
		"a null":                             {rule("when = «null»"), "want a text in quotes"},
		"a text where a list belongs":        {rule("keys = «\"hot\"»"), "want a list of texts in brackets"},
		"an empty list":                      {rule("keys = «[]»"), "the list is empty"},
		"a list that repeats":                {rule("keys = [\"hot\", «\"hot\"»]"), `"hot" is in the list twice`},
		"a missing decimals":                 {"version = 1\nasset \"x\" «»{\n  id = \"eip155:1/slip44:60\"\n}\n", `The argument "decimals" is required`},
		"a name that CEL cannot say":         {"version = 1\nasset «\"my-coin\"» {\n  id = \"eip155:1/slip44:60\"\n  decimals = 18\n}\n", "because conditions use it"},
		"a name in upper case":               {"version = 1\nasset «\"ETH\"» {\n  id = \"eip155:1/slip44:60\"\n  decimals = 18\n}\n", "lower-case"},
		"a name that is a word of CEL":       {"version = 1\naddresses «\"in\"» {\n  entries = {}\n}\n", "no word of CEL's own"},
		"an asset id that is no CAIP-19":     {"version = 1\nasset \"x\" {\n  id = «\"ether\"»\n  decimals = 18\n}\n", "want a CAIP-19 id"},
		"an asset id of two assets":          {assetsText + "asset \"ether\" {\n  id = «\"eip155:1/slip44:60\"»\n  decimals = 18\n}\n", `has the id of asset "eth"`},
		"a coin by its SLIP-44 number":       {"version = 1\nasset \"pol\" {\n  id = «\"eip155:137/slip44:966\"»\n  decimals = 18\n}\n", `the coin of an EVM chain is "eip155:137/slip44:60"`},
		"an address without a checksum":      {"version = 1\nasset \"x\" {\n  id = «\"eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48\"»\n  decimals = 6\n}\n", `then write "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"`},
		"an address with a wrong checksum":   {"version = 1\nasset \"x\" {\n  id = «\"eip155:1/erc20:0xB0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48\"»\n  decimals = 6\n}\n", "at least one digit is wrong"},
		"a book entry that is no CAIP-10":    {"version = 1\naddresses \"x\" {\n  entries = { «\"0x52908400098527886E0F7030069857D2E4169EE7\"» = \"a\" }\n}\n", "want a CAIP-10 id"},
		"a book entry with a wrong checksum": {"version = 1\naddresses \"x\" {\n  entries = { «\"eip155:1:0x52908400098527886E0F7030069857D2E4169Ee7\"» = \"a\" }\n}\n", "at least one digit is wrong"},
		"a book entry twice":                 {"version = 1\naddresses \"x\" {\n  entries = {\n    \"" + acme + "\" = \"a\"\n    «\"" + acme + "\"» = \"b\"\n  }\n}\n", "is in the book twice"},
		"a book that is no object":           {"version = 1\naddresses \"x\" {\n  entries = «[]»\n}\n", "want entries such as"},

		// Rules.
		"a rule that does nothing":        {assetsText + "«rule \"r\"» {\n}\n", "write allow = true, or a require block, or deny"},
		"a rule that allows false":        {assetsText + "rule \"r\" {\n  allow = «false»\n}\n", "allow = false does nothing"},
		"a rule that allows and denies":   {rule("«deny» = \"no\""), "both allows and denies"},
		"an empty reason":                 {assetsText + "rule \"r\" {\n  deny = «\"\"»\n}\n", "the reason to deny is empty"},
		"a limit in a rule that denies":   {assetsText + "rule \"r\" {\n  deny = \"no\"\n  «limit \"l\"» {\n    amount = \"1 eth\"\n  }\n}\n", "limit is for rules that let through"},
		"blind in a rule that denies":     {assetsText + "rule \"r\" {\n  deny = \"no\"\n  «blind» = [\"opaque\"]\n}\n", "blind is for rules that let through"},
		"an unknown key":                  {rule("keys = [\"treasury\", «\"hto\"»]"), `no key is named "hto"; did you mean "hot"?`},
		"an unknown kind":                 {rule("kinds = [«\"evm.transacton\"»]"), `did you mean "evm.transaction"?`},
		"an unknown class to sign blind":  {rule("blind = [«\"unknown\"»]"), `class "unknown" cannot be signed blind`},
		"a class that is never blind":     {rule("blind = [«\"transfer\"»]"), `class "transfer" cannot be signed blind`},
		"a caller without a selector":     {rule("callers = [«\"payroll\"»]"), "want user:NAME"},
		"an unknown selector":             {rule("callers = [«\"usr:payroll\"»]"), `did you mean "user"?`},
		"an unknown socket":               {rule("callers = [«\"socket:payrol\"»]"), `no socket is named "payrol"; did you mean "payroll"?`},
		"a unit without its path":         {rule("callers = [«\"unit:payroll.service\"»]"), "want the unit's whole cgroup path"},
		"a unit with a slash in front":    {rule("callers = [«\"unit:/system.slice/payroll.service\"»]"), "without the first /"},
		"a uid that is no number":         {rule("callers = [«\"uid:alice\"»]"), "want a user id in decimal"},
		"a uid with a zero in front":      {rule("callers = [«\"uid:0100\"»]"), "want a user id in decimal"},
		"a group that is a path":          {rule("callers = [«\"group:a/b\"»]"), "is not the name of a group"},
		"a limit twice":                   {rule("limit \"l\" {\n    amount = \"1 eth\"\n  }\n  limit «\"l\"» {\n    amount = \"1 eth\"\n  }"), `two limits named "l"`},
		"a limit of nothing":              {rule("«limit \"l\"» {\n  }"), "limits nothing"},
		"a limit of two things":           {limit("amount = \"1 eth\"\n    «count» = 1"), "exclude each other"},
		"a count without a window":        {rule("«limit \"l\"» {\n    count = 3\n  }"), "count needs a window"},
		"a count of zero":                 {limit("window = \"1h\"\n    count = «0»"), "a whole number from 1"},
		"an amount of an unknown asset":   {limit("amount = «\"1 eht\"»"), `no asset is named "eht"; did you mean "eth"?`},
		"an amount with too many places":  {limit("amount = «\"0.0000001 usdc\"»"), `has 7 decimal places; usdc has 6`},
		"an amount with a comma":          {limit("amount = «\"2,5 eth\"»"), "the decimal sign is a point"},
		"an amount without an asset":      {limit("amount = «\"2.5\"»"), "want a number, one space and an asset"},
		"an amount in exponent notation":  {limit("amount = «\"1e18 eth\"»"), "want a number"},
		"a negative amount":               {limit("amount = «\"-1 eth\"»"), "want a number"},
		"a window that is no duration":    {limit("amount = \"1 eth\"\n    window = «\"daily\"»"), `want for example "24h"`},
		"a window in weeks":               {limit("amount = \"1 eth\"\n    window = «\"1w\"»"), `want for example "24h"`},
		"a window below a second":         {limit("amount = \"1 eth\"\n    window = «\"999ms\"»"), "want whole seconds"},
		"a window of a fraction":          {limit("amount = \"1 eth\"\n    window = «\"1.5s\"»"), "want whole seconds"},
		"a window of more than ten years": {limit("amount = \"1 eth\"\n    window = «\"3661d\"»"), "3660d"},
		"a window that overflows":         {limit("amount = \"1 eth\"\n    window = «\"99999d\"»"), "3660d"},
		"a negative window":               {limit("amount = \"1 eth\"\n    window = «\"1d-1h\"»"), `want for example "24h"`},

		// Conditions.
		"an empty condition":                    {rule("when = «\" \"»"), "leave when out"},
		"a condition that is no CEL":            {when("kind ==«»"), "the condition is not CEL"},
		"a condition that is no bool":           {rule("when = «\"kind\"»"), "the condition gives string"},
		"a misspelt variable":                   {when("«effcts».all(e, true)"), `nothing is named "effcts"; did you mean "effects"?`},
		"a misspelt dotted variable":            {when("key.«nmae» == 'hot'"), `nothing is named "key.nmae"; did you mean "key.name"?`},
		"half a dotted variable":                {when("«key» == 'hot'"), "there are: key.algorithm, key.name, key.origin, key.protection"},
		"a misspelt field":                      {when("effects.all(e, e.«clas» == 'transfer')"), `no field is named "clas"; did you mean "class"?`},
		"a misspelt book":                       {when("'x' in addresses.«vendor»"), `did you mean "addresses.vendors"?`},
		"a misspelt asset":                      {when("fee.asset == assets.«etc»"), `did you mean "assets.eth"?`},
		"a misspelt function":                   {when("fee.amount <= amuont«(»'1 eth')"), `nothing is named "amuont"; did you mean "amount"?`},
		"a misspelt class":                      {when("effects.all(e, e.class == «'trasnfer'»)"), `no class is named "trasnfer"; did you mean "transfer"?`},
		"a misspelt class the other way round":  {when("effects.all(e, «'trasnfer'» == e.class)"), `did you mean "transfer"?`},
		"a misspelt class that must not be":     {when("effects.all(e, e.class != «'alowance'»)"), `did you mean "allowance"?`},
		"a misspelt class in a list":            {when("effects.exists(e, e.class in ['transfer', «'alowance'»])"), `did you mean "allowance"?`},
		"a class compared at the top":           {when("effects[0].class == «'alowance'»"), `did you mean "allowance"?`},
		"a misspelt key":                        {when("key.name == «'hto'»"), `did you mean "hot"?`},
		"a misspelt kind":                       {when("kind == «'evm.transacton'»"), `did you mean "evm.transaction"?`},
		"a misspelt protection":                 {when("key.protection == «'residant'»"), `did you mean "resident"?`},
		"a misspelt algorithm":                  {when("key.algorithm == «'secp256k2'»"), `did you mean "secp256k1"?`},
		"a misspelt socket":                     {when("caller.socket == «'sing'»"), `did you mean "sign"?`},
		"a misspelt severity":                   {when("warnings.exists(w, w.severity == «'dangr'»)"), `did you mean "danger"?`},
		"a misspelt warning":                    {when("warnings.exists(w, w.code == «'evm_zero_adress'»)"), `did you mean "evm_zero_address"?`},
		"a misspelt kind of quantity":           {when("fee.kind == «'atmost'»"), `did you mean "at_most"?`},
		"a misspelt attribute":                  {when("effects.exists(e, has«(»e.attributes.selektor))"), `did you mean "selector"?`},
		"a misspelt attribute in brackets":      {when("effects.exists(e, e.attributes[«'selektor'»] == '')"), `did you mean "selector"?`},
		"a misspelt attribute asked for":        {when("effects.exists(e, «'selektor'» in e.attributes)"), `did you mean "selector"?`},
		"an attribute that is worked out":       {when("effects.exists(e, e.attributes[«kind»] == '')"), "the attribute's name in quotes"},
		"a selector in upper case":              {when("effects.exists(e, e.attributes.selector == «'0xA9059CBB'»)"), "8 lower-case hexadecimal digits"},
		"a contract without a chain":            {when("effects.exists(e, e.attributes['contract'] == «'0x52908400098527886E0F7030069857D2E4169EE7'»)"), "want a CAIP-10 id"},
		"a counterparty without a checksum":     {when("effects.exists(e, e.counterparty == «'eip155:1:0x52908400098527886e0f7030069857d2e4169ee7'»)"), "no EIP-55 checksum"},
		"a counterparty without a chain":        {when("effects.exists(e, e.counterparty == «'0x52908400098527886E0F7030069857D2E4169EE7'»)"), "want a CAIP-10 id"},
		"a counterparty that is an asset":       {when("effects.exists(e, e.counterparty == assets.«usdc»)"), "want the decimal chain id"},
		"a contract that is an asset":           {when("effects.exists(e, e.attributes.contract in [assets.«usdc»])"), "want the decimal chain id"},
		"an asset among accounts":               {when("effects.exists(e, e.quantity.«asset» in addresses.vendors)"), "addresses.vendors has accounts only"},
		"an attribute among accounts":           {when("effects.exists(e, e.attributes.«nonce» in addresses.vendors)"), "addresses.vendors has accounts only"},
		"an asset that is no CAIP-19":           {when("fee.asset == «'eth'»"), "want a CAIP-19 id"},
		"a bad amount in a condition":           {when("fee.amount <= amount(«'2,5 eth'»)"), "the decimal sign is a point"},
		"an amount that is worked out":          {when("fee.amount <= amount«(»kind)"), "so that it can be checked"},
		"an amount compared with a text":        {when("fee.amount «<»= '1 eth'"), `an amount is written amount('2.5 eth')`},
		"an amount compared with a number":      {when("fee.amount «<»= 1.5"), "<= does not apply to (amount, double)"},
		"amounts that are not equal":            {when("fee.amount «!»= amount('1 eth')"), `write !(a == b)`},
		"amounts in a list":                     {when("fee.amount «in» [amount('1 eth')]"), `write !(a == b)`},
		"quantities compared as a whole":        {when("fee «=»= fee"), "compare its fields"},
		"lists compared as a whole":             {when("effects «=»= effects"), "compare its fields or elements"},
		"an object that is made":                {when("size([sealward.quantity«{»kind: 'none'}]) == 1"), "cannot be made"},
		"an element named like a variable":      {when("effects.all«(»kind, true)"), `"kind" is the name of a variable`},
		"a claim":                               {when("«claim» == 'urgent'"), "unverified text"},
		"a value without a type":                {when("dyn«(»kind) == 'x'"), "dyn() is not part of conditions"},
		"a list of mixed types":                 {when("kind in ['digest', «1»]"), "expected type 'string' but found 'int'"},
		"a bad timestamp":                       {when("time > timestamp(«'yesterday'»)"), "invalid timestamp argument"},
		"a bad pattern":                         {when("kind.matches(«'('»)"), "invalid matches argument"},
		"a pattern that is worked out":          {when("kind.matches(«kind»)"), "so that it can be checked"},
		"an unknown time zone":                  {when("time.getHours(«'Europe/Berln'»)  > 8"), "no time zone is named"},
		"the time zone of the host":             {when("time.getHours(«'Local'»)  > 8"), "no time zone is named"},
		"a condition on several lines":          {rule("when = <<E\n true &&\n\n  effects.all(e,\n    e.class == «'trasnfer'»)\nE"), `did you mean "transfer"?`},
		"a condition that is indented":          {rule("when = <<-E\n    true &&\n\n      «effcts».all(e, true)\n  E"), `did you mean "effects"?`},
		"a condition next to an escape":         {when(`true &&\t«effcts».all(e, true)`), `did you mean "effects"?`},
		"a condition right of escapes":          {when(`'é' == kind && \"x\" == \u006bey.«nme»`), `did you mean "key.name"?`},
		"a condition with a literal template":   {when("kind == «'$${x}'»"), `no kind is named "${x}"`},
		"a condition with CEL's own escapes":    {when(`kind == 'a\\'b' && key.«nme» == 'x'`), `did you mean "key.name"?`},
		"a condition that composes differently": {rule("when = «\"'\u2126' == kind && key.nme == 'x'\"»"), `did you mean "key.name"?`},
	})
}

// misplaced loads policies with one mistake each, which is marked, and looks for the
// place and a part of the message.
func misplaced(t *testing.T, tests map[string]struct{ src, want string }) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src, place := marked(t, tt.src)
			p, err := Load("policy.hcl", []byte(src), testEnv())
			if err == nil || p != nil {
				t.Fatalf("Load = %v, %v; want no policy and an error at %s", p, err, place)
			}
			for line := range strings.Lines(err.Error()) {
				if strings.HasPrefix(line, place) && strings.Contains(line, tt.want) {
					return
				}
			}
			t.Errorf("Load error =\n%v\nwant %s...%s", err, place, tt.want)
		})
	}
}

func TestLoadShowsEveryErrorInTheOrderOfTheFile(t *testing.T) {
	_, err := Load("policy.hcl", []byte(assetsText+`rule "a" {
  keys  = ["hto"]
  when  = "claim == ''"
  allow = true
}
rule "b" {
  deny = ""
}
`), testEnv())
	if err == nil {
		t.Fatal("Load error = nil")
	}
	var places []string
	for line := range strings.Lines(err.Error()) {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, place)
	}
	if got, want := strings.Join(places, " "), "policy.hcl:17,12-17 policy.hcl:18,12-17 policy.hcl:22,10-12"; got != want {
		t.Errorf("errors at %s, want %s:\n%v", got, want, err)
	}
}

func TestLoadRefusesKeysThatAreNotWhatTheySeem(t *testing.T) {
	twin := testKey("twin", 1)
	lying := testKey("hot", 1)
	lying.Fingerprint = testKey("hot", 2).Fingerprint
	tests := map[string]struct {
		keys map[string]signer.KeyInfo
		want string
	}{
		"two names for one public key":      {map[string]signer.KeyInfo{"hot": testKey("hot", 1), "twin": twin}, `keys "hot" and "twin" are one public key`},
		"a fingerprint of another key":      {map[string]signer.KeyInfo{"hot": lying}, "is not that of its public key"},
		"a key without a public key":        {map[string]signer.KeyInfo{"hot": {Name: "hot"}}, "is not that of its public key"},
		"a key that goes by another name":   {map[string]signer.KeyInfo{"hot": testKey("cold", 1)}, `key "hot" calls itself "cold"`},
		"a key that goes by no name at all": {map[string]signer.KeyInfo{"": testKey("", 1)}, `calls itself`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := Load("policy.hcl", []byte("version = 1\n"+elsewhere), Env{Keys: tt.keys})
			if p != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load = %v, %v; want an error with %q", p, err, tt.want)
			}
		})
	}
}

func TestLoadRefusesAFileThatIsTooLong(t *testing.T) {
	p, err := Load("policy.hcl", make([]byte, maxFile+1), testEnv())
	if p != nil || err == nil || !strings.Contains(err.Error(), "the most is 4194304") {
		t.Errorf("Load = %v, %v", p, err)
	}
}

func TestLoadSurvivesNesting(t *testing.T) {
	// A stack overflow cannot be recovered from: each of these killed a bare parser.
	for _, open := range []string{"[", "{a=", "(", "!", "-", "\"${", "x{", "a?", "a.", "a||"} {
		p, err := Load("policy.hcl", []byte("version = 1\na = "+strings.Repeat(open, maxFile/8)), testEnv())
		if p != nil || err == nil {
			t.Errorf("Load of %q over and over = %v, %v", open, p, err)
		}
		p, err = Load("policy.hcl", []byte(assetsText+"rule \"r\" {\n  allow = true\n  when = <<E\n"+strings.Repeat(open, 10_000)+"\nE\n}\n"), testEnv())
		if p != nil || err == nil {
			t.Errorf("Load of the condition %q over and over = %v, %v", open, p, err)
		}
	}
}

func TestALongFileLoads(t *testing.T) {
	src := assetsText
	for i := range 200 {
		src += fmt.Sprintf("rule \"r%d\" {\n  keys  = [\"hot\"]\n  allow = true\n}\n", i)
	}
	if got := len(load(t, src).rules); got != 200 {
		t.Errorf("%d rules, want 200", got)
	}
}

func TestTheVersionBindsFileAndKeys(t *testing.T) {
	src := []byte(sample)
	version := func(src []byte, e Env) [32]byte {
		t.Helper()
		p, err := Load("policy.hcl", src, e)
		if err != nil {
			t.Fatal(err)
		}
		return p.Version()
	}
	base := version(src, testEnv())
	if again := version(src, testEnv()); again != base {
		t.Errorf("the same bundle has versions %x and %x", base, again)
	}
	swapped := testEnv()
	swapped.Keys["hot"], swapped.Keys["treasury"] = testKey("hot", 2), testKey("treasury", 1)
	more := testEnv()
	more.Keys["third"] = testKey("third", 3)
	for name, other := range map[string][32]byte{
		"a comment":          version(append([]byte("# other\n"), src...), testEnv()),
		"keys that swapped":  version(src, swapped),
		"one key more":       version(src, more),
		"the zero version":   {},
		"nothing but length": bundleDigest(nil, nil, nil),
	} {
		if other == base {
			t.Errorf("%s leaves the version as it was", name)
		}
	}
}

func TestTheBookAndTheNeeds(t *testing.T) {
	p := load(t, sample)
	if got, want := fmt.Sprint(p.Needs()), fmt.Sprint(signer.Needs{Measures: []signer.Measure{{Window: time.Hour}, {Window: 24 * time.Hour}, {Window: 168 * time.Hour}}}); got != want {
		t.Errorf("Needs = %s, want %s", got, want)
	}
	want := map[string]signer.Asset{ether: {ID: ether, Name: "eth", Decimals: 18}, usdc: {ID: usdc, Name: "usdc", Decimals: 6}}
	if got := p.Book().Assets; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Book = %v, want %v", got, want)
	}
	if n := len(p.Book().Accounts); n != 1 {
		t.Errorf("the book has %d accounts, want 1", n)
	}
}
