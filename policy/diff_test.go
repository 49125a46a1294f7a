package policy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// diffText has everything that a policy may have.
const diffText = "pending = 20\n" + peopleText + listBlock + safeBlock + descriptorsBlock + `
asset "dai" {
  id       = "` + dai + `"
  decimals = 18
}
addresses "banned" {
  entries = {
    "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D" = "a thief"
  }
}
rule "pay" {
  keys    = ["hot", "treasury"]
  callers = ["socket:payroll", "uid:1000"]
  kinds   = ["evm.transaction", "evm.typed_data"]
  when    = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  blind   = ["unknown_call"]
  allow   = true
  hours {
    zone = "Europe/Berlin"
    days = ["mon", "tue"]
    from = "09:00"
    to   = "18:00"
  }
  fee {
    amount = "0.01 eth"
    share  = "5%"
  }
  limit "a day" {
    amount = "10 eth"
    window = "24h"
    over   = "require:treasury:1"
  }
  limit "coins" {
    amount = "500 usdc"
  }
  limit "few" {
    count  = 3
    window = "1h"
    per    = "caller"
  }
}
rule "large" {
  keys = ["treasury"]
  require {
    group     = "treasury"
    approvals = 2
  }
  delay   = "1h"
  expires = "24h"
}
rule "any" {
  callers = ["uid:7"]
  allow   = true
}
rule "no thieves" {
  keys = ["hot", "treasury"]
  when = "effects.exists(e, e.counterparty in addresses.banned)"
  deny = "thieves"
}
`

// edit replaces one part of a policy and says what is to be told of it.
type edit struct {
	field    string // that it is about, of the structs of this package
	old, new string
	want     []Change // Text is a part of it
}

func changed(kind ChangeKind, where, text string) []Change {
	return []Change{{Kind: kind, Where: where, Text: text}}
}

const anyRule = "rule \"any\" {\n  callers = [\"uid:7\"]\n  allow   = true\n}\n"

const payRule = `rule "pay" (keys hot, treasury)`

func edits() map[string]edit {
	return map[string]edit{
		"a limit is raised":   {"limit.max", `"10 eth"`, `"500 eth"`, changed(ChangeLoosens, `limit "a day" of `+payRule, "is raised from 10 eth to 500 eth in 24h")},
		"a limit is lowered":  {"limit.max", `"500 usdc"`, `"4.5 usdc"`, changed(ChangeTightens, `limit "coins" of `+payRule, "is lowered from 500 usdc to 4.5 usdc per request")},
		"a window is longer":  {"limit.window", "\"10 eth\"\n    window = \"24h\"", "\"10 eth\"\n    window = \"7d\"", changed(ChangeTightens, `limit "a day" of `+payRule, "is 10 eth in 7d, instead of 10 eth in 24h")},
		"a window is shorter": {"limit.window", "\"10 eth\"\n    window = \"24h\"", "\"10 eth\"\n    window = \"1h\"", changed(ChangeLoosens, `limit "a day" of `+payRule, "is 10 eth in 1h, instead of 10 eth in 24h")},
		"a limit gets a window": {"limit.window", `amount = "500 usdc"`, "amount = \"500 usdc\"\n    window = \"1h\"",
			changed(ChangeTightens, `limit "coins" of `+payRule, "is 500 usdc in 1h, instead of 500 usdc per request")},
		"both ways at once":          {"limit.max", "\"10 eth\"\n    window = \"24h\"", "\"20 eth\"\n    window = \"48h\"", changed(ChangeOther, `limit "a day" of `+payRule, "is 20 eth in 2d, instead of 10 eth in 24h")},
		"callers share a count":      {"limit.per", "\n    per    = \"caller\"", "", changed(ChangeTightens, `limit "few" of `+payRule, "is 3 requests in 1h, instead of 3 requests in 1h for each caller")},
		"each recipient has one":     {"limit.per", `per    = "caller"`, `per    = "recipient"`, changed(ChangeOther, `limit "few" of `+payRule, "is 3 requests in 1h to each recipient, instead of 3 requests in 1h for each caller")},
		"another asset":              {"limit.asset", `"500 usdc"`, `"500 eth"`, []Change{{Kind: ChangeTightens, Where: payRule, Text: `no longer lets out usdc: its limit "coins" of 500 usdc per request is removed`}, {Kind: ChangeTightens, Where: payRule, Text: `has a new limit "coins" of 500 eth per request`}}},
		"a limit has another name":   {"limit.name", `limit "coins"`, `limit "tokens"`, changed(ChangeOther, payRule, `calls limit "coins" "tokens" now`)},
		"nothing exceeds a limit":    {"limit.over", "\n    over   = \"require:treasury:1\"", "", changed(ChangeTightens, `limit "a day" of `+payRule, `can no longer be exceeded, which took 1 approval of "treasury"`)},
		"more must let exceed it":    {"limit.over", "require:treasury:1", "require:treasury:2", changed(ChangeTightens, `limit "a day" of `+payRule, `what exceeds it needs 2 approvals of "treasury", instead of 1`)},
		"others let exceed it":       {"limit.over", "require:treasury:1", "require:security:1", changed(ChangeOther, `limit "a day" of `+payRule, `needs 1 approval of "security", instead of 1 approval of "treasury"`)},
		"the last limit of an asset": {"rule.limits", "  limit \"coins\" {\n    amount = \"500 usdc\"\n  }\n", "", changed(ChangeTightens, payRule, `no longer lets out usdc`)},
		"a limit for one more asset": {"rule.limits", "  limit \"coins\" {", "  limit \"dais\" {\n    amount = \"1 dai\"\n  }\n  limit \"coins\" {", changed(ChangeLoosens, payRule, `lets out dai now, up to the limit "dais" of 1 dai per request`)},
		"a second limit of an asset": {"rule.limits", "  limit \"coins\" {", "  limit \"each\" {\n    amount = \"1 eth\"\n  }\n  limit \"coins\" {", changed(ChangeTightens, payRule, `has a new limit "each" of 1 eth per request`)},
		"a count is removed":         {"rule.limits", "  limit \"few\" {\n    count  = 3\n    window = \"1h\"\n    per    = \"caller\"\n  }\n", "", changed(ChangeLoosens, payRule, `no longer has the limit "few" of 3 requests in 1h for each caller`)},

		"a key more":            {"rule.keys", `keys = ["treasury"]`, `keys = ["treasury", "hot"]`, changed(ChangeLoosens, `rule "large" (keys treasury, hot)`, "is for key hot, too: its keys are treasury, hot")},
		"a key less":            {"rule.keys", "keys    = [\"hot\", \"treasury\"]", `keys    = ["hot"]`, changed(ChangeOther, `rule "pay" (key hot)`, "is no longer for key treasury: its keys are hot; another rule may let the same through")},
		"every key":             {"rule.keys", "  keys = [\"treasury\"]\n", "", changed(ChangeLoosens, `rule "large" (every key)`, "is for every key now, instead of key treasury")},
		"not every key":         {"rule.keys", "callers = [\"uid:7\"]", "callers = [\"uid:7\"]\n  keys = [\"hot\"]", changed(ChangeTightens, `rule "any" (key hot)`, "is for key hot now, instead of every key")},
		"sealward itself":       {"rule.keys", "callers = [\"uid:7\"]", "callers = [\"uid:7\"]\n  keys = [\"hot\", \"sealward\"]", changed(ChangeLoosens, `rule "any" (keys hot, sealward)`, "is for keys hot, sealward now, instead of every key")},
		"fewer keys are denied": {"rule.keys", "keys = [\"hot\", \"treasury\"]\n  when", "keys = [\"hot\"]\n  when", changed(ChangeLoosens, `rule "no thieves" (key hot)`, "is no longer for key treasury")},
		"every key is denied":   {"rule.keys", "keys = [\"hot\", \"treasury\"]\n  when", "when", changed(ChangeTightens, `rule "no thieves" (every key)`, "is for every key now, instead of keys hot, treasury")},
		"a caller more":         {"rule.callers", `["uid:7"]`, `["uid:7", "user:eve"]`, changed(ChangeLoosens, `rule "any" (every key)`, "is for caller user:eve, too: its callers are uid:7, user:eve")},
		"another caller":        {"selector.uid", `["uid:7"]`, `["uid:8"]`, []Change{{Kind: ChangeLoosens, Where: `rule "any" (every key)`, Text: "is for caller uid:8, too"}, {Kind: ChangeTightens, Where: `rule "any" (every key)`, Text: "is no longer for caller uid:7: its callers are uid:8"}}},
		"a user of that name":   {"selector.what", `"uid:7"`, `"user:7"`, []Change{{Kind: ChangeLoosens, Where: `rule "any" (every key)`, Text: "user:7"}, {Kind: ChangeTightens, Where: `rule "any" (every key)`, Text: "uid:7"}}},
		"another socket":        {"selector.name", `"socket:payroll"`, `"socket:sign"`, []Change{{Kind: ChangeLoosens, Where: payRule, Text: "is for caller socket:sign, too"}, {Kind: ChangeOther, Where: payRule, Text: "is no longer for caller socket:payroll"}}},
		"every caller":          {"rule.callers", "  callers = [\"uid:7\"]\n", "", changed(ChangeLoosens, `rule "any" (every key)`, "is for every caller now, instead of caller uid:7")},
		"a kind more":           {"rule.kinds", `["evm.transaction", "evm.typed_data"]`, `["evm.transaction", "evm.typed_data", "evm.message"]`, changed(ChangeLoosens, payRule, "is for kind evm.message, too")},
		"every kind":            {"rule.kinds", "  kinds   = [\"evm.transaction\", \"evm.typed_data\"]\n", "", changed(ChangeLoosens, payRule, "is for every kind now")},
		"another condition":     {"rule.when", `e.class == 'transfer' && `, ``, []Change{{Kind: ChangeOther, Where: payRule, Text: "has another condition", Old: "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)", New: "effects.all(e, e.counterparty in addresses.vendors)"}}},
		"no condition":          {"rule.when", "  when = \"effects.exists(e, e.counterparty in addresses.banned)\"\n", "", []Change{{Kind: ChangeOther, Where: `rule "no thieves" (keys hot, treasury)`, Text: "has no condition any more", Old: "effects.exists(e, e.counterparty in addresses.banned)"}}},
		"a condition's text":    {"condition.text", "e.class == 'transfer'", "'transfer' == e.class", []Change{{Kind: ChangeOther, Where: payRule, Text: "has another condition", Old: "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)", New: "effects.all(e, 'transfer' == e.class && e.counterparty in addresses.vendors)"}}},
		"it denies now":         {"rule.allow", "callers = [\"uid:7\"]\n  allow   = true", "callers = [\"uid:7\"]\n  deny = \"no\"", changed(ChangeTightens, `rule "any" (every key)`, `denies, and let through so far every kind from uid:7; WITHOUT A LIMIT BY AMOUNT`)},
		"it lets through now":   {"rule.deny", `deny = "thieves"`, `allow = true`, changed(ChangeLoosens, `rule "no thieves" (keys hot, treasury)`, "lets through, and denied so far")},
		"another reason":        {"rule.deny", `deny = "thieves"`, `deny = "thugs"`, changed(ChangeOther, `rule "no thieves" (keys hot, treasury)`, `denies because "thugs", so far because "thieves"`)},
		"more is blind":         {"rule.blind", `["unknown_call"]`, `["unknown_call", "opaque"]`, changed(ChangeLoosens, payRule, "lets through blind, without reading all that it does: opaque")},
		"nothing is blind":      {"rule.blind", "  blind   = [\"unknown_call\"]\n", "", changed(ChangeTightens, payRule, "no longer lets through blind: unknown_call")},
		"a rule's name":         {"rule.name", `rule "large"`, `rule "big"`, changed(ChangeOther, `rule "big" (key treasury)`, `is the new name of rule "large"; nothing else of it is different`)},

		"another day":                 {"hours.days", `["mon", "tue"]`, `["mon", "wed"]`, changed(ChangeOther, payRule, "holds mon, wed 09:00 to 18:00 (Europe/Berlin), instead of mon, tue 09:00 to 18:00 (Europe/Berlin)")},
		"an earlier hour":             {"hours.from", `"09:00"`, `"08:30"`, changed(ChangeOther, payRule, "holds mon, tue 08:30 to 18:00")},
		"a later hour":                {"hours.to", `"18:00"`, `"24:00"`, changed(ChangeOther, payRule, "holds mon, tue 09:00 to 24:00")},
		"another place":               {"hours.zone", `"Europe/Berlin"`, `"Europe/London"`, changed(ChangeOther, payRule, "(Europe/London), instead of mon, tue 09:00 to 18:00 (Europe/Berlin)")},
		"more hours":                  {"rule.hours", "  fee {", "  hours {\n    zone = \"UTC\"\n    days = [\"sun\"]\n  }\n  fee {", changed(ChangeLoosens, payRule, "holds sun 00:00 to 24:00 (UTC), too")},
		"at any time":                 {"rule.hours", "  hours {\n    zone = \"Europe/Berlin\"\n    days = [\"mon\", \"tue\"]\n    from = \"09:00\"\n    to   = \"18:00\"\n  }\n", "", changed(ChangeLoosens, payRule, "holds at any time, instead of mon, tue 09:00 to 18:00 (Europe/Berlin) only")},
		"a larger fee":                {"fee.max", `"0.01 eth"`, `"0.02 eth"`, changed(ChangeLoosens, payRule, "bounds the fee by 0.02 eth and 5% of what else leaves, instead of 0.01 eth and 5% of what else leaves")},
		"a smaller share":             {"fee.share", `"5%"`, `"4.5%"`, changed(ChangeTightens, payRule, "bounds the fee by 0.01 eth and 4.5% of what else leaves")},
		"a fee in another one":        {"fee.asset", `"0.01 eth"`, `"0.01 usdc"`, changed(ChangeOther, payRule, "bounds the fee by 0.01 usdc and 5%")},
		"no bound of the fee":         {"rule.fees", "  fee {\n    amount = \"0.01 eth\"\n    share  = \"5%\"\n  }\n", "", changed(ChangeLoosens, payRule, "no longer bounds the fee, which was at most 0.01 eth and 5% of what else leaves")},
		"fewer approvals":             {"rule.require", "approvals = 2", "approvals = 1", changed(ChangeLoosens, `rule "large" (key treasury)`, `what it lets through needs 1 approval of "treasury", instead of 2`)},
		"the caller's does not count": {"rule.require", "approvals = 2", "approvals = 2\n    exclude_caller = true", changed(ChangeTightens, `rule "large" (key treasury)`, `needs 2 approvals of "treasury", the caller's own not counted, which was counted so far`)},
		"one more quorum":             {"rule.require", "  delay   =", "  require {\n    group = \"security\"\n    approvals = 1\n  }\n  delay   =", changed(ChangeTightens, `rule "large" (key treasury)`, `needs 1 approval of "security" now`)},
		"no approvals":                {"rule.require", "  require {\n    group     = \"treasury\"\n    approvals = 2\n  }\n", "  allow = true\n", changed(ChangeLoosens, `rule "large" (key treasury)`, `no longer needs 2 approvals of "treasury"; what it lets through is signed without approvals`)},
		"a longer delay":              {"rule.delay", `"1h"` + "\n  expires", `"2h"` + "\n  expires", changed(ChangeTightens, `rule "large" (key treasury)`, "waits 2h before it signs, instead of 1h")},
		"no delay":                    {"rule.delay", "  delay   = \"1h\"\n", "", changed(ChangeLoosens, `rule "large" (key treasury)`, "no longer waits 1h before it signs")},
		"more time":                   {"rule.expires", `expires = "24h"`, `expires = "25h"`, changed(ChangeLoosens, `rule "large" (key treasury)`, "must be approved within 25h, instead of 24h")},
		"any time":                    {"rule.expires", `  expires = "24h"` + "\n", "", changed(ChangeLoosens, `rule "large" (key treasury)`, "no longer says within which time it must be approved, which was 24h")},

		"another order":        {"content.rules", anyRule, "", changed(ChangeOther, "rules", "stand in another order")},
		"an open rule is gone": {"content.rules", anyRule, "", changed(ChangeTightens, `rule "any" (every key)`, "is removed, which let through every kind from uid:7; WITHOUT A LIMIT BY AMOUNT")},
		"an open rule is new":  {"content.rules", anyRule, anyRule + strings.Replace(anyRule, `"any"`, `"more"`, 1), changed(ChangeLoosens, `rule "more" (every key)`, "is new and lets through every kind from uid:7; WITHOUT A LIMIT BY AMOUNT")},
		"a rule is gone": {"content.rules", "rule \"large\" {\n  keys = [\"treasury\"]\n  require {\n    group     = \"treasury\"\n    approvals = 2\n  }\n  delay   = \"1h\"\n  expires = \"24h\"\n}\n", "",
			changed(ChangeOther, `rule "large" (key treasury)`, `is removed, which let through every kind from every caller; after 2 approvals of "treasury"; not before 1h have passed; approved within 24h; another rule may let the same through`)},
		"pending": {"content.pending", "pending = 20", "pending = 30", changed(ChangeLoosens, "pending", "30 requests of one caller may wait for approvals, instead of 20")},

		"an asset is another one": {"Asset.ID", `eip155:1/slip44:60`, `eip155:10/slip44:60`, append(changed(ChangeRedefines, `asset "eth"`, "is another asset: eip155:10/slip44:60 instead of eip155:1/slip44:60"),
			Change{Kind: ChangeRedefines, Where: `limit "a day" of ` + payRule, Text: "is of eip155:10/slip44:60, instead of eip155:1/slip44:60, since that is what eth stands for"},
			Change{Kind: ChangeRedefines, Where: payRule, Text: "bounds the fee by 0.01 eth and 5% of what else leaves, as before, which stands for another amount or asset now"})},
		"an asset's decimals": {"Asset.Decimals", "decimals = 18", "decimals = 16", append(changed(ChangeRedefines, `asset "eth"`, "has 16 decimals instead of 18: every amount of it is another one, by a factor of 1/10^2"),
			Change{Kind: ChangeTightens, Where: `limit "a day" of ` + payRule, Text: "is lowered from 10 eth (10000000000000000000) to 10 eth (100000000000000000) in 24h"},
			Change{Kind: ChangeRedefines, Where: payRule, Text: "which stands for another amount or asset now"})},
		"a new asset":              {"world.assets", `asset "usdc"`, "asset \"apes\" {\n  id = \"eip155:1/erc721:0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB\"\n  decimals = 0\n}\nasset \"usdc\"", changed(ChangeOther, `asset "apes"`, "is new")},
		"an address more":          {"world.books", `"Acme Hosting"`, "\"Acme Hosting\"\n    \"" + hacker + "\" = \"Mallory\"", changed(ChangeLoosens, `addresses "vendors"`, `eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D, "Mallory", is new; rule "pay" asks about the book`)},
		"another thief":            {"world.books", `"a thief"`, "\"a thief\"\n    \"" + acme + "\" = \"another\"", changed(ChangeOther, `addresses "banned"`, `"another", is new; rule "no thieves" asks about the book`)},
		"an address less":          {"world.books", "    \"" + hacker + "\" = \"a thief\"\n", "", changed(ChangeOther, `addresses "banned"`, `"a thief", is removed; rule "no thieves" asks about the book`)},
		"another label":            {"world.books", `"Acme Hosting"`, `"Acme Inc."`, changed(ChangeOther, `addresses "vendors"`, `is called "Acme Inc." instead of "Acme Hosting"`)},
		"another contract":         {"contract.account", vault, acme, changed(ChangeRedefines, `contract "vault"`, "is another contract")},
		"another kind of contract": {"contract.kind", `kind    = "safe"`, `kind    = "account"`, changed(ChangeRedefines, `contract "vault"`, "is read as one of kind account instead of safe")},
		"no contract":              {"world.contracts", safeBlock, "", changed(ChangeOther, `contract "vault"`, "is removed")},
		"other labels":             {"content.descriptors", descriptorsBlock, "", changed(ChangeOther, "descriptors", "labels for people are no longer read from descriptors")},
		"an approver's user":       {"approver.users", `["alice"]` + "\n}", `["alicia"]` + "\n}", changed(ChangeOther, `approver "alice"`, "is the local user alicia, instead of the local user alice")},
		"a member more":            {"people.groups", `members = ["carol"]`, `members = ["carol", "bob"]`, changed(ChangeLoosens, `group "security"`, "has more members, who may approve: bob; it is bob, carol")},
		"a member less":            {"people.groups", `["alice", "bob", "carol"]`, `["alice", "bob"]`, changed(ChangeTightens, `group "treasury"`, "has fewer members: without carol it is alice, bob")},
		"a group more":             {"people.groups", `group "security"`, "group \"more\" {\n  members = [\"bob\"]\n}\ngroup \"security\"", changed(ChangeOther, `group "more"`, "is new: bob")},
		"an approver less":         {"people.approvers", "approver \"bob\" {\n  certificate = \"approvers/bob.pem\"\n}\n", "", append(changed(ChangeOther, `approver "bob"`, "is removed, with the key sha256:"), changed(ChangeTightens, `group "treasury"`, "has fewer members")...)},
	}
}

// also is what else some of the edits replace.
var also = map[string][]string{
	"another order":         {"rule \"pay\"", anyRule + "rule \"pay\""},
	"devices change places": {"device \"card\" {\n    certificate = \"approvers/emil.pem\"", "device \"spare\" {\n    certificate = \"approvers/emil.pem\""},
	"a key goes to another": {"\"approvers/emil-sk.pub\"", "\"approvers/dora-sk.pub\""},
	"an approver less":      {`"alice", "bob", "carol"`, `"alice", "carol"`},
}

// apply makes the edit, which must be one.
func (e edit) apply(t *testing.T, name, src string) string {
	t.Helper()
	for i, parts := 0, append([]string{e.old, e.new}, also[name]...); i < len(parts); i += 2 {
		if !strings.Contains(src, parts[i]) {
			t.Fatalf("the policy has no %q", parts[i])
		}
		src = strings.Replace(src, parts[i], parts[i+1], 1)
	}
	return src
}

func TestDiffSaysWhatAnEditDoes(t *testing.T) {
	for name, e := range edits() {
		t.Run(name, func(t *testing.T) { e.tells(t, name, diffText) })
	}
}

// tells makes the edit and compares what Diff says.
func (e edit) tells(t *testing.T, name, src string) {
	t.Helper()
	old, new := load(t, src), load(t, e.apply(t, name, src))
	got := Diff(old, new)
	missing := slices.Clone(e.want)
	for _, c := range got {
		i := slices.IndexFunc(missing, func(w Change) bool {
			return c.Kind == w.Kind && c.Where == w.Where && strings.Contains(c.Text, w.Text) && (c.Old == w.Old && c.New == w.New || w.Old+w.New == "")
		})
		if i < 0 {
			t.Errorf("Diff also says %q", c)
		} else {
			missing = slices.Delete(missing, i, i+1)
		}
	}
	for _, w := range missing {
		t.Errorf("Diff does not say %q; it says %q", w, got)
	}
	if back := Diff(new, old); len(back) == 0 {
		t.Error("the other way round, Diff finds nothing")
	}
}

// TestDiffLooksAtEveryField fails when a field is added to what a policy holds, until
// somebody says here what tells of it.
func TestDiffLooksAtEveryField(t *testing.T) {
	told := map[string]bool{
		// By the files: TestDiffReadsTheFiles.
		"content.keys": true, "world.tokens": true, "listedToken.id": true, "listedToken.symbol": true, "listedToken.decimals": true,
		"descriptors.folder": true, "descriptors.manifest": true,
		// TestDiffSaysWhetherKeysAreAttested.
		"people.attestation": true, "device.serial": true,
		// By the fields of theirs.
		"content.world": true, "content.people": true,
		"Asset.Name": true, // the name in the map
		// By the quorums of rules and limits.
		"Quorum.Group": true, "Quorum.Approvals": true, "Quorum.ExcludeCaller": true, "Quorum.Including": true, "Quorum.Devices": true,
		"wait.Duration": true,
	}
	for _, e := range edits() {
		told[e.field] = true
	}
	for _, e := range peopleEdits() {
		told[e.field] = true
	}
	fields := 0
	for _, typ := range []reflect.Type{
		reflect.TypeFor[content](), reflect.TypeFor[world](), reflect.TypeFor[people](), reflect.TypeFor[rule](), reflect.TypeFor[limit](),
		reflect.TypeFor[fee](), reflect.TypeFor[hours](), reflect.TypeFor[selector](), reflect.TypeFor[wait](),
		reflect.TypeFor[approver](), reflect.TypeFor[device](), reflect.TypeFor[attestation](), reflect.TypeFor[contract](), reflect.TypeFor[listedToken](), reflect.TypeFor[descriptors](),
		reflect.TypeFor[signer.Asset](), reflect.TypeFor[signer.Quorum](),
	} {
		for i := range typ.NumField() {
			fields++
			name := typ.Name() + "." + typ.Field(i).Name
			if !told[name] && !slices.Contains(meaningless[typ], typ.Field(i).Name) {
				t.Errorf("no test says that Diff tells of %s", name)
			}
		}
	}
	if fields < 40 {
		t.Errorf("found %d fields", fields)
	}
	derived := []string{"version", "bundle", "book", "needs", "index", "stuck"} // from what the others hold
	for f := range reflect.TypeFor[Policy]().Fields() {
		if _, held := reflect.TypeFor[content]().FieldByName(f.Name); !held && !slices.Contains(derived, f.Name) {
			t.Errorf("a policy has %s, and Diff does not look at it", f.Name)
		}
	}
	if p := load(t, diffText); !same(p.content(), load(t, diffText).content()) {
		t.Error("a policy is not the same as itself, so something in it cannot be compared")
	}
}

// diffEnv is the world of the tests with one file replaced.
func diffEnv(name string, data []byte) Env {
	env := testEnv()
	read := env.Files
	env.Files = func(asked string) ([]byte, error) {
		if asked == name {
			return data, nil
		}
		return read(asked)
	}
	return env
}

func TestDiffReadsTheFiles(t *testing.T) {
	tokens, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file     string
		data     []byte
		pin      string
		key      byte
		kind     ChangeKind
		where    string
		contains string
	}{
		"a token has other decimals": {"tokens.json", bytes.Replace(tokens, []byte("\"USDC.e\",\n      \"decimals\": 6"), []byte("\"USDC.e\",\n      \"decimals\": 8"), 1), tokensDigest, 1, ChangeRedefines, "token eip155:10/erc20:0x7F5c764cBc14f9669B88837ca1490cCa17c31607", "has 8 decimals instead of 6"},
		"a token has another symbol": {"tokens.json", bytes.Replace(tokens, []byte(`"USDC.e"`), []byte(`"USDE"`), 1), tokensDigest, 1, ChangeOther, "token eip155:10/erc20:0x7F5c764cBc14f9669B88837ca1490cCa17c31607", `is called "USDE" instead of "USDC.e"`},
		"a token is another one":     {"tokens.json", bytes.Replace(tokens, []byte(`"chainId": 10`), []byte(`"chainId": 8453`), 1), tokensDigest, 1, ChangeOther, "token eip155:8453/erc20:0x7F5c764cBc14f9669B88837ca1490cCa17c31607", "is new in tokens.json"},
		"labels":                     {"descriptors/descriptors.sha256", []byte("other\n"), manifestDigest, 1, ChangeOther, "descriptors", "instead of descriptors, with manifest " + manifestDigest},
		"a certificate":              {"approvers/bob.pem", certificate(t), "", 1, ChangeRedefines, `approver "bob"`, "has another key, sha256:"},
		"a public key":               {"", nil, "", 9, ChangeRedefines, `key "hot"`, `stands for another public key, `},
	} {
		t.Run(name, func(t *testing.T) {
			src := diffText
			if tt.pin != "" {
				src = strings.ReplaceAll(src, tt.pin, fmt.Sprintf("%x", sha256.Sum256(tt.data)))
			}
			env := diffEnv(tt.file, tt.data)
			env.Keys["hot"] = testKey("hot", tt.key)
			p, err := Load("policy.hcl", []byte(src), env)
			if err != nil {
				t.Fatal(err)
			}
			got := Diff(load(t, diffText), p)
			if !slices.ContainsFunc(got, func(c Change) bool {
				return c.Kind == tt.kind && c.Where == tt.where && strings.Contains(c.Text, tt.contains)
			}) {
				t.Errorf("Diff = %q", got)
			}
		})
	}
}

// certificate is that of a new key.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: at.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestDiffFindsNothingInAnotherText(t *testing.T) {
	for _, src := range append(examples(t), diffText) {
		for name, other := range map[string]string{
			"the same":              src,
			"comments":              "# reviewed\n" + src + "# the end\n",
			"other white space":     regexp.MustCompile(`(?m)^ +(amount|window|allow|keys|id|decimals|account|kind) += `).ReplaceAllString(src, "\t$1=\t"),
			"other words for a day": strings.ReplaceAll(strings.ReplaceAll(src, `window = "24h"`, `window = "1d"`), `amount = "10 eth"`, `amount = "10.0 eth"`),
		} {
			if got := Diff(load(t, src), load(t, other)); len(got) > 0 {
				t.Errorf("%s: Diff = %q", name, got)
			}
		}
	}
	if got := Diff(nil, nil); len(got) > 0 {
		t.Errorf("Diff of no policies = %q", got)
	}
	if got := Diff(nil, load(t, diffText)); len(got) < 10 || got[0].Kind != ChangeLoosens {
		t.Errorf("Diff of no policy with one = %q", got)
	}
}

func TestDiffSaysTheDangerousFirst(t *testing.T) {
	src := strings.Replace(diffText, "decimals = 18", "decimals = 17", 1)
	src = strings.NewReplacer(`"500 usdc"`, `"900 usdc"`, "approvals = 2", "approvals = 3", `deny = "thieves"`, `deny = "thugs"`).Replace(src)
	var kinds []ChangeKind
	for _, c := range Diff(load(t, diffText), load(t, src)) {
		if len(kinds) == 0 || kinds[len(kinds)-1] != c.Kind {
			kinds = append(kinds, c.Kind)
		}
	}
	if !slices.Equal(kinds, changeKinds) {
		t.Errorf("the kinds are in the order %q, want %q, each once", kinds, changeKinds)
	}
}
