package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

// Devices are a TPM, and a reader with a PIV card in it, in one folder, where they
// keep what they keep without power.
type Devices struct {
	TPM    *TPM
	Reader *Reader
	Card   *pivcard.Card
}

// StartDevices makes devices, or starts those that are there.
func StartDevices(dir string, serial uint32) (*Devices, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Devices{}
	if d.TPM, err = StartTPM(filepath.Join(dir, "tpm")); err != nil {
		return nil, err
	}
	if d.Reader, err = StartReader(filepath.Join(dir, "reader")); err != nil {
		return nil, errors.Join(err, d.TPM.Stop())
	}
	if d.Card, err = pivcard.New(pivcard.Config{Serial: serial, File: filepath.Join(dir, "card.json")}); err == nil {
		err = d.Reader.Insert(d.Card)
	}
	if err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

// Stop switches the devices off.
func (d *Devices) Stop() error { return errors.Join(d.Reader.Stop(), d.TPM.Stop()) }

// CardPIN is the PIN of a card that nobody has changed.
const CardPIN = "123456"

// MakeKeys makes a P-256 key in each, the TPM's for an auth value and the card's in
// slot 9a, with workers, as the daemon does. It returns the file of the TPM's key.
// worker is the program's path, and mark where the PIN's tries are remembered.
func (d *Devices) MakeKeys(ctx context.Context, worker, mark string, auth []byte) (file string, err error) {
	file, err = makeKey(ctx, worker, mark, device{"tpm", map[string]any{"device": d.TPM.Path()}, auth, nil})
	if err != nil {
		return "", err
	}
	settings := map[string]any{"serial": d.Card.Serial(), "socket": d.Reader.Socket()}
	_, err = makeKey(ctx, worker, mark, device{"piv", settings, []byte(CardPIN), map[string]string{"slot": "9a"}})
	return file, err
}

// device is what a driver has to know to make a key.
type device struct {
	driver   string
	settings map[string]any
	pin      []byte
	options  map[string]string
}

func makeKey(ctx context.Context, worker, mark string, d device) (locator string, err error) {
	settings, err := json.Marshal(d.settings)
	if err != nil {
		return "", err
	}
	token, err := backends.Start(ctx, backends.Config{
		Name: d.driver, Driver: d.driver, Settings: settings, Worker: []string{worker},
		PIN: func() ([]byte, error) { return bytes.Clone(d.pin), nil }, PINMark: mark,
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, token.Close()) }()
	if h := token.Health(); !h.Up {
		return "", fmt.Errorf("make a key: token %q: %s", d.driver, h.Reason)
	}
	made, err := token.Generate(ctx, backends.KeySpec{Name: "sim", Algorithm: signer.AlgorithmP256, Options: d.options})
	return made.Locator, err
}
