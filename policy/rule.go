package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// rule is one rule of a policy. Its zero value lets nothing through.
type rule struct {
	name    string
	line    int           // where it begins in the policy file
	keys    []string      // by name; nil: every key
	callers []selector    // nil: every caller
	kinds   []signer.Kind // nil: every kind
	hours   []hours       // nil: at any time
	when    *condition    // nil: always
	allow   bool
	require []signer.Quorum // who must approve, every one of them
	deny    string          // the reason, of a rule that denies
	blind   []signer.Class  // incomplete classes that a rule that lets through accepts
	limits  []limit
	fees    []fee
	delay   wait // before what it lets through is signed
	expires wait // for how long approvals may take
}

// wait is a length of time, and how the owner wrote it; zero for none.
type wait struct {
	time.Duration
	text string
}

// lets reports whether a rule lets through what it matches, at once or once it is
// approved. One that denies as well, or says nothing of the three, does not.
func (r *rule) lets() bool { return (r.allow || len(r.require) > 0) && r.deny == "" }

// names reports whether a rule is about a caller and a key at all.
func (r *rule) names(c signer.Caller, key string) bool {
	return r.about(key) &&
		(r.callers == nil || slices.ContainsFunc(r.callers, func(s selector) bool { return s.matches(c) }))
}

// about reports whether a rule is about a key. One that lists no keys is about all,
// but nobody who wrote "every key" for payments meant to hand out Sealward itself: an
// administrative request is let through only by a rule that names it.
func (r *rule) about(key string) bool {
	if r.keys == nil {
		return key != signer.AdminKey || r.deny != ""
	}
	return slices.Contains(r.keys, key)
}

// selector picks callers by one thing that the kernel says of them.
type selector struct {
	what, name string
	uid        uint32
}

var selectorKinds = []string{"user", "group", "socket", "unit", "uid"}

// matches is false wherever the kernel could not say: what it did not say is
// empty, and no selector has an empty name.
func (s selector) matches(c signer.Caller) bool {
	switch s.what {
	case "user":
		return c.User == s.name
	case "group":
		return slices.Contains(c.Groups, s.name)
	case "socket":
		return c.Socket == s.name
	case "unit":
		return c.Unit == s.name
	case "uid":
		return c.UID == s.uid
	default:
		return false
	}
}

var ruleSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{
		{Name: "keys"}, {Name: "callers"}, {Name: "kinds"}, {Name: "when"}, {Name: "allow"},
		{Name: "deny"}, {Name: "blind"}, {Name: "delay"}, {Name: "expires"},
	},
	Blocks: []hcl.BlockHeaderSchema{{Type: "limit", LabelNames: []string{"name"}}, {Type: "require"}, {Type: "fee"}, {Type: "hours"}},
}

func (l *loader) rule(b *hcl.Block) {
	name, ok := l.titled(b)
	if !ok {
		name = b.Labels[0]
	}
	r := rule{name: name, line: b.DefRange.Start.Line}
	content := l.body(b.Body, ruleSchema)
	for arg, a := range content.Attributes {
		switch arg {
		case "keys":
			r.keys = l.keys(a)
		case "callers":
			r.callers = l.callers(a)
		case "kinds":
			r.kinds = l.kinds(a)
		case "when":
			if text, ok := l.text(a.Expr); ok {
				r.when = l.cel.compile(&l.reader, trace(l.src, a.Expr.Range(), text))
			}
		case "blind":
			r.blind = l.blind(a)
		case "delay":
			r.delay = l.wait(a)
		case "expires":
			r.expires = l.wait(a)
		}
	}
	each(content, "require", func(b *hcl.Block) {
		if q, ok := l.require(name, b, r.require); ok {
			r.require = append(r.require, q)
		}
	})
	each(content, "fee", func(b *hcl.Block) {
		if f, ok := l.fee(b); ok {
			r.fees = append(r.fees, f)
		}
	})
	each(content, "hours", func(b *hcl.Block) {
		if h, ok := l.hours(b); ok {
			r.hours = append(r.hours, h)
		}
	})
	r.limits = l.limits(name, content.Blocks.OfType("limit"))
	if l.effect(b, content, &r); r.lets() {
		l.attainable(content, &r)
	}
	l.rules = append(l.rules, r)
}

// effect reads what a rule does with what it matches, and holds it to one thing.
func (l *loader) effect(b *hcl.Block, content *hcl.BodyContent, r *rule) {
	allow, deny := content.Attributes["allow"], content.Attributes["deny"]
	required := content.Blocks.OfType("require")
	switch {
	case allow != nil && deny != nil:
		l.fail(deny.NameRange, "rule %q both allows and denies; keep one of the two", r.name)
		return
	case allow != nil && len(required) > 0:
		l.fail(allow.NameRange, "rule %q has allow and require; a rule with require lets through what was approved, so remove allow", r.name)
		return
	case allow == nil && deny == nil && len(required) == 0:
		l.fail(b.DefRange, "rule %q does nothing: write allow = true, or a require block, or deny = \"reason\"", r.name)
		return
	}
	if allow != nil {
		v, ok := l.boolean(allow.Expr)
		if ok && !v {
			l.fail(allow.Expr.Range(), "allow = false does nothing; to refuse, write deny = \"reason\"")
		}
		r.allow = v
	}
	if deny == nil {
		return
	}
	if _, ok := l.textLike(deny.Expr, "not on weekends"); ok {
		r.deny, _ = l.filled(deny.Expr, "the reason to deny")
	}
	for _, arg := range []string{"blind", "delay", "expires"} {
		if a, ok := content.Attributes[arg]; ok {
			l.fail(a.NameRange, "rule %q denies, and %s is for rules that let through; remove it", r.name, arg)
		}
	}
	for _, inner := range content.Blocks {
		if inner.Type != "hours" {
			l.fail(inner.DefRange, "rule %q denies, and %s is for rules that let through; remove it", r.name, inner.Type)
		}
	}
}

// attainable refuses a rule that lets through what can never come or never be approved.
func (l *loader) attainable(content *hcl.BodyContent, r *rule) {
	if expires := content.Attributes["expires"]; expires != nil {
		over := slices.ContainsFunc(r.limits, func(lim limit) bool { return lim.over != nil })
		switch {
		case len(r.require) == 0 && !over && r.delay.Duration == 0 && !l.failed():
			l.fail(expires.NameRange, "rule %q asks for nothing that could expire: expires says how long approvals may take; add a require block or an over, or remove expires", r.name)
		case r.expires.Duration > 0 && r.delay.Duration >= r.expires.Duration:
			l.fail(expires.Expr.Range(), "rule %q: approvals would expire after %s, before the delay of %s is over, so that nothing could ever be signed; write a longer expires or a shorter delay", r.name, r.expires.text, r.delay.text)
		}
	}
	if a := content.Attributes["kinds"]; a != nil && !slices.ContainsFunc(r.kinds, func(k signer.Kind) bool { return !slices.Contains(kinds(), string(k)) }) {
		l.signable(a.Expr.Range(), r)
	}
}

// signable refuses kinds that no key of a rule signs. Of a key that does not say which
// it signs, nothing is known.
func (l *loader) signable(at hcl.Range, r *rule) {
	names := r.keys
	if names == nil {
		names = sortedKeys(l.env.Keys)
	}
	var signs []string
	for _, name := range names {
		kinds := l.env.Keys[name].Kinds
		if name == signer.AdminKey {
			kinds = []signer.Kind{signer.KindAdmin}
		}
		if len(kinds) == 0 || slices.ContainsFunc(kinds, func(k signer.Kind) bool { return slices.Contains(r.kinds, k) }) {
			return
		}
		signs = append(signs, fmt.Sprintf("%s signs %s", name, quoteAll(kinds)))
	}
	switch {
	case len(names) == 0: // of no configuration
	case slices.Contains(r.kinds, signer.KindAdmin):
		l.fail(at, "rule %q can let nothing through: requests of kind %q are for key %q; write keys = [%q], and other kinds in a rule of their own", r.name, signer.KindAdmin, signer.AdminKey, signer.AdminKey)
	default:
		l.fail(at, "rule %q can let nothing through: no key of it signs %s (%s); correct keys or kinds, or the kinds of the key in sealward.hcl", r.name, quoteAll(r.kinds), strings.Join(signs, "; "))
	}
}

// wait reads how long something takes.
func (l *loader) wait(a *hcl.Attribute) wait {
	d, text, _ := l.span(a.Expr)
	return wait{d, text}
}

func (l *loader) keys(a *hcl.Attribute) []string {
	known := keyNames(l.env)
	var keys []string
	for _, i := range l.list(a.Expr) {
		if !slices.Contains(known, i.text) {
			l.fail(i.at, "no key is named %q%s", i.text, didYouMean(i.text, known))
		}
		keys = append(keys, i.text)
	}
	return keys
}

func (l *loader) kinds(a *hcl.Attribute) []signer.Kind {
	var out []signer.Kind
	for _, i := range l.list(a.Expr) {
		if !slices.Contains(kinds(), i.text) {
			l.fail(i.at, "no kind is named %q%s", i.text, didYouMean(i.text, kinds()))
		}
		out = append(out, signer.Kind(i.text))
	}
	return out
}

func (l *loader) callers(a *hcl.Attribute) []selector {
	var out []selector
	for _, i := range l.list(a.Expr) {
		s, err := l.selector(i.text)
		if err != nil {
			l.fail(i.at, "caller %q: %v", i.text, err)
		}
		out = append(out, s)
	}
	return out
}

func (l *loader) selector(text string) (selector, error) {
	what, name, ok := strings.Cut(text, ":")
	s := selector{what: what, name: name}
	switch {
	case !ok || name == "":
		return s, fmt.Errorf("want user:NAME, group:NAME, socket:NAME, unit:PATH or uid:NUMBER")
	case !slices.Contains(selectorKinds, what):
		return s, fmt.Errorf("unknown selector %q%s", what, didYouMean(what, selectorKinds))
	}
	switch what {
	case "user", "group":
		if strings.ContainsAny(name, " :/") {
			return s, fmt.Errorf("%q is not the name of a %s", name, what)
		}
	case "socket":
		if !slices.Contains(l.env.Sockets, name) {
			return s, fmt.Errorf("no socket is named %q%s", name, didYouMean(name, l.env.Sockets))
		}
	case "unit":
		return s, checkUnit(name)
	case "uid":
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != name {
			return s, fmt.Errorf("want a user id in decimal, such as uid:1000")
		}
		s.uid = uint32(n)
	}
	return s, nil
}

// checkUnit insists on the whole path, which is what the kernel proves: anybody
// may run a unit of any name under a manager of their own.
func checkUnit(path string) error {
	for i, part := range strings.Split(path, "/") {
		slice := strings.HasSuffix(part, ".slice")
		switch {
		case i == 0 && !slice:
			return fmt.Errorf("want the unit's whole cgroup path, such as \"system.slice/payroll.service\" (systemctl show -p ControlGroup NAME, without the first /)")
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("%q is not a cgroup path", path)
		}
	}
	return nil
}

func (l *loader) blind(a *hcl.Attribute) []signer.Class {
	var out []signer.Class
	for _, i := range l.list(a.Expr) {
		if !slices.Contains(blindable(), i.text) {
			l.fail(i.at, "class %q cannot be signed blind%s", i.text, didYouMean(i.text, blindable()))
		}
		out = append(out, signer.Class(i.text))
	}
	return out
}
