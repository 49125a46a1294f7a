package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sealward/sealward/backends"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// administrator does the acts on keys that need a device, and puts another policy in force. The daemon keeps no key that is not in its configuration, so what an act
// makes is given to whoever asked, with the lines to add.
type administrator struct{ *daemon }

var _ signer.Administrator = administrator{}

// Act implements [signer.Administrator]. Making a key is the one act that cannot be
// done twice: a device refuses a second key in the same place, and where it does not,
// two keys are made and only the one that was returned can be used.
func (d administrator) Act(ctx context.Context, a signer.Act) ([]byte, error) {
	o, err := admin.Of(a)
	if err != nil {
		return nil, err
	}
	var result any
	switch o.Act {
	case admin.ActCreate:
		result, err = d.create(ctx, o)
	case admin.ActImport:
		result, err = d.importKey(ctx, o)
	case admin.ActAttest:
		result, err = d.attest(ctx, o)
	case admin.ActDuplicate:
		result, err = d.duplicate(ctx, o)
	case admin.ActPolicy:
		result, err = d.changePolicy(ctx, a, o)
	case admin.ActTrustFile:
		result, err = d.trustFile()
	default:
		err = signer.Invalid("act %q is not done by the daemon", o.Act)
	}
	if err != nil {
		return nil, visible(err)
	}
	return json.Marshal(result)
}

// visible makes what a device said of an act part of the answer: whoever administers
// keys has to know.
func visible(err error) error {
	e, ok := errors.AsType[*signer.Error](err)
	switch {
	case !ok:
		return &signer.Error{Code: signer.CodeUnavailable, Detail: strings.ToValidUTF8(err.Error(), "\uFFFD"), Err: err}
	case e.Err != nil:
		return &signer.Error{Code: e.Code, Detail: e.Detail + ": " + strings.ToValidUTF8(e.Err.Error(), "\uFFFD"), Err: e.Err}
	}
	return err
}

// madeWire is the result of making or importing a key.
type madeWire struct {
	Key         string            `json:"key"`
	Token       string            `json:"token"`
	Algorithm   signer.Algorithm  `json:"algorithm"`
	Protection  signer.Protection `json:"protection"`
	Origin      signer.Origin     `json:"origin"`
	Fingerprint string            `json:"fingerprint"`
	Public      []byte            `json:"public"`
	// Configuration is the block for sealward.hcl.
	Configuration string `json:"configuration"`
	// KeyFile is what the file has to hold that it names.
	KeyFile string `json:"key_file,omitempty"`
}

func (d administrator) create(ctx context.Context, o admin.Order) (any, error) {
	if d.located[o.Name] != nil {
		return nil, signer.Invalid("there is a key %q already", o.Name)
	}
	t, err := devices(d).token(o.Token)
	if err != nil {
		return nil, err
	}
	made, err := t.Generate(ctx, backends.KeySpec{Name: o.Name, Algorithm: o.Algorithm, Bits: o.Bits, Wrapped: o.Wrapped, Options: o.Options})
	if err != nil {
		return nil, err
	}
	return d.made(o, made), nil
}

func (d administrator) made(o admin.Order, made backends.NewKey) madeWire {
	w := madeWire{
		Key: o.Name, Token: o.Token, Algorithm: made.Facts.Public.Algorithm, Protection: made.Facts.Protection, Origin: made.Facts.Origin,
		Fingerprint: made.Facts.Public.Fingerprint(), Public: made.Facts.Public.Bytes,
	}
	where := fmt.Sprintf("uri         = %q", made.Locator)
	switch {
	case made.File:
		w.KeyFile = made.Locator
		where = fmt.Sprintf("file        = %q", "keys/"+o.Name+".tpm")
	case d.cfg.Token(o.Token).PIV != nil:
		where = fmt.Sprintf("slot        = %q", made.Locator)
	}
	w.Configuration = fmt.Sprintf("key %q {\n  token       = %q\n  %s\n  fingerprint = %q\n  %s\n}\n", o.Name, o.Token, where, w.Fingerprint, use(w.Algorithm))
	return w
}

// use is what a key of an algorithm is good for today, as a configuration says it.
func use(a signer.Algorithm) string {
	switch a {
	case signer.AlgorithmSecp256k1:
		return fmt.Sprintf("kinds       = [%q]\n  chains      = [%q]", signer.KindEVMTransaction, "eip155:1")
	case signer.AlgorithmEd25519:
		return "statements  = true" // no kind of payload is signed with it yet
	default:
		return fmt.Sprintf("kinds       = [%q]", signer.KindDigest)
	}
}

func (d administrator) importKey(ctx context.Context, o admin.Order) (any, error) {
	blob, err := admin.Bytes(o.Blob)
	if err != nil {
		return nil, err
	}
	var made backends.NewKey
	if err := d.call(ctx, o.Token, "import", map[string]any{"key": string(blob)}, &made); err != nil {
		return nil, err
	}
	return d.made(o, made), nil
}

type attestedWire struct {
	Key         string            `json:"key"`
	Fingerprint string            `json:"fingerprint"`
	Evidence    backends.Evidence `json:"evidence"`
}

func (d administrator) attest(ctx context.Context, o admin.Order) (any, error) {
	k, _, err := d.key(o.Key)
	if err != nil {
		return nil, err
	}
	challenge, err := admin.Bytes(o.Challenge)
	if err != nil {
		return nil, err
	}
	e, err := k.Attest(ctx, challenge)
	if err != nil {
		return nil, err
	}
	return attestedWire{o.Key, k.Public().Fingerprint(), e}, nil
}

type duplicatedWire struct {
	Key     string         `json:"key"`
	Facts   []signer.Field `json:"facts"`
	KeyFile string         `json:"key_file"`
}

// duplicate encrypts a wrapped key to another TPM. An exception names one TPM and its
// fingerprint, with a space between.
func (d administrator) duplicate(ctx context.Context, o admin.Order) (any, error) {
	k, t, err := d.key(o.Key)
	if err != nil {
		return nil, err
	}
	target, err := admin.Bytes(o.Target)
	if err != nil {
		return nil, err
	}
	arguments := map[string]any{"key": k.Locator(), "target": target}
	if o.TestException != "" {
		name, print, ok := strings.Cut(o.TestException, " ")
		if !ok {
			return nil, signer.Invalid("test_exception %q: want the name of a target and its fingerprint, with a space between", o.TestException)
		}
		arguments["accept"] = map[string]string{"name": name, "fingerprint": print}
	} else if t.TPM != nil {
		if arguments["roots"], err = optionalFile(t.TPM.Roots); err != nil {
			return nil, err
		}
	}
	var res struct {
		Key   string         `json:"key"`
		Facts []signer.Field `json:"facts"`
	}
	if err := d.call(ctx, t.Name, "duplicate", arguments, &res); err != nil {
		return nil, err
	}
	return duplicatedWire{o.Key, res.Facts, res.Key}, nil
}

// call runs an operation that only a TPM has.
func (d *daemon) call(ctx context.Context, token, operation string, arguments, result any) error {
	t, err := devices{d}.token(token)
	if err != nil {
		return err
	}
	if c := d.cfg.Token(token); c.TPM == nil {
		return signer.Invalid("token %q is of kind %s; only a TPM does this", token, c.Kind())
	}
	in, err := json.Marshal(arguments)
	if err != nil {
		return err
	}
	out, err := t.Call(ctx, operation, in)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, result)
}

// Target implements [api.Devices].
func (d devices) Target(ctx context.Context, token, name string) (*v1.GetTargetResponse, error) {
	var res struct {
		Target      []byte `json:"target"`
		Fingerprint string `json:"fingerprint"`
	}
	if err := d.call(ctx, token, "target", map[string]string{"name": name}, &res); err != nil {
		return nil, visible(err)
	}
	return &v1.GetTargetResponse{Target: res.Target, Fingerprint: res.Fingerprint}, nil
}

// resealing is what both steps of giving a key other PCR values need.
func (d devices) resealing(key string, pcrs map[string]string) (token string, arguments map[string]any, err error) {
	k, t, err := d.key(key)
	if err != nil {
		return "", nil, err
	}
	authority := ""
	if t.TPM != nil {
		if authority, err = optionalFile(t.TPM.Authority); err != nil {
			return "", nil, err
		}
	}
	return t.Name, map[string]any{"key": k.Locator(), "pcrs": pcrs, "authority": authority}, nil
}

// PlanReseal implements [api.Devices].
func (d devices) PlanReseal(ctx context.Context, key string, pcrs map[string]string) (*v1.PlanResealResponse, error) {
	token, arguments, err := d.resealing(key, pcrs)
	if err != nil {
		return nil, visible(err)
	}
	var res struct {
		PCRs      map[string]string `json:"pcrs"`
		Statement []byte            `json:"statement"`
	}
	if err := d.call(ctx, token, "reseal.plan", arguments, &res); err != nil {
		return nil, visible(err)
	}
	return &v1.PlanResealResponse{Pcrs: res.PCRs, Statement: res.Statement}, nil
}

// Reseal implements [api.Devices].
func (d devices) Reseal(ctx context.Context, c signer.Caller, key string, pcrs map[string]string, signature []byte) (*v1.ResealResponse, error) {
	token, arguments, err := d.resealing(key, pcrs)
	if err != nil {
		return nil, visible(err)
	}
	if err := d.noteDevice(ctx, c, fmt.Sprintf("an operator has key %q resealed to PCR values that its authority approved", key)); err != nil {
		return nil, err
	}
	arguments["signature"] = signature
	var res struct {
		Key string `json:"key"`
	}
	if err := d.call(ctx, token, "reseal", arguments, &res); err != nil {
		return nil, visible(err)
	}
	return &v1.ResealResponse{KeyFile: res.Key}, nil
}
