package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // piv-go makes PSS encodings with it
	_ "crypto/sha512" // likewise
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// touchAfter is for how long a card that wants a touch may be silent before somebody
// is told. A card cannot be asked whether it remembers an earlier touch, and signs
// within this time when it does.
const touchAfter = 200 * time.Millisecond

// mostMessage bounds what Ed25519 signs: beyond 65,535 bytes piv-go cuts the length
// in its encoding (marshalASN1Length), and the card would sign the beginning only.
const mostMessage = 60_000

// key is the key in a slot.
type key struct {
	driver *driver
	slot   piv.Slot
	slotKey
}

// Facts says what the card tells of the key.
func (k *key) Facts() backends.KeyFacts {
	return backends.KeyFacts{
		Public:     signer.PublicKey{Algorithm: k.key.Algorithm, Bytes: bytes.Clone(k.key.Bytes)},
		Protection: signer.ProtectionResident,
		Origin:     k.origin,
		Touch:      k.touch != piv.TouchPolicyNever,
		Facts: []signer.Field{
			{Name: "slot", Value: k.slot.String()},
			{Name: "pin policy", Value: pinPolicies[k.pin]},
			{Name: "touch policy", Value: touchPolicies[k.touch]},
		},
	}
}

// Sign signs a message.
func (k *key) Sign(ctx context.Context, m signer.Message, notify func(signer.Notice)) ([]byte, error) {
	// piv-go cuts a prehash that is too long.
	if err := backends.CheckMessage(k.key.Algorithm, m, true); err != nil {
		return nil, err
	}
	opts, ok := options[m.Scheme]
	if !ok {
		return nil, signer.Invalid("a PIV card cannot sign with scheme %q", m.Scheme)
	}
	if len(m.Bytes) > mostMessage {
		return nil, signer.Invalid("the message has %d bytes; a PIV card signs %d at most", len(m.Bytes), mostMessage)
	}
	var sig []byte
	err := k.driver.use(ctx, func(c *connection) error {
		s, err := k.on(c)
		if err != nil {
			return err
		}
		raw, err := k.driver.sign(ctx, c, k, notify, func() ([]byte, error) { return s.Sign(rand.Reader, m.Bytes, opts) })
		if err != nil {
			return err
		}
		sig, err = k.encode(raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// options are what piv-go's signers want to know.
var options = map[signer.Scheme]crypto.SignerOpts{
	signer.SchemeP256:        crypto.SHA256, // not looked at
	signer.SchemeP384:        crypto.SHA384, // likewise
	signer.SchemeEd25519:     crypto.Hash(0),
	signer.SchemePSSSHA256:   &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
	signer.SchemePSSSHA384:   &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384},
	signer.SchemePSSSHA512:   &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512},
	signer.SchemePKCS1SHA256: crypto.SHA256,
	signer.SchemePKCS1SHA384: crypto.SHA384,
	signer.SchemePKCS1SHA512: crypto.SHA512,
}

// on returns the key on a connection, and refuses another one, or the same one under
// other policies.
func (k *key) on(c *connection) (crypto.Signer, error) {
	now, err := c.read(k.slot)
	if errors.Is(err, errEmptySlot) {
		return nil, backends.Unavailable(err, "the key in slot %s of card %d is gone", k.slot, k.driver.settings.Serial)
	}
	if err != nil {
		return nil, err
	}
	if !same(now.key, k.key) {
		return nil, backends.Unavailable(fmt.Errorf("its public key is %s and was %s", now.key.Fingerprint(), k.key.Fingerprint()),
			"the key in slot %s of card %d is another one than before", k.slot, k.driver.settings.Serial)
	}
	if now.pin != k.pin || now.touch != k.touch || now.origin != k.origin {
		return nil, backends.Unavailable(errors.New("PIN policy, touch policy or origin"),
			"the key in slot %s of card %d is protected in another way than before", k.slot, k.driver.settings.Serial)
	}
	// With policy "never", piv-go leaves the PIN to us.
	private, err := c.yk.PrivateKey(k.slot, now.public, piv.KeyAuth{PINPolicy: piv.PINPolicyNever})
	if err != nil {
		return nil, fmt.Errorf("use slot %s: %w", k.slot, err)
	}
	s, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("use slot %s: a key of type %T does not sign", k.slot, private)
	}
	return s, nil
}

// sign gives the PIN where it is wanted, signs, and says when somebody has to touch
// the card.
func (d *driver) sign(ctx context.Context, c *connection, k *key, notify func(signer.Notice), sign func() ([]byte, error)) ([]byte, error) {
	touch := k.touch != piv.TouchPolicyNever
	for again := false; ; again = true {
		sent, err := d.verify(ctx, c, k.pin)
		if err != nil {
			return nil, err
		}
		sig, err := whileTouched(touch, notify, sign)
		if err == nil {
			return sig, nil
		}
		if status(err) == 0x6982 && !sent && !again && k.pin != piv.PINPolicyNever {
			// Some firmware forgets the PIN by itself. When it has not, the touch is
			// what is missing.
			_, verified, asked := d.tries(c.yk)
			if asked != nil {
				return nil, asked
			}
			if !verified {
				c.verified = false
				continue
			}
		}
		if s := status(err); touch && (s == 0x6982 || s == 0x6985) {
			return nil, backends.Unavailable(err, "nobody touched card %d in time; ask again, and touch it when it blinks", d.settings.Serial)
		}
		return nil, fmt.Errorf("sign with slot %s of card %d: %w", k.slot, d.settings.Serial, err)
	}
}

// whileTouched calls sign, and notify when it takes so long that the card must be
// waiting for a touch. When it returns, notify is not called any more.
func whileTouched(touch bool, notify func(signer.Notice), sign func() ([]byte, error)) ([]byte, error) {
	if !touch || notify == nil {
		return sign()
	}
	var told sync.WaitGroup
	told.Add(1)
	t := time.AfterFunc(touchAfter, func() {
		defer told.Done()
		notify(signer.NoticeTouch)
	})
	defer func() {
		if !t.Stop() {
			told.Wait()
			notify(signer.NoticeNone)
		}
	}()
	return sign()
}

// encode turns what the card returned into the form of [signer.Key].
func (k *key) encode(raw []byte) ([]byte, error) {
	var want int
	switch k.key.Algorithm {
	case signer.AlgorithmP256:
		return encodeECDSA(raw, 32)
	case signer.AlgorithmP384:
		return encodeECDSA(raw, 48)
	case signer.AlgorithmEd25519:
		want = 64
	case signer.AlgorithmRSA:
		public, ok := k.public.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("an RSA key of type %T", k.public)
		}
		want = public.Size()
	}
	if len(raw) != want {
		return nil, fmt.Errorf("the card returned a signature of %d bytes; want %d", len(raw), want)
	}
	return raw, nil
}

// encodeECDSA turns an ECDSA-Sig-Value (RFC 3279, 2.2.3) into r || s.
func encodeECDSA(der []byte, size int) ([]byte, error) {
	var v struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &v)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the card returned a signature that is none: %w", err)
	case len(rest) != 0 || v.R.Sign() <= 0 || v.S.Sign() <= 0 || v.R.BitLen() > 8*size || v.S.BitLen() > 8*size:
		return nil, errors.New("the card returned a signature that is none")
	}
	return append(v.R.FillBytes(make([]byte, size)), v.S.FillBytes(make([]byte, size))...), nil
}
