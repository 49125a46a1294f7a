package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// archive is a daemon whose journal keeps policies.
type archive struct {
	fake
	sealwardv1connect.UnimplementedPolicyServiceHandler
	records []*v1.PolicyRecord // the latest first
	bundles map[string][]byte
	inForce string
	before  *v1.GetRequestResponse // what was asked before under any id
}

func (a *archive) ListPolicies(_ context.Context, m *connect.Request[v1.ListPoliciesRequest]) (*connect.Response[v1.ListPoliciesResponse], error) {
	res := &v1.ListPoliciesResponse{}
	for _, r := range a.records {
		if (m.Msg.GetBefore() == 0 || r.GetLeaf() < m.Msg.GetBefore()) && len(res.Policies) < int(m.Msg.GetLimit()) {
			res.Policies = append(res.Policies, r)
		}
	}
	return connect.NewResponse(res), nil
}

func (a *archive) GetPolicy(_ context.Context, m *connect.Request[v1.GetPolicyRequest]) (*connect.Response[v1.GetPolicyResponse], error) {
	version := m.Msg.GetVersion()
	if version == "" {
		version = a.inForce
	}
	bundle, ok := a.bundles[version]
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("the journal keeps no such policy"))
	}
	return connect.NewResponse(&v1.GetPolicyResponse{Version: version, Bundle: bundle}), nil
}

func (a *archive) GetRequest(context.Context, *connect.Request[v1.GetRequestRequest]) (*connect.Response[v1.GetRequestResponse], error) {
	if a.before == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no request"))
	}
	return connect.NewResponse(a.before), nil
}

// add keeps a bundle, as the policy that is in force from now on.
func (a *archive) add(t *testing.T, b policy.Bundle) (version string) {
	t.Helper()
	p, err := b.Load()
	if err != nil {
		t.Fatal(err)
	}
	version = fmt.Sprintf("%x", p.Version())
	for _, r := range a.records {
		r.InForce = false
	}
	record := &v1.PolicyRecord{Version: version, Leaf: uint64(10 * (len(a.records) + 1)), Time: noon, Event: "policy", InForce: true, Kept: true}
	a.records = slices.Insert(a.records, 0, record)
	a.bundles[version], a.inForce = p.Bundle(), version
	return version
}

// serve opens the admin socket in a folder.
func (a *archive) serve(t *testing.T) (dir string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(a))
	mux.Handle(sealwardv1connect.NewPolicyServiceHandler(a))
	return adminSocket(t, mux)
}

const keptTokens = `{"name":"l","timestamp":"2026-11-01T00:00:00Z","version":{"major":1,"minor":0,"patch":0},"tokens":[` +
	`{"chainId":1,"address":"0x6b175474e89094c44da98b954eedeac495271d0f","name":"Dai","symbol":"DAI","decimals":18}]}`

// keptBundle is a policy with a list in a folder, and a comment that a terminal must not
// be sent.
func keptBundle(comment string) policy.Bundle {
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: []byte{4, 1}}
	source := fmt.Sprintf("# %s\nversion = 1\ntoken_list \"main\" {\n\tfile   = \"lists/tokens.json\"\n\tsha256 = \"%x\"\n}\nrule \"all\" {\n  allow = true\n}\n", comment, sha256.Sum256([]byte(keptTokens)))
	return policy.Bundle{
		Name: "policy.hcl", Source: []byte(source), Files: map[string][]byte{"lists/tokens.json": []byte(keptTokens)},
		Keys:    map[string]signer.KeyInfo{"hot": {Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Kinds: []signer.Kind{signer.KindEVMTransaction}}},
		Sockets: []string{"sign", "admin"},
	}
}

// opened is an archive with two policies.
func opened(t *testing.T) (a *archive, first, second string) {
	t.Helper()
	a = &archive{bundles: map[string][]byte{}}
	first = a.add(t, keptBundle("the first"))
	second = a.add(t, keptBundle("the second"))
	a.records[1].Event = "started"
	return a, first, second
}

func TestPolicyHistory(t *testing.T) {
	a, first, second := opened(t)
	a.records = append(a.records, &v1.PolicyRecord{Version: "ab\x1b", Leaf: 0, Time: noon, Event: "started"})
	dir := a.serve(t)
	code, stdout, stderr := sealward("", "--sockets", dir, "policy", "history")
	want := regexp.MustCompile(`\ALEAF  TIME +VERSION +HOW +KEPT\n20 +2026-11-23T12:00:00Z  ` + second + `  change  yes   in force\n10 +\S+  ` + first + `  start   yes\n0 +\S+  ab\\u\{1b\} +start   no\n\z`)
	if code != exitOK || !want.MatchString(stdout) {
		t.Errorf("exit code %d:\n%s%s\nwant %s", code, stdout, stderr, want)
	}
	code, stdout, _ = sealward("", "--sockets", dir, "-o", "json", "policy", "history", "--limit", "1")
	var res v1.ListPoliciesResponse
	if err := protojson.Unmarshal([]byte(stdout), &res); err != nil || code != exitOK || len(res.GetPolicies()) != 1 || res.GetPolicies()[0].GetVersion() != second {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
}

func TestPolicyHistoryPages(t *testing.T) {
	a, _, _ := opened(t)
	a.records = nil
	for leaf := uint64(2 * page); leaf+1 > 0 && leaf <= 2*page; leaf-- {
		a.records = append(a.records, &v1.PolicyRecord{Version: "v", Leaf: leaf, Time: noon, Event: "policy"})
	}
	dir := a.serve(t)
	for limit, want := range map[string]int{"0": 2*page + 1, "1000": 2*page + 1, "150": 150, "200": 200} {
		if _, stdout, stderr := sealward("", "--sockets", dir, "policy", "history", "--limit", limit); strings.Count(stdout, "\n") != want+1 {
			t.Errorf("--limit %s shows %d records, want %d; %s", limit, strings.Count(stdout, "\n")-1, want, stderr)
		}
	}
}

func TestPolicyShow(t *testing.T) {
	a, first, second := opened(t)
	a.bundles[strings.Repeat("cd", 32)] = a.bundles[first] // not what it is called
	a.records = append(a.records, &v1.PolicyRecord{Version: strings.Repeat("cd", 32), Kept: true}, &v1.PolicyRecord{Version: first[:10] + strings.Repeat("0", 54)})
	dir := a.serve(t)
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string // a regular expression
	}{
		"the one in force":           {nil, exitOK, string(keptBundle("the second").Source), `\A\z`},
		"the current one":            {[]string{"current"}, exitOK, string(keptBundle("the second").Source), `\A\z`},
		"a version":                  {[]string{first}, exitOK, string(keptBundle("the first").Source), `\A\z`},
		"a version cut short":        {[]string{second[:8]}, exitOK, string(keptBundle("the second").Source), `\A\z`},
		"a version cut too short":    {[]string{second[:7]}, exitUsage, "", `want 8 to 64 hexadecimal digits`},
		"a beginning that two have":  {[]string{first[:8]}, exitUsage, "", `not enough to tell; it may be ` + first[:8]},
		"a beginning that none has":  {[]string{"00000000"}, exitNotFound, "", `no policy whose version begins with 00000000`},
		"a version that is not kept": {[]string{strings.Repeat("ef", 32)}, exitNotFound, "", `keeps no such policy`},
		"a bundle that is another":   {[]string{strings.Repeat("cd", 32)}, exitGeneral, "", `is policy ` + first + `; do not use it`},
		"capitals":                   {[]string{strings.ToUpper(second)}, exitUsage, "", `hexadecimal digits`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", append([]string{"--sockets", dir, "policy", "show"}, c.args...)...)
			if code != c.code || stdout != c.stdout || !regexp.MustCompile(c.stderr).MatchString(stderr) {
				t.Errorf("exit code %d, want %d:\n%s\n%s", code, c.code, stdout, stderr)
			}
		})
	}
}

func TestPolicyShowWritesAllThatAVersionStandsFor(t *testing.T) {
	a, first, _ := opened(t)
	dir := a.serve(t)
	out := filepath.Join(t.TempDir(), "out")
	if code, stdout, stderr := sealward("", "--sockets", dir, "policy", "show", first, out); code != exitOK || !strings.Contains(stdout, "lists/tokens.json, policy.hcl") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	for name, want := range map[string]string{"policy.hcl": string(keptBundle("the first").Source), "lists/tokens.json": keptTokens} {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if code, _, stderr := sealward("", "--sockets", dir, "policy", "show", first, out); code != exitGeneral || !strings.Contains(stderr, "is there already") {
		t.Errorf("into a folder that is there: exit code %d: %s", code, stderr)
	}
}

// A bundle comes from the daemon, and what it calls its files stays in the folder.
func TestABundleIsNotWrittenOutsideOfItsFolder(t *testing.T) {
	for name, b := range map[string]policy.Bundle{
		"a file above it":            {Name: "policy.hcl", Files: map[string][]byte{"../stolen": nil}},
		"an absolute name":           {Name: "policy.hcl", Files: map[string][]byte{"/tmp/stolen": nil}},
		"a file that is the policy":  {Name: "policy.hcl", Files: map[string][]byte{"policy.hcl": nil}},
		"the same file in two ways":  {Name: "policy.hcl", Files: map[string][]byte{"./policy.hcl": nil}},
		"a file that is a folder":    {Name: "policy.hcl", Files: map[string][]byte{"a": nil, "a/b": nil}},
		"a policy that has no name":  {Name: "."},
		"a name with a NUL in it":    {Name: "a\x00b"},
		"a policy file in a folder":  {Name: "../policy.hcl"},
		"a folder that leads upward": {Name: "policy.hcl", Files: map[string][]byte{"a/../../stolen": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			c := &cli{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, output: outputText}
			if err := c.writeBundle(filepath.Join(parent, "out"), "v", b); err == nil {
				t.Error("it was written")
			}
			if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}

func TestAPolicyFileIsSafeOnATerminal(t *testing.T) {
	const src = "# a\tb\n\x1b[2Jx \u202eevil\xff\\\r\n\nlast"
	const want = "# a\tb\n\\u{1b}[2Jx \\u{202e}evil\\x{ff}\\u{5c}\\u{d}\n\nlast"
	if got := sourceLines([]byte(src)); got != want {
		t.Errorf("sourceLines = %q, want %q", got, want)
	}
}

// layPolicy writes a configuration and the files of a bundle.
func layPolicy(t *testing.T, b policy.Bundle) (config string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string][]byte{"policy.hcl": b.Source, "sealward.hcl": []byte(`version = 1
policy  = "policy.hcl"
journal {
  path = "journal/journal.db"
  key  = "journal"
}
socket "sign" {
  path = "sign.sock"
  mode = "0660"
}
token "t" {
  tpm {
    device    = "/dev/tpmrm0"
    auth_file = "auth"
  }
}
key "journal" {
  token      = "t"
  file       = "journal.tpm"
  statements = true
}
`)}
	for name, data := range b.Files {
		files[name] = data
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "sealward.hcl")
}

func TestPolicyApplyAsksForWhatItShows(t *testing.T) {
	a, first, second := opened(t)
	third := keptBundle("the third")
	p, err := third.Load()
	if err != nil {
		t.Fatal(err)
	}
	to := fmt.Sprintf("%x", p.Version())
	a.result = fmt.Sprintf(`{"from":%q,"leaf":7,"to":%q}`, second, to)
	dir, conf := a.serve(t), layPolicy(t, third)
	apply := func(args ...string) (int, string, string) {
		return sealward("", append([]string{"--sockets", dir, "policy", "apply", "--config", conf}, args...)...)
	}

	code, stdout, stderr := apply("--reason", "a vendor moved", "--to", to, "--id", "p1")
	if code != exitOK || !strings.Contains(stderr, "in force  "+second) || !strings.Contains(stderr, "to be     "+to) || !strings.Contains(stdout, "leaf  7") {
		t.Fatalf("exit code %d:\n%s\n%s", code, stdout, stderr)
	}
	want := admin.Order{Act: admin.ActPolicy, From: second, To: to, Reason: "a vendor moved"}
	payload, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r := a.signed[0].GetRequest()
	if r.GetId() != "p1" || r.GetKey() != signer.AdminKey || r.GetKind() != string(signer.KindAdmin) || !bytes.Equal(r.GetPayload(), payload) {
		t.Errorf("it asked for %v", r)
	}

	// What was asked before under the id is asked again, whatever is on disk and in force.
	a.before = &v1.GetRequestResponse{Id: "p1", Intent: &v1.Intent{Effects: []*v1.Effect{{Class: "policy_change", Attributes: map[string]string{"from": first, "to": second}}}}}
	if code, _, stderr := apply("--reason", "a vendor moved", "--id", "p1"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want.From, want.To = first, second
	if payload, err = want.Encode(); err != nil || !bytes.Equal(a.signed[1].GetRequest().GetPayload(), payload) {
		t.Errorf("asked again, it asked for %s, %v", a.signed[1].GetRequest().GetPayload(), err)
	}
}

func TestPolicyApplyAsksForNothing(t *testing.T) {
	a, first, second := opened(t)
	dir := a.serve(t)
	other := layPolicy(t, keptBundle("the third"))
	broken := keptBundle("x")
	broken.Source = append(broken.Source, "rule {"...)
	for name, c := range map[string]struct {
		config string
		before *v1.GetRequestResponse
		args   []string
		code   int
		want   string
	}{
		"without a reason":                        {other, nil, nil, exitUsage, "--reason is missing"},
		"when it is to show alone":                {other, nil, []string{"--dry-run"}, exitOK, ""},
		"when that is in force":                   {layPolicy(t, keptBundle("the second")), nil, []string{"--reason", "x"}, exitInvalid, "there is nothing to change"},
		"when another version was reviewed":       {other, nil, []string{"--reason", "x", "--to", first}, exitProblems, "not " + first + ", which was reviewed"},
		"when the version is empty":               {other, nil, []string{"--reason", "x", "--to", ""}, exitUsage, "all 64"},
		"when the version is cut short":           {other, nil, []string{"--reason", "x", "--to", first[:8]}, exitUsage, "all 64"},
		"when the policy does not load":           {layPolicy(t, broken), nil, []string{"--reason", "x"}, exitProblems, "policy.hcl:"},
		"when there is no configuration":          {"/nonexistent/sealward.hcl", nil, []string{"--reason", "x"}, exitGeneral, "no such file"},
		"when the id was for another sort of act": {other, &v1.GetRequestResponse{Id: "i", Intent: payment()}, []string{"--reason", "x", "--id", "i"}, exitInvalid, "was for something else"},
		"when the id was for another version": {other, &v1.GetRequestResponse{Id: "i", Intent: &v1.Intent{Effects: []*v1.Effect{{Class: "policy_change", Attributes: map[string]string{"from": first, "to": second}}}}},
			[]string{"--reason", "x", "--id", "i", "--to", first}, exitProblems, "which was reviewed"},
	} {
		t.Run(name, func(t *testing.T) {
			a.before = c.before
			code, stdout, stderr := sealward("", append([]string{"--sockets", dir, "policy", "apply", "--config", c.config}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", code, c.code, c.want, stdout, stderr)
			}
			if len(a.signed) != 0 {
				t.Errorf("it asked for %v", a.signed)
			}
		})
	}
}
