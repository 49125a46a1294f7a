package policy

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// rule is one rule of a policy. Its zero value allows nothing.
type rule struct {
	name    string
	keys    []string      // by name; nil: every key
	callers []selector    // nil: every caller
	kinds   []signer.Kind // nil: every kind
	when    *condition    // nil: always
	allow   bool
	deny    string         // the reason, of a rule that denies
	blind   []signer.Class // incomplete classes that an allow rule accepts
	limits  []limit
}

// limit bounds the outflow of one asset, per request or over a window.
type limit struct {
	name   string
	asset  signer.Asset // of a limit by count: signer.AssetRequests
	max    *big.Int
	window time.Duration // zero: per request
	per    signer.Per
	text   string // the window as the owner wrote it
}

func (l limit) counts() bool { return l.asset.ID == signer.AssetRequests }

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
	Blocks: []hcl.BlockHeaderSchema{{Type: "limit", LabelNames: []string{"name"}}, {Type: "require"}},
}

func (l *loader) rule(b *hcl.Block) {
	name, ok := l.titled(b)
	if !ok {
		name = b.Labels[0]
	}
	r := rule{name: name}
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
		case "delay", "expires":
			l.waits(name, a)
		}
	}
	var required bool
	for _, inner := range content.Blocks {
		if inner.Type == "require" {
			l.require(name, inner)
			required = true
			continue
		}
		if lim, ok := l.limit(inner, r.limits); ok {
			r.limits = append(r.limits, lim)
		}
	}
	l.effect(b, content, &r, required)
	l.rules = append(l.rules, r)
}

// effect reads what a rule does with what it matches, and holds it to one thing.
func (l *loader) effect(b *hcl.Block, content *hcl.BodyContent, r *rule, required bool) {
	allow, deny := content.Attributes["allow"], content.Attributes["deny"]
	switch {
	case allow != nil && deny != nil:
		l.fail(deny.NameRange, "rule %q both allows and denies; keep one of the two", r.name)
		return
	case allow == nil && deny == nil && !required:
		l.fail(b.DefRange, "rule %q does nothing: write allow = true or deny = \"reason\"", r.name)
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
	r.deny, _ = l.filled(deny.Expr, "the reason to deny")
	for _, arg := range []string{"blind", "delay", "expires"} {
		if a, ok := content.Attributes[arg]; ok {
			l.fail(a.NameRange, "rule %q denies, and %s is for rules that allow; remove it", r.name, arg)
		}
	}
	for _, inner := range content.Blocks {
		l.fail(inner.DefRange, "rule %q denies, and %s is for rules that allow; remove it", r.name, inner.Type)
	}
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

var limitSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "amount"}, {Name: "count"}, {Name: "window"}, {Name: "over"},
}}

func (l *loader) limit(b *hcl.Block, before []limit) (limit, bool) {
	content := l.body(b.Body, limitSchema)
	name, ok := l.titled(b)
	lim := limit{name: name}
	if slices.ContainsFunc(before, func(x limit) bool { return x.name == name }) {
		l.fail(b.LabelRanges[0], "the rule has two limits named %q", name)
		return lim, false
	}
	amount, count, window := content.Attributes["amount"], content.Attributes["count"], content.Attributes["window"]
	if over, ok := content.Attributes["over"]; ok {
		l.over(name, over)
	}
	if window != nil {
		var valid bool
		lim.window, lim.text, valid = l.span(window.Expr)
		ok = ok && valid
	}
	switch {
	case amount != nil && count != nil:
		l.fail(count.NameRange, "limit %q: amount and count exclude each other; make two limits of it", name)
		return lim, false
	case amount != nil:
		text, valid := l.text(amount.Expr)
		if !valid {
			return lim, false
		}
		var err error
		if lim.asset, lim.max, err = l.assets.amount(text); err != nil {
			l.fail(amount.Expr.Range(), "%v", err)
			return lim, false
		}
		if whole, _ := collectible(lim.asset.ID); whole {
			l.fail(amount.Expr.Range(), "limit %q: %s is a collection, and what moves is its pieces, each an asset of its own: %s", name, lim.asset.Name, limitPieces(lim.asset.ID+"/NUMBER"))
			return lim, false
		}
	case count != nil:
		n, valid := l.number(count.Expr, 1, 1<<53)
		if window == nil {
			l.fail(b.DefRange, "limit %q: count needs a window, such as window = \"24h\": every request counts one", name)
		}
		lim.asset, lim.max = signer.Asset{ID: signer.AssetRequests}, big.NewInt(n)
		ok = ok && valid && window != nil
	default:
		l.fail(b.DefRange, "limit %q limits nothing: write amount = \"2.5 eth\" or count = 10", name)
		return lim, false
	}
	return lim, ok
}
