package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func TestAmountsAreExact(t *testing.T) {
	as := assets{
		"eth":  {ID: ether, Name: "eth", Decimals: 18},
		"usdc": {ID: usdc, Name: "usdc", Decimals: 6},
		"jpy":  {ID: "iso4217:jpy/x:y", Name: "jpy", Decimals: 0},
	}
	most := "115792089237316195423570985008687907853269984665640564039457584007913129639935" // 2^256-1
	tests := map[string]struct{ text, want, shown string }{
		"whole":                          {"2 eth", "2000000000000000000", "2 eth (2000000000000000000)"},
		"a fraction":                     {"2.5 eth", "2500000000000000000", "2.5 eth (2500000000000000000)"},
		"zeros at the end":               {"2.50 eth", "2500000000000000000", "2.5 eth (2500000000000000000)"},
		"one wei":                        {"0.000000000000000001 eth", "1", "0.000000000000000001 eth (1)"},
		"more digits than a float":       {"123456789.123456789123456789 eth", "123456789123456789123456789", "123456789.123456789123456789 eth (123456789123456789123456789)"},
		"nothing":                        {"0 usdc", "0", "0 usdc (0)"},
		"every decimal place":            {"0.000001 usdc", "1", "0.000001 usdc (1)"},
		"an asset without decimals":      {"10 jpy", "10", "10 jpy"},
		"the largest number":             {most + " jpy", most, most + " jpy"},
		"one place too many":             {"0.0000001 usdc", "", "has 7 decimal places; usdc has 6"},
		"one place too many, of zeros":   {"1.0000000 usdc", "", "has 7 decimal places; usdc has 6"},
		"a place where there is none":    {"1.0 jpy", "", "has 1 decimal places; jpy has 0"},
		"a digit too many":               {"1" + most + " jpy", "", "want a number"},
		"nothing before the point":       {".5 eth", "", "want a number"},
		"nothing after the point":        {"5. eth", "", "want a number"},
		"two points":                     {"1.2.3 eth", "", "want a number"},
		"a zero in front":                {"01 eth", "", "want a number"},
		"a plus":                         {"+1 eth", "", "want a number"},
		"a separator":                    {"1_000 eth", "", "want a number"},
		"digits of another script":       {"١ eth", "", "want a number"},
		"two spaces":                     {"1  eth", "", "want a number"},
		"no space":                       {"1eth", "", "want a number"},
		"space around it":                {" 1 eth", "", "want a number"},
		"hexadecimal":                    {"0x10 eth", "", "want a number"},
		"an exponent":                    {"1e3 eth", "", "want a number"},
		"no number":                      {"eth", "", "want a number"},
		"nothing at all":                 {"", "", "want a number"},
		"an asset that is not there":     {"1 btc", "", `no asset is named "btc"; there are: eth, jpy, usdc`},
		"an asset in another case":       {"1 ETH", "", "want a number"},
		"a line end that regexps forget": {"1 eth\n", "", "want a number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, n, err := as.amount(tt.text)
			if tt.want == "" {
				if err == nil || n != nil || !strings.Contains(err.Error(), tt.shown) {
					t.Errorf("amount(%q) = %v, %v; want an error with %q", tt.text, n, err, tt.shown)
				}
				return
			}
			if err != nil || n.String() != tt.want {
				t.Fatalf("amount(%q) = %v, %v; want %s", tt.text, n, err, tt.want)
			}
			if got := formatAmount(a, n); got != tt.shown {
				t.Errorf("formatAmount = %q, want %q", got, tt.shown)
			}
		})
	}
}

func TestChecksums(t *testing.T) {
	// The test cases of EIP-55.
	for _, a := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		if err := checkEVMAddress("", a); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		for i := 2; i < len(a); i++ {
			flipped := []byte(a)
			if flipped[i] < 'A' {
				continue // a digit has no case
			}
			flipped[i] ^= 0x20
			if checkEVMAddress("", string(flipped)) == nil {
				t.Errorf("%s: another case of one letter passes", flipped)
			}
		}
	}
}

func TestIdentifiers(t *testing.T) {
	long := strings.Repeat("a", 129)
	tests := map[string]struct {
		check func(string) error
		id    string
		ok    bool
	}{
		"an account":                     {checkAccount, acme, true},
		"an account of another family":   {checkAccount, "bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6", true},
		"an account without a chain":     {checkAccount, "0x52908400098527886E0F7030069857D2E4169EE7", false},
		"an account with half a chain":   {checkAccount, "eip155:0x52908400098527886E0F7030069857D2E4169EE7", false},
		"a chain in hexadecimal":         {checkAccount, "eip155:0x1:0x52908400098527886E0F7030069857D2E4169EE7", false},
		"a chain with a zero in front":   {checkAccount, "eip155:01:0x52908400098527886E0F7030069857D2E4169EE7", false},
		"chain zero":                     {checkAccount, "eip155:0:0x52908400098527886E0F7030069857D2E4169EE7", false},
		"a chain in upper case":          {checkAccount, "EIP155:1:0x52908400098527886E0F7030069857D2E4169EE7", false},
		"an address too short":           {checkAccount, "eip155:1:0x5290840009852788", false},
		"an address with 0X":             {checkAccount, "eip155:1:0X52908400098527886E0F7030069857D2E4169EE7", false},
		"an address with a line end":     {checkAccount, acme + "\n", false},
		"an address that is too long":    {checkAccount, "cosmos:hub:" + long, false},
		"a coin":                         {checkAsset, ether, true},
		"a token":                        {checkAsset, usdc, true},
		"a collectible":                  {checkAsset, "eip155:1/erc721:0x52908400098527886E0F7030069857D2E4169EE7/771769", true},
		"an asset of another family":     {checkAsset, "bip122:000000000019d6689c085ae165831e93/slip44:0", true},
		"a token id of a token":          {checkAsset, usdc + "/1", false},
		"a piece by a number in base 16": {checkAsset, "eip155:1/erc721:0x52908400098527886E0F7030069857D2E4169EE7/0xbc623", false},
		"a piece by a padded number":     {checkAsset, "eip155:1/erc1155:0x52908400098527886E0F7030069857D2E4169EE7/007", false},
		"a standard that is not read":    {checkAsset, "eip155:1/erc777:0x52908400098527886E0F7030069857D2E4169EE7", false},
		"a token in lower case":          {checkAsset, "eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", false},
		"a coin that is none":            {checkAsset, "eip155:1/slip44:eth", false},
		"a coin by another number":       {checkAsset, "eip155:1/slip44:061", false},
		"an asset without a chain":       {checkAsset, "slip44:60", false},
		"an asset with a line end":       {checkAsset, ether + "\n", false},
		"an asset of a chain that isn't": {checkAsset, "eip155:x/slip44:60", false},
		"a unit":                         {checkUnit, "system.slice/payroll.service", true},
		"a unit of a user":               {checkUnit, "user.slice/user-1000.slice/user@1000.service/app.slice/x.service", true},
		"a unit with a hole":             {checkUnit, "system.slice//x.service", false},
		"a unit that climbs":             {checkUnit, "system.slice/../x.service", false},
	}
	for name, tt := range tests {
		if err := tt.check(tt.id); (err == nil) != tt.ok {
			t.Errorf("%s: %q: error = %v, want none: %t", name, tt.id, err, tt.ok)
		}
	}
}

func TestSuggestions(t *testing.T) {
	known := []string{"eth", "usdc", "treasury"}
	for given, want := range map[string]string{
		"eht":      `; did you mean "eth"?`,
		"ETH":      `; did you mean "eth"?`,
		"usd":      `; did you mean "usdc"?`,
		"tresuary": `; did you mean "treasury"?`,
		"bitcoin":  "; there are: eth, usdc, treasury",
	} {
		if got := didYouMean(given, known); got != want {
			t.Errorf("didYouMean(%q) = %q, want %q", given, got, want)
		}
	}
	if got := didYouMean("x", nil); got != "; there are none" {
		t.Errorf("didYouMean without names = %q", got)
	}
}

// TestNamesAreThoseOfTheDecoders reads the decoders' source for the codes of
// warnings and the kinds, so that a new one cannot be forgotten here.
func TestNamesAreThoseOfTheDecoders(t *testing.T) {
	codes := constants(t, "../signer", func(name string) bool { return strings.HasPrefix(name, "Warn") })
	if want := warningCodes(); !slices.Equal(codes, want) {
		t.Errorf("decoders have the warnings\n%q\nthe policy knows\n%q", codes, want)
	}
	want := slices.Sorted(slices.Values(kinds()))
	if got := constants(t, "../signer", func(name string) bool { return strings.HasPrefix(name, "Kind") }); !slices.Equal(got, want) {
		t.Errorf("kinds %q, the policy knows %q", got, want)
	}
	known := slices.Sorted(slices.Values(classes()))
	if got := constants(t, "../signer", func(name string) bool { return strings.HasPrefix(name, "Class") }); !slices.Equal(got, known) {
		t.Errorf("classes %q, the policy knows %q", got, known)
	}
	for _, name := range constants(t, "../signer", func(name string) bool { return strings.HasPrefix(name, "Attribute") }) {
		if attributeFormats[name] == nil {
			t.Errorf("the policy does not know the attribute %q", name)
		}
	}
	for _, c := range blindable() {
		if !slices.Contains(classes(), c) || !unreadable(signer.Class(c), false) {
			t.Errorf("class %q can be named in blind, and is nothing that needs to be", c)
		}
	}
	for _, c := range signer.Classes() {
		if unreadable(c, false) && !slices.Contains(blindable(), string(c)) {
			t.Errorf("class %q can never be allowed", c)
		}
	}
}

// TestAttributesAreThoseOfTheDecoders reads the decoders' source for the names that they
// give to attributes, and for acts.
func TestAttributesAreThoseOfTheDecoders(t *testing.T) {
	names, values, controls := written(t, "../signer/intent/evm")
	if len(names) < 4 || len(controls) < 4 {
		t.Fatalf("the decoders write the attributes %q and have the controls %q; this test has lost sight of them", names, controls)
	}
	for _, act := range controls {
		values = append(values, attribute{"act", act})
	}
	for _, name := range names {
		if attributeFormats[name] == nil {
			t.Errorf("the policy does not know the attribute %q", name)
		}
	}
	for _, v := range values {
		if check := attributeFormats[v.name]; check != nil {
			if err := check(v.text); err != nil {
				t.Errorf("attribute %q: %v", v.name, err)
			}
		}
	}
	for name := range attributeFormats {
		if err := checkAttributeName(name); err != nil {
			t.Error(err)
		}
	}
}

// checkAttributeName keeps names to what a condition can say after a point.
func checkAttributeName(name string) error {
	return format(`^[a-z][a-z0-9_]*$`, "a name of CEL")(name)
}

type attribute struct{ name, text string }

// written returns the attributes that the Go files of one folder write by literal name,
// the literal values among them, and the acts in the table named controls.
func written(t *testing.T, dir string) (names []string, values []attribute, controls []string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	add := func(key, value ast.Expr) {
		k, ok := key.(*ast.BasicLit)
		if !ok || k.Kind != token.STRING {
			return
		}
		name, _ := strconv.Unquote(k.Value)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if v, ok := value.(*ast.BasicLit); ok && v.Kind == token.STRING {
			text, _ := strconv.Unquote(v.Value)
			values = append(values, attribute{name, text})
		}
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec: // a table: its texts are for people
				if n.Names[0].Name == "controls" {
					controls = append(controls, keys(n.Values[0])...)
				}
				return false
			case *ast.CompositeLit: // map[string]string{"act": "wrap"}
				if m, ok := n.Type.(*ast.MapType); ok && named(m.Key, "string") && named(m.Value, "string") {
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							add(kv.Key, kv.Value)
						}
					}
				}
			case *ast.AssignStmt: // e.Attributes["call"] = path
				for i, left := range n.Lhs {
					if x, ok := left.(*ast.IndexExpr); ok && i < len(n.Rhs) && attributes(x.X) {
						add(x.Index, n.Rhs[i])
					}
				}
			}
			return true
		})
	}
	return names, values, controls
}

// keys are the literal keys of a map.
func keys(table ast.Expr) (out []string) {
	lit, ok := table.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if k, ok := kv.Key.(*ast.BasicLit); ok {
				text, _ := strconv.Unquote(k.Value)
				out = append(out, text)
			}
		}
	}
	return out
}

func named(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func attributes(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return named(e, "attributes") || ok && sel.Sel.Name == "Attributes"
}

func TestAttributeFormats(t *testing.T) {
	for name, tt := range map[string]struct{ good, bad string }{
		"contract": {acme, "0x52908400098527886E0F7030069857D2E4169EE7"}, "spender": {acme, ""},
		"paymaster": {acme, "eip155:1"}, "entrypoint": {acme, strings.ToLower(acme)},
		"call": {"2.1", "2.0"}, "act": {"enable_module", "enableModule"}, "looks_like": {"transfer(address,uint256)", ""},
		"selector": {"0xa9059cbb", "a9059cbb"}, "calldata_length": {"68", "0x44"}, "calldata_digest": {"0x" + strings.Repeat("0a", 32), strings.Repeat("0a", 32)},
		"init_code_length": {"0", "00"}, "init_code_digest": {"0x" + strings.Repeat("0a", 32), "0x0a"},
		"receives": {usdc, "usdc"}, "receives_amount": {"1000000", "1.0"}, "threshold": {"2", "-1"}, "nonce": {"0", "0x0"},
		"type": {"PermitSingle", "PermitSingle(address spender)"}, "domain": {"example.com:8080", "https://example.com"}, "uri": {"https://example.com/login", "example.com"},
		"every_chain": {"true", "yes"}, "usable_until": {"2026-12-24T18:00:00Z", "2026-12-24"},
	} {
		check := attributeFormats[name]
		if check == nil {
			t.Errorf("there is no attribute %q", name)
			continue
		}
		if err := check(tt.good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if check(tt.bad) == nil {
			t.Errorf("%s: %q passes, and never occurs", name, tt.bad)
		}
	}
}

// TestTheManifestIsTheDescriptors compares the one name that is written in two places.
func TestTheManifestIsTheDescriptors(t *testing.T) {
	got := constants(t, "../signer/intent/evm/erc7730", func(name string) bool { return name == "ManifestName" })
	if !slices.Equal(got, []string{manifest}) {
		t.Errorf("the manifest of descriptors is %q, and the policy reads %q", got, manifest)
	}
}

// constants returns the texts of the string constants below a folder, sorted.
func constants(t *testing.T, root string, wanted func(name string) bool) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !wanted(spec.Names[0].Name) {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Errorf("%s: %v", path, err)
				}
				out = append(out, text)
			}
			return true
		})
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("constants below %s: %q, %v", root, out, err)
	}
	slices.Sort(out)
	return out
}
