package policy

import (
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// administers turns a proposal into an administrative request to disable a key.
func administers(_ *testing.T, p *signer.Proposal) {
	p.Key = signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}
	p.Request.Key, p.Request.Kind = signer.AdminKey, signer.KindAdmin
	p.Intent = signer.Intent{Kind: signer.KindAdmin, Complete: true, Effects: []signer.Effect{{
		Class: signer.ClassKeyDisable,
		Attributes: map[string]string{
			signer.AttributeKey: "hot", signer.AttributeFingerprint: testKey("hot", 1).Fingerprint, signer.AttributeReason: "lost", signer.AttributeOrigin: "imported",
		},
	}}}
}

// admin is a policy whose one rule names Sealward itself.
func admin(args string) string { return allow("keys = [\"sealward\"]\n" + args) }

func TestAdministrativeRequests(t *testing.T) {
	pure := func(change func(*signer.Proposal)) func(*testing.T, *signer.Proposal) {
		return func(t *testing.T, p *signer.Proposal) { administers(t, p); change(p) }
	}
	run(t, map[string]decision{
		"no rule at all": {assetsText + elsewhere, administers, nil, false, []string{`none lets uid:1000 use key "sealward"`}},
		"a rule for everything names nobody's key":       {allow(""), administers, nil, false, []string{`none lets uid:1000 use key "sealward"`}},
		"nor does one that is true of this kind":         {allow("when = \"kind == 'sealward.admin'\""), administers, nil, false, []string{"none lets"}},
		"nor one for another key":                        {allow(`keys = ["hot", "treasury"]`), administers, nil, false, []string{"none lets"}},
		"a rule that names it":                           {admin(""), administers, nil, true, nil},
		"beside other keys":                              {allow(`keys = ["hot", "sealward"]`), administers, nil, true, nil},
		"another caller":                                 {admin(`callers = ["user:alice"]`), administers, nil, false, []string{"none lets"}},
		"the class of the act":                           {admin(`when = "effects.all(e, e.class == 'key_disable')"`), administers, nil, true, nil},
		"another class":                                  {admin(`when = "effects.all(e, e.class in ['key_create', 'key_enable'])"`), administers, nil, false, []string{"its condition is false"}},
		"the key of the act":                             {admin(`when = "effects.all(e, e.attributes.key == 'hot' && e.attributes.origin == 'imported')"`), administers, nil, true, nil},
		"another key":                                    {admin(`when = "effects.all(e, e.attributes.key == 'treasury')"`), administers, nil, false, []string{"its condition is false"}},
		"a rule that denies everything":                  {admin("") + "rule \"no\" {\n  deny = \"holidays\"\n}\n", administers, nil, false, []string{`rule "no" denies: holidays`}},
		"a rule that denies for a key denies that alone": {admin("") + "rule \"no\" {\n  keys = [\"hot\"]\n  deny = \"holidays\"\n}\n", administers, nil, true, nil},
		"a limit by amount does not count acts":          {admin("limit \"l\" {\n  amount = \"1 eth\"\n}"), administers, nil, false, []string{"what an administrative act leads to has none"}},
		"unless the rule names the kind":                 {admin("kinds = [\"sealward.admin\"]\nlimit \"l\" {\n  amount = \"1 eth\"\n}"), administers, nil, true, nil},
		"another kind for Sealward itself":               {admin(""), pure(func(p *signer.Proposal) { p.Request.Kind = signer.KindEVMTransaction }), nil, false, []string{"and no other"}},
		"an administrative request for a key":            {allow(`keys = ["hot"]`), pure(func(p *signer.Proposal) { p.Key = testKey("hot", 1) }), nil, false, []string{"and no other"}},
		"a key that took the name":                       {admin(""), pure(func(p *signer.Proposal) { p.Key = testKey("sealward", 9) }), nil, false, []string{"not a key that this policy was loaded with"}},
		"a payment is none of its business":              {admin(""), nil, nil, false, []string{`none lets uid:1000 use key "hot"`}},
		"where a generated key alone may sign":           {allow(`when = "key.origin == 'generated'"`), nil, nil, false, []string{"its condition is false"}},
	})
}

func TestOnlyARuleThatNamesItGrantsSealwardItself(t *testing.T) {
	c := transfer(t, acme, "1").Caller
	itself := signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}
	for name, tt := range map[string]struct {
		policy string
		want   bool
	}{
		"no rule":                   {assetsText + elsewhere, false},
		"a rule for every key":      {allow(""), false},
		"a rule that names it":      {admin(""), true},
		"a rule for another caller": {admin(`callers = ["user:alice"]`), false},
		"a rule that denies":        {assetsText + elsewhere + "rule \"no\" {\n  keys = [\"sealward\"]\n  deny = \"no\"\n}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := load(t, tt.policy)
			if got := p.Grants(c, itself); got != tt.want {
				t.Errorf("Grants = %t, want %t", got, tt.want)
			}
			if got := len(p.Limits(signer.AdminKey, nil)); got != 0 {
				t.Errorf("%d limits", got)
			}
		})
	}
	if ls := load(t, allow("limit \"l\" {\n  count = 1\n  window = \"1h\"\n}")).Limits(signer.AdminKey, nil); len(ls) != 0 {
		t.Errorf("a rule for every key shows its limits for Sealward itself: %v", ls)
	}
	if ls := load(t, admin("limit \"l\" {\n  count = 1\n  window = \"1h\"\n}")).Limits(signer.AdminKey, nil); len(ls) != 1 {
		t.Errorf("limits of Sealward itself: %v", ls)
	}
}

func TestAdministrativeNamesAreChecked(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"a kind":            {admin(`kinds = ["sealward.admn"]`), `did you mean "sealward.admin"?`},
		"a class":           {admin(`when = "effects.all(e, e.class == 'key_disabled')"`), `did you mean "key_disable"?`},
		"a key":             {admin(`when = "effects.all(e, e.attributes.key == 'hto')"`), `did you mean "hot"?`},
		"Sealward as a key": {admin(`when = "effects.all(e, e.attributes.successor == 'sealward')"`), "no key is named"},
		"an attribute":      {admin(`when = "effects.all(e, e.attributes.sucessor == 'hot')"`), `did you mean "successor"?`},
		"a fingerprint":     {admin(`when = "effects.all(e, e.attributes.fingerprint == 'sha256:00')"`), "64 lower-case"},
		"an origin":         {admin(`when = "key.origin == 'import'"`), "no origin is named"},
		"the key itself":    {allow(`keys = ["sealword"]`), `did you mean "sealward"?`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load("policy.hcl", []byte(tt.src), testEnv()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load error = %v, want %q in it", err, tt.want)
			}
		})
	}
	env := testEnv()
	env.Keys[signer.AdminKey] = testKey(signer.AdminKey, 7)
	if _, err := Load("policy.hcl", []byte(assetsText), env); err == nil || !strings.Contains(err.Error(), "stands for Sealward itself") {
		t.Errorf("Load with a key of the reserved name: %v", err)
	}
}
