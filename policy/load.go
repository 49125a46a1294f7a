package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// maxFile is in bytes. It tells a wrong file from a long one.
const maxFile = 1 << 20

// Env is what a policy may name that is not in its own file.
type Env struct {
	// Keys are the configured keys by name.
	Keys map[string]signer.KeyInfo
	// Sockets are the names of the configured sockets.
	Sockets []string
}

// Policy is a loaded policy. It does not change and may be used by any number of
// goroutines. The zero Policy refuses everything.
type Policy struct {
	version [32]byte
	book    signer.Book
	keys    map[string]string // fingerprints by name, as the version binds them
	rules   []rule
	labels  map[string]string // of accounts, by CAIP-10 id
	windows []time.Duration
}

var _ signer.Policy = (*Policy)(nil)

// Load reads a policy file. The name is for error messages, each of which says
// file, line and column; all defects that were found are in the one error.
func Load(name string, src []byte, env Env) (*Policy, error) {
	fingerprints, err := bindings(env.Keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(src) > maxFile {
		return nil, fmt.Errorf("%s: the file has %d bytes; the most is %d", name, len(src), maxFile)
	}
	l := loader{src: src, env: env, assets: assets{}, books: books{}}
	if l.plain(name, src) {
		file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
		l.diags = diags
		if !l.failed() {
			l.file(file.Body)
		}
	}
	if err := l.err(); err != nil {
		return nil, err
	}
	p := &Policy{
		version: bundleDigest(src, fingerprints),
		book:    signer.Book{Assets: map[string]signer.Asset{}},
		keys:    fingerprints,
		rules:   l.rules,
		labels:  map[string]string{},
	}
	for _, a := range l.assets {
		p.book.Assets[a.ID] = a
	}
	for _, name := range sortedKeys(l.books) {
		for account, label := range l.books[name] {
			if other := p.labels[account]; other != "" && other != label {
				label = other + ", " + label
			}
			p.labels[account] = label
		}
	}
	for _, r := range l.rules {
		for _, lim := range r.limits {
			if lim.window > 0 {
				p.windows = append(p.windows, lim.window)
			}
		}
	}
	slices.Sort(p.windows)
	p.windows = slices.Compact(p.windows)
	return p, nil
}

// bindings returns the fingerprints of the keys by name. Limits are counted per
// public key; a second name for one would be a second view of one budget that
// reads like a budget of its own.
func bindings(keys map[string]signer.KeyInfo) (map[string]string, error) {
	names := make(map[string]string, len(keys))
	prints := make(map[string]string, len(keys))
	for _, name := range sortedKeys(keys) {
		k := keys[name]
		fp := k.Public.Fingerprint()
		switch other, taken := names[fp]; {
		case name == signer.AdminKey:
			return nil, fmt.Errorf("key %q: the name stands for Sealward itself; choose another one", name)
		case name == "" || k.Name != name:
			return nil, fmt.Errorf("key %q calls itself %q", name, k.Name)
		case fp == "" || fp != k.Fingerprint:
			return nil, fmt.Errorf("key %q: fingerprint %q is not that of its public key", name, k.Fingerprint)
		case taken:
			return nil, fmt.Errorf("keys %q and %q are one public key (%s): limits count per public key; give it one name", other, name, fp)
		}
		names[fp], prints[name] = name, fp
	}
	return prints, nil
}

// bundleDigest is the version of a policy: SHA-256 over a domain string, the file
// and the number of keys, then each key's name and fingerprint in the order of
// the names. Every text is preceded by its length, every number is 64 bits,
// big-endian.
func bundleDigest(src []byte, fingerprints map[string]string) [32]byte {
	h := sha256.New()
	h.Write([]byte("sealward.dev/policy/v1\x00"))
	number := func(n int) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	field := func(b []byte) {
		number(len(b))
		h.Write(b)
	}
	field(src)
	number(len(fingerprints))
	for _, name := range sortedKeys(fingerprints) {
		field([]byte(name))
		field([]byte(fingerprints[name]))
	}
	return [32]byte(h.Sum(nil))
}

// Version is the digest of the policy bundle: the file and the public keys that
// its names stand for. docs/formats.md has the format.
func (p *Policy) Version() [32]byte { return p.version }

// Book returns the assets that the policy defines.
func (p *Policy) Book() signer.Book {
	return signer.Book{Assets: maps.Clone(p.book.Assets)}
}

// Accounts returns the labels of the address books, by CAIP-10 account id. An
// account with different labels in two books has both.
func (p *Policy) Accounts() map[string]string { return maps.Clone(p.labels) }

// Windows returns the distinct windows of the policy's limits, shortest first.
func (p *Policy) Windows() []time.Duration { return slices.Clone(p.windows) }

// loader reads one file, section by section: each needs the names of those before.
type loader struct {
	reader
	src    []byte
	env    Env
	assets assets
	books  books
	people people
	cel    *conditions
	rules  []rule
}

var fileSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "version", Required: true}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "asset", LabelNames: []string{"name"}},
		{Type: "addresses", LabelNames: []string{"name"}},
		{Type: "approver", LabelNames: []string{"name"}},
		{Type: "group", LabelNames: []string{"name"}},
		{Type: "rule", LabelNames: []string{"name"}},
	},
}

func (l *loader) file(body hcl.Body) {
	content := l.body(body, fileSchema)
	if v, ok := content.Attributes["version"]; ok {
		l.number(v.Expr, 1, 1)
	}
	blocks := map[string][]*hcl.Block{}
	for _, b := range content.Blocks {
		blocks[b.Type] = append(blocks[b.Type], b)
		for _, before := range blocks[b.Type][:len(blocks[b.Type])-1] {
			if before.Labels[0] == b.Labels[0] {
				l.fail(b.LabelRanges[0], "%s %q is defined twice; the first is on line %d", b.Type, b.Labels[0], before.DefRange.Start.Line)
				break
			}
		}
	}
	each := func(kind string, read func(*hcl.Block)) {
		for _, b := range blocks[kind] {
			read(b)
		}
	}
	each("asset", l.asset)
	each("addresses", l.addresses)
	each("approver", l.approver)
	each("group", l.group)
	if l.failed() {
		return // every rule would be blamed for names that it got right
	}
	var err error
	if l.cel, err = newConditions(l.env, l.assets, l.books); err != nil {
		l.fail(content.MissingItemRange, "prepare conditions: %v", err)
		return
	}
	each("rule", l.rule)
	each("approver", l.refuseApproval)
	each("group", l.refuseApproval)
}

// identifier is what CEL takes after a point. Lower case alone, so that no two
// names differ by case only.
var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// celReserved may not be identifiers (CEL language definition, "Syntax").
var celReserved = strings.Fields(`as break const continue else false for function if
	import in let loop namespace null package return true var void while`)

// named reads the label of a block whose name is used in conditions.
func (l *loader) named(b *hcl.Block) (string, bool) {
	name := b.Labels[0]
	if !identifier.MatchString(name) || slices.Contains(celReserved, name) {
		l.fail(b.LabelRanges[0], "%s name %q: want a lower-case letter, then lower-case letters, digits and _, and no word of CEL's own, because conditions use it", b.Type, name)
		return "", false
	}
	return name, true
}

// titled reads the label of a block whose name is for people.
func (l *loader) titled(b *hcl.Block) (string, bool) {
	name := b.Labels[0]
	if name == "" || len(name) > 64 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unprintable) {
		l.fail(b.LabelRanges[0], "%s name %q: want 1 to 64 printable characters without space around them", b.Type, name)
		return "", false
	}
	return name, true
}

var assetSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "id", Required: true}, {Name: "decimals", Required: true},
}}

func (l *loader) asset(b *hcl.Block) {
	name, ok := l.named(b)
	content := l.body(b.Body, assetSchema)
	id, decimals := content.Attributes["id"], content.Attributes["decimals"]
	if !ok || id == nil || decimals == nil {
		return
	}
	a := signer.Asset{Name: name}
	places, _ := l.number(decimals.Expr, 0, maxDecimals) // what is wrong with it is among the problems
	a.Decimals = int(places)
	if a.ID, ok = l.filled(id.Expr, "the id"); !ok {
		return
	}
	if err := checkAsset(a.ID); err != nil {
		l.fail(id.Expr.Range(), "%v", err)
		return
	}
	for _, other := range l.assets {
		if other.ID == a.ID && other.Name != a.Name {
			l.fail(id.Expr.Range(), "asset %q has the id of asset %q; one asset has one name", a.Name, other.Name)
			return
		}
	}
	l.assets[name] = a
}

// books are address books: labels by CAIP-10 account id, by the book's name.
type books map[string]map[string]string

var addressesSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "entries", Required: true}}}

func (l *loader) addresses(b *hcl.Block) {
	name, ok := l.named(b)
	content := l.body(b.Body, addressesSchema)
	entries := content.Attributes["entries"]
	if !ok || entries == nil {
		return
	}
	object, ok := entries.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		l.fail(entries.Expr.Range(), "want entries such as { \"eip155:1:0x...\" = \"label\" }")
		return
	}
	book := map[string]string{}
	for _, e := range object.Items {
		key, wrapped := e.KeyExpr.(*hclsyntax.ObjectConsKeyExpr)
		if !wrapped {
			l.fail(e.KeyExpr.Range(), "want a CAIP-10 account id in quotes")
			continue
		}
		account, ok := l.filled(key.Wrapped, "the account")
		label, ok2 := l.filled(e.ValueExpr, "the label")
		if !ok || !ok2 {
			continue
		}
		if err := checkAccount(account); err != nil {
			l.fail(e.KeyExpr.Range(), "%v", err)
		} else if _, repeated := book[account]; repeated {
			l.fail(e.KeyExpr.Range(), "account %q is in the book twice", account)
		} else {
			book[account] = label
		}
	}
	l.books[name] = book
}

var duration = regexp.MustCompile(`^(?:([0-9]{1,5})d)?(.*)$`)

// span reads a duration: Go's notation, with d for days of 24 hours in front.
func (l *loader) span(e hcl.Expression) (time.Duration, string, bool) {
	const most = 3660 * 24 * time.Hour
	text, ok := l.text(e)
	if !ok {
		return 0, "", false
	}
	m := duration.FindStringSubmatch(text)
	days, ok := new(big.Int).SetString(cmp.Or(m[1], "0"), 10)
	rest, err := time.ParseDuration(cmp.Or(m[2], "0s"))
	if !ok || text == "" || err != nil || strings.ContainsAny(m[2], "+-") || rest > most {
		l.fail(e.Range(), "duration %q: want for example \"24h\", \"90m\" or \"7d\"", text)
		return 0, "", false
	}
	d := time.Duration(days.Int64())*24*time.Hour + rest
	if d < time.Second || d > most || d%time.Second != 0 {
		l.fail(e.Range(), "duration %q: want whole seconds, from \"1s\" to \"3660d\"", text)
		return 0, "", false
	}
	return d, text, true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
