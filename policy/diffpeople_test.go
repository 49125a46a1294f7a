package policy

import (
	"slices"
	"strings"
	"testing"
)

// peopleEdits are those of manyPeople.
func peopleEdits() map[string]edit {
	const (
		doras    = "  certificate = \"approvers/dora.pem\"\n  attestation = \"approvers/dora-attestation.pem\"\n"
		spare    = "  device \"spare\" {\n    certificate = \"approvers/emil-spare.pem\"\n    attestation = \"approvers/emil-spare-attestation.pem\"\n  }\n"
		asking   = "approvals = 2\n    including = \"officers\""
		pay      = `rule "pay" (key hot)`
		recovery = "recovery {\n  group     = \"officers\"\n  approvals = 2\n}\n"
		changes  = "rule \"changes\" {\n  keys = [\"sealward\"]\n  require {\n    group     = \"treasury\"\n    approvals = 1\n  }\n}\n"
	)
	return map[string]edit{
		"another key":            {"approver.devices", doras, "  ssh_key = \"approvers/dora-sk.pub\"\n", changed(ChangeRedefines, `approver "dora"`, `has another key, SHA256:r3ZOia7I077EbActPmR9nS9eA0MVZ6I3pd4hf5KugsQ instead of sha256:`)},
		"another key, looser":    {"device.id", doras, "  ssh_key = \"approvers/dora-sk.pub\"\n  user_verification = false\n", append(changed(ChangeRedefines, `approver "dora"`, "has another key"), changed(ChangeLoosens, `approver "dora"`, "without its token having verified its user")...)},
		"a device more":          {"approver.devices", spare, spare + "  device \"phone\" {\n    ssh_key = \"approvers/dora-sk.pub\"\n  }\n", changed(ChangeLoosens, `device "phone" of approver "emil"`, `is new, the device "phone" with the key SHA256:r3ZOia7I077EbActPmR9nS9eA0MVZ6I3pd4hf5KugsQ: whoever holds it approves as "emil", too`)},
		"a device less":          {"approver.devices", spare, "", changed(ChangeTightens, `device "spare" of approver "emil"`, `is removed, the device "spare" with the key sha256:`)},
		"a device's name":        {"device.name", `device "spare"`, `device "safe"`, changed(ChangeOther, `device "safe" of approver "emil"`, `is the new name of what was called "spare", with the key sha256:`)},
		"a lost device":          {"approver.devices", spare, "  device \"new\" {\n    ssh_key = \"approvers/dora-sk.pub\"\n  }\n", append(changed(ChangeLoosens, `device "new" of approver "emil"`, "is new"), changed(ChangeTightens, `device "spare" of approver "emil"`, "is removed")...)},
		"devices change places":  {"device.name", "\"spare\"", "\"card\"", append(changed(ChangeOther, `device "card" of approver "emil"`, `what was called "spare"`), changed(ChangeOther, `device "spare" of approver "emil"`, `what was called "card"`)...)},
		"a key goes to another":  {"approver.devices", "\"approvers/fay.pub\"", "\"approvers/emil-sk.pub\"", append(changed(ChangeRedefines, `approver "fay"`, `as "fay"`), changed(ChangeRedefines, `device "laptop" of approver "emil"`, `as "emil"`)...)},
		"a user is verified":     {"device.unverified", "    user_verification = false\n", "", changed(ChangeTightens, `device "laptop" of approver "emil"`, "approves only where its token verified its user, by a PIN or a finger")},
		"a role more":            {"approver.roles", `["treasurer", "officer"]`, `["treasurer", "officer", "clerk"]`, changed(ChangeOther, `approver "emil"`, "has the role clerk now; what that means, the groups say")},
		"a role that matters":    {"approver.roles", `roles       = ["treasurer"]`, `roles       = ["treasurer", "officer"]`, append(changed(ChangeOther, `approver "dora"`, "has the role officer now"), changed(ChangeLoosens, `group "officers"`, "has more members, who may approve: dora; it is dora, emil, fay")...)},
		"a role less":            {"approver.roles", `["treasurer", "officer"]`, `["officer"]`, append(changed(ChangeOther, `approver "emil"`, "no longer has the role treasurer"), changed(ChangeTightens, `group "treasury"`, "without emil it is dora, fay")[0], changed(ChangeTightens, `group "treasurers"`, "without emil it is dora")[0])},
		"one of a group no more": {"rule.require", "\n    including = \"officers\"", "", changed(ChangeLoosens, pay, `what it lets through needs 2 approvals of "treasury", instead of 2 approvals of "treasury", one of them of "officers"`)},
		"one of another group":   {"rule.require", `including = "officers"`, `including = "treasurers"`, changed(ChangeOther, pay, `one of them of "treasurers", instead of`)},
		"one device more each":   {"rule.require", asking, strings.Replace(asking, "approvals = 2", "approvals = 1\n    devices = 2", 1), changed(ChangeOther, pay, `needs 1 approval of "treasury", one of them of "officers", each with 2 devices, instead of 2 approvals of "treasury", one of them of "officers"`)},
		"two devices":            {"rule.require", asking, strings.Replace(asking, "approvals = 2", "approvals = 1", 1), changed(ChangeLoosens, pay, `needs 1 approval of "treasury", one of them of "officers", instead of 2`)},

		"more roots":             {"attestation.roots", `roots = ["approvers/piv-root.pem"]`, `roots = ["approvers/piv-root.pem", "approvers/other-root.pem"]`, changed(ChangeLoosens, "attestation", "takes the word of more roots for what is a token: those with the SHA-256 ")},
		"less touch":             {"attestation.touch", `touch = "always"`, `touch = "cached"`, changed(ChangeLoosens, "attestation", "demands of keys a touch policy of cached, instead of always")},
		"no touch":               {"attestation.touch", "  touch = \"always\"\n", "", changed(ChangeLoosens, "attestation", "demands of keys a touch policy of none, instead of always")},
		"more PIN":               {"attestation.pin", `pin   = "once"`, `pin   = "always"`, changed(ChangeTightens, "attestation", "demands of keys a pin policy of always, instead of once")},
		"no recovery":            {"people.recovery", recovery, changes, append(changed(ChangeTightens, "recovery", `is removed, which took 2 approvals of "officers"`), changed(ChangeLoosens, `rule "changes" (key sealward)`, "is new")...)},
		"an easier recovery":     {"people.recovery", "approvals = 2\n}", "approvals = 1\n}", changed(ChangeLoosens, "recovery", `a recovery needs 1 approval of "officers", instead of 2`)},
		"a recovery of others":   {"people.recovery", "group     = \"officers\"\n  approvals = 2\n}", "group     = \"treasury\"\n  approvals = 2\n}", changed(ChangeOther, "recovery", `a recovery needs 2 approvals of "treasury", instead of 2 approvals of "officers"`)},
		"a recovery by one more": {"people.recovery", "approvals = 2\n}", "approvals = 2\n  including = \"treasury\"\n}", changed(ChangeTightens, "recovery", `one of them of "treasury", instead of`)},
	}
}

func TestDiffSaysWhoApproves(t *testing.T) {
	for name, e := range peopleEdits() {
		t.Run(name, func(t *testing.T) { e.tells(t, name, manyPeople) })
	}
}

// An attestation that is demanded of nobody any more takes all attestations with it.
func TestDiffSaysWhetherKeysAreAttested(t *testing.T) {
	const block = "attestation {\n  roots = [\"approvers/piv-root.pem\"]\n  touch = \"always\"\n  pin   = \"once\"\n}\n"
	var lines []string
	for line := range strings.Lines(strings.Replace(manyPeople, block, "", 1)) {
		if !strings.Contains(line, "attestation = ") {
			lines = append(lines, line)
		}
	}
	attested, anywhere := load(t, manyPeople), load(t, strings.Join(lines, ""))
	says := func(all []Change, kind ChangeKind, where, text string) {
		t.Helper()
		if !slices.ContainsFunc(all, func(c Change) bool { return c.Kind == kind && c.Where == where && strings.Contains(c.Text, text) }) {
			t.Errorf("Diff does not say that %s %s; it says %q", where, text, all)
		}
	}
	says(Diff(attested, anywhere), ChangeLoosens, "attestation", "is no longer demanded of any certificate")
	says(Diff(attested, anywhere), ChangeOther, `approver "dora"`, "is attested to be in no token, instead of the token with serial number 11000001")
	says(Diff(anywhere, attested), ChangeTightens, "attestation", "is demanded of every approver's certificate now")
	says(Diff(anywhere, attested), ChangeTightens, "attestation", "demands of keys a touch policy of always, instead of none")
	for _, c := range Diff(attested, anywhere) {
		if c.Kind == ChangeTightens {
			t.Errorf("Diff says %q, which no attestation is", c)
		}
	}
}

func TestDiffSaysWhenTheFirstAndTheLastApproverComeAndGo(t *testing.T) {
	some, none := load(t, rulesText("allow = true")), load(t, assetsText+"rule \"a\" {\n allow = true\n}\n")
	if got := Diff(some, none); len(got) == 0 || got[0].Kind != ChangeLoosens || got[0].Where != "approvers" || !strings.Contains(got[0].Text, "nobody is named any more") {
		t.Errorf("Diff = %q", got)
	}
	got := Diff(none, some)
	if !slices.ContainsFunc(got, func(c Change) bool { return c.Kind == ChangeTightens && c.Where == "approvers" }) ||
		!slices.ContainsFunc(got, func(c Change) bool {
			return c.Kind == ChangeLoosens && c.Where == "recovery" && strings.Contains(c.Text, "whatever the rules say")
		}) {
		t.Errorf("Diff = %q", got)
	}
}
