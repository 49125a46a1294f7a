package policy

import (
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

const (
	twoOf  = "require {\ngroup = \"treasury\"\napprovals = 2\n}\n"
	others = "require {\ngroup = \"treasury\"\napprovals = 2\nexclude_caller = true\n}\n"
	guard  = "require {\ngroup = \"security\"\napprovals = 1\n}\n"
)

// by is a request of a local user's.
func by(user string) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) { p.Caller.User = user }
}

func TestApprovalsAreAskedFor(t *testing.T) {
	waiting := func(n int) func(signer.Facts) signer.Facts {
		return func(f signer.Facts) signer.Facts { f.Pending = n; return f }
	}
	judge(t, map[string]ruling{
		"a rule that requires":                                   {rulesText(twoOf), nil, nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a")`},
		"it does not match":                                      {rulesText(twoOf + "when = \"false\""), nil, nil, signer.Deny, `rule "a": its condition is false`},
		"a rule that allows does not make up for it":             {rulesText("allow = true", twoOf), nil, nil, signer.Ask, `needs 2 approvals of "treasury" (rule "b")`},
		"two rules that require":                                 {rulesText(twoOf, guard), nil, nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a"); needs 1 approval of "security" (rule "b")`},
		"a rule that requires two groups":                        {rulesText(twoOf + guard), nil, nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a"); needs 1 approval of "security" (rule "a")`},
		"a rule that denies wins":                                {rulesText(twoOf, "deny = \"no\""), nil, nil, signer.Deny, `rule "b" denies: no`},
		"a condition that fails wins":                            {rulesText(twoOf, "allow = true\nwhen = \"outflow[1].asset == ''\""), nil, nil, signer.Deny, "cannot be evaluated"},
		"a limit without over wins":                              {rulesText(twoOf + "limit \"l\" {\namount = \"0.5 eth\"\n}"), nil, nil, signer.Deny, `limit "l"`},
		"a fee that is too high wins":                            {rulesText(twoOf + "fee {\namount = \"0 eth\"\n}"), charged(coin(t, "1"), base(1)), nil, signer.Deny, "the fee could be"},
		"what could not be read wins":                            {rulesText(twoOf), class(signer.ClassUnknownCall), nil, signer.Deny, "could not be read in full"},
		"unless the rule names it":                               {rulesText(twoOf + "blind = [\"unknown_call\"]"), class(signer.ClassUnknownCall), nil, signer.Ask, "needs 2 approvals"},
		"an administrative act":                                  {rulesText("keys = [\"sealward\"]\n" + twoOf), administers, nil, signer.Ask, "needs 2 approvals"},
		"no administrative act without its name":                 {rulesText(twoOf), administers, nil, signer.Deny, "none lets uid:1000 use key"},
		"a caller who is alice":                                  {rulesText(others), by("alice"), nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a"), beside the caller`},
		"a caller of whom nobody says who it is":                 {rulesText(others), by("payroll"), nil, signer.Deny, `whose user "payroll" (uid:1000) is, no approver of the policy says`},
		"a caller without an account":                            {rulesText(others), by(""), nil, signer.Deny, "no approver of the policy says"},
		"a delay alone":                                          {rulesText("allow = true\ndelay = \"1h\""), nil, nil, signer.Ask, `waits 1h (rule "a")`},
		"approvals and a delay":                                  {rulesText(twoOf + "delay = \"1d\"\nexpires = \"2d\""), nil, nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a"); waits 1d (rule "a"); expires after 2d (rule "a")`},
		"a delay of one rule that another one's expiry precedes": {rulesText("allow = true\ndelay = \"2h\"", guard+"expires = \"1h\""), nil, nil, signer.Deny, `rule "a" waits 2h, and by rule "b" it expires after 1h, before that`},
		"a delay of one rule as long as another one's expiry":    {rulesText("allow = true\ndelay = \"1h\"", guard+"expires = \"1h\""), nil, nil, signer.Deny, "before that"},
		"a delay of one rule that another one's expiry follows":  {rulesText("allow = true\ndelay = \"1h\"", guard+"expires = \"3601s\""), nil, nil, signer.Ask, "waits 1h"},
		"nineteen that wait":                                     {rulesText(twoOf), nil, waiting(19), signer.Ask, "needs 2 approvals"},
		"twenty that wait":                                       {rulesText(twoOf), nil, waiting(20), signer.Deny, `needs 2 approvals of "treasury" (rule "a"); and 20 requests of uid:1000 wait for approvals already, where the policy has pending = 20`},
		"one that waits, of one":                                 {"pending = 1\n" + rulesText(twoOf), nil, waiting(1), signer.Deny, "pending = 1"},
		"none that waits, of one":                                {"pending = 1\n" + rulesText(twoOf), nil, nil, signer.Ask, "needs 2"},
		"a number that wait that cannot be":                      {rulesText(twoOf), nil, waiting(-1), signer.Deny, "-1 requests"},
		"what needs no approval is not kept waiting":             {rulesText("allow = true"), nil, waiting(1000), signer.Allow, ""},
		"a delay is waiting too":                                 {rulesText("allow = true\ndelay = \"1h\""), nil, waiting(20), signer.Deny, "pending = 20"},
	})
}

func TestExhaustedLimitsAskForApprovals(t *testing.T) {
	const (
		over1  = "over = \"require:treasury:1\"\n"
		over2  = "over = \"require:security:1\"\n"
		each   = "limit \"each\" {\namount = \"1 eth\"\n"
		daily  = "limit \"a day\" {\namount = \"10 eth\"\nwindow = \"24h\"\n"
		few    = "limit \"few\" {\ncount = 2\nwindow = \"1h\"\n"
		toEach = "limit \"to each\" {\namount = \"0.5 eth\"\nper = \"recipient\"\n"
	)
	spend := func(ethers string) func(signer.Facts) signer.Facts {
		return known(ether, day, signer.PerKey, "", wei(t, ethers))
	}
	judge(t, map[string]ruling{
		"exactly the limit":                      {rulesText("allow = true\n" + each + over1 + "}"), nil, nil, signer.Allow, ""},
		"one unit above":                         {rulesText("allow = true\n" + each + over1 + "}"), ethers("1.000000000000000001"), nil, signer.Ask, `needs 1 approval of "treasury" (rule "a", limit "each": asked 1.000000000000000001 eth (1000000000000000001) with fees at their maximum, maximum 1 eth (1000000000000000000) per request)`},
		"over a window":                          {rulesText("allow = true\n" + daily + over1 + "}"), nil, spend("9.5"), signer.Ask, `limit "a day": asked 1 eth`},
		"more than the limit ever lets through":  {rulesText("allow = true\n" + daily + over1 + "}"), ethers("11"), nil, signer.Ask, "left 10 eth (10000000000000000000))"},
		"beside another limit that is exhausted": {rulesText("allow = true\n" + each + over1 + "}\n" + daily + "}"), ethers("2"), spend("9"), signer.Deny, `limit "a day"`},
		"beside one of another rule":             {rulesText("allow = true\n"+each+over1+"}", "allow = true\n"+daily+"}"), ethers("2"), spend("9"), signer.Deny, `rule "b", limit "a day"`},
		"two rules that ask different groups":    {rulesText("allow = true\n"+each+over1+"}", "allow = true\n"+each+over2+"}"), ethers("2"), nil, signer.Ask, `needs 1 approval of "security" (rule "b", limit "each"`},
		"two limits of one rule":                 {rulesText("allow = true\n" + each + over1 + "}\n" + daily + over2 + "}"), ethers("2"), spend("9"), signer.Ask, `needs 1 approval of "security" (rule "a", limit "a day"`},
		"beside what the rule itself requires":   {rulesText(guard + each + over1 + "}"), ethers("2"), nil, signer.Ask, `needs 1 approval of "security" (rule "a"); needs 1 approval of "treasury" (rule "a", limit "each"`},
		"a count":                                {rulesText("allow = true\n" + few + over1 + "}"), nil, known(signer.AssetRequests, time.Hour, signer.PerKey, "", big.NewInt(2)), signer.Ask, `limit "few": asked 1 request, spent 2 requests`},
		"a recipient":                            {rulesText("allow = true\n" + each + "}\n" + toEach + over1 + "}"), nil, nil, signer.Ask, `limit "to each": asked 1 eth (1000000000000000000) for Acme Hosting`},
		"an asset that no limit covers":          {rulesText("allow = true\n" + each + over1 + "}"), pay(dollars(1)), nil, signer.Deny, "not covered"},
		"an amount without a bound":              {rulesText("allow = true\n" + each + over1 + "}"), pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether}), nil, signer.Deny, "unlimited"},
		"what was spent is not known":            {rulesText("allow = true\n" + daily + over1 + "}"), ethers("11"), func(f signer.Facts) signer.Facts { f.Spent = nil; return f }, signer.Deny, "is not known"},
		"anybody may be the recipient":           {rulesText("allow = true\n" + each + "}\n" + toEach + over1 + "}"), does(flow("", coin(t, "1"))), nil, signer.Deny, "does not say who receives"},
		"a rule that denies":                     {rulesText("allow = true\n"+each+over1+"}", "deny = \"no\""), ethers("2"), nil, signer.Deny, "denies: no"},
	})
}

func TestADecisionThatAsksSaysWhom(t *testing.T) {
	p := load(t, rulesText(
		others+"delay = \"1h\"\nexpires = \"3d\"\nlimit \"each\" {\namount = \"0.5 eth\"\nover = \"require:security:1\"\n}\nlimit \"to each\" {\namount = \"0.4 eth\"\nper = \"recipient\"\nover = \"require:treasury:3\"\n}",
		"allow = true\ndelay = \"2h\"\nlimit \"each\" {\namount = \"9 eth\"\nover = \"require:security:1\"\n}",
		guard+"expires = \"2d\"",
	))
	prop := effects(transfer(t, acme, "1"), flow(acme, coin(t, "1")), flow(hacker, coin(t, "1")))
	prop.Caller.User = "alice"
	d := p.Decide(prop, unspent(p, prop))
	want := []signer.Quorum{
		{Rule: "a", Group: "treasury", Approvals: 2, ExcludeCaller: true},
		{Rule: "a", Limit: "each", Group: "security", Approvals: 1},
		{Rule: "a", Limit: "to each", Group: "treasury", Approvals: 3},
		{Rule: "c", Group: "security", Approvals: 1},
	}
	if d.Verdict != signer.Ask || !slices.Equal(d.Quorums, want) || d.Delay != 2*time.Hour || d.Expires != 2*day || !slices.Equal(d.Rules, []string{"a", "b", "c"}) {
		t.Errorf("Decide = %s (%s)\n%+v, delay %s, expires %s", d.Verdict, d.Reason, d.Quorums, d.Delay, d.Expires)
	}
	if len(d.Limits) != 4 {
		t.Errorf("%d uses of limits", len(d.Limits))
	}
	quiet := p.Decide(tx(t, flow(acme, coin(t, "0.1"))), signer.Facts{Time: at})
	if quiet.Verdict != signer.Deny { // the caller is nobody's
		t.Errorf("Decide = %s", quiet.Verdict)
	}
}

func TestARuleThatRequiresGrantsItsKey(t *testing.T) {
	p := load(t, rulesText("keys = [\"hot\"]\n"+twoOf, "keys = [\"treasury\"]\ndeny = \"no\""))
	c := transfer(t, acme, "1").Caller
	if !p.Grants(c, testKey("hot", 1)) || p.Grants(c, testKey("treasury", 2)) {
		t.Error("a rule that requires approvals does not grant its key, and its key alone")
	}
}

func TestCertificatesArePartOfThePolicy(t *testing.T) {
	files := map[string][]byte{}
	for _, n := range []string{"alice", "bob", "carol"} {
		src, err := os.ReadFile("testdata/approvers/" + n + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		files["approvers/"+n+".pem"] = src
	}
	env := testEnv()
	env.Files = func(name string) ([]byte, error) {
		if src, ok := files[name]; ok {
			return src, nil
		}
		return nil, os.ErrNotExist
	}
	reload := func() *Policy {
		t.Helper()
		p, err := Load("policy.hcl", []byte(rulesText(twoOf)), env)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := reload()
	if q := reload(); p.Version() != q.Version() {
		t.Error("the same files have two versions")
	}
	b, err := ReadBundle(p.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range files {
		if string(b.Files[name]) != string(src) {
			t.Errorf("the bundle has another %s", name)
		}
	}
	q, err := b.Load()
	if err != nil || q.Version() != p.Version() {
		t.Errorf("the bundle loads as another policy: %v", err)
	}
	files["approvers/bob.pem"] = append(slices.Clone(files["approvers/bob.pem"]), '\n')
	if q := reload(); p.Version() == q.Version() {
		t.Error("a certificate that changed is the same version")
	}
}

func TestCertificatesThatAreRefused(t *testing.T) {
	read := func(name string) string {
		src, err := os.ReadFile("testdata/approvers/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		return string(src)
	}
	alice, bob := read("alice"), read("bob")
	for name, tt := range map[string]struct{ file, want string }{
		"no file":               {"", "read the certificate of approver \"alice\""},
		"no PEM":                {"alice", "is not a certificate in PEM"},
		"binary":                {"0\x82\x01", "openssl x509"},
		"two certificates":      {alice + bob, "want one, without a chain"},
		"text before it":        {"Subject: alice\n" + alice, "without text around it"},
		"text behind it":        {alice + "alice", "without text around it"},
		"headers":               {strings.Replace(alice, "-----\n", "-----\nA: b\n\n", 1), "without text around it"},
		"a public key":          {strings.ReplaceAll(alice, "CERTIFICATE", "PUBLIC KEY"), "is a PUBLIC KEY in PEM; want a CERTIFICATE"},
		"a private key":         {strings.ReplaceAll(alice, "CERTIFICATE", "EC PRIVATE KEY"), "holds a private key, which belongs nowhere near a policy"},
		"a private key as well": {alice + strings.ReplaceAll(alice, "CERTIFICATE", "PRIVATE KEY"), "holds a private key"},
		"another content":       {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate that can be read"},
		"somebody else's":       {bob, `approvers "alice" and "bob" have one public key`},
	} {
		t.Run(name, func(t *testing.T) {
			env := testEnv()
			env.Files = func(f string) ([]byte, error) {
				switch {
				case f != "approvers/alice.pem":
					return os.ReadFile("testdata/" + f)
				case tt.file == "":
					return nil, os.ErrNotExist
				}
				return []byte(tt.file), nil
			}
			p, err := Load("policy.hcl", []byte(rulesText("allow = true")), env)
			if err == nil || p != nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "policy.hcl:1") && !strings.HasPrefix(err.Error(), "policy.hcl:2") {
				t.Errorf("Load error = %v, want %q", err, tt.want)
			}
		})
	}
	env := testEnv()
	env.Files = nil
	if _, err := Load("policy.hcl", []byte(rulesText("allow = true")), env); err == nil || !strings.Contains(err.Error(), "read by itself here") {
		t.Errorf("Load without files: %v", err)
	}
}

func TestMisplacedApprovals(t *testing.T) {
	rule := func(args string) string { return peopleText + "rule \"r\" {\n" + args + "\n}\n" }
	require := func(args string) string { return rule("require {\n" + args + "\n}") }
	over := func(text string) string {
		return rule("allow = true\nlimit \"l\" {\namount = \"1 eth\"\nover = " + text + "\n}")
	}
	nobody := strings.Replace(peopleText, "  users       = [\"alice\"]\n", "", 1)
	misplaced(t, map[string]struct{ src, want string }{
		"an approver without a key":          {assetsText + "«approver \"a\"» {\n}\n", `approver "a" has nothing to approve with; write certificate =`},
		"a certificate that leads elsewhere": {assetsText + "approver \"a\" {\n certificate = «\"../a.pem\"»\n}\n", "want a name below the folder"},
		"a user twice":                       {peopleText + "approver \"dora\" {\n certificate = \"approvers/alice.pem\"\n users = [«\"alice\"»]\n}\n", `user "alice" is approver "alice"'s already`},
		"a user that is a selector":          {peopleText + "approver \"dora\" {\n certificate = \"approvers/alice.pem\"\n users = [«\"user:dora\"»]\n}\n", "write the name alone"},
		"a group of nobody":                  {assetsText + "group \"g\" {\n members = «[]»\n}\n", "the list is empty"},
		"a member who is nobody":             {strings.Replace(peopleText, "[\"alice\", \"bob\"", "[\"alice\", «\"bbo\"»", 1), `no approver is named "bbo"; did you mean "bob"?`},
		"a member twice":                     {strings.Replace(peopleText, "[\"alice\", \"bob\"", "[\"alice\", «\"alice\"»", 1), "in the list twice"},
		"a require of nobody":                {require("group = «\"tresury\"»\napprovals = 1"), `did you mean "treasury"?`},
		"a require of nothing":               {require("group = \"treasury\"\napprovals = «0»"), "a whole number from 1 to 1000"},
		"a require of too many":              {require("group = \"treasury\"\napprovals = «4»"), `nobody could collect 4 approvals: group "treasury" has 3 members; ask for at most 3, or add members`},
		"too many, the caller left out":      {require("group = \"treasury\"\napprovals = «3»\nexclude_caller = true"), `has 3 members, of whom the one who asks does not count; ask for at most 2`},
		"one, the caller left out":           {require("group = \"security\"\napprovals = «1»\nexclude_caller = true"), `nobody could approve: group "security" has 1 member, of whom`},
		"a caller whom nobody knows":         {nobody + "rule \"r\" {\nrequire {\ngroup = \"treasury\"\napprovals = 1\nexclude_caller = «true»\n}\n}\n", "needs to know which person a caller is"},
		"a require without a number":         {rule("require «»{\ngroup = \"treasury\"\n}"), `The argument "approvals" is required`},
		"a group twice in a rule":            {rule(twoOf + "require {\ngroup = «\"treasury\"»\napprovals = 1\n}"), `asks group "treasury" twice`},
		"an unknown word within":             {require("group = \"treasury\"\napprovals = 1\n«exclud_caller» = true"), `Did you mean "exclude_caller"?`},
		"allow with require":                 {rule("«allow» = true\n" + twoOf), "has allow and require"},
		"deny with require":                  {rule("deny = \"no\"\n«require» {\ngroup = \"treasury\"\napprovals = 1\n}"), "require is for rules that let through"},
		"deny with a delay":                  {rule("deny = \"no\"\n«delay» = \"1h\""), "delay is for rules that let through"},
		"deny with an expiry":                {rule("deny = \"no\"\n«expires» = \"1h\""), "expires is for rules that let through"},
		"a delay that is no duration":        {rule(twoOf + "delay = «\"an hour\"»"), `want for example "24h"`},
		"an expiry before the delay":         {rule(twoOf + "delay = \"2h\"\nexpires = «\"1h\"»"), "so that nothing could ever be signed"},
		"an expiry with the delay":           {rule(twoOf + "delay = \"1h\"\nexpires = «\"1h\"»"), "so that nothing could ever be signed"},
		"an expiry of nothing":               {rule("allow = true\n«expires» = \"1h\""), "asks for nothing that could expire"},
		"an over of another sort":            {over("«\"treasury\"»"), `want "require:GROUP:N"`},
		"an over of none":                    {over("«\"require:treasury:0\"»"), `want "require:GROUP:N"`},
		"an over of nobody":                  {over("«\"require:ops:1\"»"), `no group is named "ops"`},
		"an over of too many":                {over("«\"require:treasury:4\"»"), "nobody could collect 4 approvals"},
		"pending nothing":                    {"pending = «0»\n" + rulesText(twoOf), "a whole number from 1 to 1000"},
		"pending too much":                   {"pending = «1001»\n" + rulesText(twoOf), "a whole number from 1 to 1000"},
	})
}

func TestWhatCouldNeverBeSignedIsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"no rule":                      {assetsText, "nothing could ever be signed: no rule lets anything through"},
		"rules that deny alone":        {assetsText + "rule \"no\" {\n deny = \"x\"\n}\n", "nothing could ever be signed"},
		"a kind that the key does not": {allow("keys = [\"hot\"]\nkinds = [\"evm.message\"]"), `no key of it signs "evm.message" (hot signs "evm.transaction")`},
		"a kind that no key does":      {allow("kinds = [\"digest\", \"evm.message\"]"), `signs "digest", "evm.message" (cold signs "evm.typed_data"; hot signs "evm.transaction")`},
		"administrative acts of a key": {allow("keys = [\"hot\"]\nkinds = [\"sealward.admin\"]"), `write keys = ["sealward"]`},
		"administrative acts of none":  {allow("kinds = [\"sealward.admin\"]"), `write keys = ["sealward"]`},
		"payments of Sealward itself":  {allow("keys = [\"sealward\"]\nkinds = [\"evm.transaction\"]"), `sealward signs "sealward.admin"`},
		"a kind of another key":        {allow("keys = [\"hot\"]\nkinds = [\"evm.typed_data\"]"), "no key of it signs"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load("policy.hcl", []byte(tt.src), narrow(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load error = %v, want %q", err, tt.want)
			}
		})
	}
	for name, src := range map[string]string{
		"one of the kinds":             allow("keys = [\"hot\"]\nkinds = [\"evm.transaction\", \"evm.message\"]"),
		"one of the keys":              allow("kinds = [\"evm.typed_data\"]"),
		"a key that does not say":      allow("keys = [\"mute\"]\nkinds = [\"digest\"]"),
		"a rule that denies a kind":    allow("") + "rule \"no\" {\n keys = [\"hot\"]\n kinds = [\"digest\"]\n deny = \"x\"\n}\n",
		"Sealward itself among keys":   allow("keys = [\"hot\", \"sealward\"]\nkinds = [\"sealward.admin\"]"),
		"a rule that requires":         rulesText(twoOf),
		"a rule that lets others sign": assetsText + elsewhereFor("hot"),
	} {
		t.Run(name, func(t *testing.T) {
			env := narrow(t)
			if strings.Contains(src, "mute") {
				mute := testKey("mute", 9)
				mute.Kinds = nil
				env.Keys["mute"] = mute
			}
			if _, err := Load("policy.hcl", []byte(src), env); err != nil {
				t.Errorf("Load error = %v", err)
			}
		})
	}
}

func elsewhereFor(key string) string {
	return fmt.Sprintf("rule \"elsewhere\" {\n callers = [\"uid:99\"]\n keys = [%q]\n allow = true\n}\n", key)
}

// narrow is a configuration whose keys sign one kind each.
func narrow(t *testing.T) Env {
	t.Helper()
	env := testEnv()
	env.Keys = map[string]signer.KeyInfo{"hot": testKey("hot", 1), "cold": testKey("cold", 2)}
	for name, kind := range map[string]signer.Kind{"hot": signer.KindEVMTransaction, "cold": signer.KindEVMTypedData} {
		k := env.Keys[name]
		k.Kinds = []signer.Kind{kind}
		env.Keys[name] = k
	}
	return env
}
