package policy

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// people are who a policy names to approve.
type people struct {
	approvers   map[string]approver
	groups      map[string][]string // their members, by name or by role, sorted
	owners      map[string]string   // approvers, by the local users that are theirs
	attestation *attestation        // nil: nobody's key has to be attested
	recovery    *signer.Quorum      // nil: nobody may do without the rules
}

// approver is one person.
type approver struct {
	users   []string
	roles   []string
	devices []device
}

func newPeople() people {
	return people{approvers: map[string]approver{}, groups: map[string][]string{}, owners: map[string]string{}}
}

// People are those whom the policy names, to approve and to recover.
func (p *Policy) People() signer.People {
	out := signer.People{Groups: p.people.groups, Recovery: p.people.recovery}
	for _, name := range sortedKeys(p.people.approvers) {
		a := signer.Approver{Name: name, Users: p.people.approvers[name].users}
		for _, d := range p.people.approvers[name].devices {
			a.Devices = append(a.Devices, signer.Device{Name: d.name, ID: d.id, Certificate: d.certificate, SSH: d.ssh, Unverified: d.unverified})
		}
		out.Approvers = append(out.Approvers, a)
	}
	return out
}

var approverSchema = &hcl.BodySchema{
	Attributes: append(slices.Clone(deviceSchema.Attributes), hcl.AttributeSchema{Name: "users"}, hcl.AttributeSchema{Name: "roles"}),
	Blocks:     []hcl.BlockHeaderSchema{{Type: "device", LabelNames: []string{"name"}}},
}

func (l *loader) approver(b *hcl.Block) {
	content := l.body(b.Body, approverSchema)
	name, ok := l.titled(b)
	if !ok {
		return
	}
	var p approver
	if users, there := content.Attributes["users"]; there {
		p.users = l.users(name, users)
	}
	if roles, there := content.Attributes["roles"]; there {
		p.roles = texts(l.list(roles.Expr))
	}
	p.devices = l.devices(name, b, content)
	l.people.approvers[name] = p
}

// devices reads what a person approves with: device blocks, or the arguments of the one
// device in the approver's own block.
func (l *loader) devices(approver string, b *hcl.Block, content *hcl.BodyContent) (out []device) {
	var short hcl.Attributes
	for _, a := range deviceSchema.Attributes {
		if given, there := content.Attributes[a.Name]; there {
			if short == nil {
				short = hcl.Attributes{}
			}
			short[a.Name] = given
		}
	}
	add := func(name string, at hcl.Range, args hcl.Attributes) {
		if d, ok := l.device(owned{approver, name}, at, args); ok {
			out = append(out, d)
		}
	}
	switch {
	case len(content.Blocks) == 0 && short == nil:
		l.fail(b.DefRange, "approver %q has nothing to approve with; write certificate = \"approvers/alice.pem\", or ssh_key = \"approvers/alice.pub\", or a device block with one of the two for each of several tokens", approver)
	case len(content.Blocks) == 0:
		add("", b.DefRange, short)
	case short != nil:
		l.fail(content.Blocks[0].DefRange, "approver %q has device blocks, and a device beside them in its own arguments (%s); put that into a device block, too", approver, strings.Join(sortedKeys(short), ", "))
	}
	seen := map[string]bool{}
	each(content, "device", func(b *hcl.Block) {
		args := l.body(b.Body, deviceSchema).Attributes
		name, ok := l.titled(b)
		if ok && seen[name] {
			l.fail(b.LabelRanges[0], "approver %q has two devices %q; give one of them another name", approver, name)
		} else if ok {
			seen[name] = true
			add(name, b.DefRange, args)
		}
	})
	return out
}

// owned is whose a device is, and its name; the one of a person with one has none.
type owned struct{ approver, device string }

func (o owned) String() string {
	if o.device == "" {
		return fmt.Sprintf("approver %q", o.approver)
	}
	return fmt.Sprintf("device %q of approver %q", o.device, o.approver)
}

// enroll refuses a key that is somebody's already, in whatever form: what one key signs,
// one person approves, with one device.
func (l *loader) enroll(o owned, spki []byte, at hcl.Range) {
	key := sha256.Sum256(spki)
	switch other, taken := l.enrolled[key]; {
	case !taken:
		l.enrolled[key] = o
	case other.approver == o.approver:
		l.fail(at, "%s and %s have one public key, which makes them one device; name a key of each device's own", other, o)
	default:
		l.fail(at, "approvers %q and %q have one public key, and one key is one person; name a key of each person's own", other.approver, o.approver)
	}
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

var groupSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "members"}, {Name: "roles"}}}

// group reads who belongs to a group: those it names, and those who have one of its roles.
func (l *loader) group(b *hcl.Block) {
	content := l.body(b.Body, groupSchema)
	name, ok := l.titled(b)
	if !ok {
		return
	}
	members, roles := content.Attributes["members"], content.Attributes["roles"]
	if members == nil && roles == nil {
		l.fail(b.DefRange, "group %q has nobody in it; write members = [\"alice\", \"bob\"], the names of approvers, or roles = [\"treasurer\"], a role that they have", name)
		return
	}
	var names []string
	if members != nil {
		for _, m := range l.list(members.Expr) {
			if _, known := l.people.approvers[m.text]; !known {
				l.fail(m.at, "group %q: no approver is named %q%s", name, m.text, didYouMean(m.text, sortedKeys(l.people.approvers)))
			}
			names = append(names, m.text)
		}
	}
	if roles != nil {
		for _, role := range l.list(roles.Expr) {
			having := l.people.having(role.text)
			if len(having) == 0 {
				l.fail(role.at, "group %q: no approver has the role %q%s", name, role.text, didYouMean(role.text, l.people.roles()))
			}
			names = append(names, having...)
		}
	}
	slices.Sort(names)
	l.people.groups[name] = slices.Compact(names)
}

// having are the approvers that have a role, sorted.
func (p people) having(role string) (names []string) {
	for _, name := range sortedKeys(p.approvers) {
		if slices.Contains(p.approvers[name].roles, role) {
			names = append(names, name)
		}
	}
	return names
}

// roles are all that some approver has, sorted.
func (p people) roles() (all []string) {
	for _, a := range p.approvers {
		all = append(all, a.roles...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// able are the members of a quorum's group that have as many devices as it asks for.
func (p people) able(q signer.Quorum) (names []string) {
	for _, name := range p.groups[q.Group] {
		if len(p.approvers[name].devices) >= max(1, q.Devices) {
			names = append(names, name)
		}
	}
	return names
}

// included reports whether a quorum can have somebody among its approvers of the group
// that it names for that, without one person.
func (p people) included(q signer.Quorum, without string) bool {
	return q.Including == "" || slices.ContainsFunc(p.able(q), func(name string) bool {
		return name != without && slices.Contains(p.groups[q.Including], name)
	})
}
