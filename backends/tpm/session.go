package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// direction is which first parameter a session encrypts. A session whose command or
// response has none is refused by the TPM, so there is one session for each.
type direction uint8

const (
	in      direction = iota // of commands, as the digest of TPM2_Sign
	out                      // of responses, as the data of TPM2_Unseal
	neither                  // as TPM2_NV_Increment has none
)

// session is one that is used for many commands.
type session struct {
	tpm2.Session
	end func() error
}

// options are those of every session: salted to the storage root key, so that whoever
// listens on the bus learns neither the auth value nor what is encrypted (TPM 2.0
// Library part 1, 19.6.8 and 21).
func (d *driver) options(dir direction, auth []byte) []tpm2.AuthOption {
	options := []tpm2.AuthOption{tpm2.Auth(auth), tpm2.Salted(d.storage.handle, d.storagePublic)}
	switch dir {
	case in:
		options = append(options, tpm2.AESEncryption(128, tpm2.EncryptIn))
	case out:
		options = append(options, tpm2.AESEncryption(128, tpm2.EncryptOut))
	}
	return options
}

// session returns the session for a direction, which knows the keys' auth value.
func (d *driver) session(dir direction) (tpm2.Session, error) {
	if s, ok := d.sessions[dir]; ok {
		return s, nil
	}
	var s session
	if err := d.load(d.storage); err != nil {
		return nil, err
	}
	err := d.room(func() (err error) {
		s.Session, s.end, err = tpm2.HMACSession(d.link, tpm2.TPMAlgSHA256, 16, d.options(dir, d.auth)...)
		return err
	}, d.storage)
	if err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	d.sessions[dir] = s
	return s, nil
}

// policySession starts a session for one command.
func (d *driver) policySession(dir direction, auth []byte) (session, error) {
	var s session
	if err := d.load(d.storage); err != nil {
		return s, err
	}
	err := d.room(func() (err error) {
		s.Session, s.end, err = tpm2.PolicySession(d.link, tpm2.TPMAlgSHA256, 16, d.options(dir, auth)...)
		return err
	}, d.storage)
	if err != nil {
		return s, fmt.Errorf("start a policy session: %w", err)
	}
	return s, nil
}

// endSessions ends all sessions. One that is gone already has ended.
func (d *driver) endSessions() {
	for dir, s := range d.sessions {
		_ = s.end()
		delete(d.sessions, dir)
	}
}
