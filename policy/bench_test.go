package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// A large policy of the benchmarks: rules, each with a condition over effects and
// limits, address books of 10,000 accounts together, keys, and sockets of callers.
const largeRules, largeBooks, largeBook, largeKeys, largeSockets = 1000, 20, 500, 20, 100

// largeEnv has the keys and sockets of a large policy.
func largeEnv() Env {
	e := Env{Keys: map[string]signer.KeyInfo{}}
	for i := range largeKeys {
		name := fmt.Sprintf("key%02d", i)
		e.Keys[name] = testKey(name, byte(i+1))
	}
	for i := range largeSockets {
		e.Sockets = append(e.Sockets, fmt.Sprintf("team%02d", i))
	}
	return e
}

func largeAccount(i int) string { return fmt.Sprintf("eip155:1:0x%040d", i) }

// largePolicy has so many rules; who says for each which key, caller and
// address book it is about.
func largePolicy(rules int, who func(i int) (key, socket, book int)) string {
	var b strings.Builder
	b.WriteString("version = 1\n" + `asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
`)
	for i := range largeBooks {
		fmt.Fprintf(&b, "addresses \"book%02d\" {\n  entries = {\n", i)
		for j := range largeBook {
			fmt.Fprintf(&b, "    %q = \"payee %d\"\n", largeAccount(i*largeBook+j), j)
		}
		b.WriteString("  }\n}\n")
	}
	for i := range rules {
		key, socket, book := who(i)
		fmt.Fprintf(&b, `rule "rule %d" {
  keys    = ["key%02d"]
  callers = ["socket:team%02d"]
  kinds   = ["evm.transaction"]
  when    = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.book%02d && e.quantity.amount <= amount('%d.5 eth'))"
  allow   = true
  limit "each" {
    amount = "%d eth"
  }
  limit "a day" {
    amount = "%d eth"
    window = "24h"
  }
}
`, i, key, socket, book, i+1, i+1, 10*(i+1))
	}
	return b.String()
}

// spread gives every team a key, and ten rules with a book each.
func spread(i int) (key, socket, book int) {
	return i % largeSockets % largeKeys, i % largeSockets, (i + i/largeSockets) % largeBooks
}

// gathered gives one team a key, and all rules.
func gathered(i int) (key, socket, book int) { return 0, 0, i % largeBooks }

// alike is gathered, with one book.
func alike(int) (key, socket, book int) { return 0, 0, 0 }

// largePayment is a payment that some rule of the large policy is about.
func largePayment(t testing.TB, e Env, key, socket, payee int) signer.Proposal {
	p := transfer(t, largeAccount(payee), "0.1")
	p.Key = e.Keys[fmt.Sprintf("key%02d", key)]
	p.Caller.Socket = fmt.Sprintf("team%02d", socket)
	return p
}

func BenchmarkLargeLoad(b *testing.B) {
	src := []byte(largePolicy(largeRules, spread))
	e := largeEnv()
	b.Run("1000 rules and 10000 addresses", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			begun := time.Now()
			if _, err := Load("policy.hcl", src, e); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begun))
		}
		reportMedian(b, took)
	})
}

func BenchmarkLargeDecide(b *testing.B) {
	e := largeEnv()
	for _, tt := range []struct {
		name  string
		rules int
		who   func(int) (key, socket, book int)
	}{
		{"1000 rules about 20 keys and 100 callers", largeRules, spread},
		{"120 rules about one key and caller", 120, gathered},
	} {
		b.Run(tt.name, func(b *testing.B) {
			p, err := Load("policy.hcl", []byte(largePolicy(tt.rules, tt.who)), e)
			if err != nil {
				b.Fatal(err)
			}
			var asked []signer.Proposal
			var facts []signer.Facts
			for i := range 100 {
				key, socket, book := tt.who(i)
				asked = append(asked, largePayment(b, e, key, socket, book*largeBook+i))
				facts = append(facts, unspent(p, asked[i]))
			}
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				n := i % len(asked)
				begun := time.Now()
				d := p.Decide(asked[n], facts[n])
				took = append(took, time.Since(begun))
				if d.Verdict != signer.Allow {
					b.Fatalf("verdict = %v: %s", d.Verdict, d.Reason)
				}
			}
			reportMedian(b, took)
		})
	}
}

// BenchmarkLargestIntent is the most that a decision may take: as many rules as a policy
// may have about one key and caller, and a request of as many effects as there may be.
func BenchmarkLargestIntent(b *testing.B) {
	e := largeEnv()
	p, err := Load("policy.hcl", []byte(largePolicy(120, alike)), e)
	if err != nil {
		b.Fatal(err)
	}
	asked := largePayment(b, e, 0, 0, 0)
	for len(asked.Intent.Effects) < maxEffects {
		asked.Intent.Effects = append(asked.Intent.Effects, asked.Intent.Effects[0])
	}
	facts := unspent(p, asked)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		p.Decide(asked, facts)
		took = append(took, time.Since(begun))
	}
	reportMedian(b, took)
}

func reportMedian(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-us")
}
