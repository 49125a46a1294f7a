package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// casesText is a case file without cases; a case follows it on line 22.
const casesText = `version = 1
key "hot" {
  kinds  = ["evm.transaction"]
  chains = ["eip155:1"]
}
accounts {
  acme = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
}
caller "payroll" {
  uid  = 1000
  user = "payroll"
}
caller "root" {
  uid = 0
}
defaults {
  key    = "hot"
  caller = "payroll"
  time   = "2026-11-23T10:00:00Z"
}

`

// oneCase is a case with more in it, on line 26.
func oneCase(more string) string {
	return casesText + "case \"c\" {\n  kind    = \"evm.transaction\"\n  payload = \"{}\"\n  expect  = \"deny\"\n  " + more + "\n}\n"
}

// readCases reads a file of cases for a policy.
func readCases(p *Policy, src string) ([]Case, error) {
	f, err := ReadCaseFile("policy.test.hcl", []byte(src))
	if err != nil {
		return nil, err
	}
	return f.Cases(p, []string{"sign", "payroll"})
}

func TestMistakesInACaseFileAreSaidWithTheirPlace(t *testing.T) {
	p := load(t, sample)
	for name, c := range map[string]struct{ src, want string }{
		"nothing":                         {"", `policy.test.hcl:1,1-1: Missing required argument; The argument "version" is required`},
		"no case":                         {casesText, "there is no case in the file"},
		"another version":                 {strings.Replace(oneCase(""), "version = 1", "version = 2", 1), "policy.test.hcl:1,11-12: want a whole number from 1 to 1"},
		"not HCL":                         {"case {{{", "policy.test.hcl:1,"},
		"bytes that are no text":          {"version = \"\xff\xfe\x00\"", "policy.test.hcl:1,"},
		"brackets without end":            {"version = " + strings.Repeat("[", 100_000), "brackets are nested more than 20 deep"},
		"too long":                        {casesText + strings.Repeat("#", maxFile), "the most is "},
		"an expression":                   {oneCase("pending = 1 + 1"), `policy.test.hcl:26,15-16: unexpected "+"`},
		"a template":                      {oneCase("reason = \"${file(\\\"/etc/shadow\\\")}\""), "policy.test.hcl:26,13-15:"},
		"an argument that is not known":   {oneCase("raeson = \"x\""), `policy.test.hcl:26,3-9: Unsupported argument`},
		"a block that is not known":       {oneCase("paye {}"), "policy.test.hcl:26,3-7: Unsupported block type"},
		"an argument that is there twice": {oneCase("expect = \"allow\""), "policy.test.hcl:26,3-9: Attribute redefined"},
		"a case that is there twice":      {oneCase("") + "case \"c\" {}\n", `policy.test.hcl:28,1-9: case c is there twice; the first is on line 22`},
		"no expectation":                  {casesText + "case \"c\" {\n  kind = \"digest\"\n  payload = \"x\"\n}\n", `The argument "expect" is required`},
		"a verdict that is none":          {oneCase("") + "case \"d\" {\n  kind = \"digest\"\n  payload = \"x\"\n  expect = \"alow\"\n}\n", `expect "alow" is not known; did you mean "allow"?`},
		"a number where text is wanted":   {oneCase("reason = 5"), "policy.test.hcl:26,12-13: want a text in quotes"},
		"text where a number is wanted":   {oneCase("pending = \"5\""), "policy.test.hcl:26,13-16: want a whole number from 0 to 1000000"},
		"text where a list is wanted":     {oneCase("rules = \"x\""), "policy.test.hcl:26,11-14: want a list of texts"},
		"a negative number":               {oneCase("pending = -1"), "policy.test.hcl:26,13-14:"},
		"a number that is no whole one":   {oneCase("pending = 1.5"), "want a whole number"},
		"a number without end":            {oneCase("pending = 1e999999999"), "policy.test.hcl:26,"},
		"a rule that is not there":        {oneCase("rules = [\"smal payouts\"]"), `no rule is named "smal payouts"`},
		"a key that is not there":         {oneCase("key = \"htoo\""), `key "htoo" is not known`},
		"a kind that is not there":        {strings.Replace(oneCase(""), "kind    = \"evm.transaction\"", "kind = \"evm.tx\"", 1), `kind "evm.tx" is not known`},
		"a caller that is not there":      {oneCase("caller = \"rot\""), `caller "rot" is not known; did you mean "root"?`},
		"a class that is not there":       {oneCase("class = \"trasnfer\""), `class "trasnfer" is not known; did you mean "transfer"?`},
		"a warning that is not there":     {oneCase("warnings = [\"evm_opaque\"]"), `no warning is named "evm_opaque"`},
		"a quorum that is none":           {oneCase("asks = [\"treasury\"]"), `asks "treasury": want "GROUP:N"`},
		"a time that is none":             {oneCase("time = \"tomorrow\""), `time "tomorrow": want for example`},
		"a time out of all years":         {oneCase("time = \"0001-01-01T00:00:00Z\""), "want for example"},
		"a socket that is not there":      {strings.Replace(oneCase(""), "uid = 0", "uid = 0\n  socket = \"pyroll\"", 1), `no socket is named "pyroll"; did you mean "payroll"?`},
		"a unit without its slice":        {strings.Replace(oneCase(""), "uid = 0", "uid = 0\n  unit = \"payroll.service\"", 1), "the unit's whole cgroup path"},
		"a uid that is nobody's":          {strings.Replace(oneCase(""), "uid = 0", "uid = 4294967295", 1), "want a whole number from 0 to 4294967294"},
		"an address with a wrong digit":   {strings.Replace(oneCase(""), "0x5290", "0x5291", 1), "policy.test.hcl:7,10-63: address"},
		"an account that is not named":    {oneCase("known = [\"acmee\"]"), `no account is named "acmee" in the block accounts; did you mean "acme"?`},
		"two payloads":                    {oneCase("payload_file = \"x\""), "want exactly one of payload, payload_file and pay, got 2"},
		"two payments":                    {casesText + "case \"c\" {\n  expect = \"deny\"\n  pay {\n to = \"acme\"\n amount = \"1 eth\"\n}\n  pay {\n to = \"acme\"\n amount = \"1 eth\"\n}\n}\n", "got 2"},
		"no payload":                      {casesText + "case \"c\" {\n  kind = \"digest\"\n  expect = \"deny\"\n}\n", "got 0"},
		"an empty payload":                {strings.Replace(oneCase(""), "\"{}\"", "\"\"", 1), "the payload is empty"},
		"a payload elsewhere":             {casesText + "case \"c\" {\n  kind = \"digest\"\n  expect = \"deny\"\n  payload_file = \"../../etc/shadow\"\n}\n", `payload_file "../../etc/shadow": want a name below the folder`},
		"a payment of another kind":       {casesText + "case \"c\" {\n  kind = \"digest\"\n  expect = \"deny\"\n  pay {\n to = \"acme\"\n amount = \"1 eth\"\n}\n}\n", "pay makes a payload of kind"},
		"a payment of what is no asset":   {casesText + "case \"c\" {\n  expect = \"deny\"\n  pay {\n to = \"acme\"\n amount = \"1 euro\"\n}\n}\n", `no asset is named "euro"`},
		"a fee in a token":                {casesText + "case \"c\" {\n  expect = \"deny\"\n  pay {\n to = \"acme\"\n amount = \"1 eth\"\n fee = \"1 usdc\"\n}\n}\n", "a fee is paid in the coin of the chain, and usdc is"},
		"a past that is too long":         {oneCase("before {\n times = 100001\n}"), "want a whole number from 1 to 100000"},
		"all pasts are too long":          {oneCase(strings.Repeat("before {\n times = 100000\n}\n", 11)), "the most of one case is 1000000"},
		"a past without time":             {oneCase("before {\n ago = \"0s\"\n}"), "policy.test.hcl:27,8-12: duration"},
		"a key that is Sealward":          {strings.Replace(oneCase(""), "key \"hot\"", "key \"sealward\"", 1), "stands for Sealward itself"},
		"a public key that is none":       {strings.Replace(oneCase(""), "kinds  =", "public_key = \"04ff\"\n  kinds  =", 1), "public_key: want 0x and hexadecimal digits"},
	} {
		t.Run(name, func(t *testing.T) {
			cases, err := readCases(p, c.src)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error = %v, want %q in it", err, c.want)
			}
			if cases != nil {
				t.Error("there are cases beside the error")
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "policy.test.hcl:") {
					t.Errorf("the line %q does not say where", line)
				}
			}
		})
	}
}

func TestACaseSaysItAllWithItsDefaults(t *testing.T) {
	cases, err := readCases(load(t, sample), casesText+`case "c" {
  caller = "root"
  pay {
    to     = "acme"
    amount = "1.5 usdc"
    fee    = "0.001 eth"
  }
  before {
    amount = "1 eth"
    to     = "acme"
  }
  before {
    times  = 3
    ago    = "2d"
    caller = "payroll"
  }
  known   = ["acme"]
  pending = 2
  expect  = "ask"
  asks    = ["treasury:2"]
  rules   = []
  delay   = "1h"
}
`)
	if err != nil || len(cases) != 1 {
		t.Fatalf("there are %d cases, error %v", len(cases), err)
	}
	c := cases[0]
	const acme = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
	if c.Place != "policy.test.hcl:22" || c.Key != "hot" || c.Kind != signer.KindEVMTransaction || c.Caller.UID != 0 || c.Caller.Socket != "sign" ||
		!c.Time.Equal(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)) || fmt.Sprint(c.Known) != "["+acme+"]" || c.Pending != 2 {
		t.Errorf("the case is %+v", c)
	}
	if p := c.Pay; p == nil || p.To != acme || p.Chain != "eip155:1" || !strings.HasSuffix(p.Token, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48") || p.N.String() != "1500000" || p.Fee.String() != "1000000000000000" {
		t.Errorf("its payment is %+v", c.Pay)
	}
	if b := c.Before; len(b) != 2 || b[0].Times != 3 || b[0].Ago != 48*time.Hour || b[0].Caller.UID != 1000 || b[0].Asset != nil ||
		b[1].Times != 1 || b[1].Ago != time.Minute || b[1].Caller.UID != 0 || b[1].Asset.Name != "eth" || b[1].To != acme {
		t.Errorf("before it were, the oldest first, %+v", c.Before)
	}
	if e := c.Expect; e.Verdict != "ask" || fmt.Sprint(e.Asks) != "[treasury:2]" || e.Rules == nil || len(e.Rules) != 0 || e.Warnings != nil || e.Delay != time.Hour {
		t.Errorf("what it expects is %+v", c.Expect)
	}
}

// FuzzCases checks that what is read says all that a case needs, and that everything else
// is refused with its place.
func FuzzCases(f *testing.F) {
	p := load(f, sample)
	f.Add(casesText)
	f.Add(oneCase("known = [\"acme\"]\nreason = \"x\"\nbefore {\n amount = \"1 eth\"\n}"))
	f.Add(casesText + "case \"c\" {\n  expect = \"invalid\"\n  pay {\n to = \"acme\"\n amount = \"1 eth\"\n}\n}\n")
	f.Fuzz(func(t *testing.T, src string) {
		cases, err := readCases(p, src)
		if err != nil {
			if cases != nil || !strings.Contains(err.Error(), "policy.test.hcl:") {
				t.Errorf("%d cases beside the error %v", len(cases), err)
			}
			return
		}
		for _, c := range cases {
			sources := 0
			for _, there := range []bool{c.Payload != "", c.PayloadFile != "", c.Pay != nil} {
				if there {
					sources++
				}
			}
			if sources != 1 || c.Name == "" || c.Key == "" || c.Kind == "" || c.Time.IsZero() || c.Expect.Verdict == "" {
				t.Errorf("a case was read that does not say all: %+v", c)
			}
		}
	})
}
