package tpm

import (
	"context"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/backends/tpm/wrapped"
	"github.com/sealward/sealward/signer"
)

// wrappedKey is a key that the TPM keeps and cannot sign with.
type wrappedKey struct{ *key }

// Sign opens the key, signs and wipes it.
func (k wrappedKey) Sign(ctx context.Context, m signer.Message, _ func(signer.Notice)) ([]byte, error) {
	facts, ok := m.Scheme.Facts()
	if !ok || facts.Algorithm != k.facts.Public.Algorithm {
		return nil, signer.Invalid("a wrapped key of algorithm %q cannot sign with scheme %q", k.facts.Public.Algorithm, m.Scheme)
	}
	var secret []byte
	defer func() { clear(secret) }()
	err := k.d.exclusively(ctx, func() (err error) {
		secret, err = k.open()
		return err
	})
	if err != nil {
		return nil, refusedAuth(err)
	}
	opened, err := k.sealed.Open(secret)
	if err != nil {
		return nil, err
	}
	defer opened.Wipe()
	return opened.Sign(m.Bytes)
}

// open returns the secret, which crosses the bus encrypted. The caller clears it.
func (k *key) open() ([]byte, error) {
	s, end, err := k.authorize(out)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := k.d.load(k.object); err != nil {
		return nil, err
	}
	rsp, err := tpm2.Unseal{ItemHandle: k.object.authorized(s)}.Execute(k.d.link)
	if err != nil {
		return nil, err
	}
	return rsp.OutData.Buffer, nil
}

// generateWrapped makes a secret from this process's random numbers and the TPM's, and
// has the TPM seal it.
func (d *driver) generateWrapped(ctx context.Context, spec backends.KeySpec, bind *binding) (backends.NewKey, error) {
	if spec.Bits != 0 {
		return backends.NewKey{}, fmt.Errorf("make a wrapped key: one of %s has no number of bits to choose", spec.Algorithm)
	}
	var made backends.NewKey
	err := d.exclusively(ctx, func() error {
		g, err := d.guard(bind)
		if err != nil {
			return err
		}
		random, err := tpm2.GetRandom{BytesRequested: 32}.Execute(d.link)
		if err != nil {
			return err
		}
		secret, err := wrapped.Generate(spec.Algorithm, random.RandomBytes.Buffer)
		if err != nil {
			return err
		}
		defer clear(secret)
		opened, err := wrapped.Open(secret, spec.Algorithm)
		if err != nil {
			return err
		}
		defer opened.Wipe()
		rsp, err := d.create(wrapped.Template(g.Digest), g.Auth, secret)
		if err != nil {
			return err
		}
		public, err := rsp.OutPublic.Contents()
		if err != nil {
			return err
		}
		f := wrapped.File{Public: opened.Public(), Key: tss2.Key{
			Type: tss2.Sealed, Policy: g.Policy, Parent: d.storageParent(), Public: *public, Private: rsp.OutPrivate.Buffer}}
		made, err = d.made(f.Encode())
		return err
	})
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("make a wrapped key: %w", err)
	}
	return made, nil
}
