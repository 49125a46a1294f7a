package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func TestSignOfWhatWaits(t *testing.T) {
	for name, c := range map[string]struct {
		waits int
		args  []string
		code  int
		calls int
		out   string
		want  []string
	}{
		"ends at once and says who is asked": {
			9, nil, exitWaiting, 1, "", []string{"it waits:", "uid:1000/invoice-7", "2 of treasury", "still asked: alice, bob", "waiting: it waits for 2 approvals"}},
		"is waited for where that is asked for": {
			1, []string{"--wait", "10m"}, exitOK, 2, "0x02\n", []string{"it waits:", "still asked: alice, bob", "signed with key hot"}},
		"is not waited for longer than asked": {
			1000, []string{"--wait", "50ms"}, exitWaiting, 2, "", []string{"it waits:", "waiting: it waits for 2 approvals"}},
		"as JSON is one document": {
			9, []string{"-o", "json"}, exitWaiting, 1, "", []string{`{"code":"waiting","message":"it waits for 2 approvals","request_id":"invoice-7"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			d, digest := payday(t)
			d.waits = c.waits
			args := append([]string{"--sockets", d.serve(t), "sign", "--key", "treasury", "--kind", "evm.transaction", "--id", "invoice-7", "-"}, c.args...)
			code, stdout, stderr := sealward(tokenPayment, args...)
			if code != c.code || stdout != c.out || d.calls > c.calls {
				t.Errorf("exit code %d, want %d; %d calls, want %d at most:\n%s%s", code, c.code, d.calls, c.calls, stdout, stderr)
			}
			wants(t, "standard error", stderr, c.want...)
			if json := strings.Contains(strings.Join(c.args, " "), "json"); strings.Contains(stderr, digest) == json {
				t.Errorf("the digest is shown: %t\n%s", !json, stderr)
			}
		})
	}
}

func TestActsThatWait(t *testing.T) {
	d := &house{waits: 9}
	dir := d.serve(t)
	for _, args := range [][]string{{"thaw", "--reason", "found"}, {"policy", "trust-file", "--reason", "a lab", "--recovery"}} {
		d.calls = 0
		code, stdout, stderr := sealward("", append([]string{"--sockets", dir}, args...)...)
		if code != exitWaiting || stdout != "" || !strings.Contains(stderr, "waiting: it waits for 2 approvals") {
			t.Errorf("%q ends with %d:\n%s%s", args, code, stdout, stderr)
		}
	}
}

func TestActsOfPeopleSendWhatTheFlagsSay(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"thaw":                   {[]string{"thaw", "--reason", "found"}, `{"act":"thaw","reason":"found"}`},
		"thaw, recovered":        {[]string{"thaw", "--reason", "found", "--recovery"}, `{"act":"thaw","reason":"found","recovery":true}`},
		"trust the file":         {[]string{"policy", "trust-file", "--reason", "a lab"}, `{"act":"policy.trust_file","reason":"a lab"}`},
		"trust it, by a recover": {[]string{"policy", "trust-file", "--reason", "a lab", "--recovery"}, `{"act":"policy.trust_file","reason":"a lab","recovery":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := operated()
			code, _, stderr := sealward("", append([]string{"--sockets", f.serve(t)}, append(c.args, "--id", "mine")...)...)
			if code != exitOK || len(f.signed) != 1 {
				t.Fatalf("exit code %d, asked %d times: %s", code, len(f.signed), stderr)
			}
			if r := f.signed[0].GetRequest(); string(r.GetPayload()) != c.want || r.GetKind() != string(signer.KindAdmin) || f.signed[0].GetWaitForApprovals() {
				t.Errorf("asked %v, want the payload %s", f.signed[0], c.want)
			}
		})
	}
}

// An earlier policy comes back out of the journal, whatever is on disk.
func TestPolicyApplyOfAnEarlierVersion(t *testing.T) {
	a, first, second := opened(t)
	a.result = `{"from":"` + second + `","to":"` + first + `","leaf":7}`
	dir := a.serve(t)
	code, stdout, stderr := sealward("", "--sockets", dir, "policy", "apply", "--version", first[:8], "--reason", "it was better", "--recovery", "--id", "back")
	want := `{"act":"policy.change","from":"` + second + `","reason":"it was better","recovery":true,"to":"` + first + `"}`
	if code != exitOK || len(a.signed) != 1 || string(a.signed[0].GetRequest().GetPayload()) != want {
		t.Fatalf("exit code %d, asked %v; want %s\n%s%s", code, a.signed, want, stdout, stderr)
	}
	wants(t, "what is shown", stderr, "to be "+first, "the two decide alike")
	for name, args := range map[string][]string{
		"a file beside it":         {"--config", filepath.Join(t.TempDir(), "sealward.hcl")},
		"a reviewed one beside it": {"--to", second},
	} {
		if code, _, stderr := sealward("", append([]string{"--sockets", dir, "policy", "apply", "--version", first, "--reason", "x"}, args...)...); code != exitUsage || !strings.Contains(stderr, "takes the policy from the journal") {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
	}
	if code, _, stderr := sealward("", "--sockets", dir, "policy", "apply", "--version", strings.Repeat("ab", 32), "--reason", "x"); code != exitNotFound || len(a.signed) != 1 {
		t.Errorf("one that is not kept: exit code %d: %s", code, stderr)
	}
}

// Without a word on the command line it is the socket that approver.hcl names: where OpenSSH
// forwards it, the daemon is far away.
func TestApproverHCLNamesTheSocket(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	dir := d.serve(t)
	forwarded := filepath.Join(dir, "forwarded.sock")
	must1(t, os.Symlink(filepath.Join(dir, "admin.sock"), forwarded))
	text, err := os.ReadFile(file)
	must1(t, err)
	must1(t, os.WriteFile(file, append([]byte("socket = \""+forwarded+"\"\n"), text...), 0o600))
	if code, _, stderr := sealward("", "approve", digest, "--yes", "--config", file); code != exitOK || len(d.heard) != 1 {
		t.Errorf("exit code %d, heard %d: %s", code, len(d.heard), stderr)
	}
	for _, args := range [][]string{{"uid:1000/invoice-6"}, {"invoice-6", "--caller", "uid:1000"}} { // the daemon there does not know it
		if code, _, stderr := sealward("", append([]string{"request", "show", "--config", file}, args...)...); code != exitNotFound {
			t.Errorf("request show %q: exit code %d: %s", args, code, stderr)
		}
	}
	code, _, stderr := sealward("", "--socket", filepath.Join(dir, "none.sock"), "approve", digest, "--yes", "--config", file)
	if code != exitUnavailable || !regexp.MustCompile(`there is no socket .*none\.sock`).MatchString(stderr) {
		t.Errorf("the socket of the command line is not used: exit code %d: %s", code, stderr)
	}
}
