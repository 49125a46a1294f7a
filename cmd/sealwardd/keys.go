package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/trustfile"
)

// knownKeys is what the daemon has seen of its keys: a file beside the journal, by
// which it starts while a device is away, and notices that the object behind a name
// was changed. Who can write to it can make a key useless, and nothing else: what
// the device has must agree with it.
type knownKeys struct {
	Version int                          `json:"version"`
	Keys    map[string]backends.KeyFacts `json:"keys"` // by name

	path    string
	changed bool
}

func readKnown(path string) (*knownKeys, error) {
	k := &knownKeys{Version: 1, Keys: map[string]backends.KeyFacts{}, path: path}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, k); err != nil || k.Version != 1 || k.Keys == nil {
		return nil, fmt.Errorf("%s is no list of keys of version 1 (%v); if it is damaged, attach all devices, remove it and start again", path, err)
	}
	return k, nil
}

func (k *knownKeys) set(name string, facts backends.KeyFacts) {
	if old, ok := k.Keys[name]; ok && old.Public.Fingerprint() == facts.Public.Fingerprint() && old.Protection == facts.Protection && old.Origin == facts.Origin && old.Touch == facts.Touch {
		return
	}
	k.Keys[name], k.changed = facts, true
}

func (k *knownKeys) write() error {
	if !k.changed {
		return nil
	}
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	return backends.WriteDurably(k.path, append(data, '\n'))
}

// findKeys finds the keys in their devices, or takes what is known of them.
func (d *daemon) findKeys(ctx context.Context) error {
	known, err := readKnown(filepath.Join(filepath.Dir(d.cfg.Journal.Path), "keys.json"))
	if err != nil {
		return err
	}
	d.located = map[string]*backends.Key{}
	for _, k := range d.cfg.Keys {
		key, err := d.findKey(ctx, k, known)
		if err != nil {
			return fmt.Errorf("key %q: %w", k.Name, err)
		}
		d.located[k.Name] = key
		if k.Statements {
			d.journalKey = key
			continue
		}
		pub := key.Public()
		info := signer.KeyInfo{
			Name: k.Name, Public: pub, Fingerprint: pub.Fingerprint(), Protection: key.Protection(), Origin: key.Facts().Origin,
			Kinds: k.Kinds, Chains: k.Chains,
		}
		if pub.Algorithm == signer.AlgorithmRSA {
			info.Padding = k.Padding
		}
		d.keys = append(d.keys, signer.ManagedKey{Key: key, Info: info})
	}
	for _, k := range d.keys {
		if k.Info.Fingerprint == d.journalKey.Public().Fingerprint() {
			return fmt.Errorf("key %q: it is the journal's key, which signs checkpoints and nothing else", k.Info.Name)
		}
		if err := suits(k.Info.Public.Algorithm, k.Info.Kinds); err != nil {
			return fmt.Errorf("key %q: %w", k.Info.Name, err)
		}
	}
	if d.checking {
		return nil
	}
	return known.write()
}

// findKey returns a key as its device has it, pinned to the public key that it had
// when it was first seen, or that the configuration gives. What the pin does not fit
// is refused for as long as that is so, and the other keys are served.
func (d *daemon) findKey(ctx context.Context, k config.Key, known *knownKeys) (*backends.Key, error) {
	token := d.tokens[k.Token]
	locator, err := d.locator(k)
	if err != nil {
		return nil, err
	}
	pinned, seen := known.Keys[k.Name]
	if seen && k.Fingerprint != "" && pinned.Public.Fingerprint() != k.Fingerprint {
		seen = false // its owner says that it was replaced
	}
	key, err := token.Find(ctx, locator)
	switch {
	case err != nil && seen:
		d.log.Error("a key cannot be found in its device now; it is served as soon as it can be", "key", k.Name, "token", k.Token, "error", err)
		return token.Known(locator, pinned), nil
	case err != nil:
		h := token.Health()
		if h.Locked && d.cfg.Token(k.Token).Secret.Typed { // there is no daemon yet to type it to
			return nil, fmt.Errorf("it was not seen before, and token %q shows it only once it has its PIN, which cannot be typed before the daemon runs: for this first start alone, give the token pin_file or pin_credential in place of pin_typed", k.Token)
		}
		if h.Locked {
			return nil, fmt.Errorf("it was not seen before, and token %q is %s; until the daemon runs there is nothing to unlock, so set its credential right; where that is right and only an earlier try is in the way, remove %s, which costs a try if it is wrong after all", k.Token, h.Reason, d.pinMark(k.Token))
		}
		if !h.Up {
			return nil, fmt.Errorf("it was not seen before, so its device has to be there at this start, and token %q is not: %s", k.Token, h.Reason)
		}
		return nil, describeError(err)
	}
	facts := key.Facts()
	print := facts.Public.Fingerprint()
	switch {
	case k.Fingerprint != "" && k.Fingerprint != print:
		return nil, fmt.Errorf("the device has %s under that name, the configuration wants %s; if the key was replaced on purpose, change the configuration", print, k.Fingerprint)
	case seen && pinned.Public.Fingerprint() != print && k.Statements:
		return key, nil // whether it is the journal's own, the journal knows
	case seen && pinned.Public.Fingerprint() != print:
		d.log.Error("a key is another one than before, and is refused; if it was replaced on purpose, give its fingerprint in the configuration", "key", k.Name, "token", k.Token, "has", print, "had", pinned.Public.Fingerprint())
		return token.Known(locator, pinned), nil
	}
	known.set(k.Name, facts)
	return key, nil
}

func (d *daemon) pinMark(token string) string {
	return filepath.Join(filepath.Dir(d.cfg.Journal.Path), "pin-"+token+".json")
}

// locator is what a driver finds a key by: for a TPM the content of the key's file.
func (d *daemon) locator(k config.Key) (string, error) {
	if d.cfg.Token(k.Token).TPM == nil {
		return k.Locator, nil
	}
	content, err := trustfile.Read(k.Locator)
	return string(content), err
}

// describeError is an error's text for the operator, its cause included.
func describeError(err error) error {
	if e, ok := errors.AsType[*signer.Error](err); ok && e.Err != nil {
		return fmt.Errorf("%s: %w", e.Detail, e.Err)
	}
	return err
}

// suits refuses a key that could never sign what it is configured for.
func suits(a signer.Algorithm, kinds []signer.Kind) error {
	for _, k := range kinds {
		if k == signer.KindDigest && a != signer.AlgorithmEd25519 || a == signer.AlgorithmSecp256k1 {
			continue
		}
		return fmt.Errorf("it is a %s key, which cannot sign kind %q", a, k)
	}
	return nil
}
