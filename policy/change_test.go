package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// act turns a proposal into an administrative request of a class.
func act(class signer.Class, attributes ...string) func(*testing.T, *signer.Proposal) {
	return func(t *testing.T, p *signer.Proposal) {
		administers(t, p)
		e := &p.Intent.Effects[0]
		e.Class, e.Attributes = class, map[string]string{signer.AttributeReason: "why"}
		if class == signer.ClassPolicyChange {
			e.Attributes[signer.AttributePolicyFrom], e.Attributes[signer.AttributePolicyTo] = strings.Repeat("0", 64), strings.Repeat("1", 64)
		}
		for pair := range slices.Chunk(attributes, 2) {
			e.Attributes[pair[0]] = pair[1]
		}
	}
}

// recovered is the same act, asked of the recovery quorum.
func recovered(class signer.Class) func(*testing.T, *signer.Proposal) {
	return act(class, signer.AttributeRecovery, "true")
}

// withoutRecovery is a policy of rules that has people, and no recovery. It can be
// changed by somebody whom the tests do not know.
func withoutRecovery(rules ...string) string {
	src := strings.Replace(rulesText(rules...), "recovery {\n  group     = \"security\"\n  approvals = 1\n}\n", "", 1)
	return src + "rule \"others change it\" {\n callers = [\"uid:99\"]\n keys = [\"sealward\"]\n" + guard + "}\n"
}

func TestWhoDecidesIsDecidedByPeople(t *testing.T) {
	const itself = "keys = [\"sealward\"]\n"
	const once = "limit \"once\" {\ncount = 1\nwindow = \"1h\"\nover = \"require:treasury:1\"\n}\n"
	tests := map[string]ruling{}
	for _, class := range guarded {
		say := func(name string, r ruling) { tests[fmt.Sprintf("%s: %s", class, name)] = r }
		say("a rule that requires", ruling{rulesText(itself + twoOf), act(class), nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a")`})
		say("a rule that allows", ruling{rulesText(itself + "allow = true"), act(class), nil, signer.Deny,
			fmt.Sprintf(`it would pass without an approval by rule "a", and in a policy that names approvers an act of class %q takes some: write require in the rule, in place of allow`, class)})
		say("several that allow", ruling{rulesText(itself+"allow = true", itself+"allow = true"), act(class), nil, signer.Deny, `by rules "a", "b"`})
		say("one that allows and one that requires", ruling{rulesText(itself+"allow = true", itself+guard), act(class), nil, signer.Ask, `needs 1 approval of "security" (rule "b")`})
		say("one that lets time pass", ruling{rulesText(itself + "allow = true\ndelay = \"24h\""), act(class), nil, signer.Deny, "without an approval"})
		say("one whose limit asks, once it is used up", ruling{rulesText(itself + "allow = true\n" + once), act(class), known(signer.AssetRequests, day/24, signer.PerKey, "", wei(t, "1")), signer.Deny, "without an approval"})
		say("no rule", ruling{rulesText("allow = true"), act(class), nil, signer.Deny, "none lets uid:1000 use key"})
		say("a rule that denies", ruling{rulesText(itself+twoOf, itself+"deny = \"no\""), act(class), nil, signer.Deny, `rule "b" denies: no`})
		say("a policy without people", ruling{admin(""), act(class), nil, signer.Allow, ""})

		const keepers = `needs 1 approval of "security" (recovery)`
		say("a recovery", ruling{rulesText("allow = true"), recovered(class), nil, signer.Ask, keepers})
		say("a recovery where the rules would ask others", ruling{rulesText(itself + twoOf + "delay = \"24h\"\nexpires = \"48h\""), recovered(class), nil, signer.Ask, keepers})
		say("a recovery that every rule denies", ruling{rulesText("allow = true", "deny = \"no\"", itself+"deny = \"no\""), recovered(class), nil, signer.Ask, keepers})
		say("a recovery that no rule can be evaluated for", ruling{rulesText("allow = true", "deny = \"no\"\nwhen = \"effects[7].class == 'transfer'\""), recovered(class), nil, signer.Ask, keepers})
		say("a recovery where there is none", ruling{withoutRecovery(itself + twoOf), recovered(class), nil, signer.Deny, "has no block recovery"})
		say("a recovery without people", ruling{admin(""), recovered(class), nil, signer.Deny, "has no block recovery"})
		say("a recovery of one who has many requests waiting", ruling{rulesText("allow = true"), recovered(class), func(f signer.Facts) signer.Facts { f.Pending = 20; return f }, signer.Deny, "pending = 20"})
		say("a recovery that is spelt otherwise", ruling{rulesText(itself + twoOf), act(class, signer.AttributeRecovery, "yes"), nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a")`})
	}
	tests["other acts are the rules' own business"] = ruling{rulesText(itself + "allow = true"), act(signer.ClassKeyDisable), nil, signer.Allow, ""}
	tests["and no recovery is theirs"] = ruling{rulesText(itself + "allow = true"), recovered(signer.ClassKeyEnable), nil, signer.Allow, ""}
	tests["a recovery beside something else"] = ruling{rulesText(itself + "allow = true"), func(t *testing.T, p *signer.Proposal) {
		recovered(signer.ClassThaw)(t, p)
		p.Intent.Effects = append(p.Intent.Effects, signer.Effect{Class: signer.ClassKeyCreate})
	}, nil, signer.Deny, "without an approval"}
	judge(t, tests)
}

func TestARecoveryAsksItsQuorumAlone(t *testing.T) {
	src := strings.Replace(rulesText("keys = [\"sealward\"]\n"+twoOf+"delay = \"24h\""), "group     = \"security\"\n  approvals = 1", "group     = \"treasury\"\n  approvals = 2\n  including = \"security\"", 1)
	p := load(t, src)
	prop := transfer(t, acme, "1")
	recovered(signer.ClassThaw)(t, &prop)
	want := []signer.Quorum{{Rule: "recovery", Group: "treasury", Approvals: 2, Including: "security"}}
	d := p.Decide(prop, unspent(p, prop))
	if d.Verdict != signer.Ask || !slices.Equal(d.Quorums, want) || d.Delay != 0 || d.Expires != 0 || len(d.Rules)+len(d.Limits) > 0 {
		t.Errorf("Decide = %+v", d)
	}
	if want := `needs 2 approvals of "treasury" (recovery), one of them of "security"`; d.Reason != want {
		t.Errorf("Reason = %q, want %q", d.Reason, want)
	}
	x := p.Explain(prop, unspent(p, prop))
	if fmt.Sprint(x.Decision) != fmt.Sprint(d) || len(x.Rules) != 0 {
		t.Errorf("Explain = %+v", x)
	}
	stranger := prop
	stranger.Caller.Identified = false
	if d := p.Decide(stranger, unspent(p, prop)); d.Verdict != signer.Deny {
		t.Errorf("for nobody: %s", d.Verdict)
	}
}

func TestQuorumsThatAskForMore(t *testing.T) {
	const both = "require {\ngroup = \"treasury\"\napprovals = 2\nincluding = \"security\"\nexclude_caller = true\n}\n"
	carols := strings.NewReplacer("\"approvers/carol.pem\"", "\"approvers/carol.pem\"\n  users = [\"carol\"]")
	judge(t, map[string]ruling{
		"one of a group": {rulesText(both), by("alice"), nil, signer.Ask, `needs 2 approvals of "treasury" (rule "a"), beside the caller, one of them of "security"`},
		"where the one of the group is the caller": {carols.Replace(rulesText(both)), by("carol"), nil, signer.Deny, `rule "a" asks for an approval of somebody of "security" beside the caller, and in group "treasury" there is nobody but "carol", who asks; have somebody else ask`},
	})
	p := load(t, manyPeople+"rule \"r\" {\n keys = [\"treasury\"]\n require {\n group = \"treasurers\"\n approvals = 1\n devices = 3\n}\n}\n")
	prop := transfer(t, acme, "1")
	prop.Key, prop.Request.Key = testKey("treasury", 2), "treasury"
	d := p.Decide(prop, unspent(p, prop))
	if !slices.Equal(d.Quorums, []signer.Quorum{{Rule: "r", Group: "treasurers", Approvals: 1, Devices: 3}}) || !strings.HasSuffix(d.Reason, "each with 3 devices") {
		t.Errorf("Decide = %+v", d)
	}
}

func TestWhoMayAskForARecovery(t *testing.T) {
	itself := signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}
	p, without := load(t, rulesText("allow = true")), load(t, withoutRecovery("allow = true"))
	for name, tt := range map[string]struct {
		policy *Policy
		socket string
		key    signer.KeyInfo
		known  bool
		want   bool
	}{
		"on the admin socket":              {p, "admin", itself, true, true},
		"on another socket":                {p, "payroll", itself, true, false},
		"where there is no recovery":       {without, "admin", itself, true, false},
		"nobody":                           {p, "admin", itself, false, false},
		"of a key that took the name":      {p, "admin", testKey(signer.AdminKey, 9), true, false},
		"another key is the rules' matter": {p, "admin", testKey("hot", 1), true, true},
		"and a key that nobody knows":      {p, "admin", testKey("cold", 7), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := transfer(t, acme, "1").Caller
			c.Socket, c.Identified = tt.socket, tt.known
			if got := tt.policy.Grants(c, tt.key); got != tt.want {
				t.Errorf("Grants = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestAPolicyThatNobodyCouldChangeIsRefused(t *testing.T) {
	bare := strings.Replace(peopleText, "recovery {\n  group     = \"security\"\n  approvals = 1\n}\n", "", 1) + elsewhere
	one := func(name, args string) string {
		return fmt.Sprintf("rule %q {\n keys = [\"sealward\"]\n%s\n}\n", name, args)
	}
	of := func(when string) string { return one("change", fmt.Sprintf("when = %q\n", when)+guard) }
	const others = "require {\ngroup = \"treasury\"\napprovals = 1\nexclude_caller = true\n}\n"
	const ever = "no rule with require lets an act of class policy_change"
	for name, tt := range map[string]struct{ src, want string }{
		"no rule for it":                        {bare, ever},
		"a rule":                                {bare + one("change", guard), ""},
		"a rule of its class":                   {bare + of("effects.all(e, e.class == 'policy_change')"), ""},
		"a rule of several classes":             {bare + of("effects.all(e, e.class in ['thaw', 'policy_change'])"), ""},
		"a rule of the intent's class":          {bare + of("intent.class == 'policy_change'"), ""},
		"a rule of other classes":               {bare + of("effects.all(e, e.class in ['thaw', 'trust_file'])"), ever},
		"a rule of other kinds":                 {bare + "rule \"pay\" {\n keys = [\"sealward\", \"hot\"]\n kinds = [\"evm.transaction\"]\n" + guard + "}\n", ever},
		"a rule without its key":                {bare + "rule \"pay\" {\n" + guard + "}\n", ever},
		"a rule that allows":                    {bare + one("change", "allow = true"), ever},
		"a rule for some callers":               {bare + one("change", "callers = [\"user:root\"]\n"+guard), ""},
		"a rule for some hours":                 {bare + one("change", "hours {\n zone = \"UTC\"\n days = [\"mon\"]\n}\n"+guard), ""},
		"a rule for somebody":                   {bare + of("caller.user == 'root' && effects.all(e, e.class == 'policy_change')"), ""},
		"a rule for somebody of another class":  {bare + of("caller.user == 'root' && effects.all(e, e.class == 'thaw')"), ever},
		"a rule for some time":                  {bare + of("time.getHours() < 12 || intent.class == 'thaw'"), ""},
		"a rule for a reason":                   {bare + of("effects.all(e, e.attributes.reason.startsWith('ticket '))"), ""},
		"a rule for a version":                  {bare + of("effects.all(e, e.attributes['to'] == '"+strings.Repeat("7", 64)+"')"), ""},
		"a rule about keys":                     {bare + of("effects.all(e, e.attributes.key == 'hot')"), "the condition of rule \"change\" cannot be evaluated for one"},
		"a rule about keys, where there is one": {bare + of("effects.all(e, !has(e.attributes.key) || e.attributes.key == 'hot')"), ""},
		"a rule that is never true":             {bare + of("false"), ever},
		"a recovery":                            {peopleText + elsewhere, ""},
		"a recovery, and all is denied":         {peopleText + elsewhere + one("no", "deny = \"no\""), ""},
		"all is denied":                         {bare + one("change", guard) + one("no", "deny = \"no\""), `rule "no" denies every change of policy`},
		"all is denied, of every key":           {bare + one("change", guard) + "rule \"no\" {\n deny = \"no\"\n}\n", `rule "no" denies every change of policy`},
		"all of some class is denied":           {bare + one("change", guard) + one("no", "deny = \"no\"\nwhen = \"intent.class == 'policy_change'\""), `rule "no" denies every change of policy`},
		"all of another class is denied":        {bare + one("change", guard) + one("no", "deny = \"no\"\nwhen = \"intent.class == 'thaw'\""), ""},
		"all of somebody is denied":             {bare + one("change", guard) + one("no", "deny = \"no\"\ncallers = [\"uid:7\"]"), ""},
		"all of some hours is denied":           {bare + one("change", guard) + one("no", "deny = \"no\"\nhours {\n zone = \"UTC\"\n days = [\"sun\"]\n}"), ""},
		"what is dangerous is denied":           {bare + one("change", guard) + "rule \"no\" {\n deny = \"no\"\n when = \"warnings.exists(w, w.severity == 'danger')\"\n}\n", ""},
		"a slip in a rule that denies":          {bare + one("change", guard) + "rule \"no\" {\n deny = \"no\"\n when = \"effects.exists(e, e.attributes.key == 'hot')\"\n}\n", `the condition of rule "no" cannot be evaluated for one`},
		"a slip that somebody escapes":          {bare + one("change", guard) + "rule \"no\" {\n callers = [\"uid:7\"]\n deny = \"no\"\n when = \"effects.exists(e, e.attributes.key == 'hot')\"\n}\n", ""},
		"a limit by amount":                     {bare + one("change", guard+"limit \"l\" {\n amount = \"1 eth\"\n}"), `rule "change" limits amounts, and a change of policy has none`},
		"a limit by amount, of the kind":        {bare + one("change", "kinds = [\"sealward.admin\"]\n"+guard+"limit \"l\" {\n amount = \"1 eth\"\n}"), ""},
		"a limit by count":                      {bare + one("change", guard+"limit \"l\" {\n count = 1\n window = \"24h\"\n}"), ""},
		"it expires before another rule's wait": {bare + one("change", guard+"expires = \"12h\"") + one("slow", "delay = \"24h\"\n"+guard), `rule "slow" waits 24h, and by rule "change" it expires after 12h, before that`},
		"it waits less than the others allow":   {bare + one("change", guard+"expires = \"48h\"") + one("slow", "delay = \"24h\"\n"+guard), ""},
		"another rule's wait is for others":     {bare + one("change", guard+"expires = \"12h\"") + one("slow", "callers = [\"uid:7\"]\ndelay = \"24h\"\n"+guard), ""},
		"one rule of two could be met":          {bare + one("change", "callers = [\"uid:7\"]\n"+guard+"expires = \"12h\"") + one("slow", "delay = \"24h\"\n"+guard), ""},
		"whoever asks is nobody's user":         {bare + one("change", "callers = [\"user:root\"]\n"+others), `rule "change" does not count whoever asks, and none of its callers is in the users of an approver`},
		"whoever asks has to be among them":     {bare + "group \"alone\" {\n members = [\"alice\"]\n}\n" + one("change", "callers = [\"user:alice\"]\n"+strings.Replace(others, "exclude", "including = \"alone\"\nexclude", 1)), `rule "change" does not count whoever asks`},
		"whoever asks may be somebody's user":   {bare + one("change", "callers = [\"user:root\", \"user:alice\"]\n"+others), ""},
		"whoever asks is known by a number":     {bare + one("change", "callers = [\"uid:1001\"]\n"+others), ""},
		"a new recipient is asked for":          {bare + of("size(new_recipients) == 0"), ""},
		"nobody is named":                       {sample, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Load("policy.hcl", []byte(tt.src), testEnv())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "policy.hcl:1,1-1: nobody could change this policy: ") || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("Load error = %v, want %q", err, tt.want)
			}
			if err != nil {
				p = kept(t, tt.src)
			}
			if name == "nobody is named" {
				return
			}
			if err := p.Changeable(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Changeable = %v, want %q", err, tt.want)
			}
		})
	}
}

// kept loads a policy as if it came from the journal: what was in force once, by an older
// program, can still be read.
func kept(t *testing.T, src string) *Policy {
	t.Helper()
	env := testEnv()
	b := Bundle{Name: "policy.hcl", Source: []byte(src), Keys: env.Keys, Sockets: env.Sockets, Files: map[string][]byte{}}
	for _, name := range []string{"alice", "bob", "carol"} {
		file := "approvers/" + name + ".pem"
		data, err := env.Files(file)
		if err != nil {
			t.Fatal(err)
		}
		b.Files[file] = data
	}
	p, err := b.Load()
	if err != nil {
		t.Fatalf("the kept bundle does not load: %v", err)
	}
	return p
}

// Whether nobody can change a policy that names nobody, is for the host to say.
func TestAPolicyWithoutPeopleIsChangedByARule(t *testing.T) {
	for name, tt := range map[string]struct {
		src  string
		want string
	}{
		"no rule":            {sample, "no rule lets an act of class policy_change of key \"sealward\" through"},
		"a rule":             {admin(""), ""},
		"a rule for others":  {admin("when = \"effects.all(e, e.class == 'key_disable')\""), "no rule lets an act"},
		"a rule that denies": {admin("") + "rule \"no\" {\n deny = \"no\"\n}\n", "denies every change of policy"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := load(t, tt.src).Changeable(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Changeable = %v, want %q", err, tt.want)
			}
		})
	}
	var none *Policy
	if err := none.Changeable(); err == nil {
		t.Error("no policy can be changed")
	}
}
