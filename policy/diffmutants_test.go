package policy

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// mutants are policies that differ from one in one literal, or lack one line, and load.
func mutants(t *testing.T, src string) map[string]*Policy {
	t.Helper()
	out := map[string]*Policy{}
	try := func(what, text string) {
		if p, err := Load("policy.hcl", []byte(text), testEnv()); err == nil && text != src {
			out[what] = p
		}
	}
	tokens, diags := hclsyntax.LexConfig([]byte(src), "policy.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	replace := func(tok hclsyntax.Token, by string) {
		what := fmt.Sprintf("line %d: %s for %s", tok.Range.Start.Line, by, tok.Bytes)
		try(what, src[:tok.Range.Start.Byte]+by+src[tok.Range.End.Byte:])
	}
	for _, tok := range tokens {
		text := string(tok.Bytes)
		switch tok.Type {
		case hclsyntax.TokenNumberLit:
			replace(tok, text+"0")
			replace(tok, "1")
			replace(tok, "2")
		case hclsyntax.TokenIdent:
			if other, ok := map[string]string{"true": "false", "false": "true"}[text]; ok {
				replace(tok, other)
			}
		case hclsyntax.TokenQuotedLit:
			if i := strings.IndexAny(text, "012345678"); i >= 0 {
				replace(tok, text[:i]+string(text[i]+1)+text[i+1:])
			}
			if len(text) > 20 { // an account, a condition, a digest
				continue
			}
			replace(tok, text+"x")
			for _, other := range []string{"hot", "sealward", "security", "evm.message", "uid:1", "recipient", "opaque", "sun", "emil", "officers", "cached", "once"} {
				replace(tok, other)
			}
		}
	}
	lines := strings.SplitAfter(src, "\n")
	for i := range lines {
		end := i + 1
		if indent, _, opens := strings.Cut(lines[i], strings.TrimLeft(lines[i], " ")); opens && strings.HasSuffix(lines[i], "{\n") {
			end = i + 1 + slices.Index(lines[i:], indent+"}\n")
		}
		try(fmt.Sprintf("without lines %d to %d", i+1, end), strings.Join(lines[:i], "")+strings.Join(lines[end:], ""))
		try(fmt.Sprintf("with lines %d to %d twice", i+1, end), strings.Join(lines[:end], "")+strings.Join(lines[i:], ""))
	}
	return out
}

// TestDiffOfMutants compares policies with many that differ from them in one thing.
func TestDiffOfMutants(t *testing.T) {
	requests := manyRequests(t)
	var n, tightened, stopped int
	for _, src := range append(examples(t), diffText, openText, manyPeople) {
		base := load(t, src)
		for what, mutant := range mutants(t, src) {
			n++
			for _, pair := range [][2]*Policy{{base, mutant}, {mutant, base}} {
				got := Diff(pair[0], pair[1])
				switch {
				case len(got) == 0 && !meansTheSame(base, mutant):
					t.Errorf("%s: Diff finds nothing", what)
				case slices.ContainsFunc(got, func(c Change) bool { return strings.Contains(c.Text, "no words") }):
					t.Errorf("%s: Diff has no words: %q", what, got)
				}
				if slices.ContainsFunc(got, func(c Change) bool { return c.Kind != ChangeTightens }) {
					continue
				}
				// The one claim that a reviewer may lean on.
				tightened++
				for i, r := range requests {
					before, after := verdict(pair[0], r), verdict(pair[1], r)
					if before > after {
						stopped++
					}
					if after > before {
						t.Errorf("%s: request %d came as far as %v and comes as far as %v now, and Diff says that it is tighter: %q", what, i, before, after, got)
					}
				}
			}
		}
	}
	t.Logf("%d mutants; %d tighter policies, which stop %d requests", n, tightened, stopped)
	if n < 400 || tightened < 50 || stopped < 50 {
		t.Errorf("there were %d mutants, %d were tighter and stopped %d requests, which shows nothing", n, tightened, stopped)
	}
}

// meansTheSame knows what a policy may say otherwise, or twice, and mean the same.
func meansTheSame(a, b *Policy) bool {
	words := func(p *Policy) (out []string) {
		bundle, err := ReadBundle(p.Bundle())
		if err != nil {
			return []string{err.Error()}
		}
		src := regexp.MustCompile(`token_list "[^"]*"`).ReplaceAll(bundle.Source, nil) // the title is for people
		src = regexp.MustCompile(`(?m)^pending = 20$`).ReplaceAll(src, nil)            // as many as there are without
		before := ""
		src = regexp.MustCompile(`(?ms)^  (hours|fee) \{\n.*?^  \}\n`).ReplaceAllFunc(src, func(block []byte) []byte {
			if string(block) == before {
				return nil
			}
			before = string(block)
			return block
		})
		tokens, _ := hclsyntax.LexConfig(src, "policy.hcl", hcl.InitialPos)
		for _, tok := range tokens {
			if tok.Type != hclsyntax.TokenComment && tok.Type != hclsyntax.TokenNewline {
				out = append(out, string(tok.Bytes))
			}
		}
		return out
	}
	return slices.Equal(words(a), words(b))
}

// openText lets much through, by rules that hold one another back.
const openText = peopleText + `
rule "a" {
  keys  = ["hot"]
  allow = true
  limit "each" {
    amount = "2 eth"
  }
  limit "some" {
    amount = "2 usdc"
    window = "1h"
  }
}
rule "b" {
  allow = true
  blind = ["unknown_call"]
}
rule "c" {
  callers = ["socket:payroll"]
  when    = "effects.exists(e, e.until > time)"
  require {
    group     = "treasury"
    approvals = 2
  }
  delay   = "1h"
  expires = "2h"
}
rule "d" {
  keys  = ["treasury"]
  kinds = ["evm.transaction"]
  allow = true
  limit "few" {
    count  = 2
    window = "1h"
    per    = "caller"
  }
  fee {
    amount = "0.1 eth"
  }
  hours {
    zone = "UTC"
    from = "09:00"
    to   = "18:00"
  }
}
rule "e" {
  callers = ["uid:1000"]
  when    = "effects.exists(e, e.class == 'allowance')"
  deny    = "no"
}
`

// asking is a request with how much was spent before it.
type asking struct {
	p     signer.Proposal
	spent int64 // in percent of an ether, or millionths of a usdc, or requests
}

func manyRequests(t *testing.T) (out []asking) {
	t.Helper()
	for _, key := range []signer.KeyInfo{testKey("hot", 1), testKey("treasury", 2)} {
		for _, kind := range []signer.Kind{signer.KindEVMTransaction, signer.KindEVMTypedData} {
			for uid, user := range map[uint32]string{1000: "payroll", 7: "alice"} {
				for _, q := range [][]signer.Quantity{
					{signer.Exact(ether, wei(t, "1"))}, {signer.Exact(ether, wei(t, "5"))}, {signer.Exact(ether, wei(t, "300"))},
					{signer.Exact(usdc, big.NewInt(1e6))}, {signer.Exact(ether, wei(t, "1")), signer.Exact(usdc, big.NewInt(3e6))}, {{Kind: signer.QuantityUnlimited, Asset: usdc}},
				} {
					for i, class := range []signer.Class{signer.ClassTransfer, signer.ClassAllowance, signer.ClassUnknownCall} {
						p := pays(transfer(t, acme, "1"), q...)
						p.Key, p.Request.Key, p.Request.Kind, p.Intent.Kind = key, key.Name, kind, kind
						p.Caller.UID, p.Caller.User = uid, user
						p.Intent.Effects[0].Class = class
						p.Intent.Complete = class != signer.ClassUnknownCall
						if i == 0 {
							p.Intent.Effects[0].Until = at.Add(time.Hour)
						}
						if q[0].Asset == ether {
							p.Intent.Fee = signer.AtMost(ether, wei(t, "0.05"))
							p.Intent.Outflow = signer.Outflow(append(slices.Clone(q), p.Intent.Fee)...)
						}
						out = append(out, asking{p, 0}, asking{p, 2})
					}
				}
			}
		}
	}
	for _, class := range []signer.Class{signer.ClassPolicyChange, signer.ClassThaw, signer.ClassKeyDisable} {
		for _, user := range []string{"alice", "bob"} {
			for _, with := range []string{"", "true"} {
				p := transfer(t, acme, "1")
				act(class, signer.AttributeRecovery, with)(t, &p)
				p.Caller.User, p.Caller.Groups = user, []string{"operations"}
				out = append(out, asking{p, 0})
			}
		}
	}
	return out
}

// verdict decides with facts as a journal has them in which all that was spent was spent
// a moment ago, so that every window that is asked about has it.
func verdict(p *Policy, r asking) signer.Verdict {
	f := unspent(p, r.p)
	for i := range f.Spent {
		f.Spent[i].Amount = big.NewInt(r.spent)
	}
	return p.Decide(r.p, f).Verdict
}
