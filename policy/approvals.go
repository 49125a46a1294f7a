package policy

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
)

// Approvals are part of the grammar and checked like the rest of it, so that a
// policy written for a later version gets its mistakes shown today. Then they are
// refused: a rule whose quorum is ignored would be worse than none.
const noApprovals = "approvals do not exist in this version; remove "

// people are the approvers and groups that a policy names.
type people struct {
	approvers []string
	groups    map[string]int // number of members
}

var approverSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "certificate", Required: true}, {Name: "users"},
}}

func (l *loader) approver(b *hcl.Block) {
	content := l.body(b.Body, approverSchema)
	if name, ok := l.titled(b); ok {
		l.people.approvers = append(l.people.approvers, name)
	}
	if c, ok := content.Attributes["certificate"]; ok {
		l.filled(c.Expr, "the certificate's file name")
	}
	if u, ok := content.Attributes["users"]; ok {
		l.list(u.Expr)
	}
}

var groupSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "members", Required: true}}}

func (l *loader) group(b *hcl.Block) {
	content := l.body(b.Body, groupSchema)
	name, ok := l.titled(b)
	members := content.Attributes["members"]
	if !ok || members == nil {
		return
	}
	list := l.list(members.Expr)
	for _, m := range list {
		if !slices.Contains(l.people.approvers, m.text) {
			l.fail(m.at, "group %q: no approver is named %q%s", name, m.text, didYouMean(m.text, l.people.approvers))
		}
	}
	if l.people.groups == nil {
		l.people.groups = map[string]int{}
	}
	l.people.groups[name] = len(list)
}

func (l *loader) refuseApproval(b *hcl.Block) {
	l.fail(b.DefRange, noApprovals+"%s %q", b.Type, b.Labels[0])
}

var requireSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "group", Required: true}, {Name: "approvals", Required: true}, {Name: "exclude_caller"},
}}

func (l *loader) require(rule string, b *hcl.Block) {
	content := l.body(b.Body, requireSchema)
	if x, ok := content.Attributes["exclude_caller"]; ok {
		l.boolean(x.Expr)
	}
	group, approvals := content.Attributes["group"], content.Attributes["approvals"]
	if group != nil {
		if name, ok := l.filled(group.Expr, "the group"); ok && l.quorum(group.Expr.Range(), name) && approvals != nil {
			l.number(approvals.Expr, 1, int64(l.people.groups[name]))
		}
	}
	l.fail(b.DefRange, noApprovals+"require from rule %q, or write allow = true and limits in its place", rule)
}

// quorum checks that a group exists.
func (l *loader) quorum(at hcl.Range, group string) bool {
	if _, ok := l.people.groups[group]; ok {
		return true
	}
	l.fail(at, "no group is named %q%s", group, didYouMean(group, sortedKeys(l.people.groups)))
	return false
}

var overText = regexp.MustCompile(`^require:(.+):([1-9][0-9]{0,3})$`)

// over reads who may exceed a limit: "require:GROUP:N".
func (l *loader) over(limit string, a *hcl.Attribute) {
	text, ok := l.text(a.Expr)
	if !ok {
		return
	}
	m := overText.FindStringSubmatch(text)
	if m == nil {
		l.fail(a.Expr.Range(), "over %q: want \"require:GROUP:N\", such as \"require:treasury:2\"", text)
		return
	}
	if n, err := strconv.Atoi(m[2]); l.quorum(a.Expr.Range(), m[1]) && (err != nil || n > l.people.groups[m[1]]) {
		l.fail(a.Expr.Range(), "over %q: group %q has only %d members", text, m[1], l.people.groups[m[1]])
	}
	l.fail(a.NameRange, noApprovals+"over from limit %q: an exhausted limit then refuses", limit)
}

// waits reads an argument that only an approval gives a meaning to.
func (l *loader) waits(rule string, a *hcl.Attribute) {
	l.span(a.Expr)
	l.fail(a.NameRange, noApprovals+"%s from rule %q", a.Name, rule)
}
