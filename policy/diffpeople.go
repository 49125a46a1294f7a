package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// people compares who may approve and recover, and how many requests may wait for them.
func (d *diff) people() {
	d.anybody()
	d.attestation(d.old.people.attestation, d.new.people.attestation)
	d.approvers()
	d.groups()
	d.recovery(d.old.people.recovery, d.new.people.recovery)
	if a, b := d.old.pending, d.new.pending; a != b {
		d.say(toward(b-a), "pending", "%d requests of one caller may wait for approvals, instead of %d", b, a)
	}
}

// anybody tells of the first approver and of the last one.
func (d *diff) anybody() {
	const where, acts = "approvers", "a change of policy, trust in its file and a thaw"
	switch had, has := len(d.old.people.approvers) > 0, len(d.new.people.approvers) > 0; {
	case had && !has:
		d.say(ChangeLoosens, where, "nobody is named any more, so that %s take no approval, if a rule allows them", acts)
	case !had && has:
		d.say(ChangeTightens, where, "somebody is named now, so that %s take approvals, whatever rule allows them", acts)
	}
}

func (d *diff) approvers() {
	where := func(name string) string { return fmt.Sprintf("approver %q", name) }
	users := func(p approver) string {
		if len(p.users) == 0 {
			return "no local user"
		}
		return "the local " + listOf("user", p.users)
	}
	has := func(p approver) string {
		parts := append(sortedTexts(p.devices, device.String), users(p))
		if len(p.roles) > 0 {
			parts = append(parts, "the "+listOf("role", p.roles))
		}
		last := len(parts) - 1
		return strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	both(d.old.people.approvers, d.new.people.approvers, func(name string, p approver) {
		d.say(ChangeOther, where(name), "is new, with %s", has(p))
	}, func(name string, p approver) {
		d.say(ChangeOther, where(name), "is removed, with %s", has(p))
	}, func(name string, a, b approver) {
		d.devices(name, a.devices, b.devices)
		if len(without(a.users, b.users))+len(without(b.users, a.users)) > 0 {
			d.say(ChangeOther, where(name), "is %s, instead of %s: who does not count as an approver of their own requests is another one", users(b), users(a))
		}
		if more := without(b.roles, a.roles); len(more) > 0 {
			d.say(ChangeOther, where(name), "has the %s now; what that means, the groups say", listOf("role", more))
		}
		if less := without(a.roles, b.roles); len(less) > 0 {
			d.say(ChangeOther, where(name), "no longer has the %s; what that means, the groups say", listOf("role", less))
		}
	})
}

// String names the key of a device.
func (d device) String() string {
	text := "the key " + d.id
	if d.name != "" {
		text = fmt.Sprintf("the device %q with %s", d.name, text)
	}
	if d.unverified {
		text += " (its user not verified)"
	}
	return text
}

// devices compares what a person approves with. A device is its key; under one name there
// may be another one.
func (d *diff) devices(approver string, old, new []device) {
	find := func(list []device, is func(device) bool) (device, bool) {
		i := slices.IndexFunc(list, is)
		if i < 0 {
			return device{}, false
		}
		return list[i], true
	}
	where := func(x device) string { return owned{approver, x.name}.String() }
	for _, b := range new {
		a, had := find(old, func(x device) bool { return x.id == b.id })
		if had {
			d.device(where(b), a, b)
			continue
		}
		was, replaced := find(old, func(x device) bool { return x.name == b.name })
		if _, stays := find(new, func(x device) bool { return x.id == was.id }); replaced && !stays {
			d.say(ChangeRedefines, where(b), "has another key, %s instead of %s: whoever holds that one approves as %q", b.id, was.id, approver)
			if b.unverified != was.unverified {
				d.device(where(b), was, b)
			}
			continue
		}
		d.say(ChangeLoosens, where(b), "is new, %s: whoever holds it approves as %q, too", b, approver)
	}
	for _, a := range old {
		_, stays := find(new, func(x device) bool { return x.id == a.id })
		_, replaced := find(new, func(x device) bool {
			_, had := find(old, func(y device) bool { return y.id == x.id })
			return x.name == a.name && !had
		})
		if !stays && !replaced {
			d.say(ChangeTightens, where(a), "is removed, %s: whoever holds it no longer approves as %q", a, approver)
		}
	}
}

// device compares what is said of one key.
func (d *diff) device(where string, a, b device) {
	if a.name != b.name {
		d.say(ChangeOther, where, "is the new name of what was called %q, with the key %s", a.name, b.id)
	}
	switch {
	case b.unverified && !a.unverified:
		d.say(ChangeLoosens, where, "approves without its token having verified its user, by a PIN or a finger: whoever has the token does")
	case a.unverified && !b.unverified:
		d.say(ChangeTightens, where, "approves only where its token verified its user, by a PIN or a finger")
	}
	if a.id == b.id && a.serial != b.serial {
		d.say(ChangeOther, where, "is attested to be in %s, instead of %s", tokenText(b.serial), tokenText(a.serial))
	}
}

func tokenText(serial int64) string {
	if serial == 0 {
		return "no token"
	}
	return fmt.Sprintf("the token with serial number %d", serial)
}

// degrees are what may be asked of a key, the least first.
var degrees = []string{"", "cached", "once", "always"}

func (d *diff) attestation(a, b *attestation) {
	const where = "attestation"
	switch {
	case a == nil && b == nil:
	case a == nil:
		d.say(ChangeTightens, where, "is demanded of every approver's certificate now; who vouches for tokens: %s", strings.Join(slices.Sorted(slices.Values(b.roots)), ", "))
		d.degree("touch", "", b.touch)
		d.degree("pin", "", b.pin)
	case b == nil:
		d.say(ChangeLoosens, where, "is no longer demanded of any certificate: a key may be anywhere, and more than once")
	default:
		if more := without(b.roots, a.roots); len(more) > 0 {
			d.say(ChangeLoosens, where, "takes the word of more roots for what is a token: those with the SHA-256 %s", strings.Join(more, ", "))
		}
		if less := without(a.roots, b.roots); len(less) > 0 {
			d.say(ChangeTightens, where, "no longer takes the word of the roots with the SHA-256 %s", strings.Join(less, ", "))
		}
		d.degree("touch", a.touch, b.touch)
		d.degree("pin", a.pin, b.pin)
	}
}

func (d *diff) degree(what, a, b string) {
	named := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	if a != b {
		d.say(toward(slices.Index(degrees, a)-slices.Index(degrees, b)), "attestation", "demands of keys a %s policy of %s, instead of %s", what, named(b), named(a))
	}
}

func (d *diff) groups() {
	where := func(name string) string { return fmt.Sprintf("group %q", name) }
	both(d.old.people.groups, d.new.people.groups, func(name string, members []string) {
		d.say(ChangeOther, where(name), "is new: %s", strings.Join(members, ", "))
	}, func(name string, members []string) {
		d.say(ChangeOther, where(name), "is removed: %s", strings.Join(members, ", "))
	}, func(name string, a, b []string) {
		all := strings.Join(b, ", ")
		if more := without(b, a); len(more) > 0 {
			d.say(ChangeLoosens, where(name), "has more members, who may approve: %s; it is %s", strings.Join(more, ", "), all)
		}
		if less := without(a, b); len(less) > 0 {
			d.say(ChangeTightens, where(name), "has fewer members: without %s it is %s", strings.Join(less, ", "), all)
		}
	})
}

func (d *diff) recovery(a, b *signer.Quorum) {
	const where = recoveryRule
	switch {
	case a == nil && b == nil:
	case a == nil:
		d.say(ChangeLoosens, where, "is new: after %s, the policy is changed, its file trusted or a freeze ended, whatever the rules say", quorumText(*b))
	case b == nil:
		d.say(ChangeTightens, where, "is removed, which took %s: where the rules do not let the policy be changed, nobody can", quorumText(*a))
	default:
		d.quorum(where, "a recovery", *a, *b)
	}
}
