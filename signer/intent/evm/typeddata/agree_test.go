package typeddata_test

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestAgreesWithOthers compares digests of thousands of generated payloads with
// go-ethereum, ethers and viem. The two known ways in which ethers differs from them
// are those that cases of TestDifferences explain.
func TestAgreesWithOthers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 12))
	all := make([]generated, 4000)
	payloads := make([][]byte, len(all))
	for i := range all {
		all[i] = generate(r)
		payloads[i] = all[i].payload
	}
	same, cyclic, reordered := 0, 0, 0
	for i, js := range byJavaScript(t, payloads) {
		g := all[i]
		want := answer{Digest: parse(t, string(g.payload)).Digest.Hex()}
		if got := byGeth(g.payload); got != want {
			t.Fatalf("%s: digest %s, go-ethereum has %s", g.payload, want, got)
		}
		if js.Viem != want {
			t.Fatalf("%s: digest %s, viem has %s", g.payload, want, js.Viem)
		}
		switch {
		case g.cyclic:
			cyclic++
			if !strings.Contains(js.Ethers.Error, "circular type reference") && !strings.Contains(js.Ethers.Error, "missing primary type") {
				t.Fatalf("%s: ethers has %s, want it to refuse types that lead back to themselves", g.payload, js.Ethers)
			}
		case g.reordered:
			reordered++
			if js.Ethers == want || js.Ethers.Error != "" {
				t.Fatalf("%s: ethers has %s, want a digest for another order of the domain", g.payload, js.Ethers)
			}
		case js.Ethers != want:
			t.Fatalf("%s: digest %s, ethers has %s", g.payload, want, js.Ethers)
		default:
			same++
		}
	}
	if same < 2000 || cyclic < 100 || reordered < 100 {
		t.Errorf("%d the same by all, %d cyclic, %d reordered: the generator has lost its range", same, cyclic, reordered)
	}
}
