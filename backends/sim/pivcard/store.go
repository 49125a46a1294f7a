package pivcard

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is everything that the card keeps without power.
type state struct {
	PIN        reference         `json:"pin"`
	PUK        reference         `json:"puk"`
	Management management        `json:"management"`
	Keys       map[byte]*slotKey `json:"keys"`
	Objects    map[uint32][]byte `json:"objects"`
}

// file is the form of the state file.
type file struct {
	Serial uint32 `json:"serial"`
	Root   []byte `json:"root"` // DER
	State  state  `json:"state"`
}

// factoryState is the card as it leaves the factory, without an attestation key.
func (c *Card) factoryState() state {
	algorithm := byte(alg3DES)
	if c.config.Firmware.least(5, 7) {
		algorithm = algAES192
	}
	return state{
		PIN:        reference{defaultPIN, 3, 3},
		PUK:        reference{defaultPUK, 3, 3},
		Management: management{algorithm, defaultManagementKey, touchNever},
		Keys:       map[byte]*slotKey{},
		Objects:    map[uint32][]byte{},
	}
}

// manufacture makes a new card.
func (c *Card) manufacture() error {
	authority := c.config.Authority
	if authority == nil {
		var err error
		if authority, err = NewAuthority(); err != nil {
			return fmt.Errorf("make the attestation root of a virtual card: %w", err)
		}
	}
	key, der, err := authority.certify()
	if err != nil {
		return fmt.Errorf("make the attestation key of a virtual card: %w", err)
	}
	c.root = authority.Certificate
	c.state = c.factoryState()
	c.state.Keys[slotAttestation] = key
	c.state.Objects[objectAttestation] = certificateObject(der)
	return nil
}

// save writes the state file, so that it is the old one or the new one.
func (c *Card) save() error {
	if c.config.File == "" {
		return nil
	}
	b, err := json.MarshalIndent(file{c.config.Serial, c.root.Raw, c.state}, "", "\t")
	if err != nil {
		return fmt.Errorf("write the state of a virtual card: %w", err)
	}
	temporary := filepath.Join(filepath.Dir(c.config.File), "."+filepath.Base(c.config.File)+".new")
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return fmt.Errorf("write the state of a virtual card: %w", err)
	}
	if err := os.Rename(temporary, c.config.File); err != nil {
		return fmt.Errorf("write the state of a virtual card: %w", err)
	}
	return nil
}

// load reads the state file and reports whether there is one.
func (c *Card) load() (bool, error) {
	if c.config.File == "" {
		return false, nil
	}
	b, err := os.ReadFile(c.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the state of a virtual card: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return false, fmt.Errorf("read the state of a virtual card from %s: %w", c.config.File, err)
	}
	if f.Serial != c.config.Serial {
		return false, fmt.Errorf("%s is the state of the virtual card %d, not of %d", c.config.File, f.Serial, c.config.Serial)
	}
	if c.root, err = x509.ParseCertificate(f.Root); err != nil {
		return false, fmt.Errorf("read the attestation root of a virtual card from %s: %w", c.config.File, err)
	}
	if f.State.Keys == nil || f.State.Objects == nil {
		return false, fmt.Errorf("%s is not the state of a virtual card", c.config.File)
	}
	c.state = f.State
	return true, nil
}

// storedKey is a key in the state file.
type storedKey struct {
	Algorithm byte        `json:"algorithm"`
	PIN       pinPolicy   `json:"pin"`
	Touch     touchPolicy `json:"touch"`
	Origin    origin      `json:"origin"`
	Private   []byte      `json:"private"` // PKCS #8
}

// MarshalJSON writes a key with its private part.
func (k *slotKey) MarshalJSON() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	return json.Marshal(storedKey{k.Algorithm, k.PIN, k.Touch, k.Origin, der})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *slotKey) UnmarshalJSON(b []byte) error {
	var s storedKey
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	private, err := x509.ParsePKCS8PrivateKey(s.Private)
	if err != nil {
		return err
	}
	*k = slotKey{s.Algorithm, s.PIN, s.Touch, s.Origin, private}
	return nil
}
