package backendtest_test

import (
	"testing"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/signer"
)

func TestKeyInMemory(t *testing.T) {
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmEd25519} {
		t.Run(string(a), func(t *testing.T) {
			backendtest.Run(t, func(t *testing.T) signer.Key { return backendtest.NewKey(t, a) })
		})
	}
}
