package policy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// maxApprovals bounds a quorum; a group has fewer members.
const maxApprovals = 1000

// people are who a policy names to approve.
type people struct {
	approvers map[string]approver
	groups    map[string][]string // their members
	owners    map[string]string   // approvers, by the local users that are theirs
}

// approver is one person.
type approver struct {
	users []string
	key   [32]byte // SHA-256 of the SubjectPublicKeyInfo of the certificate
}

func newPeople() people {
	return people{approvers: map[string]approver{}, groups: map[string][]string{}, owners: map[string]string{}}
}

var approverSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "certificate", Required: true}, {Name: "users"},
}}

func (l *loader) approver(b *hcl.Block) {
	content := l.body(b.Body, approverSchema)
	name, ok := l.titled(b)
	if !ok {
		return
	}
	var p approver
	if a, there := content.Attributes["certificate"]; there {
		p.key = l.certificate(name, a)
	}
	if users, there := content.Attributes["users"]; there {
		p.users = l.users(name, users)
	}
	l.people.approvers[name] = p
}

// users reads the local users that are one person's.
func (l *loader) users(approver string, a *hcl.Attribute) (users []string) {
	for _, u := range l.list(a.Expr) {
		switch owner, taken := l.people.owners[u.text]; {
		case strings.ContainsAny(u.text, " :/"):
			l.fail(u.at, "approver %q: %q is not the name of a local user; write the name alone, such as \"alice\"", approver, u.text)
		case taken:
			l.fail(u.at, "approver %q: user %q is approver %q's already; a user belongs to one person", approver, u.text, owner)
		default:
			l.people.owners[u.text] = approver
			users = append(users, u.text)
		}
	}
	return users
}

// certificate reads an approver's certificate and returns the digest of its key. What it
// says of names and dates is not looked at: an approver is a key, for as long as the
// policy names it.
func (l *loader) certificate(approver string, a *hcl.Attribute) (key [32]byte) {
	name, ok := l.fileName(a)
	if !ok {
		return key
	}
	if l.env.Files == nil {
		l.fail(a.Expr.Range(), "%s cannot be read: this file is read by itself here", name)
		return key
	}
	src, err := l.env.Files(name)
	if err != nil {
		l.fail(a.Expr.Range(), "read the certificate of approver %q: %v; put the file in the folder of the policy, or correct its name", approver, err)
		return key
	}
	cert, err := parseCertificate(src)
	if err != nil {
		l.fail(a.Expr.Range(), "approver %q: %s %v", approver, name, err)
		return key
	}
	key = sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	for _, other := range sortedKeys(l.people.approvers) {
		if l.people.approvers[other].key == key {
			l.fail(a.Expr.Range(), "approvers %q and %q have one public key, and one key is one person; name a certificate of each person's own", other, approver)
		}
	}
	l.keep(name, src, a.Expr.Range())
	return key
}

// parseCertificate takes a file that is one certificate in PEM (RFC 7468, 5.1) and
// nothing else, so that nobody reads another one in it than we do.
func parseCertificate(src []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(src)
	switch {
	case bytes.Contains(src, []byte("PRIVATE KEY-----")):
		return nil, errors.New("holds a private key, which belongs nowhere near a policy; name the certificate's file, and take that key for exposed if others can read this file")
	case block == nil && len(src) > 0 && src[0] == 0x30: // a DER SEQUENCE
		return nil, errors.New("is a certificate in binary; convert it: openssl x509 -inform der -in FILE -out FILE.pem")
	case block == nil:
		return nil, errors.New("is not a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
	case block.Type != "CERTIFICATE":
		return nil, fmt.Errorf("is a %s in PEM; want a CERTIFICATE", clip(strings.ToValidUTF8(block.Type, "?")))
	case !bytes.HasPrefix(src, []byte("-----BEGIN")) || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("holds more than one certificate alone; want one, without a chain and without text around it")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("holds no certificate that can be read: %w", err)
	}
	return cert, nil
}

var groupSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "members", Required: true}}}

func (l *loader) group(b *hcl.Block) {
	content := l.body(b.Body, groupSchema)
	name, ok := l.titled(b)
	members := content.Attributes["members"]
	if !ok || members == nil {
		return
	}
	var names []string
	for _, m := range l.list(members.Expr) {
		if _, known := l.people.approvers[m.text]; !known {
			l.fail(m.at, "group %q: no approver is named %q%s", name, m.text, didYouMean(m.text, sortedKeys(l.people.approvers)))
		}
		names = append(names, m.text)
	}
	l.people.groups[name] = names
}

var requireSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "group", Required: true}, {Name: "approvals", Required: true}, {Name: "exclude_caller"},
}}

// require reads one quorum of a rule.
func (l *loader) require(rule string, b *hcl.Block, before []signer.Quorum) (signer.Quorum, bool) {
	content := l.body(b.Body, requireSchema)
	q := signer.Quorum{Rule: rule}
	group, approvals := content.Attributes["group"], content.Attributes["approvals"]
	if group == nil || approvals == nil {
		return q, false
	}
	ok := true
	if x, there := content.Attributes["exclude_caller"]; there {
		q.ExcludeCaller, ok = l.boolean(x.Expr)
		if q.ExcludeCaller && len(l.people.owners) == 0 {
			l.fail(x.Expr.Range(), "exclude_caller needs to know which person a caller is, and no approver says so; write users = [\"alice\"], the names of their local users, in the approver blocks")
			ok = false
		}
	}
	name, named := l.filled(group.Expr, "the group")
	if named && slices.ContainsFunc(before, func(x signer.Quorum) bool { return x.Group == name }) {
		l.fail(group.Expr.Range(), "rule %q asks group %q twice, and approvals are not added up; keep one block, with the larger number", rule, name)
		return q, false
	}
	n, counted := l.number(approvals.Expr, 1, maxApprovals)
	if !ok || !named || !counted {
		return q, false
	}
	q.Group, q.Approvals = name, int(n)
	return q, l.satisfiable(q, group.Expr.Range(), approvals.Expr.Range())
}

// satisfiable checks that there is such a group and that it has enough members.
func (l *loader) satisfiable(q signer.Quorum, groupAt, approvalsAt hcl.Range) bool {
	group, ok := l.people.groups[q.Group]
	members := len(group)
	most, but := members, ""
	if q.ExcludeCaller {
		most, but = members-1, ", of whom the one who asks does not count"
	}
	switch {
	case !ok:
		l.fail(groupAt, "no group is named %q%s", q.Group, didYouMean(q.Group, sortedKeys(l.people.groups)))
	case most == 0:
		l.fail(approvalsAt, "nobody could approve: group %q has %d %s%s; add members", q.Group, members, plural(members, "member"), but)
		return false
	case q.Approvals > most:
		l.fail(approvalsAt, "nobody could collect %d approvals: group %q has %d %s%s; ask for at most %d, or add members", q.Approvals, q.Group, members, plural(members, "member"), but, most)
		return false
	}
	return ok
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
	if !l.satisfiable(q, a.Expr.Range(), a.Expr.Range()) {
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
