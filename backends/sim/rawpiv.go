package sim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-piv/piv-go/v2/piv"
)

// RawPIVRate measures how fast piv-go signs with nothing in front of it: the key in
// slot 9a of the one card behind a pcscd's socket. The card is held, and its PIN was
// verified once. This process can use no other pcscd after it.
func RawPIVRate(socket, pin string, d time.Duration) (perSecond float64, latencies []time.Duration, err error) {
	if err := os.Setenv("PCSCLITE_CSOCK_NAME", socket); err != nil {
		return 0, nil, err
	}
	card, err := holdCard()
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, card.Close()) }()
	if err := card.VerifyPIN(pin); err != nil {
		return 0, nil, err
	}
	info, err := card.KeyInfo(piv.SlotAuthentication)
	if err != nil {
		return 0, nil, err
	}
	// Told that no PIN is wanted, piv-go does not ask the card before each signature.
	private, err := card.PrivateKey(piv.SlotAuthentication, info.PublicKey, piv.KeyAuth{PINPolicy: piv.PINPolicyNever})
	if err != nil {
		return 0, nil, err
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return 0, nil, fmt.Errorf("a key of type %T does not sign", private)
	}
	digest := bytes.Repeat([]byte{0x5a}, 32)
	return rawRate(d, func() error { _, err := key.Sign(rand.Reader, digest, crypto.SHA256); return err })
}

// holdCard takes hold of the card, as soon as nobody else does any more.
func holdCard() (card *piv.YubiKey, err error) {
	for range 500 {
		names, nerr := piv.Cards()
		err = nerr
		for _, name := range names {
			if card, err = piv.Open(name); err == nil {
				return card, nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("take hold of the card: %w", err)
}
