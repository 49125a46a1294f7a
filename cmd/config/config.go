// Package config reads sealward.hcl, the daemon's configuration. It is strict:
// what is unknown, repeated, missing or of the wrong type is an error with file,
// line and column, and every name that one block mentions of another is checked.
// It reads no other file and opens no device.
package config

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// The sockets that have a meaning of their own. Every other one is a door for
// signing.
const (
	SocketSign    = "sign"
	SocketAdmin   = "admin"
	SocketMetrics = "metrics"
)

// Config is a checked configuration. Paths are absolute.
type Config struct {
	Path    string
	Digest  [32]byte // SHA-256 of the file
	Private bool
	Policy  string
	// TrustPolicyFile puts the policy on disk in force at each start and reload, without
	// its being asked for.
	TrustPolicyFile bool
	// FreezeUsers are the local users who may freeze without being approvers.
	FreezeUsers []string
	Journal     Journal
	Sockets     []Socket // in the order of the file
	Metrics     *Socket
	Tokens      []Token
	Keys        []Key
	// WorkerProgram drives devices; empty: sealward-worker beside the daemon's own.
	WorkerProgram string
	// Deadlines and bounds, with their defaults filled in.
	StopTimeout, SignTimeout time.Duration
	MaxRequests              int
}

// Journal says where the record is kept and which key signs its checkpoints.
type Journal struct {
	Path               string
	Key                string
	CheckpointInterval time.Duration
}

// Socket is where callers connect. Path is empty when it comes from systemd only.
type Socket struct {
	Name, Path   string
	Mode         fs.FileMode
	Owner, Group string // empty: the daemon's own
}

// Key is a key in a token and what it is for.
type Key struct {
	Name, Token string
	// Locator is the URI in a PKCS#11 token, the slot in a PIV card, and the absolute
	// path of the key's file for a TPM.
	Locator     string
	Padding     signer.Padding // of an RSA key; "pss" by default, which others ignore
	Kinds       []signer.Kind
	Chains      []string // CAIP-2
	Statements  bool     // signs the journal's checkpoints and nothing else
	Fingerprint string   // that the key must have; empty: not pinned
}

// Default is what a file need not say.
func Default() Config {
	return Config{
		Journal:     Journal{CheckpointInterval: time.Second},
		StopTimeout: 30 * time.Second,
		SignTimeout: 30 * time.Second,
		MaxRequests: 256,
	}
}

type file struct {
	Version     *hcl.Attribute `hcl:"version"`
	Private     *hcl.Attribute `hcl:"private,optional"`
	Policy      *hcl.Attribute `hcl:"policy"`
	TrustFile   *hcl.Attribute `hcl:"trust_policy_file,optional"`
	FreezeUsers *hcl.Attribute `hcl:"freeze_users,optional"`
	StopTimeout *hcl.Attribute `hcl:"stop_timeout,optional"`
	SignTimeout *hcl.Attribute `hcl:"sign_timeout,optional"`
	MaxRequests *hcl.Attribute `hcl:"max_requests,optional"`
	Worker      *hcl.Attribute `hcl:"worker_program,optional"`
	Journal     journalBlock   `hcl:"journal,block"`
	Metrics     *metricsBlock  `hcl:"metrics,block"`
	Sockets     []socketBlock  `hcl:"socket,block"`
	Tokens      []tokenBlock   `hcl:"token,block"`
	Keys        []keyBlock     `hcl:"key,block"`
}

type journalBlock struct {
	Path     *hcl.Attribute `hcl:"path"`
	Key      *hcl.Attribute `hcl:"key"`
	Interval *hcl.Attribute `hcl:"checkpoint_interval,optional"`
}

type metricsBlock struct {
	Path  *hcl.Attribute `hcl:"path"`
	Mode  *hcl.Attribute `hcl:"mode,optional"`
	Owner *hcl.Attribute `hcl:"owner,optional"`
	Group *hcl.Attribute `hcl:"group,optional"`
}

type socketBlock struct {
	Name  string         `hcl:"name,label"`
	Path  *hcl.Attribute `hcl:"path,optional"`
	Mode  *hcl.Attribute `hcl:"mode,optional"`
	Owner *hcl.Attribute `hcl:"owner,optional"`
	Group *hcl.Attribute `hcl:"group,optional"`
}

type keyBlock struct {
	Name       string         `hcl:"name,label"`
	Token      *hcl.Attribute `hcl:"token"`
	URI        *hcl.Attribute `hcl:"uri,optional"`
	File       *hcl.Attribute `hcl:"file,optional"`
	Slot       *hcl.Attribute `hcl:"slot,optional"`
	Padding    *hcl.Attribute `hcl:"padding,optional"`
	Kinds      *hcl.Attribute `hcl:"kinds,optional"`
	Chains     *hcl.Attribute `hcl:"chains,optional"`
	Statements *hcl.Attribute `hcl:"statements,optional"`
	Print      *hcl.Attribute `hcl:"fingerprint,optional"`
}

// Parse reads a configuration. path is for positions in errors and for resolving
// relative paths; it should be absolute. The error lists everything that is wrong,
// a line each.
func Parse(path string, src []byte) (*Config, error) {
	f, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, problems(diags)
	}
	r := &reader{dir: filepath.Dir(path), blocks: blockRanges(f)}
	var raw file
	if r.diags = gohcl.DecodeBody(f.Body, nil, &raw); r.diags.HasErrors() {
		return nil, problems(r.diags)
	}
	if v := r.int(raw.Version, 1, 0, 1<<30); v != 1 {
		r.fail(raw.Version, "Unsupported version", "This program reads version 1.")
	}
	r.require("", f.Body)
	c := Default()
	c.Path, c.Digest = path, sha256.Sum256(src)
	c.Private = r.bool(raw.Private)
	c.Policy = r.path(raw.Policy)
	c.TrustPolicyFile = r.bool(raw.TrustFile)
	c.FreezeUsers = r.users(raw.FreezeUsers)
	c.WorkerProgram = r.path(raw.Worker)
	c.StopTimeout = r.duration(raw.StopTimeout, c.StopTimeout, time.Second, 10*time.Minute)
	c.SignTimeout = r.duration(raw.SignTimeout, c.SignTimeout, 100*time.Millisecond, 10*time.Minute)
	c.MaxRequests = r.int(raw.MaxRequests, c.MaxRequests, 1, 65536)
	r.sockets(&c, raw)
	r.tokens(&c, raw.Tokens)
	r.keys(&c, raw.Keys)
	r.journal(&c, raw.Journal)
	if r.diags.HasErrors() {
		return nil, problems(r.diags)
	}
	return &c, nil
}

func (r *reader) sockets(c *Config, raw file) {
	seen := map[string]bool{}
	paths := map[string]string{}
	add := func(name string, at hcl.Range, path, mode, owner, group *hcl.Attribute, def fs.FileMode) Socket {
		s := Socket{Name: name, Path: r.path(path), Mode: r.mode(mode, def), Owner: r.string(owner, ""), Group: r.string(group, "")}
		if seen[name] {
			r.failAt(at, "Repeated socket", fmt.Sprintf("There is already a socket %q.", name))
		}
		if other := paths[s.Path]; s.Path != "" && other != "" {
			r.fail(path, "Repeated path", fmt.Sprintf("The socket %q has this path already.", other))
		}
		// sun_path holds 108 bytes with its final zero (unix(7)).
		if len(s.Path) > 107 {
			r.fail(path, "Path too long", fmt.Sprintf("A socket's path has at most 107 bytes; this one has %d.", len(s.Path)))
		}
		seen[name], paths[s.Path] = true, name
		return s
	}
	for i, b := range raw.Sockets {
		at := r.blocks.at("socket", i)
		if b.Name == SocketMetrics || !validName(b.Name) {
			r.failAt(at, "Unsuitable name", fmt.Sprintf("A socket's name is made of a-z 0-9 - and is not %q; metrics have a block of their own.", SocketMetrics))
			continue
		}
		c.Sockets = append(c.Sockets, add(b.Name, at, b.Path, b.Mode, b.Owner, b.Group, 0o660))
	}
	if m := raw.Metrics; m != nil {
		s := add(SocketMetrics, r.blocks.at("metrics", 0), m.Path, m.Mode, m.Owner, m.Group, 0o660)
		c.Metrics = &s
	}
	if !seen[SocketSign] {
		r.failAt(hcl.Range{Filename: c.Path, Start: hcl.InitialPos, End: hcl.InitialPos}, "Missing socket", `There must be a block: socket "sign" { ... }.`)
	}
}

var (
	fingerprint = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

	chainID = regexp.MustCompile(`^eip155:[1-9][0-9]{0,17}$`)
	kinds   = []signer.Kind{signer.KindEVMTransaction, signer.KindEVMTypedData, signer.KindEVMAuthorization, signer.KindEVMMessage, signer.KindDigest}
)

func (r *reader) keys(c *Config, blocks []keyBlock) {
	seen := map[string]bool{}
	tokens := map[string]Token{}
	for _, t := range c.Tokens {
		tokens[t.Name] = t
	}
	for i, b := range blocks {
		at := r.blocks.at("key", i)
		switch {
		case seen[b.Name]:
			r.failAt(at, "Repeated key", fmt.Sprintf("There is already a key %q.", b.Name))
		case !validName(b.Name) || b.Name == "sealward":
			r.failAt(at, "Unsuitable name", fmt.Sprintf("A key's name is made of a-z 0-9 - and is not %q, which stands for Sealward itself.", "sealward"))
		}
		seen[b.Name] = true
		k := Key{Name: b.Name, Token: r.string(b.Token, ""), Chains: r.strings(b.Chains), Statements: r.bool(b.Statements), Fingerprint: r.print(b.Print)}
		if t, ok := tokens[k.Token]; ok {
			r.locator(&k, b, t, at)
		} else if b.Token != nil {
			r.fail(b.Token, "Unknown token", fmt.Sprintf("There is no token %q.%s", k.Token, meant(k.Token, slices.Collect(maps.Keys(tokens)))))
		}
		r.kinds(&k, b, at)
		for _, chain := range k.Chains {
			if !chainID.MatchString(chain) {
				r.fail(b.Chains, "Unsuitable chain", fmt.Sprintf("%q is no CAIP-2 id of an Ethereum chain; the main network is \"eip155:1\".", chain))
			}
		}
		c.Keys = append(c.Keys, k)
	}
}

func (r *reader) kinds(k *Key, b keyBlock, at hcl.Range) {
	var known []string
	for _, kind := range kinds {
		known = append(known, string(kind))
	}
	for _, s := range r.strings(b.Kinds) {
		if !slices.Contains(known, s) {
			r.fail(b.Kinds, "Unknown kind", fmt.Sprintf("There is no kind %q.%s", s, meant(s, known)))
		}
		if slices.Contains(k.Kinds, signer.Kind(s)) {
			r.fail(b.Kinds, "Repeated kind", fmt.Sprintf("%q is there already.", s))
		}
		k.Kinds = append(k.Kinds, signer.Kind(s))
	}
	switch {
	case k.Statements && (b.Kinds != nil || b.Chains != nil):
		r.failAt(at, "A key for statements signs nothing else", "Remove kinds and chains, or statements.")
	case !k.Statements && len(k.Kinds) == 0:
		r.failAt(at, "Missing kinds", "Say what the key may sign, e.g. kinds = [\"evm.transaction\"].")
	case slices.Contains(k.Kinds, signer.KindDigest) && len(k.Kinds) > 1:
		r.fail(b.Kinds, "A key for digests signs nothing else", "An opaque digest may be that of anything, also of the other kinds.")
	case slices.ContainsFunc(k.Kinds, hasChain) && len(k.Chains) == 0:
		r.failAt(at, "Missing chains", "A key for transactions, typed data or authorizations lists the chains it signs for, e.g. chains = [\"eip155:1\"].")
	}
}

// hasChain reports whether payloads of a kind are for a chain.
func hasChain(k signer.Kind) bool {
	return k == signer.KindEVMTransaction || k == signer.KindEVMTypedData || k == signer.KindEVMAuthorization
}

func (r *reader) journal(c *Config, b journalBlock) {
	c.Journal.Path = r.path(b.Path)
	c.Journal.Key = r.string(b.Key, "")
	c.Journal.CheckpointInterval = r.duration(b.Interval, c.Journal.CheckpointInterval, 10*time.Millisecond, time.Hour)
	var names []string
	for _, k := range c.Keys {
		if k.Statements {
			names = append(names, k.Name)
			if k.Name != c.Journal.Key {
				r.fail(b.Key, "A key without use", fmt.Sprintf("The key %q is for statements, but the journal uses %q.", k.Name, c.Journal.Key))
			}
		}
	}
	if !slices.Contains(names, c.Journal.Key) {
		r.fail(b.Key, "Unknown key", fmt.Sprintf("There is no key %q with statements = true.%s", c.Journal.Key, meant(c.Journal.Key, names)))
	}
}
