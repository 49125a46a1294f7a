package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sealward/sealward/signer"
)

// Bundle is all that a policy's version stands for, and what it takes to load the
// policy again: without the files on disk, which may have changed, and without the
// devices that the keys are in.
type Bundle struct {
	// Name is that of the policy file, without its folder.
	Name   string
	Source []byte
	// Files are those that the policy names, by the name that it has for them.
	Files map[string][]byte
	// Keys are the keys that policy could name, by name.
	Keys map[string]signer.KeyInfo
	// Sockets are the names of sockets that policy could name.
	Sockets []string
}

// bundleVersion is that of the format of a kept bundle.
const bundleVersion = 1

type bundleWire struct {
	Version int               `json:"version"`
	Name    string            `json:"name"`
	Source  []byte            `json:"source"`
	Files   map[string][]byte `json:"files,omitempty"`
	Keys    []keyWire         `json:"keys,omitempty"`
	Sockets []string          `json:"sockets,omitempty"`
}

type keyWire struct {
	Name       string            `json:"name"`
	Algorithm  signer.Algorithm  `json:"algorithm"`
	Public     []byte            `json:"public"`
	Protection signer.Protection `json:"protection,omitempty"`
	Origin     signer.Origin     `json:"origin,omitempty"`
	Padding    signer.Padding    `json:"padding,omitempty"`
	Kinds      []signer.Kind     `json:"kinds,omitempty"`
	Chains     []string          `json:"chains,omitempty"`
}

// Encode returns a bundle as it is kept; [ReadBundle] is its inverse.
func (b Bundle) Encode() ([]byte, error) {
	w := bundleWire{Version: bundleVersion, Name: filepath.Base(b.Name), Source: b.Source, Files: b.Files, Sockets: b.Sockets}
	for _, name := range sortedKeys(b.Keys) {
		k := b.Keys[name]
		w.Keys = append(w.Keys, keyWire{k.Name, k.Public.Algorithm, k.Public.Bytes, k.Protection, k.Origin, k.Padding, k.Kinds, k.Chains})
	}
	return json.Marshal(w)
}

// ReadBundle reads a bundle. Whether it is the one that somebody means, its version
// tells, once it is loaded.
func ReadBundle(data []byte) (Bundle, error) {
	var w bundleWire
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Bundle{}, fmt.Errorf("policy bundle: %w", err)
	}
	if w.Version != bundleVersion {
		return Bundle{}, fmt.Errorf("policy bundle: its format has version %d; this program reads version %d", w.Version, bundleVersion)
	}
	b := Bundle{Name: w.Name, Source: w.Source, Files: w.Files, Keys: map[string]signer.KeyInfo{}, Sockets: w.Sockets}
	for _, k := range w.Keys {
		pub := signer.PublicKey{Algorithm: k.Algorithm, Bytes: k.Public}
		if _, twice := b.Keys[k.Name]; twice {
			return Bundle{}, fmt.Errorf("policy bundle: key %q is there twice", k.Name)
		}
		b.Keys[k.Name] = signer.KeyInfo{Name: k.Name, Public: pub, Fingerprint: pub.Fingerprint(), Protection: k.Protection, Origin: k.Origin, Padding: k.Padding, Kinds: k.Kinds, Chains: k.Chains}
	}
	return b, nil
}

// Load loads the policy of a bundle. It was in force, or is to be: whether anybody could
// change it, [Policy.Changeable] says.
func (b Bundle) Load() (*Policy, error) {
	return Load(b.Name, b.Source, Env{Keys: b.Keys, Sockets: b.Sockets, kept: true, Files: func(name string) ([]byte, error) {
		data, ok := b.Files[name]
		if !ok {
			return nil, errors.New("it is not in the bundle")
		}
		return data, nil
	}})
}
