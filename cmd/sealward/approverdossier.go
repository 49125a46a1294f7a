package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// dossier is all that the daemon says of a request that waits, for judging it here or, as a
// file, where there is no connection. None of it is believed.
type dossier struct {
	told *v1.GetPendingResponse
	keys []*v1.Key // those that an administrative request names
	// policies are those that a change of policy is from and to, and the one that decided.
	policies []*v1.GetPolicyResponse
	exported time.Time // of a file, by whoever wrote it
}

// fetchDossier asks the daemon for it.
func fetchDossier(ctx context.Context, client *api.Client, proposal string) (dossier, error) {
	told, err := client.Pending(ctx, proposal)
	if err != nil {
		return dossier{}, err
	}
	d := dossier{told: told}
	order, err := admin.Parse(told.GetPayload())
	if told.GetPending().GetKind() != string(signer.KindAdmin) || err != nil {
		return d, nil // an administrative request that cannot be read is refused by whoever reads it
	}
	for _, name := range []string{order.Key, order.Successor} {
		if name == "" {
			continue
		}
		k, err := client.Key(ctx, name)
		if err != nil {
			return dossier{}, err
		}
		d.keys = append(d.keys, k)
	}
	for _, version := range []string{order.From, order.To} {
		if version == "" {
			continue
		}
		p, err := client.Policy(ctx, version)
		if err != nil {
			return dossier{}, fmt.Errorf("fetch policy %s, which the request is about: %w", version, err)
		}
		d.policies = append(d.policies, p)
	}
	return d, nil
}

func (d dossier) policy(version string) *v1.GetPolicyResponse {
	i := slices.IndexFunc(d.policies, func(p *v1.GetPolicyResponse) bool { return p.GetVersion() == version })
	if i < 0 {
		return nil
	}
	return d.policies[i]
}

func (d dossier) key(name string) (signer.KeyInfo, bool) {
	i := slices.IndexFunc(d.keys, func(k *v1.Key) bool { return k.GetName() == name })
	if i < 0 {
		return signer.KeyInfo{}, false
	}
	return publicKeyInfo(d.keys[i]), true
}

// publicKeyInfo is what the daemon says of a key, with the fingerprint made here.
func publicKeyInfo(k *v1.Key) signer.KeyInfo {
	info := keyInfo(k)
	info.Origin, info.Padding = signer.Origin(k.GetOrigin()), signer.Padding(k.GetPadding())
	info.Fingerprint = info.Public.Fingerprint()
	return info
}

// dossierFormat is in every file with a request for an approver without a connection.
const dossierFormat = "sealward.dev/request/v1"

// maxDossier bounds such a file, in bytes: two policies with their lists, in base64.
const maxDossier = 128 << 20

// dossierFile is the JSON of such a file. The parts are messages of the API, in the form
// that docs/api.md has.
type dossierFile struct {
	Format   string            `json:"format"`
	Exported time.Time         `json:"exported"` // by the clock of whoever made the file
	Pending  json.RawMessage   `json:"pending"`  // GetPendingResponse
	Keys     []json.RawMessage `json:"keys,omitempty"`
	Policies []json.RawMessage `json:"policies,omitempty"` // GetPolicyResponse
}

func (d dossier) encode(now time.Time) ([]byte, error) {
	f := dossierFile{Format: dossierFormat, Exported: now.UTC().Truncate(time.Second)}
	var err error
	raw := func(m proto.Message) json.RawMessage {
		b, merr := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		err = errors.Join(err, merr)
		return b
	}
	f.Pending = raw(d.told)
	for _, k := range d.keys {
		f.Keys = append(f.Keys, raw(k))
	}
	for _, p := range d.policies {
		f.Policies = append(f.Policies, raw(p))
	}
	if err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(f, "", "  ")
	return append(out, '\n'), err
}

// readDossier reads such a file. Its size was bounded by whoever read the bytes.
func readDossier(data []byte) (dossier, error) {
	var f dossierFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&f)
	if err == nil && dec.More() {
		err = errors.New("something follows it")
	}
	if err != nil {
		return dossier{}, fmt.Errorf("it is no request as `sealward request export` writes it: %w", err)
	}
	if f.Format != dossierFormat {
		return dossier{}, fmt.Errorf("its format is %.60q; this program reads %q, as `sealward request export` writes it", f.Format, dossierFormat)
	}
	d := dossier{told: &v1.GetPendingResponse{}, exported: f.Exported}
	err = protojson.Unmarshal(f.Pending, d.told)
	for _, raw := range f.Keys {
		k := &v1.Key{}
		err = errors.Join(err, protojson.Unmarshal(raw, k))
		d.keys = append(d.keys, k)
	}
	for _, raw := range f.Policies {
		p := &v1.GetPolicyResponse{}
		err = errors.Join(err, protojson.Unmarshal(raw, p))
		d.policies = append(d.policies, p)
	}
	return d, err
}
