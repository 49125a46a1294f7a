package piv

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/signer"
)

// parseSlot reads a locator: two lower-case hexadecimal digits.
func parseSlot(locator string) (piv.Slot, error) {
	switch locator {
	case "9a":
		return piv.SlotAuthentication, nil
	case "9c":
		return piv.SlotSignature, nil
	case "9d":
		return piv.SlotKeyManagement, nil
	case "9e":
		return piv.SlotCardAuthentication, nil
	}
	for key := uint32(0x82); key <= 0x95; key++ {
		if slot, ok := piv.RetiredKeyManagementSlot(key); ok && slot.String() == locator {
			return slot, nil
		}
	}
	return piv.Slot{}, fmt.Errorf("slot %q: want 9a, 9c, 9d, 9e, or 82 to 95", locator)
}

// slotKey is what a card says of the key in a slot.
type slotKey struct {
	public crypto.PublicKey // of one of the types that standard has
	key    signer.PublicKey
	pin    piv.PINPolicy
	touch  piv.TouchPolicy
	origin signer.Origin
}

var (
	pinPolicies   = map[piv.PINPolicy]string{piv.PINPolicyNever: "never", piv.PINPolicyOnce: "once", piv.PINPolicyAlways: "always"}
	touchPolicies = map[piv.TouchPolicy]string{piv.TouchPolicyNever: "never", piv.TouchPolicyAlways: "always", piv.TouchPolicyCached: "cached"}
)

var errEmptySlot = errors.New("the slot is empty")

// readSlot asks the card for the key in a slot: its metadata, or before firmware 5.3
// its attestation, or for a key that was imported the certificate in the slot.
func readSlot(yk *piv.YubiKey, slot piv.Slot) (slotKey, error) {
	var (
		k   slotKey
		err error
	)
	if least(yk.Version(), 5, 3) {
		k, err = readMetadata(yk, slot)
	} else {
		k, err = readOldSlot(yk, slot)
	}
	if err != nil {
		return slotKey{}, fmt.Errorf("read slot %s: %w", slot, err)
	}
	if k.key, err = standard(k.public); err != nil {
		return slotKey{}, fmt.Errorf("read slot %s: %w", slot, err)
	}
	if _, ok := pinPolicies[k.pin]; !ok {
		return slotKey{}, fmt.Errorf("the key in slot %s has PIN policy %d, which asks for a fingerprint or is unknown; want never, once or always", slot, k.pin)
	}
	if _, ok := touchPolicies[k.touch]; !ok {
		return slotKey{}, fmt.Errorf("the key in slot %s has touch policy %d, which is unknown", slot, k.touch)
	}
	return k, nil
}

func readMetadata(yk *piv.YubiKey, slot piv.Slot) (slotKey, error) {
	info, err := yk.KeyInfo(slot)
	if errors.Is(err, piv.ErrNotFound) {
		return slotKey{}, errEmptySlot
	}
	if err != nil {
		return slotKey{}, err
	}
	// piv-go leaves out what the card leaves out.
	if info.PublicKey == nil || info.Algorithm == 0 {
		return slotKey{}, errors.New("the card's metadata has no public key")
	}
	k := slotKey{public: info.PublicKey, pin: info.PINPolicy, touch: info.TouchPolicy}
	switch info.Origin {
	case piv.OriginGenerated:
		k.origin = signer.OriginGenerated
	case piv.OriginImported:
		k.origin = signer.OriginImported
	default:
		k.origin = signer.OriginUnknown
	}
	return k, nil
}

// readOldSlot reads a slot of a card that has no metadata.
func readOldSlot(yk *piv.YubiKey, slot piv.Slot) (slotKey, error) {
	if c, err := yk.Attest(slot); err == nil {
		// It is believed as metadata is: nothing is proven here.
		pin, touch, err := policies(c)
		if err != nil {
			return slotKey{}, fmt.Errorf("the card's attestation: %w", err)
		}
		return slotKey{public: c.PublicKey, pin: pin, touch: touch, origin: signer.OriginGenerated}, nil
	} else if !refused(err) {
		return slotKey{}, err
	}
	c, err := yk.Certificate(slot)
	if errors.Is(err, piv.ErrNotFound) {
		return slotKey{}, errEmptySlot
	}
	if err != nil {
		return slotKey{}, err
	}
	// The policies cannot be known: the strictest works with all of them.
	return slotKey{public: c.PublicKey, pin: piv.PINPolicyAlways, touch: piv.TouchPolicyAlways, origin: signer.OriginUnknown}, nil
}

// checkCertificate refuses a slot whose certificate is for another key than the
// one that the card says is there: one of the two is not what the owner thinks.
func checkCertificate(yk *piv.YubiKey, slot piv.Slot, k slotKey) error {
	c, err := yk.Certificate(slot)
	if errors.Is(err, piv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the certificate in slot %s: %w", slot, err)
	}
	key, err := standard(c.PublicKey)
	if err != nil {
		return fmt.Errorf("the certificate in slot %s: %w", slot, err)
	}
	if !same(key, k.key) {
		return fmt.Errorf("the certificate in slot %s is for key %s, but the slot has key %s; if the key is right, delete the certificate: ykman piv certificates delete %s", slot, key.Fingerprint(), k.key.Fingerprint(), slot)
	}
	return nil
}

func same(a, b signer.PublicKey) bool {
	return a.Algorithm == b.Algorithm && bytes.Equal(a.Bytes, b.Bytes)
}

// standard encodes a public key, and refuses one that could not be used safely.
func standard(public crypto.PublicKey) (signer.PublicKey, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		var a signer.Algorithm
		switch k.Curve {
		case elliptic.P256():
			a = signer.AlgorithmP256
		case elliptic.P384():
			a = signer.AlgorithmP384
		default:
			return signer.PublicKey{}, fmt.Errorf("its curve is %s; want P-256 or P-384", k.Params().Name)
		}
		b, err := k.Bytes()
		if err != nil {
			return signer.PublicKey{}, err
		}
		return signer.PublicKey{Algorithm: a, Bytes: b}, nil
	case ed25519.PublicKey:
		return signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: bytes.Clone(k)}, nil
	case *rsa.PublicKey:
		switch n := k.N.BitLen(); {
		case n != 2048 && n != 3072 && n != 4096:
			return signer.PublicKey{}, fmt.Errorf("its RSA modulus has %d bits; want 2048, 3072 or 4096", n)
		case k.N.Bit(0) == 0 || k.E < 65537 || k.E%2 == 0 || k.E > 1<<31-1: // FIPS 186-5, A.1.1
			return signer.PublicKey{}, fmt.Errorf("its RSA modulus is even or its exponent %d is out of bounds", k.E)
		}
		return signer.PublicKey{Algorithm: signer.AlgorithmRSA, Bytes: x509.MarshalPKCS1PublicKey(k)}, nil
	}
	return signer.PublicKey{}, fmt.Errorf("it has a key of type %T, which does not sign here", public)
}

// status returns the status word in an error of piv-go's, or 0.
func status(err error) statusWord {
	type withStatus interface {
		error
		Status() uint16
	}
	if e, ok := errors.AsType[withStatus](err); ok {
		return statusWord(e.Status())
	}
	return 0
}

// refused reports whether the card answered in good order, but with a refusal.
func refused(err error) bool { return status(err) != 0 || errors.Is(err, piv.ErrNotFound) }
