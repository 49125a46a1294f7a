package tpm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// The auth value of a key. 128 bits cannot be guessed even where nothing counts; 32
// bytes is what an object with SHA-256 as its name's hash can have (TPM 2.0 Library
// part 1, 19.6.4.3).
const (
	shortestAuth = 16
	longestAuth  = 32
)

const serialDigits = 32

// driver implements [backends.Driver], and all that is optional.
type driver struct {
	settings Settings

	// turn has one element, which whoever uses the TPM, or what follows, takes out.
	turn chan struct{}

	link          *link // nil before Open and after Close
	storage       *object
	storagePublic tpm2.TPMTPublic
	fixed         fixed
	loaded        []*object // that take a slot; the one used last is last
	sessions      map[direction]session
	auth          []byte // nil before Login
	keys          map[string]*key
}

var (
	_ backends.Driver    = (*driver)(nil)
	_ backends.Generator = (*driver)(nil)
	_ backends.Attester  = (*driver)(nil)
	_ backends.Caller    = (*driver)(nil)
)

// exclusively runs something that uses the TPM, alone, and once more when a handle or
// a session turned out to be stale.
func (d *driver) exclusively(ctx context.Context, run func() error) error {
	select {
	case <-d.turn:
	case <-ctx.Done():
		return &signer.Error{Code: signer.CodeUnavailable, Detail: "the TPM is busy", Err: context.Cause(ctx)}
	}
	defer func() { d.turn <- struct{}{} }()
	if d.link == nil {
		return errors.New("the TPM is not open")
	}
	err := run()
	if stale(err) {
		d.forget()
		err = run()
	}
	if _, ok := errors.AsType[tpm2.TPMRC](err); err != nil && !ok {
		// What is no answer of the TPM may have left a session that is out of step.
		d.endSessions()
	}
	return explain(err)
}

func (d *driver) Open(ctx context.Context) (backends.State, error) {
	l, err := dial(d.settings.Device)
	if err != nil {
		return backends.State{}, err
	}
	select {
	case <-d.turn:
	case <-ctx.Done():
		return backends.State{}, errors.Join(context.Cause(ctx), l.Close())
	}
	d.link = l
	d.turn <- struct{}{}
	err = d.exclusively(ctx, func() error {
		if err := d.leftovers(); err != nil {
			return err
		}
		if err := d.readFixed(); err != nil {
			return err
		}
		if err := d.findStorage(); err != nil {
			return err
		}
		if s := d.settings.Serial; s != "" && s != d.serial() {
			return fmt.Errorf("%s is TPM %s, and %s is configured; it is another TPM, or it was cleared", d.settings.Device, d.serial(), s)
		}
		return nil
	})
	if err != nil {
		return backends.State{}, err
	}
	return d.State(ctx)
}

// Login keeps the auth value. A TPM can check one only with a key, so Find does, and
// so does the first use of a key that was found before.
func (d *driver) Login(ctx context.Context, auth []byte) error {
	refuse := func(format string, args ...any) error {
		return &backends.PINError{Left: -1, Text: "the auth value of the TPM's keys was not used: " + fmt.Sprintf(format, args...)}
	}
	switch {
	case len(auth) < shortestAuth:
		return refuse("it has %d bytes; want at least %d, for instance from `openssl rand -hex 16`", len(auth), shortestAuth)
	case len(auth) > longestAuth:
		return refuse("it has %d bytes; a TPM takes at most %d", len(auth), longestAuth)
	case bytes.IndexByte(auth, 0) >= 0:
		// TPM 2.0 Library part 1, 19.6.4.3: a TPM drops zeros at the end. Programs
		// disagree on others; go-tpm cuts there too.
		return refuse("it has a zero byte; use text, for instance from `openssl rand -hex 16`")
	}
	return d.exclusively(ctx, func() error {
		d.endSessions() // they know the value before
		clear(d.auth)
		d.auth = slices.Clone(auth)
		return nil
	})
}

// needAuth says that there was no Login.
func (d *driver) needAuth() error {
	if d.auth == nil {
		return &signer.Error{Code: signer.CodeUnavailable, Detail: "the TPM is locked: the auth value of its keys was not given"}
	}
	return nil
}

func (d *driver) Close() error {
	<-d.turn
	defer func() { d.turn <- struct{}{} }()
	if d.link == nil {
		return nil
	}
	d.forget()
	clear(d.auth)
	err := d.link.Close()
	d.link, d.auth = nil, nil
	return err
}

// persistentStorage is where a storage root key is kept, if it is: TCG PC Client
// Platform TPM Profile, and the provisioning guidance, 7.8.
const persistentStorage tpm2.TPMHandle = 0x81000001

// storageTemplate is that of the storage root key to which "owner" in a TSS2 key file
// refers: H-2 of the TCG EK Credential Profile, B.4.5, with the changes of the TCG
// provisioning guidance, 7.5.1 (draft-bottomley-tpm2-keys, 3.1.8).
func storageTemplate() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// findStorage makes the storage root key, which is the same each time, and finds out
// whether it is kept, which saves a slot.
func (d *driver) findStorage() error {
	derive := func([]*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
		rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(storageTemplate())}.Execute(d.link)
		if err != nil {
			return 0, tpm2.TPM2BName{}, err
		}
		public, err := rsp.OutPublic.Contents()
		if err != nil {
			return 0, tpm2.TPM2BName{}, err
		}
		d.storagePublic = *public
		return rsp.ObjectHandle, rsp.Name, nil
	}
	d.storage = &object{what: "the storage root key", bring: derive}
	kept, keptErr := d.readPersistent()
	if err := d.load(d.storage); refused(err) {
		// The owner hierarchy has a password. Then a key that is kept must do.
		if keptErr != nil {
			return fmt.Errorf("the owner hierarchy has a password, so the storage root key has to be kept at %#x; as the owner, run tpm2_createprimary and tpm2_evictcontrol: %w", uint32(persistentStorage), err)
		}
	} else if err != nil {
		return err
	} else if keptErr != nil || !bytes.Equal(kept.Buffer, d.storage.name) {
		return nil
	} else {
		d.unload(d.storage)
	}
	d.storage = &object{what: "the storage root key", permanent: true, name: kept.Buffer, bring: func([]*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
		name, err := d.readPersistent()
		return persistentStorage, name, err
	}}
	return d.load(d.storage)
}

// readPersistent reads the storage root key that is kept, if it has the attributes and
// parameters of ours.
func (d *driver) readPersistent() (tpm2.TPM2BName, error) {
	rsp, err := tpm2.ReadPublic{ObjectHandle: persistentStorage}.Execute(d.link)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	shape := *public
	shape.Unique = storageTemplate().Unique
	if !bytes.Equal(tpm2.Marshal(shape), tpm2.Marshal(storageTemplate())) {
		return tpm2.TPM2BName{}, fmt.Errorf("the key at %#x is not an ECC storage root key", uint32(persistentStorage))
	}
	d.storagePublic = *public
	return rsp.Name, nil
}

// serial tells TPMs apart: the name of the storage root key, without its algorithm.
func (d *driver) serial() string {
	return hex.EncodeToString(d.storage.name[2:])[:serialDigits]
}
