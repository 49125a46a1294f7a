package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
	"github.com/sealward/sealward/signer/trustfile"
)

// workerProgram drives a device. It is beside this program.
const workerProgram = "sealward-worker"

// signToken signs with a key in a token, driven by a worker as the daemon's tokens are. The
// PIN goes from here to the worker, and to the token once; the worker ends, and the PIN
// with it, as soon as it has signed.
func (a *approver) signToken(ctx context.Context, s signer.Approval) (signed []byte, err error) {
	scratch, err := os.MkdirTemp("", "sealward-approver-") // a typed PIN leaves nothing behind
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	c, err := a.tokenConfig(scratch)
	if err != nil {
		return nil, fmt.Errorf("your device: %w", err)
	}
	token, err := backends.Start(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("your device: %w", err)
	}
	defer func() { err = errors.Join(err, token.Close()) }()
	if err := a.unlock(ctx, token); err != nil {
		return nil, err
	}
	key, err := token.Find(ctx, a.Device.Locator)
	if err != nil {
		return nil, fmt.Errorf("your device: %s", message(err))
	}
	s.Device = key.Public().Fingerprint()
	touch := func(n signer.Notice) {
		if n == signer.NoticeTouch {
			a.tell("touch your key now")
		}
	}
	var padding signer.Padding
	if key.Public().Algorithm == signer.AlgorithmRSA {
		padding = a.Device.Padding
	}
	jws, err := signer.SignApproval(ctx, key, padding, &scheme.Verifier{}, s, touch)
	if err != nil {
		return nil, fmt.Errorf("your device: %s", message(err))
	}
	return approval.WrapJWS(jws)
}

// unlock asks for the PIN, if the token wants one, and sends it once. A wrong one is for
// the person to type again, by asking for everything again.
func (a *approver) unlock(ctx context.Context, token *backends.Token) error {
	h := token.Health()
	switch {
	case h.Up:
		return nil
	case !h.Locked:
		return fmt.Errorf("your device is out of reach: %s", h.Reason)
	}
	prompt := "PIN of " + h.State.Device
	switch left := h.State.TriesLeft; {
	case left == 0:
		return fmt.Errorf("your device is blocked and takes no PIN any more: %s; its PUK or security officer sets a new one", h.State.Device)
	case left == 1:
		prompt += " (one try left; a wrong PIN blocks it)"
	case left > 1:
		prompt += fmt.Sprintf(" (%d tries left)", left)
	}
	pin, err := a.askPIN(ctx, prompt)
	if err != nil {
		return err
	}
	defer clear(pin)
	key, err := token.UnlockKey()
	if err != nil {
		return fmt.Errorf("your device: %s", message(err))
	}
	sealed, err := backends.SealPIN(key, approverToken, pin)
	if err != nil {
		return err
	}
	if err := token.Unlock(ctx, sealed); err != nil {
		return fmt.Errorf("your device: %s", message(err))
	}
	return nil
}

// approverToken is what the device is called where a name is needed.
const approverToken = "approver"

// tokenConfig turns the device block into what its worker needs.
func (a *approver) tokenConfig(scratch string) (backends.Config, error) {
	t := a.Device.Token
	worker, err := a.worker()
	if err != nil {
		return backends.Config{}, err
	}
	c := backends.Config{
		Name: approverToken, Driver: t.Kind(), Worker: []string{worker}, Timeout: t.Timeout, TouchTimeout: t.TouchTimeout,
		Confinement: backends.Confinement{Read: t.Readable, Write: t.Writable, Network: t.Network}, PINMark: filepath.Join(scratch, "pin"),
	}
	for name, value := range t.Environment {
		c.Environment = append(c.Environment, name+"="+value)
	}
	var settings any
	if p := t.PKCS11; p != nil {
		if err := trustfile.Check(p.Module); err != nil {
			return backends.Config{}, fmt.Errorf("module: %w", err)
		}
		c.Confinement.Read = append(c.Confinement.Read, filepath.Dir(p.Module))
		settings = map[string]any{"module": p.Module, "module_sha256": hex.EncodeToString(p.ModuleSHA256), "uri": p.URI, "sessions": 1}
	} else {
		settings = map[string]any{"serial": t.PIV.Serial, "reader": t.PIV.Reader, "socket": t.PIV.Socket}
	}
	c.Settings, err = json.Marshal(settings)
	return c, err
}

func (a *approver) worker() (string, error) {
	path := a.WorkerProgram
	if path == "" {
		me, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(me), workerProgram)
	}
	if err := trustfile.Check(path); err != nil {
		return "", fmt.Errorf("the program that drives it: %w; install %s beside sealward, or name it with worker_program", err, workerProgram)
	}
	return path, nil
}
