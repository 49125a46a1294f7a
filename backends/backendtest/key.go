package backendtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// Key is a key in memory. It behaves as hardware does: it signs what is
// authorised, one at a time, and returns the raw signature.
type Key struct {
	public signer.PublicKey
	device *backends.Device
	sign   func(signer.Message) ([]byte, error)
}

// NewKey makes a new key of an algorithm: secp256k1, p256 or ed25519.
func NewKey(t testing.TB, a signer.Algorithm) *Key {
	t.Helper()
	device, err := backends.NewDevice("memory", 1, 1024)
	if err != nil {
		t.Fatal(err)
	}
	k := &Key{public: signer.PublicKey{Algorithm: a}, device: device}
	switch a {
	case signer.AlgorithmSecp256k1:
		private, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		k.public.Bytes = private.PubKey().SerializeUncompressed()
		k.sign = func(m signer.Message) ([]byte, error) { return secpecdsa.SignCompact(private, m.Bytes, false)[1:], nil }
	case signer.AlgorithmP256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if k.public.Bytes, err = private.PublicKey.Bytes(); err != nil {
			t.Fatal(err)
		}
		k.sign = func(m signer.Message) ([]byte, error) {
			r, s, err := ecdsa.Sign(rand.Reader, private, m.Bytes)
			if err != nil {
				return nil, err
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
		}
	case signer.AlgorithmEd25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k.public.Bytes = public
		k.sign = func(m signer.Message) ([]byte, error) { return ed25519.Sign(private, m.Bytes), nil }
	default:
		t.Fatalf("there is no key in memory for algorithm %q", a)
	}
	return k
}

// Public returns the public key.
func (k *Key) Public() signer.PublicKey { return k.public }

// Protection says resident, as the hardware would that the key stands for.
func (k *Key) Protection() signer.Protection { return signer.ProtectionResident }

// Sign signs an authorised message.
func (k *Key) Sign(ctx context.Context, a signer.Authorized) ([]byte, error) {
	m, ok := a.Message()
	return k.do(ctx, m, ok)
}

// SignStatement signs a statement.
func (k *Key) SignStatement(ctx context.Context, s signer.Statement) ([]byte, error) {
	m, ok := s.Message()
	return k.do(ctx, m, ok)
}

func (k *Key) do(ctx context.Context, m signer.Message, ok bool) (sig []byte, err error) {
	if err := backends.CheckMessage(k.public.Algorithm, m, ok); err != nil {
		return nil, err
	}
	err = k.device.Do(ctx, func() error {
		sig, err = k.sign(m)
		return err
	})
	return sig, err
}
