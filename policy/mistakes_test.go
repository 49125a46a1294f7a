package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

var update = flag.Bool("update", false, "write the golden files of testdata/mistakes anew")

// correct is a policy without a mistake.
const correct = `version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}

addresses "vendors" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
  }
}

approver "alice" {
  certificate = "approvers/alice.pem"
  users       = ["alice"]
}
approver "bob" {
  certificate = "approvers/bob.pem"
}
group "treasury" {
  members = ["alice", "bob"]
}

rule "payouts" {
  keys    = ["hot"]
  callers = ["socket:payroll"]
  when    = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  allow   = true
  limit "each" {
    amount = "2.5 eth"
  }
  limit "a day" {
    amount = "10 eth"
    window = "24h"
  }
}

rule "large payouts" {
  keys = ["treasury"]
  require {
    group     = "treasury"
    approvals = 2
  }
}

rule "policy changes" {
  keys = ["sealward"]
  when = "effects.all(e, e.class == 'policy_change')"
  require {
    group     = "treasury"
    approvals = 1
  }
}

rule "no allowances" {
  when = "effects.exists(e, e.class == 'allowance')"
  deny = "allowances are not given"
}
`

// vendorsOnly is the condition of its first rule.
const vendorsOnly = `"effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"`

// mistakes are what their authors wrote, by the names of their golden files: pairs of a
// text, where it stands first in the correct policy, and of what stands there instead.
var mistakes = map[string][]string{
	"address-in-lower-case":                 {`"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"`, `"eip155:1:0x52908400098527886e0f7030069857d2e4169ee7" = "Acme Hosting"`},
	"address-with-a-digit-missing":          {`"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"`, `"eip155:1:0x52908400098527886E0F7030069857D2E4169EE" = "Acme Hosting"`},
	"address-with-a-wrong-checksum":         {`id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"`, `id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB84"`},
	"address-without-a-chain":               {`"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"`, `"0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"`},
	"allow-and-deny":                        below("allow   = true", `  deny    = "no"`),
	"allow-with-require":                    below(`keys = ["treasury"]`, "  allow = true"),
	"amount-in-a-currency":                  {`amount = "2.5 eth"`, `amount = "500 usd"`},
	"amount-in-capitals":                    {`amount = "2.5 eth"`, `amount = "2.5 ETH"`},
	"amount-that-is-a-number":               {`amount = "2.5 eth"`, "amount = 2.5"},
	"amount-with-a-comma":                   {`amount = "2.5 eth"`, `amount = "2,5 eth"`},
	"amount-with-the-unit-first":            {`amount = "2.5 eth"`, `amount = "eth 2.5"`},
	"amount-with-thousands":                 {`amount = "10 eth"`, `amount = "1,000 eth"`},
	"amount-with-too-many-decimals":         {`amount = "2.5 eth"`, `amount = "2.0000001 usdc"`},
	"amount-without-a-space":                {`amount = "2.5 eth"`, `amount = "2.5eth"`},
	"amount-without-a-unit":                 {`amount = "2.5 eth"`, `amount = "2.5"`},
	"amount-without-quotes":                 {`amount = "2.5 eth"`, "amount = 2.5 eth"},
	"and-in-words":                          {vendorsOnly, `"effects.all(e, e.class == 'transfer' and e.counterparty in addresses.vendors)"`},
	"approvals-in-quotes":                   {"approvals = 2", `approvals = "2"`},
	"approvals-of-an-unknown-group":         {`group     = "treasury"`, `group     = "tresury"`},
	"approvals-of-too-many":                 {"approvals = 2", "approvals = 3"},
	"approver-unknown-in-a-group":           {`members = ["alice", "bob"]`, `members = ["alice", "rob"]`},
	"approver-with-a-file-elsewhere":        {`certificate = "approvers/bob.pem"`, `certificate = "/home/bob/bob.pem"`},
	"approver-with-a-key-beside-devices":    below(`certificate = "approvers/bob.pem"`, "  device \"spare\" {", `    ssh_key = "approvers/fay.pub"`, "  }"),
	"approver-with-a-key-of-another":        {`certificate = "approvers/bob.pem"`, `certificate = "approvers/alice.pem"`},
	"approver-with-two-keys":                below(`certificate = "approvers/bob.pem"`, `  ssh_key     = "approvers/fay.pub"`),
	"approver-without-a-file":               {`certificate = "approvers/bob.pem"`, `certificate = "approvers/rob.pem"`},
	"approver-without-a-key":                {"  certificate = \"approvers/bob.pem\"\n", ""},
	"approver-without-a-user":               {"users       = [\"alice\"]", "user        = \"alice\""},
	"argument-misspelt":                     {`callers = ["socket:payroll"]`, `caller  = ["socket:payroll"]`},
	"argument-twice":                        below("allow   = true", `  keys    = ["treasury"]`),
	"attestation-by-another-authority":      attested("other-root", "alice", "dora", "bob", "emil"),
	"attestation-of-another-key":            attested("piv-root", "alice", "emil", "bob", "emil-spare"),
	"attestation-that-is-missing":           {"approver \"alice\" {", "attestation {\n  roots = [\"approvers/piv-root.pem\"]\n}\n\napprover \"alice\" {"},
	"attestation-of-touch-at-times":         {"approver \"alice\" {", "attestation {\n  roots = [\"approvers/piv-root.pem\"]\n  touch = \"sometimes\"\n}\n\napprover \"alice\" {"},
	"attestation-without-roots":             {"approver \"alice\" {", "attestation {\n  touch = \"always\"\n}\n\napprover \"alice\" {"},
	"attestation-without-its-block":         below(`certificate = "approvers/bob.pem"`, `  attestation = "approvers/emil-attestation.pem"`),
	"block-misspelt":                        {`rule "payouts" {`, `rules "payouts" {`},
	"book-misspelt":                         {vendorsOnly, `"effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendor)"`},
	"book-without-its-prefix":               {vendorsOnly, `"effects.all(e, e.class == 'transfer' && e.counterparty in vendors)"`},
	"brace-not-closed":                      {"deny = \"allowances are not given\"\n}", `deny = "allowances are not given"`},
	"caller-excluded-whom-nobody-knows":     {"  users       = [\"alice\"]\n", "", "approvals = 2", "approvals = 1\n    exclude_caller = true"},
	"caller-without-a-selector":             {`callers = ["socket:payroll"]`, `callers = ["payroll"]`},
	"certificate-that-is-an-ssh-key":        {`certificate = "approvers/bob.pem"`, `certificate = "approvers/fay.pub"`},
	"class-in-capitals":                     {vendorsOnly, `"effects.all(e, e.class == 'TRANSFER' && e.counterparty in addresses.vendors)"`},
	"class-misspelt":                        {vendorsOnly, `"effects.all(e, e.class == 'trasnfer' && e.counterparty in addresses.vendors)"`},
	"class-that-is-none":                    {vendorsOnly, `"effects.all(e, e.class == 'payment' && e.counterparty in addresses.vendors)"`},
	"colon-for-equals-sign":                 {`keys    = ["hot"]`, `keys    : ["hot"]`},
	"condition-in-words":                    {vendorsOnly, `"only transfers to vendors"`},
	"condition-of-a-bracket-missing":        {vendorsOnly, `"effects.all(e, e.class == 'transfer'"`},
	"condition-of-a-field-that-is-none":     {vendorsOnly, `"effects.all(e, e.amount < amount('1 eth'))"`},
	"condition-of-a-function-that-is-none":  {vendorsOnly, `"effects.every(e, e.class == 'transfer')"`},
	"condition-of-a-half-amount":            {vendorsOnly, `"effects.all(e, e.quantity.amount * 0.5 < amount('5 eth'))"`},
	"condition-of-a-label":                  {vendorsOnly, `"effects.all(e, e.counterparty == 'Acme Hosting')"`},
	"condition-of-a-name-in-the-wrong-case": {vendorsOnly, `"Effects.all(e, e.class == 'transfer')"`},
	"condition-of-a-zone-that-is-none":      {vendorsOnly, `"time.getHours('Berlin') < 18"`},
	"condition-of-amounts-that-differ":      {vendorsOnly, `"effects.all(e, e.quantity.amount != amount('5 eth'))"`},
	"condition-of-an-address-in-lower-case": {vendorsOnly, `"effects.all(e, e.counterparty == 'eip155:1:0x52908400098527886e0f7030069857d2e4169ee7')"`},
	"condition-of-an-amount-and-a-number":   {vendorsOnly, `"effects.all(e, e.quantity.amount < 5)"`},
	"condition-of-an-amount-and-a-text":     {vendorsOnly, `"effects.all(e, e.quantity.amount < '5 eth')"`},
	"condition-of-an-amount-with-a-comma":   {vendorsOnly, `"effects.all(e, e.quantity.amount < amount('0,5 eth'))"`},
	"condition-of-the-claim":                {vendorsOnly, `"claim == 'invoice 4711'"`},
	"condition-that-is-not-boolean":         {vendorsOnly, `"effects.size()"`},
	"condition-without-quotes":              {vendorsOnly, "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"},
	"days-from-to":                          below("allow   = true", "  hours {", `    zone = "Europe/Berlin"`, `    days = ["mon-fri"]`, "  }"),
	"days-in-full":                          below("allow   = true", "  hours {", `    zone = "Europe/Berlin"`, `    days = ["Monday"]`, "  }"),
	"delay-longer-than-expires":             below(`keys = ["treasury"]`, `  delay   = "2d"`, `  expires = "24h"`),
	"deny-with-a-limit":                     below(`deny = "allowances are not given"`, `  limit "each" {`, `    amount = "1 eth"`, "  }"),
	"deny-without-a-reason":                 {`deny = "allowances are not given"`, "deny = true"},
	"device-twice":                          {`certificate = "approvers/bob.pem"`, "device \"card\" {\n    certificate = \"approvers/bob.pem\"\n  }\n  device \"spare\" {\n    certificate = \"approvers/bob.pem\"\n  }"},
	"devices-that-nobody-has":               {"approvals = 2", "approvals = 2\n    devices   = 2"},
	"double-quotes-within-double-quotes":    {vendorsOnly, `"effects.all(e, e.class == "transfer" && e.counterparty in addresses.vendors)"`},
	"expires-of-nothing":                    below("allow   = true", `  expires = "24h"`),
	"fee-in-gwei":                           below("allow   = true", "  fee {", `    amount = "30 gwei"`, "  }"),
	"fee-share-without-a-percent-sign":      below("allow   = true", "  fee {", `    share = "5"`, "  }"),
	"fee-without-a-bound":                   below("allow   = true", "  fee {", "  }"),
	"file-of-another-encoding":              {correct, "\xff\xfe" + strings.ReplaceAll(correct, "", "\x00")[1:]},
	"group-of-a-misspelt-role":              {`members = ["alice", "bob"]`, `roles = ["tresurer"]`, `users       = ["alice"]`, `roles       = ["treasurer"]`},
	"group-of-nobody":                       {"  members = [\"alice\", \"bob\"]\n", ""},
	"hours-before-and-after-noon":           below("allow   = true", "  hours {", `    zone = "Europe/Berlin"`, `    from = "09:00"`, `    to   = "6pm"`, "  }"),
	"hours-of-a-misspelt-zone":              below("allow   = true", "  hours {", `    zone = "Europe/Berln"`, `    from = "09:00"`, `    to   = "18:00"`, "  }"),
	"hours-of-an-abbreviated-zone":          below("allow   = true", "  hours {", `    zone = "CET"`, `    from = "09:00"`, `    to   = "18:00"`, "  }"),
	"hours-without-a-zero":                  below("allow   = true", "  hours {", `    zone = "Europe/Berlin"`, `    from = "9:00"`, `    to   = "18:00"`, "  }"),
	"hours-without-a-zone":                  below("allow   = true", "  hours {", `    from = "09:00"`, `    to   = "18:00"`, "  }"),
	"hours-without-an-end":                  below("allow   = true", "  hours {", `    zone = "Europe/Berlin"`, `    from = "09:00"`, "  }"),
	"including-a-group-misspelt":            {"approvals = 2", "approvals = 2\n    including = \"tresury\""},
	"including-nobody-of-the-group":         {"members = [\"alice\", \"bob\"]\n}", "members = [\"alice\", \"bob\"]\n}\napprover \"fay\" {\n  ssh_key = \"approvers/fay.pub\"\n}\ngroup \"officers\" {\n  members = [\"fay\"]\n}", "approvals = 2", "approvals = 2\n    including = \"officers\""},
	"key-misspelt":                          {`keys    = ["hot"]`, `keys    = ["hto"]`},
	"kind-misspelt":                         {`callers = ["socket:payroll"]`, `kinds   = ["evm.transactions"]`},
	"kind-that-the-key-does-not-sign":       {`callers = ["socket:payroll"]`, `kinds   = ["evm.message"]`},
	"limit-as-an-argument":                  {"limit \"each\" {\n    amount = \"2.5 eth\"\n  }", `limit = "2.5 eth"`},
	"limit-by-count-without-a-window":       {`amount = "2.5 eth"`, "count = 10"},
	"limit-with-an-equals-sign":             {`limit "each" {`, `limit "each" = {`},
	"limit-with-maximum":                    {`amount = "2.5 eth"`, `maximum = "2.5 eth"`},
	"limit-without-a-name":                  {`limit "each" {`, "limit {"},
	"limit-without-amount":                  {"    amount = \"2.5 eth\"\n", ""},
	"list-without-brackets":                 {`keys    = ["hot"]`, `keys    = "hot"`},
	"list-without-commas":                   {`members = ["alice", "bob"]`, `members = ["alice" "bob"]`},
	"no-break-space":                        {`amount = "2.5 eth"`, "amount = \"2.5\u00a0eth\""},
	"no-break-space-outside-quotes":         {`keys    = ["hot"]`, "keys\u00a0= [\"hot\"]"},
	"over-of-too-many":                      below(`window = "24h"`, `    over   = "require:treasury:3"`),
	"over-without-a-number":                 below(`window = "24h"`, `    over   = "treasury"`),
	"per-misspelt":                          below(`window = "24h"`, `    per    = "recepient"`),
	"per-recipient-alone":                   {"  }\n  limit \"a day\" {\n    amount = \"10 eth\"\n    window = \"24h\"", `    per    = "recipient"`},
	"policy-change-that-a-rule-allows":      {"\n  require {\n    group     = \"treasury\"\n    approvals = 1\n  }", "\n  allow = true"},
	"policy-change-that-a-rule-denies":      {`when = "effects.exists(e, e.class == 'allowance')"`, `keys = ["sealward"]`},
	"policy-change-that-nobody-may-ask-for": {"e.class == 'policy_change'", "e.class == 'key_disable'"},
	"quote-not-closed":                      {`deny = "allowances are not given"`, `deny = "allowances are not given`},
	"quotes-around-true":                    {"allow   = true", `allow   = "true"`},
	"quotes-forgotten":                      {`keys    = ["hot"]`, "keys    = [hot]"},
	"recovery-of-too-many":                  {"rule \"payouts\" {", "recovery {\n  group     = \"treasury\"\n  approvals = 3\n}\n\nrule \"payouts\" {"},
	"recovery-with-a-name":                  {"rule \"payouts\" {", "recovery \"keepers\" {\n  group     = \"treasury\"\n  approvals = 2\n}\n\nrule \"payouts\" {"},
	"rule-that-does-not-allow":              {"allow   = true", "allow   = false"},
	"rule-twice":                            {`rule "large payouts" {`, `rule "payouts" {`},
	"rule-without-effect":                   {"  allow   = true\n", ""},
	"rules-that-only-deny":                  {correct, "version = 1\n\nrule \"payouts\" {\n  keys = [\"hot\"]\n  deny = \"not before Monday\"\n}\n"},
	"single-equals-sign":                    {vendorsOnly, `"effects.all(e, e.class = 'transfer' && e.counterparty in addresses.vendors)"`},
	"socket-misspelt":                       {`callers = ["socket:payroll"]`, `callers = ["socket:payrol"]`},
	"ssh-key-that-is-a-certificate":         {`certificate = "approvers/bob.pem"`, `ssh_key = "approvers/bob.pem"`},
	"typographic-quotes":                    {`amount = "2.5 eth"`, "amount = “2.5 eth”"},
	"typographic-quotes-in-a-condition":     {vendorsOnly, `"effects.all(e, e.class == ‘transfer’ && e.counterparty in addresses.vendors)"`},
	"user-verification-of-a-plain-key":      {`certificate = "approvers/bob.pem"`, "ssh_key = \"approvers/fay.pub\"\n  user_verification = true"},
	"version-in-quotes":                     {"version = 1", `version = "1"`},
	"version-missing":                       {"version = 1\n\n", ""},
	"version-of-the-policy":                 {"version = 1", "version = 7"},
	"window-in-weeks":                       {`window = "24h"`, `window = "1w"`},
	"window-in-words":                       {`window = "24h"`, `window = "daily"`},
	"window-that-is-a-number":               {`window = "24h"`, "window = 24"},
	"window-with-a-unit-in-words":           {`window = "24h"`, `window = "1 day"`},
	"yes-for-true":                          {"allow   = true", "allow   = yes"},
}

// below is a mistake of lines too many, below a line.
func below(line string, more ...string) []string {
	return []string{line, line + "\n" + strings.Join(more, "\n")}
}

// attested puts a block attestation before the approvers, and gives them certificates and
// attestations: pairs of an approver and of whose attestation it has.
func attested(root string, pairs ...string) []string {
	edits := []string{"approver \"alice\" {", "attestation {\n  roots = [\"approvers/" + root + ".pem\"]\n}\n\napprover \"alice\" {"}
	certificates := map[string]string{"alice": "dora", "bob": "emil"}
	for pair := range slices.Chunk(pairs, 2) {
		edits = append(edits, "\"approvers/"+pair[0]+".pem\"", "\"approvers/"+certificates[pair[0]]+".pem\"\n  attestation = \"approvers/"+pair[1]+"-attestation.pem\"")
	}
	return edits
}

// TestMistakes loads policies with one typical mistake each, and compares what their
// author gets to read, word for word: "go test ./policy -run TestMistakes -update"
// writes that down. Whoever changes a message reads the new one as that author would,
// who knows payments and no programming: where is it, and what has to stand there?
func TestMistakes(t *testing.T) {
	if _, err := Load("policy.hcl", []byte(correct), office()); err != nil {
		t.Fatalf("Load error = %v, want a mistake to be the only one", err)
	}
	for name, edits := range mistakes {
		t.Run(name, func(t *testing.T) {
			src := correct
			for edit := range slices.Chunk(edits, 2) {
				if !strings.Contains(src, edit[0]) {
					t.Fatalf("the policy has no %q", edit[0])
				}
				src = strings.Replace(src, edit[0], edit[1], 1)
			}
			p, err := Load("policy.hcl", []byte(src), office())
			if err == nil || p != nil {
				t.Fatalf("Load has a policy: %t; error = %v", p != nil, err)
			}
			got := []byte(err.Error() + "\n")
			for line := range strings.Lines(string(got)) {
				if !strings.HasPrefix(line, "policy.hcl:") {
					t.Errorf("a line without its place: %q", line)
				}
			}
			golden := filepath.Join("testdata/mistakes", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("Load error =\n%swant\n%s", got, want)
			}
		})
	}
	goldens, err := filepath.Glob("testdata/mistakes/*.golden")
	if err != nil || len(goldens) != len(mistakes) {
		t.Errorf("%d golden files for %d mistakes, %v", len(goldens), len(mistakes), err)
	}
}

// office is a configuration as the authors of the mistakes have it: its keys sign
// transactions alone.
func office() Env {
	env := testEnv()
	for name, k := range env.Keys {
		k.Kinds = []signer.Kind{signer.KindEVMTransaction}
		env.Keys[name] = k
	}
	return env
}

// What an editor may do to a file without its author seeing it.
func TestFilesOfOtherEditors(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"a byte order mark":      func(s string) string { return "\ufeff" + s },
		"tabs":                   func(s string) string { return strings.ReplaceAll(s, "  ", "\t") },
		"line ends of two bytes": func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"no line end at the end": func(s string) string { return strings.TrimSuffix(s, "\n") },
	} {
		t.Run(name, func(t *testing.T) {
			load(t, change(sample))
			slip := strings.Replace(sample, "effects.all(e, e.class == 'transfer')", "effects.all(e, e.class == 'trasnfer')", 1)
			_, err := Load("policy.hcl", []byte(change(slip)), office())
			if err == nil || !strings.HasPrefix(err.Error(), "policy.hcl:35,") || !strings.Contains(err.Error(), `did you mean "transfer"?`) {
				t.Errorf("Load error = %v, want it on line 35", err)
			}
		})
	}
}
