package policy

import (
	"fmt"
	"slices"
	"strings"
)

// people compares who may approve, and how many requests may wait for them.
func (d *diff) people() {
	d.approvers()
	d.groups()
	if a, b := d.old.pending, d.new.pending; a != b {
		d.say(toward(b-a), "pending", "%d requests of one caller may wait for approvals, instead of %d", b, a)
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
	both(d.old.people.approvers, d.new.people.approvers, func(name string, p approver) {
		d.say(ChangeOther, where(name), "is new, with the key sha256:%x and %s", p.key, users(p))
	}, func(name string, p approver) {
		d.say(ChangeOther, where(name), "is removed, with the key sha256:%x and %s", p.key, users(p))
	}, func(name string, a, b approver) {
		if a.key != b.key {
			d.say(ChangeRedefines, where(name), "has another certificate, with the key sha256:%x instead of sha256:%x: whoever holds that one approves as %q", b.key, a.key, name)
		}
		if len(without(a.users, b.users))+len(without(b.users, a.users)) > 0 {
			d.say(ChangeOther, where(name), "is %s, instead of %s: who does not count as an approver of their own requests is another one", users(b), users(a))
		}
	})
}

func (d *diff) groups() {
	where := func(name string) string { return fmt.Sprintf("group %q", name) }
	both(d.old.people.groups, d.new.people.groups, func(name string, members []string) {
		d.say(ChangeOther, where(name), "is new: %s", strings.Join(members, ", "))
	}, func(name string, members []string) {
		d.say(ChangeOther, where(name), "is removed: %s", strings.Join(members, ", "))
	}, func(name string, a, b []string) {
		all := strings.Join(slices.Sorted(slices.Values(b)), ", ")
		if more := without(b, a); len(more) > 0 {
			d.say(ChangeLoosens, where(name), "has more members, who may approve: %s; it is %s", strings.Join(more, ", "), all)
		}
		if less := without(a, b); len(less) > 0 {
			d.say(ChangeTightens, where(name), "has fewer members: without %s it is %s", strings.Join(less, ", "), all)
		}
	})
}
