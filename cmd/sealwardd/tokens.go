package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/signer/trustfile"
)

// workerName is the program that drives a device. It is beside the daemon's own.
const workerName = "sealward-worker"

// openTokens starts a worker for each token, all at once, and waits until each has
// tried to open its device. A device that is not there is no error here: the others
// are served, and it is tried again.
func (d *daemon) openTokens(ctx context.Context) error {
	d.tokens = map[string]*backends.Token{}
	tokens, errs := make([]*backends.Token, len(d.cfg.Tokens)), make([]error, len(d.cfg.Tokens))
	var wg sync.WaitGroup
	for i, t := range d.cfg.Tokens {
		wg.Go(func() {
			c, err := d.tokenConfig(t)
			if err == nil {
				tokens[i], err = backends.Start(ctx, c)
			}
			if err != nil {
				errs[i] = fmt.Errorf("token %q: %w", t.Name, err)
			}
		})
	}
	wg.Wait()
	for i, t := range d.cfg.Tokens {
		if tokens[i] != nil {
			d.tokens[t.Name] = tokens[i]
		}
	}
	return errors.Join(errs...)
}

func (d *daemon) closeTokens() {
	for name, t := range d.tokens {
		if err := t.Close(); err != nil {
			d.log.Warn("a token did not close", "token", name, "error", err)
		}
	}
}

// tokenConfig turns a token of the configuration into what its worker needs.
func (d *daemon) tokenConfig(t config.Token) (backends.Config, error) {
	c := backends.Config{
		Name: t.Name, Driver: t.Kind(), Address: t.Worker, Timeout: t.Timeout, TouchTimeout: t.TouchTimeout, Log: d.log,
		PINMark: d.pinMark(t.Name),
	}
	if t.Worker == "" {
		c.Worker = d.worker
		c.Confinement = backends.Confinement{Read: t.Readable, Write: t.Writable, Network: t.Network}
		for name, value := range t.Environment {
			c.Environment = append(c.Environment, name+"="+value)
		}
	}
	var err error
	if c.PIN, err = secretReader(t.Secret); err != nil {
		return backends.Config{}, err
	}
	var settings any
	switch {
	case t.PKCS11 != nil:
		c.AtOnce = t.PKCS11.Sessions
		settings, err = pkcs11Settings(*t.PKCS11)
		c.Confinement.Read = append(c.Confinement.Read, filepath.Dir(t.PKCS11.Module))
	case t.TPM != nil:
		c.AtOnce = 4 // one signs, the next ones are there when it is done
		settings, err = tpmSettings(*t.TPM)
		c.Confinement.Devices = []string{t.TPM.Device}
	case t.PIV != nil:
		c.AtOnce = 4
		settings, err = pivSettings(*t.PIV)
	}
	if err != nil {
		return backends.Config{}, err
	}
	c.Settings, err = json.Marshal(settings)
	return c, err
}

func pkcs11Settings(p config.PKCS11) (any, error) {
	if err := trustfile.Check(p.Module); err != nil {
		return nil, fmt.Errorf("module: %w", err)
	}
	return map[string]any{"module": p.Module, "module_sha256": hex.EncodeToString(p.ModuleSHA256), "uri": p.URI, "sessions": p.Sessions}, nil
}

func tpmSettings(c config.TPM) (any, error) {
	authority, err := optionalFile(c.Authority)
	if err != nil {
		return nil, fmt.Errorf("PCR authority: %w", err)
	}
	return map[string]any{"device": c.Device, "serial": c.Serial, "pcr_authority": authority}, nil
}

// optionalFile is the text of a file that decides, empty where none is configured.
func optionalFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := trustfile.Read(path)
	return string(text), err
}

func pivSettings(p config.PIV) (any, error) {
	roots := p.Roots
	if roots != config.RootsYubico {
		var err error
		if roots, err = optionalFile(p.Roots); err != nil {
			return nil, fmt.Errorf("attestation roots: %w", err)
		}
	}
	return map[string]any{"serial": p.Serial, "reader": p.Reader, "socket": p.Socket, "attestation_roots": roots}, nil
}

// secretReader returns what reads a PIN or an auth value, nil where it is typed.
func secretReader(s config.Secret) (func() ([]byte, error), error) {
	path, credential := s.File, false
	switch {
	case s.Typed:
		return nil, nil
	case s.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, fmt.Errorf("systemd passed no credentials; the credential %q needs LoadCredential=%s:PATH in the unit", s.Credential, s.Credential)
		}
		path, credential = filepath.Join(dir, s.Credential), true
	}
	return func() ([]byte, error) { return backends.ReadPIN(path, credential) }, nil
}

// findWorker finds the program that drives devices: the one that the configuration
// names, or the one that was installed beside this program.
func (d *daemon) findWorker() error {
	path := d.cfg.WorkerProgram
	if path == "" {
		me, err := os.Executable()
		if err != nil {
			return err
		}
		path = filepath.Join(filepath.Dir(me), workerName)
	}
	if err := trustfile.Check(path); err != nil {
		return fmt.Errorf("the program that drives devices: %w; install %s beside sealwardd, or name it with worker_program", err, workerName)
	}
	d.worker = []string{path}
	return nil
}
