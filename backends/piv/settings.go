package piv

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sealward/sealward/backends"
)

// Settings describe a card. Serial is required.
type Settings struct {
	// Serial is the card's serial number, which is printed on it, so that two cards
	// are never mixed up.
	Serial uint32 `json:"serial"`
	// Reader is a part of the name of the reader; other readers are not looked into.
	Reader string `json:"reader,omitempty"`
	// Socket is the absolute path of pcscd's socket, where it is not the usual one.
	// The worker's whole process uses it.
	Socket string `json:"socket,omitempty"`
	// AttestationRoots are PEM certificates, or "yubico" for those that Yubico has
	// published. Attestations are verified against them; with none, they are shown as
	// unverified.
	AttestationRoots string `json:"attestation_roots,omitempty"`
	// HoldMS is for how many milliseconds the card is held with nothing to do, 100 by
	// default and 2000 at most. Other programs wait that long for it, and the PIN is
	// sent anew after.
	HoldMS int `json:"hold_ms,omitempty"`
}

const (
	defaultHold = 100 * time.Millisecond
	mostHold    = burst
)

// parseSettings refuses what it does not know.
func parseSettings(b json.RawMessage) (Settings, Roots, error) {
	var s Settings
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, Roots{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return s, Roots{}, errors.New("there is something after the settings")
	}
	switch hold := time.Duration(s.HoldMS) * time.Millisecond; {
	case s.Serial == 0:
		return s, Roots{}, errors.New("serial is missing: give the number that is printed on the card, or that `ykman list` shows")
	case s.Socket != "" && !filepath.IsAbs(s.Socket):
		return s, Roots{}, fmt.Errorf("socket %q is not an absolute path", s.Socket)
	case hold < 0 || hold > mostHold:
		return s, Roots{}, fmt.Errorf("hold_ms is %d; want 0 to %d", s.HoldMS, mostHold.Milliseconds())
	}
	var roots Roots
	if s.AttestationRoots != "" {
		var err error
		if roots, err = ParseRoots(s.AttestationRoots); err != nil {
			return s, Roots{}, fmt.Errorf("attestation_roots: %w", err)
		}
	}
	return s, roots, nil
}

// Roots are whom an attestation must lead to. The zero Roots are nobody.
type Roots struct {
	pool   *x509.CertPool
	yubico bool // those that piv-go comes with
}

// ParseRoots reads PEM certificates, or the word "yubico".
func ParseRoots(text string) (Roots, error) {
	if text == "yubico" {
		return Roots{yubico: true}, nil
	}
	roots := Roots{pool: x509.NewCertPool()}
	rest := []byte(text)
	for n := 0; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && n == 0:
			return Roots{}, errors.New(`there is no PEM certificate in it; want at least one, or the word "yubico"`)
		case block == nil && len(bytes.TrimSpace(rest)) != 0:
			return Roots{}, errors.New("there is something after the certificates")
		case block == nil:
			return roots, nil
		case block.Type != "CERTIFICATE":
			return Roots{}, fmt.Errorf("it has a PEM block %q; want certificates only", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Roots{}, err
		}
		roots.pool.AddCert(c)
	}
}

// NewDriver makes a driver from [Settings]. It does not touch the card. The driver
// is a [backends.Generator] and a [backends.Attester] too.
func NewDriver(settings json.RawMessage, host backends.Host) (backends.Driver, error) {
	s, roots, err := parseSettings(settings)
	if err != nil {
		return nil, fmt.Errorf("settings of a PIV card: %w", err)
	}
	if host == nil {
		return nil, errors.New("a PIV card needs a host to try PINs")
	}
	if s.Socket != "" {
		// libpcsclite takes it from the environment, and nowhere else.
		if err := os.Setenv("PCSCLITE_CSOCK_NAME", s.Socket); err != nil {
			return nil, err
		}
	}
	d := &driver{settings: s, roots: roots, host: host, hold: defaultHold, turn: make(chan struct{}, 1), typed: func() bool { return false }}
	if s.HoldMS != 0 {
		d.hold = time.Duration(s.HoldMS) * time.Millisecond
	}
	if h, ok := host.(interface{ PINTyped() bool }); ok {
		d.typed = h.PINTyped
	}
	d.idle = time.AfterFunc(d.hold, d.letGoWhenIdle)
	return d, nil
}
