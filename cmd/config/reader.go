package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"
)

// reader turns attributes into values and gathers what is wrong.
type reader struct {
	dir    string
	diags  hcl.Diagnostics
	blocks ranges
}

func (r *reader) fail(a *hcl.Attribute, summary, detail string) {
	var at hcl.Range
	if a != nil {
		at = a.Expr.Range()
	}
	r.failAt(at, summary, detail)
}

func (r *reader) failAt(at hcl.Range, summary, detail string) {
	r.diags = append(r.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at})
}

// required lists the arguments that blocks must have; gohcl takes an absent
// *hcl.Attribute for an optional one.
var required = map[string][]string{
	"": {"version", "policy"}, "journal": {"path", "key"}, "metrics": {"path"},
	"pkcs11": {"module", "uri"}, "tpm": {"device"}, "piv": {"serial"}, "key": {"token"},
	OverrideFile: {"version", "policy", "reason"},
}

// require looks for them in a file; typ stands for its top level.
func (r *reader) require(typ string, b hcl.Body) {
	body, ok := b.(*hclsyntax.Body)
	if !ok {
		return
	}
	r.requireIn(typ, body, body.MissingItemRange())
}

func (r *reader) requireIn(typ string, body *hclsyntax.Body, at hcl.Range) {
	for _, name := range required[typ] {
		if body.Attributes[name] == nil {
			r.failAt(at, "Missing required argument", fmt.Sprintf("The argument %q is required, but no definition was found.", name))
		}
	}
	for _, b := range body.Blocks {
		r.requireIn(b.Type, b.Body, b.DefRange())
	}
}

// value evaluates an attribute to a type; ok is false when it is absent or wrong.
func (r *reader) value(a *hcl.Attribute, want cty.Type, into any) (ok bool) {
	if a == nil {
		return false
	}
	v, diags := a.Expr.Value(nil)
	if diags.HasErrors() {
		r.diags = append(r.diags, diags...)
		return false
	}
	// HCL would turn 1 into "1" and "true" into true; a configuration that means
	// a string says so.
	if v.Type().IsPrimitiveType() && want.IsPrimitiveType() && !v.Type().Equals(want) {
		r.fail(a, "Unsuitable value type", fmt.Sprintf("%s is a %s.", a.Name, want.FriendlyName()))
		return false
	}
	v, err := convert.Convert(v, want)
	if err == nil && (v.IsNull() || !v.IsWhollyKnown()) {
		err = fmt.Errorf("it has no value")
	}
	if err == nil {
		err = gocty.FromCtyValue(v, into)
	}
	if err != nil {
		r.fail(a, "Unsuitable value", fmt.Sprintf("%s is a %s: %v.", a.Name, want.FriendlyName(), err))
		return false
	}
	return true
}

func (r *reader) string(a *hcl.Attribute, def string) string {
	s := def
	if r.value(a, cty.String, &s) && s == "" {
		r.fail(a, "Empty value", fmt.Sprintf("%s must not be empty.", a.Name))
	}
	return s
}

func (r *reader) strings(a *hcl.Attribute) (out []string) {
	r.value(a, cty.List(cty.String), &out)
	return out
}

// account is what useradd(8) takes for a name, and what others have in use beside it.
var account = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?$`)

// users reads names of local accounts, none twice.
func (r *reader) users(a *hcl.Attribute) (out []string) {
	for _, name := range r.strings(a) {
		switch {
		case !account.MatchString(name):
			r.fail(a, "Unsuitable user", fmt.Sprintf("%q is no name of a local user, such as \"alice\"; a number is none.", name))
		case slices.Contains(out, name):
			r.fail(a, "Repeated user", fmt.Sprintf("%q is there already.", name))
		}
		out = append(out, name)
	}
	return out
}

func (r *reader) bool(a *hcl.Attribute) (b bool) {
	r.value(a, cty.Bool, &b)
	return b
}

func (r *reader) int(a *hcl.Attribute, def, least, most int) int {
	n := def
	if r.value(a, cty.Number, &n) && (n < least || n > most) {
		r.fail(a, "Out of range", fmt.Sprintf("%s is between %d and %d.", a.Name, least, most))
	}
	return n
}

func (r *reader) duration(a *hcl.Attribute, def, least, most time.Duration) time.Duration {
	s := r.string(a, "")
	if s == "" {
		return def
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		r.fail(a, "Unsuitable duration", fmt.Sprintf("%s is a duration such as \"30s\", between %s and %s.", a.Name, least, most))
	}
	return d
}

func (r *reader) mode(a *hcl.Attribute, def fs.FileMode) fs.FileMode {
	s := r.string(a, "")
	if s == "" {
		return def
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 || n&0o600 != 0o600 || n&0o111 != 0 {
		r.fail(a, "Unsuitable mode", `A socket's mode is octal text such as "0660"; its owner reads and writes, nobody executes.`)
	}
	return fs.FileMode(n)
}

// path makes a path absolute, from the folder of the configuration.
func (r *reader) path(a *hcl.Attribute) string {
	s := r.string(a, "")
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(r.dir, s)
}

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func validName(s string) bool { return name.MatchString(s) }

// meant suggests the nearest of what there is.
func meant(s string, known []string) string {
	best, least := "", 4
	for _, k := range known {
		if d := levenshtein.Distance(s, k, nil); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// ranges finds where the nth block of a type stands, since gohcl does not say.
type ranges map[string][]hcl.Range

func blockRanges(f *hcl.File) ranges {
	out := ranges{}
	if body, ok := f.Body.(*hclsyntax.Body); ok {
		for _, b := range body.Blocks {
			out[b.Type] = append(out[b.Type], b.DefRange())
		}
	}
	return out
}

func (r ranges) at(typ string, n int) hcl.Range {
	if n < len(r[typ]) {
		return r[typ][n]
	}
	return hcl.Range{}
}

// problems is one line for each thing that is wrong: file:line,column: what.
func problems(diags hcl.Diagnostics) error {
	var lines []string
	for _, d := range diags {
		lines = append(lines, d.Error())
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}
