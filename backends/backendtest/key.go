package backendtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
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

// NewKey makes a new key of an algorithm; one for RSA has 2048 bits.
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
		k.makeECDSA(t, elliptic.P256())
	case signer.AlgorithmP384:
		k.makeECDSA(t, elliptic.P384())
	case signer.AlgorithmP521:
		k.makeECDSA(t, elliptic.P521())
	case signer.AlgorithmEd25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k.public.Bytes = public
		k.sign = func(m signer.Message) ([]byte, error) { return ed25519.Sign(private, m.Bytes), nil }
	case signer.AlgorithmRSA:
		k.makeRSA(t)
	default:
		t.Fatalf("there is no key in memory for algorithm %q", a)
	}
	return k
}

func (k *Key) makeECDSA(t testing.TB, c elliptic.Curve) {
	t.Helper()
	private, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if k.public.Bytes, err = private.PublicKey.Bytes(); err != nil {
		t.Fatal(err)
	}
	size := (c.Params().BitSize + 7) / 8
	k.sign = func(m signer.Message) ([]byte, error) {
		r, s, err := ecdsa.Sign(rand.Reader, private, m.Bytes)
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}
}

func (k *Key) makeRSA(t testing.TB) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k.public.Bytes = x509.MarshalPKCS1PublicKey(&private.PublicKey)
	k.sign = func(m signer.Message) ([]byte, error) {
		h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(m.Bytes)]
		if f, _ := m.Scheme.Facts(); f.Padding == signer.PaddingPSS {
			return rsa.SignPSS(rand.Reader, private, h, m.Bytes, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, private, h, m.Bytes)
	}
}

// Public returns the public key.
func (k *Key) Public() signer.PublicKey {
	return signer.PublicKey{Algorithm: k.public.Algorithm, Bytes: bytes.Clone(k.public.Bytes)}
}

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
