package tpm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/sealward/sealward/backends"
)

// Settings are the configuration of a TPM.
type Settings struct {
	// Device is the absolute path of /dev/tpmrm0, of /dev/tpm0, or of the Unix socket
	// of a swtpm.
	Device string `json:"device"`
	// Serial, when it is set, is the one TPM that is accepted: what [backends.State]
	// shows as its serial, 32 hexadecimal digits of its storage root key's name.
	Serial string `json:"serial,omitempty"`
	// PCRs are those of the SHA-256 bank to which new keys are bound, unless an
	// option of theirs says otherwise. They need PCRAuthority, the PEM of the P-256
	// public key with which other values are approved.
	PCRs         []int  `json:"pcrs,omitempty"`
	PCRAuthority string `json:"pcr_authority,omitempty"`
}

// NewDriver makes a driver. It does not touch the TPM. The host is not asked for
// anything: see the package's remarks on lockout.
func NewDriver(settings json.RawMessage, _ backends.Host) (backends.Driver, error) {
	var s Settings
	if err := decode(settings, &s); err != nil {
		return nil, fmt.Errorf("tpm: settings: %w", err)
	}
	switch {
	case s.Device == "":
		return nil, errors.New("tpm: settings: device is missing; it is /dev/tpmrm0 on most machines")
	case !filepath.IsAbs(s.Device):
		return nil, fmt.Errorf("tpm: settings: device %q is not an absolute path", s.Device)
	case s.Serial != "" && len(s.Serial) != serialDigits:
		return nil, fmt.Errorf("tpm: settings: serial %q does not have %d hexadecimal digits", s.Serial, serialDigits)
	}
	if _, err := newBinding(s.PCRs, s.PCRAuthority); err != nil {
		return nil, fmt.Errorf("tpm: settings: %w", err)
	}
	d := &driver{settings: s, turn: make(chan struct{}, 1), sessions: map[direction]session{}, keys: map[string]*key{}}
	d.turn <- struct{}{}
	return d, nil
}

// decode reads one JSON value and refuses fields that it does not have.
func decode(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is something after the value")
	}
	return nil
}
