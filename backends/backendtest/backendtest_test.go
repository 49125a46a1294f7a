package backendtest_test

import (
	"testing"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/signer"
)

func TestKeyInMemory(t *testing.T) {
	for _, a := range []signer.Algorithm{
		signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmP521, signer.AlgorithmEd25519, signer.AlgorithmRSA,
	} {
		t.Run(string(a), func(t *testing.T) {
			k := backendtest.NewKey(t, a)
			backendtest.Run(t, func(*testing.T) signer.Key { return k })
		})
	}
}
