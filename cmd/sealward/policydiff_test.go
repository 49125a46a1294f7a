package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// The policies that these tests compare are of a daemon with the key hot.
const (
	cautious = replayHead + `rule "pay" {
  keys  = ["hot"]
  when  = "effects.all(e, e.counterparty in addresses.vendors)"
  allow = true
  limit "a day" {
    amount = "10 eth"
    window = "24h"
  }
}
`
	// Without a configuration, the cases say which keys there are.
	replayCases = `version = 1
key "hot" {
  kinds = ["evm.transaction"]
}
caller "payroll" {
  uid = 1000
}
case "nothing" {
  key    = "hot"
  caller = "payroll"
  time   = "2026-11-23T10:00:00Z"
  pay {
    to     = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
    amount = "1 eth"
  }
  expect = "allow"
}
`
	hostileReason = "rule \"thieves\" {\n  when = <<-EOT\n    outflow.exists(q, q.kind == 'unlimited')\n    || warnings.exists(w, w.code == 'evm_operator') // \u202egninrael\n  EOT\n  deny = \"stop\"\n}\n"
)

func generous() string {
	return strings.NewReplacer("10 eth", "500 eth", "e.counterparty in addresses.vendors", "e.class == 'transfer'").Replace(cautious)
}

// diffDir is a folder with a configuration and policies.
func diffDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPolicyDiffOfTwoFiles(t *testing.T) {
	dir := diffDir(t, map[string]string{
		"sealward.hcl": replayConfig, "cautious.hcl": cautious, "generous.hcl": generous(), "elsewhere/before.hcl": cautious,
		"commented.hcl": "# reviewed\n" + cautious, "hostile.hcl": cautious + hostileReason, "broken.hcl": strings.Replace(cautious, "hot", "hto", 1),
		"alone/policy.hcl": cautious, "tried/policy.hcl": generous(), "tried/policy.test.hcl": replayCases,
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"what is looser, and the conditions": {[]string{at("cautious.hcl"), at("generous.hcl")}, exitProblems,
			`\Aloosens    limit "a day" of rule "pay" \(key hot\): is raised from 10 eth to 500 eth in 24h\n` +
				`changes    rule "pay" \(key hot\): has another condition\n  - effects\.all\(e, e\.counterparty in addresses\.vendors\)\n  \+ effects\.all\(e, e\.class == 'transfer'\)\n\z`,
			`\Asealward: the two policies do not decide alike\n\z`},
		"the other way round":                {[]string{at("generous.hcl"), at("cautious.hcl")}, exitProblems, `(?m)^tightens   limit "a day" of rule "pay" \(key hot\): is lowered from 500 eth to 10 eth in 24h$`, ``},
		"the same file":                      {[]string{at("cautious.hcl"), at("cautious.hcl")}, exitOK, `\Athe two are the same, to the byte\n\z`, `\A\z`},
		"another comment":                    {[]string{at("cautious.hcl"), at("commented.hcl")}, exitOK, `\Athe text differs, its meaning does not: the two decide alike\n\z`, `\A\z`},
		"an old one from another folder":     {[]string{at("elsewhere/before.hcl"), at("generous.hcl")}, exitProblems, `raised from 10 eth`, ``},
		"the configuration that is named":    {[]string{"--config", at("sealward.hcl"), at("alone/policy.hcl"), at("elsewhere/before.hcl")}, exitOK, `the same, to the byte`, ``},
		"keys of the cases, for both":        {[]string{at("alone/policy.hcl"), at("tried/policy.hcl")}, exitProblems, `raised from 10 eth`, ``},
		"hostile text is shown and harmless": {[]string{at("cautious.hcl"), at("hostile.hcl")}, exitProblems, `(?m)^tightens   rule "thieves" \(every key\): is new and denies every kind from every caller; because "stop"; where its condition holds$\n  \+ outflow\.exists\(q, q\.kind == 'unlimited'\)\n  \+ \|\| warnings\.exists\(w, w\.code == 'evm_operator'\) // \\u\{202e\}gninrael$`, ``},
		"a policy that does not load":        {[]string{at("cautious.hcl"), at("broken.hcl")}, exitProblems, `\A\z`, `no key is named "hto"`},
		"no such file":                       {[]string{at("nothing.hcl"), at("cautious.hcl")}, exitGeneral, `\A\z`, `nothing\.hcl: no such file`},
		"no configuration":                   {[]string{at("cautious.hcl"), at("alone/policy.hcl")}, exitGeneral, `\A\z`, `say which with --config`},
		"three policies":                     {[]string{"a", "b", "c"}, exitUsage, `\A\z`, `want NEW, or OLD and NEW`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", append([]string{"policy", "diff"}, c.args...)...)
			if code != c.code || !regexp.MustCompile(c.stdout).MatchString(stdout) || !regexp.MustCompile(c.stderr).MatchString(stderr) {
				t.Errorf("exit code %d, want %d; standard output:\n%s\nstandard error:\n%s", code, c.code, stdout, stderr)
			}
		})
	}
	_, doc, _ := sealward("", "-o", "json", "policy", "diff", at("cautious.hcl"), at("generous.hcl"))
	var d difference
	if err := json.Unmarshal([]byte(doc), &d); err != nil || len(d.Changes) != 2 || d.Changes[0].Kind != policy.ChangeLoosens || d.New.Policy != at("generous.hcl") || d.New.Version != "" {
		t.Errorf("as JSON it is %s, %v", doc, err)
	}
}

func TestPolicyDiffWithADaemon(t *testing.T) {
	key := func(b byte) map[string]signer.KeyInfo {
		pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: []byte{4, b}}
		return map[string]signer.KeyInfo{"hot": {Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Kinds: []signer.Kind{signer.KindEVMTransaction}}}
	}
	a := &archive{bundles: map[string][]byte{}}
	first := a.add(t, policy.Bundle{Name: "policy.hcl", Source: []byte(generous()), Keys: key(1)})
	second := a.add(t, policy.Bundle{Name: "policy.hcl", Source: []byte(cautious), Keys: key(2)})
	a.records = append(a.records, &v1.PolicyRecord{Version: "00" + first[2:], Leaf: 1, Time: noon, Event: "started"})
	socket := a.serve(t)
	dir := diffDir(t, map[string]string{"generous.hcl": generous(), "same.hcl": cautious, "other.hcl": strings.ReplaceAll(cautious, "hot", "cold")})
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"a file against the one in force":      {[]string{at("generous.hcl")}, exitProblems, `(?m)\Aloosens    limit "a day" of rule "pay" \(key hot\): is raised from 10 eth to 500 eth in 24h$`, `do not decide alike`},
		"the one in force itself":              {[]string{at("same.hcl")}, exitOK, `the same, to the byte`, `\A\z`},
		"an old version against it":            {[]string{first[:8], "current"}, exitProblems, `(?m)\Aredefines  key "hot": stands for another public key, sha256:[0-9a-f]{64} instead of sha256:[0-9a-f]{64}; rule "pay" lets something through with it\n(.*\n)*tightens   limit "a day"`, ``},
		"by its whole version":                 {[]string{second, first}, exitProblems, `(?m)^redefines  key "hot"`, ``},
		"a version that is not known":          {[]string{"deadbeef00", "current"}, exitNotFound, `\A\z`, `no policy whose version begins with deadbeef00`},
		"a version that is not kept":           {[]string{"00" + first[2:], "current"}, exitNotFound, `\A\z`, `keeps no such policy`},
		"a file whose keys the daemon has not": {[]string{at("other.hcl")}, exitProblems, `\A\z`, `no key is named "cold"`},
		"a configuration beside the daemon's":  {[]string{"--config", "x.hcl", at("generous.hcl")}, exitUsage, `\A\z`, `--config is for two files`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", append([]string{"--sockets", socket, "policy", "diff"}, c.args...)...)
			if code != c.code || !regexp.MustCompile(c.stdout).MatchString(stdout) || !regexp.MustCompile(c.stderr).MatchString(stderr) {
				t.Errorf("exit code %d, want %d; standard output:\n%s\nstandard error:\n%s", code, c.code, stdout, stderr)
			}
		})
	}
	_, doc, _ := sealward("", "--sockets", socket, "-o", "json", "policy", "diff", at("generous.hcl"))
	if !strings.Contains(doc, fmt.Sprintf("%q: %q", "version", second)) {
		t.Errorf("as JSON it does not name the version in force:\n%s", doc)
	}
	a.bundles[second] = a.bundles[first]
	if code, stdout, stderr := sealward("", "--sockets", socket, "policy", "diff", at("generous.hcl")); code == exitOK || stdout != "" || !strings.Contains(stderr, "do not use it") {
		t.Errorf("of a daemon that lies: exit code %d: %s%s", code, stdout, stderr)
	}
}
