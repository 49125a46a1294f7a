package scheme

import (
	"errors"
	"fmt"
	"math/big"
	"sync"

	"filippo.io/nistec"
)

// A daemon verifies the same few keys all day, and the multiples of a key that a
// verification adds up can be computed once. With them a verification costs less
// than half of crypto/ecdsa's (BenchmarkP256), and verification is the largest
// part of what the daemon itself computes for a signature.
const (
	window    = 6                           // bits of the scalar that one addition takes care of
	positions = (256 + window - 1) / window // of the window in a scalar
	maxTables = 16                          // keys with a table, 260 kB each
)

// p256Table holds, for each position i of the window and each value d from 1,
// the point d * 2^(window*i) * Q.
type p256Table [positions][1<<window - 1]nistec.P256Point

func newP256Table(pub []byte) (*p256Table, error) {
	q, err := nistec.NewP256Point().SetBytes(pub) // refuses what is not on the curve
	if err != nil {
		return nil, err
	}
	t := new(p256Table)
	for i := range t {
		multiple := nistec.NewP256Point().Set(q)
		for d := range t[i] {
			t[i][d].Set(multiple)
			multiple.Add(multiple, q)
		}
		q = multiple // 2^window times what it was
	}
	return t, nil
}

// multiply returns k * Q for a big-endian scalar. It takes no care of time, as a
// verification has no secrets.
func (t *p256Table) multiply(k *[32]byte) *nistec.P256Point {
	sum := nistec.NewP256Point()
	for i := range t {
		if d := digit(k, i); d != 0 {
			sum.Add(sum, &t[i][d-1])
		}
	}
	return sum
}

// digit returns the bits of k at a position of the window.
func digit(k *[32]byte, position int) uint {
	bit := position * window
	low := 31 - bit/8 // k is big-endian
	v := uint(k[low])
	if low > 0 {
		v |= uint(k[low-1]) << 8
	}
	return v >> (bit % 8) & (1<<window - 1)
}

// verify is SEC 1, 4.1.4 from step 4 on; r and s are in range.
func (t *p256Table) verify(hash, rs []byte) error {
	n := curveP256.n
	r, s := new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])
	e := new(big.Int).SetBytes(hash) // as long as the order, so it is not cut (step 3)
	w := s.ModInverse(s, n)
	var u1, u2 [32]byte
	e.Mul(e, w).Mod(e, n).FillBytes(u1[:])
	w.Mul(w, r).Mod(w, n).FillBytes(u2[:])

	sum, err := nistec.NewP256Point().ScalarBaseMult(u1[:])
	if err != nil {
		return err
	}
	x, err := sum.Add(sum, t.multiply(&u2)).BytesX()
	if err != nil { // the point at infinity has no x
		return errSignature
	}
	// x is a field element and may exceed the order.
	v := new(big.Int).SetBytes(x)
	if v.Mod(v, n).Cmp(r) != 0 {
		return errSignature
	}
	return nil
}

// p256Tables holds a table for each of the first public keys that it meets. Keys
// after those are verified without one, which is slower and no less right:
// replacing tables would be slower still where more keys than fit are in use.
type p256Tables struct {
	mu     sync.RWMutex
	tables map[[65]byte]*p256Table // owned by mu, by public key; a table never changes
}

func (c *p256Tables) verify(pub, hash, rs []byte) error {
	t, err := c.table([65]byte(pub))
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	if t == nil {
		return curveP256.verify(pub, hash, rs)
	}
	return t.verify(hash, rs)
}

// table returns the table of a public key, or nil when there is no room for one.
func (c *p256Tables) table(pub [65]byte) (*p256Table, error) {
	c.mu.RLock()
	t, full := c.tables[pub], len(c.tables) >= maxTables
	c.mu.RUnlock()
	if t != nil || full {
		return t, nil
	}
	// Two callers may compute the same table at the same time; that takes about a
	// millisecond and gives the same table.
	t, err := newP256Table(pub[:])
	if err != nil {
		return nil, errors.New("it is not a point of the curve P-256")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables == nil {
		c.tables = map[[65]byte]*p256Table{}
	}
	if len(c.tables) < maxTables {
		c.tables[pub] = t
	}
	return t, nil
}
