package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// examples are the policies in the documentation. What is no whole policy stands behind
// the assets of the tests.
func examples(t *testing.T) (out []string) {
	t.Helper()
	for _, part := range strings.Split(documentation(t), "```hcl\n")[1:] {
		src, _, _ := strings.Cut(part, "```")
		if !strings.HasPrefix(src, "version") {
			src = assetsText + src
		}
		if !strings.Contains(src, "allow ") && !strings.Contains(src, "require {") {
			src += elsewhere // what is explained there is something else
		}
		out = append(out, src)
	}
	return out
}

func TestEveryPolicyInTheDocumentationLoads(t *testing.T) {
	all := examples(t)
	for _, src := range all {
		if _, err := Load("docs/policy.md", []byte(src), testEnv()); err != nil {
			t.Errorf("Load error = %v\nin\n%s", err, src)
		}
	}
	if len(all) < 5 {
		t.Errorf("found %d examples", len(all))
	}
}

// TestTheSafeOfTheDocumentation decides what the table below the example promises.
func TestTheSafeOfTheDocumentation(t *testing.T) {
	all := examples(t)
	at := slices.IndexFunc(all, func(src string) bool { return strings.Contains(src, `contract "vault"`) })
	if at < 0 {
		t.Fatal("there is no example of a Safe")
	}
	p := load(t, all[at])
	of := func(e signer.Effect) signer.Effect { e.Actor = vault; return e }
	pays := of(paid(acme, units(500e6)))
	for name, tt := range map[string]struct {
		payload signer.Proposal
		allow   bool
		reason  string
	}{
		"it pays a vendor":                   {typed(t, pays), true, ""},
		"it pays two in a batch":             {typed(t, within("1", pays), within("2", pays)), true, ""},
		"it pays more than the limit":        {typed(t, of(paid(acme, units(10_001e6)))), false, `limit "each"`},
		"it pays somebody else, too":         {typed(t, pays, of(paid(hacker, units(1)))), false, "its condition is false"},
		"it refunds the gas to a stranger":   {typed(t, pays, refund(hacker, 1)), false, "its condition is false"},
		"it refunds in a coin without limit": {typed(t, pays, refund(acme, 1)), false, "is not covered by any limit"},
		"it delegates the call":              {unread(typed(t, of(power(signer.ClassDelegateCall, acme)))), false, "the vault pays; its owners"},
		"it gets an owner":                   {typed(t, of(power(signer.ClassControl, hacker, "act", "add_owner"))), false, "the vault pays; its owners"},
		"it gets a module beside a payment":  {unread(typed(t, pays, of(power(signer.ClassControl, hacker, "act", "enable_module")))), false, "the vault pays; its owners"},
		"it lets somebody take":              {typed(t, of(permit(acme, units(1), tomorrow))), false, "the vault pays; its owners"},
		"it is another Safe":                 {unread(typed(t, signer.Effect{Class: signer.ClassTransfer, Actor: acme, Counterparty: acme, Quantity: units(1)}, power(signer.ClassUnknownMessage, hacker))), false, "no rule allows it"},
		"the owner's own money":              {typed(t, paid(acme, units(1))), false, "its condition is false"},
		"in a transaction":                   {tx(t, pays), false, "not for kind"},
		"a hash by message":                  {asked(t, signer.KindEVMMessage, signer.Effect{Class: signer.ClassMessage}), false, "not for kind"},
		"a vendor that only looks like one":  {dangerous(typed(t, pays), "evm_resembles_known"), false, "warns of danger"},
	} {
		t.Run(name, func(t *testing.T) {
			d := p.Decide(tt.payload, unspent(p, tt.payload))
			if (d.Verdict == signer.Allow) != tt.allow || !strings.Contains(d.Reason, tt.reason) {
				t.Errorf("Decide = %s (%s), want allow: %t, %q", d.Verdict, d.Reason, tt.allow, tt.reason)
			}
		})
	}
}

// tomorrow ends permits.
var tomorrow = at.Add(day)

// TestTheDocumentationNamesEverything looks each name up that a policy may use.
func TestTheDocumentationNamesEverything(t *testing.T) {
	text := documentation(t)
	names := map[string][]string{
		"kind": kinds(), "class": classes(), "class to sign blind": blindable(), "act": acts(), "kind of contract": contractKinds(),
		"quantity": quantityKinds(), "attribute": sortedKeys(attributeFormats),
		"field of an effect": sortedKeys(fields[effectType.TypeName()]),
		"variable":           sortedKeys(variables),
	}
	for what, list := range names {
		for _, name := range list {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/policy.md says nothing of the %s %q", what, name)
			}
		}
	}
	var order []int
	for _, c := range signer.Classes()[:14] {
		order = append(order, strings.Index(text, "\n| `"+string(c)+"` |"))
	}
	if !slices.IsSorted(order) || order[0] < 0 {
		t.Errorf("the classes of payloads are not in the table from the worst on: they stand at %d", order)
	}
}

// TestTheDocumentedSeverities compares the table of warnings with what the decoder for
// Ethereum says of its codes.
func TestTheDocumentedSeverities(t *testing.T) {
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (info|warn|danger) \\| .+ \\|$").FindAllStringSubmatch(documentation(t), -1) {
		documented[m[1]] = m[2]
	}
	for _, code := range warningCodes() {
		if documented[code] == "" {
			t.Errorf("docs/policy.md has no row for the warning %q", code)
		}
	}
	if len(documented) != len(warningCodes()) {
		t.Errorf("docs/policy.md has %d warnings, and there are %d", len(documented), len(warningCodes()))
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../signer/intent/evm/doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Warn") {
			return true
		}
		code, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		severity, _, _ := strings.Cut(strings.TrimSpace(spec.Comment.Text()), ":")
		if n++; documented[code] != severity {
			t.Errorf("%s is of severity %q, and docs/policy.md says %q", code, severity, documented[code])
		}
		return true
	})
	if n < 10 {
		t.Errorf("found %d codes in the decoder's documentation", n)
	}
}
