package policy

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// maxFile is in bytes. It tells a wrong file from a long one.
const maxFile = 4 << 20

// Env is what a policy may name that is not in its own file.
type Env struct {
	// Keys are the configured keys by name.
	Keys map[string]signer.KeyInfo
	// Sockets are the names of the configured sockets.
	Sockets []string
	// Files reads a file that the policy names, such as a token list. The name is
	// relative to the policy's own folder, has slashes, and never leads out of it: the
	// loader sees to that. Without Files, a policy that names one does not load.
	Files func(name string) ([]byte, error)

	kept bool // it is a bundle; older programs kept some that nobody could change
}

// Policy is a loaded policy. It does not change and may be used by any number of
// goroutines. The zero Policy refuses everything.
type Policy struct {
	version     [32]byte
	book        signer.Book       // shared by all who ask; nobody changes it
	keys        map[string]string // fingerprints by name, as the version binds them
	world       world             // what the book is made of, by the names in the file
	rules       []rule
	index       index
	people      people
	pending     int // how many requests of one caller may wait for approvals
	bundle      []byte
	needs       signer.Needs
	descriptors *descriptors // nil: none
	stuck       func() error // why nobody could change it, worked out once
}

var _ signer.Policy = (*Policy)(nil)

// Load reads a policy file. The name is for error messages, each of which says
// file, line and column; all defects that were found are in the one error.
func Load(name string, src []byte, env Env) (*Policy, error) {
	fingerprints, err := bindings(env.Keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l := newLoader(src, env)
	l.read(name, l.policy)
	if err := l.err(); err != nil {
		return nil, err
	}
	bundle, err := Bundle{Name: name, Source: src, Files: l.contents, Keys: env.Keys, Sockets: env.Sockets}.Encode()
	if err != nil {
		return nil, fmt.Errorf("%s: keep the bundle: %w", name, err)
	}
	p := &Policy{
		version:     bundleDigest(src, fingerprints, l.files),
		book:        l.book(),
		keys:        fingerprints,
		world:       world{l.assets, l.books, l.contracts, l.tokens},
		rules:       l.rules,
		index:       newIndex(l.rules, keyNames(env)),
		descriptors: l.descriptors,
		people:      l.people,
		pending:     l.pending,
		needs:       signer.Needs{Measures: measures(l.rules), Recipients: l.recipients()},
		bundle:      bundle,
	}
	p.stuck = sync.OnceValue(func() error { return changeable(p.rules, p.people) })
	return p, nil
}

// measures are the distinct measures of all limits, the shortest window first.
func measures(rules []rule) (out []signer.Measure) {
	for _, r := range rules {
		for _, lim := range r.limits {
			if lim.window > 0 {
				out = append(out, signer.Measure{Window: lim.window, Per: lim.per})
			}
		}
	}
	slices.SortFunc(out, func(a, b signer.Measure) int {
		return cmp.Or(cmp.Compare(a.Window, b.Window), cmp.Compare(a.Per, b.Per))
	})
	return slices.Compact(out)
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

// Version is the digest of the policy bundle: the file, the files that it names and
// the public keys that its names stand for. docs/formats.md has the format.
func (p *Policy) Version() [32]byte { return p.version }

// Book returns what the policy says of assets, contracts and accounts. It is one book
// for all who ask, and not to be changed.
func (p *Policy) Book() signer.Book { return p.book }

// Descriptors returns the folder of ERC-7730 descriptors, relative to the policy's own,
// and the SHA-256 digest of its manifest; false where the policy names none. They are
// labels for people: no decision depends on them.
func (p *Policy) Descriptors() (folder string, manifest [32]byte, ok bool) {
	if p.descriptors == nil {
		return "", [32]byte{}, false
	}
	return p.descriptors.folder, p.descriptors.manifest, true
}

// Bundle returns what the version stands for; [ReadBundle] reads it.
func (p *Policy) Bundle() []byte { return p.bundle }

// Needs returns what the policy has to be told: the distinct measures of its limits,
// the shortest window first.
func (p *Policy) Needs() signer.Needs { return p.needs }

// loader reads one file, section by section: each needs the names of those before.
type loader struct {
	reader
	src         []byte
	env         Env
	assets      assets
	books       books
	contracts   map[string]contract    // by name
	tokens      map[string]listedToken // of the token lists, by asset id
	descriptors *descriptors
	files       map[string][32]byte // digests of the files that the policy names
	contents    map[string][]byte
	people      people
	enrolled    map[[32]byte]owned // by the SHA-256 of their SubjectPublicKeyInfo
	cards       map[int64]owned    // that attest to a key, by their serial numbers
	pending     int
	cel         *conditions
	rules       []rule
}

func newLoader(src []byte, env Env) *loader {
	return &loader{
		src: src, env: env, assets: assets{}, books: books{},
		contracts: map[string]contract{}, tokens: map[string]listedToken{}, files: map[string][32]byte{}, contents: map[string][]byte{},
		people: newPeople(), enrolled: map[[32]byte]owned{}, cards: map[int64]owned{}, pending: defaultPending,
	}
}

// read parses the file and hands its content to one of the loader's methods.
func (l *loader) read(name string, sections func(*hcl.BodyContent)) {
	if body, ok := l.parse(name); ok {
		sections(l.frame(body))
	}
}

func (l *loader) parse(name string) (hcl.Body, bool) {
	if len(l.src) > maxFile {
		l.fail(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, "the file has %d bytes; the most is %d", len(l.src), maxFile)
		return nil, false
	}
	if !l.plain(name, l.src) {
		return nil, false
	}
	file, diags := hclsyntax.ParseConfig(l.src, name, hcl.InitialPos)
	if len(diags) > 0 { // the rest may follow from the first
		l.diags = hcl.Diagnostics{reword(diags[0], nil)}
		return nil, false
	}
	return file.Body, true
}

var fileSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "version", Required: true}, {Name: "pending"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "asset", LabelNames: []string{"name"}},
		{Type: "addresses", LabelNames: []string{"name"}},
		{Type: "contract", LabelNames: []string{"name"}},
		{Type: "token_list", LabelNames: []string{"name"}},
		{Type: "descriptors"},
		{Type: "attestation"},
		{Type: "approver", LabelNames: []string{"name"}},
		{Type: "group", LabelNames: []string{"name"}},
		{Type: "recovery"},
		{Type: "rule", LabelNames: []string{"name"}},
	},
}

// frame checks what all blocks have in common: the version, known names, none twice.
func (l *loader) frame(body hcl.Body) *hcl.BodyContent {
	content := l.body(body, fileSchema)
	if v, ok := content.Attributes["version"]; ok {
		if _, ok := l.number(v.Expr, 1, 1); !ok {
			l.diags[len(l.diags)-1].Detail = "it is the version of the language, and not of your policy: write version = 1"
		}
	}
	first := map[[2]string]*hcl.Block{}
	for _, b := range content.Blocks {
		id := [2]string{b.Type, strings.Join(b.Labels, "")}
		switch before, twice := first[id]; {
		case !twice:
			first[id] = b
		case len(b.Labels) == 0:
			l.fail(b.DefRange, "%s is there twice; the first is on line %d; remove one", b.Type, before.DefRange.Start.Line)
		default:
			l.fail(b.LabelRanges[0], "%s %q is defined twice; the first is on line %d; remove one, or give it another name", b.Type, b.Labels[0], before.DefRange.Start.Line)
		}
	}
	return content
}

// each reads the blocks of one type.
func each(content *hcl.BodyContent, kind string, read func(*hcl.Block)) {
	for _, b := range content.Blocks {
		if b.Type == kind {
			read(b)
		}
	}
}

// world reads what the owner says about the world: what a [signer.Book] is made of.
func (l *loader) world(content *hcl.BodyContent) {
	each(content, "asset", l.asset)
	each(content, "token_list", l.tokenList)
	each(content, "addresses", l.addresses)
	each(content, "contract", l.contract)
}

// policy reads a whole policy.
func (l *loader) policy(content *hcl.BodyContent) {
	l.world(content)
	each(content, "descriptors", l.describe)
	each(content, "attestation", l.attestation)
	each(content, "approver", l.approver)
	each(content, "group", l.group)
	if a, ok := content.Attributes["pending"]; ok {
		n, _ := l.number(a.Expr, 1, 1000)
		l.pending = int(n)
	}
	if l.failed() {
		return // every rule would be blamed for names that it got right
	}
	var err error
	if l.cel, err = newConditions(l.env, l.assets, l.books, l.contracts); err != nil {
		l.fail(content.MissingItemRange, "prepare conditions: %v", err)
		return
	}
	each(content, "recovery", l.recovery)
	each(content, "rule", l.rule)
	l.affordable(content.MissingItemRange)
	if !l.failed() && !slices.ContainsFunc(l.rules, func(r rule) bool { return r.lets() }) {
		l.fail(content.MissingItemRange, "nothing could ever be signed: no rule lets anything through; write a rule with allow = true or with a require block")
	}
	if l.failed() || l.env.kept || len(l.people.approvers) == 0 {
		return
	}
	if err := changeable(l.rules, l.people); err != nil {
		l.fail(content.MissingItemRange, "%v", err)
	}
}

// defaultPending is enough for people who look at what they approve.
const defaultPending = 20

// recipients reports whether a condition asks which recipients are new.
func (l *loader) recipients() bool {
	return slices.ContainsFunc(l.rules, func(r rule) bool { return r.when != nil && r.when.recipients })
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

var duration = regexp.MustCompile(`^(?:([0-9]{1,5})d)?(.*)$`)

// span reads a duration: Go's notation, with d for days of 24 hours in front.
func (l *loader) span(e hcl.Expression) (time.Duration, string, bool) {
	const most = 3660 * 24 * time.Hour
	text, ok := l.textLike(e, "24h")
	if !ok {
		return 0, "", false
	}
	m := duration.FindStringSubmatch(text)
	days, ok := new(big.Int).SetString(cmp.Or(m[1], "0"), 10)
	rest, err := time.ParseDuration(cmp.Or(m[2], "0s"))
	if !ok || text == "" || err != nil || strings.ContainsAny(m[2], "+-") || rest > most {
		l.fail(e.Range(), "duration %q: want for example \"24h\", \"90m\" or \"7d\", with h for hours, m for minutes and d for days", text)
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
