package scheme

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto/secp256k1"
)

// finishSecp256k1 appends the recovery id to a low-s r || s. Finding the id is
// the verification: recovery (SEC 1, 4.1.6) computes Q' = (s R - e G) / r for the
// point R whose x is r and whose y has the parity that the id says. Q' = Q holds
// if and only if R = (e/s) G + (r/s) Q, and that the x of this sum is r is the
// equation of verification (SEC 1, 4.1.4). So a recovery that gives the key at
// hand proves what a verification would, and the id besides.
//
// libsecp256k1 recovers about as fast as it verifies, and the y is even in half
// of the cases, so this costs one and a half verifications on average. To verify
// first costs more, and the pure Go curve costs more even with precomputed tables
// of the key (BenchmarkSecp256k1). Ids 2 and 3 would mean that x is not below the
// order; that has a chance of 2^-127 and is treated as a fault.
func finishSecp256k1(pub, hash, rs []byte) ([]byte, error) {
	sig := append(rs, 0)
	for sig[64] = range byte(2) {
		if verifySecp256k1(pub, hash, sig) == nil {
			return sig, nil
		}
	}
	return nil, errSignature
}

// verifySecp256k1 checks r || s || id, whose r and s are in range.
func verifySecp256k1(pub, hash, sig []byte) error {
	if sig[64] > 1 {
		return fmt.Errorf("the recovery id is %d; want 0 or 1", sig[64])
	}
	got, err := secp256k1.RecoverPubkey(hash, sig)
	if err != nil { // r is not the x of any point
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	if !bytes.Equal(got, pub) {
		return errSignature
	}
	return nil
}
