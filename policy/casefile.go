package policy

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// CaseFile is a file of cases: requests, and what its author expects a policy to make of
// each. It is as strict as a policy and made of literals only, and the daemon never reads
// one.
type CaseFile struct {
	// Keys are the keys that cases are for, where no configuration says, or what a
	// configuration does not say of its own.
	Keys []CaseKey
	// Sockets are the names of sockets that the file gives; nil if it gives none.
	Sockets []string

	loader  *loader
	content *hcl.BodyContent
}

// CaseKey is a key as a file of cases describes it. What the file does not say is empty.
type CaseKey struct {
	Name       string
	Place      string // file and line
	Algorithm  signer.Algorithm
	Public     []byte
	Protection signer.Protection
	Origin     signer.Origin
	Padding    signer.Padding
	Kinds      []signer.Kind
	Chains     []string
}

var caseFileSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "version", Required: true}, {Name: "sockets"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "key", LabelNames: []string{"name"}},
		{Type: "caller", LabelNames: []string{"name"}},
		{Type: "accounts"},
		{Type: "defaults"},
		{Type: "case", LabelNames: []string{"name"}},
	},
}

// ReadCaseFile reads the frame of a case file, with its keys and sockets, which it takes
// to load the policy. [CaseFile.Cases] reads the rest. The name is for error messages,
// as it is in [Load].
func ReadCaseFile(name string, src []byte) (*CaseFile, error) {
	f := &CaseFile{loader: newLoader(src, Env{})}
	f.read(name)
	if err := f.loader.err(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *CaseFile) read(name string) {
	l := f.loader
	body, ok := l.parse(name)
	if !ok {
		return
	}
	f.content = l.body(body, caseFileSchema)
	if v, ok := f.content.Attributes["version"]; ok {
		l.number(v.Expr, 1, 1)
	}
	l.distinct(f.content)
	if a, ok := f.content.Attributes["sockets"]; ok {
		f.Sockets = texts(l.list(a.Expr))
	}
	each(f.content, "key", func(b *hcl.Block) { f.Keys = append(f.Keys, l.caseKey(b)) })
	if !slices.ContainsFunc(f.content.Blocks, func(b *hcl.Block) bool { return b.Type == "case" }) {
		l.fail(f.content.MissingItemRange, "there is no case in the file; write one: case \"NAME\" { ... }")
	}
}

// distinct refuses a block that is there twice.
func (r *reader) distinct(content *hcl.BodyContent) {
	first := map[[2]string]*hcl.Block{}
	for _, b := range content.Blocks {
		id := [2]string{b.Type, strings.Join(b.Labels, "")}
		if before, twice := first[id]; twice {
			r.fail(b.DefRange, "%s is there twice; the first is on line %d", strings.TrimSpace(b.Type+" "+strings.Join(b.Labels, "")), before.DefRange.Start.Line)
			continue
		}
		first[id] = b
	}
}

var caseKeySchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "algorithm"}, {Name: "public_key"}, {Name: "protection"}, {Name: "origin"}, {Name: "padding"}, {Name: "kinds"}, {Name: "chains"},
}}

func (l *loader) caseKey(b *hcl.Block) CaseKey {
	k := CaseKey{Name: b.Labels[0], Place: place(b.DefRange)}
	if k.Name == signer.AdminKey {
		l.fail(b.LabelRanges[0], "the name %q stands for Sealward itself, which every case may name", k.Name)
	}
	for name, a := range l.body(b.Body, caseKeySchema).Attributes {
		switch name {
		case "algorithm":
			k.Algorithm = signer.Algorithm(l.choice(a, algorithms()))
		case "protection":
			k.Protection = signer.Protection(l.choice(a, protections()))
		case "origin":
			k.Origin = signer.Origin(l.choice(a, origins()))
		case "padding":
			k.Padding = signer.Padding(l.choice(a, []string{string(signer.PaddingPSS), string(signer.PaddingPKCS1)}))
		case "public_key":
			k.Public = l.publicKey(a)
		case "kinds":
			k.Kinds = l.kinds(a)
		case "chains":
			for _, i := range l.list(a.Expr) {
				if err := checkChain(i.text); err != nil {
					l.fail(i.at, "%v", err)
				}
				k.Chains = append(k.Chains, i.text)
			}
		}
	}
	return k
}

func (l *loader) publicKey(a *hcl.Attribute) []byte {
	text, ok := l.text(a.Expr)
	if !ok {
		return nil
	}
	digits, prefixed := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !prefixed || err != nil || len(raw) == 0 {
		l.fail(a.Expr.Range(), "public_key: want 0x and hexadecimal digits, as `sealward keys show` prints it")
		return nil
	}
	return raw
}

// choice reads a text that must be one of some.
func (r *reader) choice(a *hcl.Attribute, known []string) string {
	text, ok := r.text(a.Expr)
	if ok && !slices.Contains(known, text) {
		r.fail(a.Expr.Range(), "%s %q is not known%s", a.Name, text, didYouMean(text, known))
	}
	return text
}

// place is a file and a line.
func place(at hcl.Range) string { return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line) }

func texts(items []item) []string {
	out := make([]string, 0, len(items))
	for _, i := range items {
		out = append(out, i.text)
	}
	return out
}
