package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
)

// threeDevices has one digest signed by a key in each kind of device.
func (s *show) threeDevices() error {
	s.say("7. The same by three kinds of hardware: a P-256 key in the token (\"soft\"), in a TPM (\"chip\", swtpm)\n" +
		"   and on a PIV card (\"card\", a virtual one). Each device is driven by a process of its own:")
	s.shown = []string{"token ", "device ", "state "}
	if _, err := s.sealward(0, "PIV card 4711", "status"); err != nil {
		return err
	}
	s.say("   Each signs the digest of a release. Go's crypto/ecdsa checks what comes back:")
	for _, key := range []string{"soft", "chip", "card"} {
		if err := s.signDigest(key, key+"-1"); err != nil {
			return err
		}
	}
	return nil
}

// signDigest has the example signed with a key, and verifies the signature with
// nothing of ours.
func (s *show) signDigest(key, id string) error {
	s.shown = []string{"signed with key", "0x"}
	text, err := s.eventually(0, "signed with key "+key, "sign", "--kind", "digest", "--key", key, "--id", id, s.example("release.sha256"))
	if err != nil {
		return err
	}
	public, err := s.publicKey(key)
	if err != nil {
		return err
	}
	signature, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(signature) != 64 {
		return fmt.Errorf("%q is no signature", text)
	}
	r, v := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(public, []byte(examples["release.sha256"]), r, v) {
		return fmt.Errorf("the signature of key %s is not valid", key)
	}
	fmt.Fprintf(s.out, "     valid under the public key of %q.\n\n", key)
	return nil
}

// publicKey asks what a key's public key is.
func (s *show) publicKey(name string) (*ecdsa.PublicKey, error) {
	text, err := s.command("keys", "list", "-o", "json").Output()
	if err != nil {
		return nil, fmt.Errorf("sealward keys list: %w", err)
	}
	var list struct {
		Keys []struct {
			Name   string `json:"name"`
			Public []byte `json:"public"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, k := range list.Keys {
		if k.Name == name {
			return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public)
		}
	}
	return nil, fmt.Errorf("sealward keys list has no key %q", name)
}

// pullCard takes the card away and gives it back.
func (s *show) pullCard() error {
	s.say("8. Somebody pulls the card.")
	if err := s.devices.Reader.Remove(s.devices.Card); err != nil {
		return err
	}
	// The first request meets a card that is gone. From then on the daemon looks for it.
	s.shown = []string{"sealward: "}
	if _, err := s.eventually(5, "is tried again after", "sign", "--kind", "digest", "--key", "card", "--id", "card-2", s.example("release.sha256")); err != nil {
		return err
	}
	s.shown = []string{"token ", "state ", "reason ", "tried again "}
	if _, err := s.eventually(7, "no card in the reader", "status"); err != nil {
		return err
	}
	s.say("   The other two keys go on signing:")
	for _, key := range []string{"soft", "chip"} {
		if err := s.signDigest(key, key+"-2"); err != nil {
			return err
		}
	}
	s.say("   The card is back. Nobody tells the daemon, and nobody types a PIN:")
	if err := s.devices.Reader.Insert(s.devices.Card); err != nil {
		return err
	}
	return s.signDigest("card", "card-2")
}

func (s *show) example(name string) string { return filepath.Join(s.dir, "examples", name) }
