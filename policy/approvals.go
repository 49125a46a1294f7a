package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// maxApprovals bounds a quorum; a group has fewer members. maxDevices bounds with how
// many devices a person approves.
const (
	maxApprovals = 1000
	maxDevices   = 9
)

var requireSchema = &hcl.BodySchema{Attributes: append([]hcl.AttributeSchema{{Name: "exclude_caller"}}, recoverySchema.Attributes...)}

var recoverySchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "group", Required: true}, {Name: "approvals", Required: true}, {Name: "including"}, {Name: "devices"},
}}

// require reads one quorum of a rule.
func (l *loader) require(rule string, b *hcl.Block, before []signer.Quorum) (signer.Quorum, bool) {
	args := l.body(b.Body, requireSchema).Attributes
	q := signer.Quorum{Rule: rule}
	ok := true
	if x := args["exclude_caller"]; x != nil {
		q.ExcludeCaller, ok = l.boolean(x.Expr)
		if q.ExcludeCaller && len(l.people.owners) == 0 {
			l.fail(x.Expr.Range(), "exclude_caller needs to know which person a caller is, and no approver says so; write users = [\"alice\"], the names of their local users, in the approver blocks")
			ok = false
		}
	}
	if group := args["group"]; group != nil {
		if name, named := quoted(group.Expr); named && slices.ContainsFunc(before, func(x signer.Quorum) bool { return x.Group == name }) {
			l.fail(group.Expr.Range(), "rule %q asks group %q twice, and approvals are not added up; keep one block, with the larger number", rule, name)
			return q, false
		}
	}
	read := l.quorum(&q, args)
	return q, ok && read
}

// recoveryRule stands for the name of a rule in the quorum of the block recovery.
const recoveryRule = "recovery"

// recovery reads who may do without the rules.
func (l *loader) recovery(b *hcl.Block) {
	q := signer.Quorum{Rule: recoveryRule}
	if l.quorum(&q, l.body(b.Body, recoverySchema).Attributes) {
		l.people.recovery = &q
	}
}

// quorum reads whose approvals it takes, and how many.
func (l *loader) quorum(q *signer.Quorum, args hcl.Attributes) bool {
	group, approvals := args["group"], args["approvals"]
	if group == nil || approvals == nil {
		return false // which was said
	}
	at := places{group.Expr.Range(), approvals.Expr.Range(), group.Expr.Range(), approvals.Expr.Range()}
	name, ok := l.filled(group.Expr, "the group")
	q.Group = name
	n, counted := l.number(approvals.Expr, 1, maxApprovals)
	q.Approvals = int(n)
	if x := args["including"]; x != nil {
		var named bool
		q.Including, named = l.filled(x.Expr, "the group")
		at.including, ok = x.Expr.Range(), ok && named
	}
	if x := args["devices"]; x != nil {
		n, counted := l.number(x.Expr, 1, maxDevices)
		if n > 1 { // as many as there are without
			q.Devices = int(n)
		}
		at.devices, ok = x.Expr.Range(), ok && counted
	}
	return ok && counted && l.satisfiable(*q, at)
}

// places are where the parts of a quorum stand.
type places struct{ group, approvals, including, devices hcl.Range }

// satisfiable checks that there are such groups, and that there are people enough who
// could approve.
func (l *loader) satisfiable(q signer.Quorum, at places) bool {
	group, known := l.people.groups[q.Group]
	if !known {
		l.fail(at.group, "no group is named %q%s", q.Group, didYouMean(q.Group, sortedKeys(l.people.groups)))
		return false
	}
	able := l.people.able(q)
	most, but := len(able), ""
	if q.ExcludeCaller {
		most, but = most-1, ", of whom the one who asks does not count"
	}
	people := fmt.Sprintf("group %q has %d %s%s", q.Group, len(group), plural(len(group), "member"), but)
	switch {
	case q.Devices > 1 && q.Approvals > most:
		l.fail(at.devices, "nobody could collect %d %s with %d devices each: %s, and %d of them %s so many devices; enrol more devices, or ask for fewer", q.Approvals, plural(q.Approvals, "approval"), q.Devices, people, len(able), has(len(able)))
		return false
	case most <= 0:
		l.fail(at.approvals, "nobody could approve: %s; add members", people)
		return false
	case q.Approvals > most:
		l.fail(at.approvals, "nobody could collect %d approvals: %s; ask for at most %d, or add members", q.Approvals, people, most)
		return false
	}
	return q.Including == "" || l.includable(q, at.including)
}

// includable checks that somebody who could approve is of the group that must be among
// them.
func (l *loader) includable(q signer.Quorum, at hcl.Range) bool {
	switch _, known := l.people.groups[q.Including]; {
	case !known:
		l.fail(at, "no group is named %q%s", q.Including, didYouMean(q.Including, sortedKeys(l.people.groups)))
	case q.Including == q.Group:
		l.fail(at, "including names the group that approves itself; name another one, of which one at least must be among them, or remove it")
	case !l.people.included(q, ""):
		among := ""
		if q.Devices > 1 {
			among = fmt.Sprintf(" with %d devices", q.Devices)
		}
		l.fail(at, "nobody could approve: no member of group %q%s is of group %q, of which one must be among them; add somebody of one group to the other, or ask group %q in a require block of its own", q.Group, among, q.Including, q.Including)
	default:
		return true
	}
	return false
}

func has(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

var overText = regexp.MustCompile(`^require:(.+):([1-9][0-9]{0,3})$`)

// over reads who may let through what exceeds a limit: "require:GROUP:N".
func (l *loader) over(rule, limit string, a *hcl.Attribute) *signer.Quorum {
	text, ok := l.textLike(a.Expr, "require:treasury:2")
	if !ok {
		return nil
	}
	m := overText.FindStringSubmatch(text)
	if m == nil {
		l.fail(a.Expr.Range(), "over %q: want \"require:GROUP:N\", such as \"require:treasury:2\": who may let through what exceeds the limit, and how many of them", text)
		return nil
	}
	n, _ := strconv.Atoi(m[2]) // at most four digits
	q := signer.Quorum{Rule: rule, Limit: limit, Group: m[1], Approvals: n}
	at := a.Expr.Range()
	if !l.satisfiable(q, places{at, at, at, at}) {
		return nil
	}
	return &q
}

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
