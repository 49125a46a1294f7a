package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
	"github.com/sealward/sealward/signer/intent/digest"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/receipt"
	"github.com/sealward/sealward/signer/scheme"
	"github.com/sealward/sealward/signer/trustfile"
)

// prepare reads the configuration, opens the tokens, finds the keys and, where no journal
// has one, loads the policy: all that can be wrong before a journal is opened or made.
func (d *daemon) prepare(ctx context.Context) error {
	if err := d.readConfig(); err != nil {
		return err
	}
	if err := d.findWorker(); err != nil {
		return err
	}
	if err := d.openTokens(ctx); err != nil {
		return err
	}
	if err := d.findKeys(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(d.cfg.Journal.Path); err == nil {
		return nil // the journal knows which policy is in force
	}
	p, err := d.loadPolicy()
	if err != nil {
		return err
	}
	d.policy.Store(p)
	return nil
}

func (d *daemon) readConfig() error {
	path, err := filepath.Abs(d.path)
	if err != nil {
		return err
	}
	src, err := trustfile.Read(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	d.cfg, err = config.Parse(path, src)
	return err
}

// loadPolicy reads the policy afresh; the one in force is not touched.
func (d *daemon) loadPolicy() (*inForce, error) {
	src, err := trustfile.Read(d.cfg.Policy)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	folder := filepath.Dir(d.cfg.Policy)
	env := policy.Env{
		Keys: map[string]signer.KeyInfo{},
		// Whoever can write a list can write what the policy means.
		Files: func(name string) ([]byte, error) { return trustfile.Read(filepath.Join(folder, name)) },
	}
	for _, k := range d.keys {
		env.Keys[k.Info.Name] = k.Info
	}
	for _, s := range d.cfg.Sockets {
		env.Sockets = append(env.Sockets, s.Name)
	}
	p, err := policy.Load(d.cfg.Policy, src, env)
	if err != nil {
		return nil, err
	}
	labels, err := d.loadLabels(p)
	if err != nil {
		return nil, err
	}
	b, err := policy.ReadBundle(p.Bundle())
	if err != nil {
		return nil, err
	}
	return &inForce{p, b, labels}, nil
}

// checkPlaces says what would keep the journal and the sockets from opening. Sockets
// that cannot be made here are no error where systemd may pass them, which only a
// private set-up rules out.
func (d *daemon) checkPlaces() (notes []string, err error) {
	var errs []error
	switch err := journal.CheckFolder(d.cfg.Journal.Path); {
	case err == nil:
	case os.Geteuid() == 0 && !d.cfg.Private: // the daemon runs as somebody else
		notes = append(notes, fmt.Sprintf("journal, as root sees it: %v", err))
	default:
		errs = append(errs, fmt.Errorf("journal: %w", err))
	}
	if _, err := signer.NewCheckpointSigner(d.journalKey, &scheme.Verifier{}, "check"); err != nil {
		errs = append(errs, err)
	}
	for _, s := range d.sockets() {
		switch err := s.Check(); {
		case err == nil:
		case d.cfg.Private:
			errs = append(errs, fmt.Errorf("socket %q: %w", s.Name, err))
		default:
			notes = append(notes, fmt.Sprintf("socket %q has to come from systemd: %v", s.Name, err))
		}
	}
	return notes, errors.Join(errs...)
}

func (d *daemon) sockets() (out []ipc.Socket) {
	all := slices.Clone(d.cfg.Sockets)
	if d.cfg.Metrics != nil {
		all = append(all, *d.cfg.Metrics)
	}
	for _, s := range all {
		out = append(out, ipc.Socket{Name: s.Name, Path: s.Path, Mode: s.Mode, Owner: s.Owner, Group: s.Group})
	}
	return out
}

func (d *daemon) openJournal(acceptTime bool) (err error) {
	d.journal, err = journal.Open(journal.Config{Path: d.cfg.Journal.Path, AcceptTime: acceptTime, Upgrading: d.upgrading})
	return err
}

// upgrading has the service manager wait for a journal that is brought up to this
// version. The end, once all leaves are done, takes longer than a page of them.
func (d *daemon) upgrading(done, of uint64) {
	if done == 0 {
		d.log.Info("the journal is of an earlier version, and brought up to this one", "leaves", of)
	}
	if err := ipc.NotifyStarting(fmt.Sprintf("bringing up the journal: %d of %d leaves", done, of), 10*time.Minute); err != nil {
		d.log.Error("systemd does not take the notification", "error", err)
	}
}

func (d *daemon) makeEngine() (err error) {
	verifier := &scheme.Verifier{}
	if d.checkpoints, err = signer.NewCheckpointSigner(d.journalKey, verifier, d.journal.Instance()); err != nil {
		return err
	}
	if d.verifier, err = receipt.NewVerifier(d.checkpoints.Origin(), d.checkpoints.Public()); err != nil {
		return err
	}
	if err := d.journal.CheckKey(d.verifier); err != nil {
		return err
	}
	d.engine, err = signer.New(signer.Config{
		Instance: d.journal.Instance(), Keys: d.keys,
		Decoders: map[signer.Kind]signer.Decoder{
			signer.KindEVMTransaction:   evm.Transaction{},
			signer.KindEVMTypedData:     evm.TypedData{},
			signer.KindEVMAuthorization: evm.Authorization{},
			signer.KindEVMMessage:       evm.Message{},
			signer.KindDigest:           digest.Decoder{},
			signer.KindAdmin:            admin.Decoder{},
		},
		Policy: d.policyNow(), Journal: d.journal, Verifier: verifier, Now: time.Now, Rand: rand.Reader, Log: d.log,
		Administrator: administrator{d}, Approvals: approval.Verifier{}, FreezeUsers: d.cfg.FreezeUsers, MaxRequests: d.cfg.MaxRequests, SignTimeout: d.cfg.SignTimeout,
	})
	return err
}

// address is the Ethereum address of a key that signs Ethereum payloads.
func address(k signer.KeyInfo) string {
	ethereum := func(k signer.Kind) bool { return strings.HasPrefix(string(k), "evm.") }
	if !slices.ContainsFunc(k.Kinds, ethereum) {
		return ""
	}
	a, err := evm.Address(k.Public)
	if err != nil {
		return "" // a key of another curve has none
	}
	return a
}
