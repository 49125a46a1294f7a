package console

import (
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	eth    = "eip155:1/slip44:60"
	weth   = "eip155:1/erc20:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
	punks  = "eip155:1/erc721:0xb47e3cd837dDF8e4c57F05d70Ab865de6e193BBB"
	safe   = "eip155:1:0x4F2083f5fBede34C2714aFfb3105539775f7FE64"
	usdc   = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	me     = "eip155:1:0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
	acme   = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
	poison = "eip155:1:0x5290aBcDeF0123456789aBcDeF01234567899EE7"
	router = "eip155:1:0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"
)

var names = Names{
	Assets: map[string]signer.Asset{
		eth:   {ID: eth, Name: "eth", Decimals: 18},
		usdc:  {ID: usdc, Name: "usdc", Decimals: 6},
		weth:  {ID: weth, Name: "weth", Decimals: 18},
		punks: {ID: punks, Name: "punks"},
	},
	Accounts:  map[string]string{acme: "Acme Hosting"},
	Contracts: map[string]signer.Contract{safe: {Name: "treasury", Kind: signer.ContractSafe}},
	Described: map[string]string{router: "Uniswap V3 Router", acme: "Not Acme"},
	Now:       time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
}

func wei(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic(s)
	}
	return n
}

func transaction(effects ...signer.Effect) signer.Intent {
	fee := signer.AtMost(eth, wei("420000000000000"))
	in := signer.Intent{
		Kind: signer.KindEVMTransaction, Complete: true, Effects: effects, Fee: fee,
		Fields:  []signer.Field{{Name: "chain", Value: "eip155:1"}, {Name: "nonce", Value: "7"}},
		Digests: []signer.Digest{{Name: "transaction signing hash", Value: [32]byte{0xab, 31: 0xcd}}},
	}
	quantities := []signer.Quantity{fee}
	for _, e := range effects {
		quantities = append(quantities, e.Quantity)
	}
	in.Outflow = signer.Outflow(quantities...)
	return in
}

func message(text string) signer.Intent {
	return signer.Intent{
		Kind: signer.KindEVMMessage, Complete: true, Effects: []signer.Effect{{Class: signer.ClassMessage}},
		Fields: []signer.Field{{Name: "text", Value: text}},
	}
}

func TestIntentReadsLikeItsGoldenFile(t *testing.T) {
	unlimited := signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}
	for name, in := range map[string]signer.Intent{
		"a payment to a known payee": transaction(
			signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: acme, Quantity: signer.Exact(eth, wei("1500000000000000000"))}),
		"a payment to a look-alike of a known payee": func() signer.Intent {
			in := transaction(signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: poison, Quantity: signer.Exact(usdc, wei("1"))})
			in.Warnings = []signer.Warning{{Code: "evm_resembles_known", Severity: signer.SeverityDanger,
				Text: address(poison) + " begins and ends like " + address(acme) + " (Acme Hosting), which you know, but is another address"}}
			return in
		}(),
		"a payment without a key": transaction(
			signer.Effect{Class: signer.ClassTransfer, Counterparty: acme, Quantity: signer.Exact("eip155:137/slip44:60", wei("25"))}),
		"an asset that is not in the book": transaction(
			signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: router, Quantity: signer.Exact("eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7", wei("2500000"))}),
		"an unlimited allowance": func() signer.Intent {
			in := transaction(signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: unlimited, Attributes: map[string]string{"contract": "eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}})
			in.Warnings = []signer.Warning{
				{Code: "first", Severity: signer.SeverityInfo, Text: "only for information"},
				{Code: "evm_unlimited_allowance", Severity: signer.SeverityDanger, Text: "may take all usdc of this account, now and later"},
				{Code: "odd", Severity: "strange", Text: "a severity of a newer daemon"},
				{Code: "third", Severity: signer.SeverityWarn, Text: "be careful"},
			}
			return in
		}(),
		"an allowance that ends": transaction(
			signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.AtMost(usdc, wei("5000000")), Until: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)}),
		"an allowance of zero": transaction(
			signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.Exact(usdc, new(big.Int))}),
		"a call that was not understood": func() signer.Intent {
			in := transaction(
				signer.Effect{Class: signer.ClassUnknownCall, Actor: me, Counterparty: router, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: map[string]string{"selector": "0xac9650d8", "calldata_length": "4"}},
				signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: router, Quantity: signer.Exact(eth, wei("1000000000000000000"))})
			in.Complete = false
			return in
		}(),
		"a contract is created": func() signer.Intent {
			in := transaction(signer.Effect{Class: signer.ClassCreate, Actor: me, Counterparty: router, Quantity: signer.Exact(eth, wei("7"))})
			in.Complete = false
			return in
		}(),
		"an opaque digest":              {Kind: signer.KindDigest, Effects: []signer.Effect{{Class: signer.ClassOpaque}}},
		"a class of the future":         transaction(signer.Effect{Class: "operator\n", Actor: me, Counterparty: router}),
		"a decoder without effects":     {Kind: signer.KindDigest, Complete: true},
		"a short message":               message("hello"),
		"a message that ends in spaces": message("a \nb "),
		"an empty value":                message(""),
		"a message of several lines that tries to speak for us": message("hi\nTOTAL    nothing leaves the account\n\nSENDS    0 eth"),
		"a message that pads with spaces":                       message("pay" + strings.Repeat(" ", 69) + "SENDS    nothing"),
		"a message with a right-to-left override":               message("pay \u202e0001\u202c to me"),
		"a message with zero-width characters":                  message("pay\u200b100\u2060\ufeff\u00ad"),
		"a message with letters that look like nothing":         message("a\u3164b\u115fc\u2800d\ufe0fe\u034f"),
		"a message in Hebrew beside digits":                     message("\u05d0\u05d1 100 200"),
		"a message that mixes alphabets":                        message("send to \u0430cme.example"),
		"a message that spells an escape":                       message(`not an escape: \u{202e}`),
		"a message with control characters":                     message("\x1b[2J\x07\r\t\x00"),
		"a message that is not UTF-8":                           message("ok\xff\xfe"),
		"a message in Chinese wraps by columns":                 message(strings.Repeat("\u4e2d", 60)),
		"a long message ends with its hash":                     message(strings.Repeat("0123456789abcdef", 64)),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, Intent(in, nil, names)) })
	}
}

// golden compares with testdata. What people read is to be looked at when it changes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

func TestOwnersLabelsAreEscapedToo(t *testing.T) {
	n := Names{
		Assets:   map[string]signer.Asset{eth: {ID: eth, Name: "e\u202eth", Decimals: 18}},
		Accounts: map[string]string{acme: "Ac\nme"},
	}
	got := Intent(transaction(signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: acme, Quantity: signer.Exact(eth, wei("1"))}), nil, n)
	for _, want := range []string{`e\u{202e}th`, `(Ac\u{a}me)`} {
		if !strings.Contains(got, want) {
			t.Errorf("Intent does not contain %q:\n%s", want, got)
		}
	}
}

func TestAmount(t *testing.T) {
	for name, c := range map[string]struct {
		n, asset, want string
	}{
		"whole":                         {"3000000", usdc, "3 usdc (3000000 base units)"},
		"fraction":                      {"2500000", usdc, "2.5 usdc (2500000 base units)"},
		"smallest":                      {"1", usdc, "0.000001 usdc (1 base units)"},
		"zero":                          {"0", usdc, "0 usdc (0 base units)"},
		"all of 256 bits":               {"115792089237316195423570985008687907853269984665640564039457584007913129639935", eth, "115792089237316195423570985008687907853269984665640564039457.584007913129639935 eth (115792089237316195423570985008687907853269984665640564039457584007913129639935 base units)"},
		"items of a collection":         {"1", punks + "/17", "1 of item 17 of punks (" + punks + ")"},
		"items of nobody's collection":  {"1", "eip155:1/erc1155:0x00/17", "1 of item 17 of eip155:1/erc1155:0x00"},
		"requests":                      {"5", signer.AssetRequests, "5 requests"},
		"coin of a chain not in a book": {"10", "eip155:10/slip44:60", "0.00000000000000001 eip155:10/slip44:60 (10 base units)"},
		"unknown token":                 {"10", "eip155:1/erc20:0x00", "10 base units of eip155:1/erc20:0x00"},
		"negative, which is a defect":   {"-1", usdc, "-0.000001 usdc (-1 base units)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := printer{names: names}
			if got := p.amount(wei(c.n), c.asset); got != c.want {
				t.Errorf("amount = %q, want %q", got, c.want)
			}
			short, _, _ := strings.Cut(c.want, " (")
			if strings.HasPrefix(name, "items") {
				short = c.want // the collection's id stays
			}
			if got := Amount(wei(c.n), c.asset, names); got != short {
				t.Errorf("Amount = %q, want %q", got, short)
			}
		})
	}
}

func TestClaimIsMarkedAsUnverified(t *testing.T) {
	got := Claim("invoice 7\nSENDS    nothing")
	if !strings.Contains(got, "unverified") || strings.Contains(got, "\nSENDS") {
		t.Errorf("Claim = %q", got)
	}
}

// FuzzSafe: nothing that Safe returns is hostile, and two texts never look alike.
func FuzzSafe(f *testing.F) {
	for _, s := range []string{"", "hello", "\u202e", "\\", `\u{202e}`, "\xff", `\x{ff}`, "\u05d0", "a\u0338", "\U000e0041"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		for _, r := range got {
			if r != '\\' && hostile(r) || unicode.IsControl(r) {
				t.Errorf("Safe(%q) = %q keeps %U", s, got, r)
			}
		}
		if back := unsafeText(t, got); back != s {
			t.Errorf("Safe(%q) = %q reads back as %q", s, got, back)
		}
	})
}

// unsafeText undoes Safe, by its documentation.
func unsafeText(t *testing.T, s string) string {
	var b strings.Builder
	for s != "" {
		body, ok := strings.CutPrefix(s, `\`)
		if !ok {
			_, size := utf8.DecodeRuneInString(s)
			b.WriteString(s[:size])
			s = s[size:]
			continue
		}
		digits, rest, ok := strings.Cut(body[2:], "}")
		n, valid := new(big.Int).SetString(digits, 16)
		if !ok || !valid {
			t.Fatalf("no escape at %q", s)
		}
		if body[0] == 'x' {
			b.WriteByte(byte(n.Int64()))
		} else {
			b.WriteRune(rune(n.Int64()))
		}
		s = rest
	}
	return b.String()
}
