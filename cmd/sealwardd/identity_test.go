package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// Accounts that need no entry in /etc/passwd. Only root can take them on, so where
// the tests run as somebody else, that is the caller.
const alice, bob, nobody = 1234, 4321, 65534

// cli runs sealward with -o json as a user, and decodes what it prints.
func (h *host) cli(uid int, out any, args ...string) (code int, stderr string) {
	h.t.Helper()
	code, stdout, stderr := h.sealward(uid, append([]string{"-o", "json"}, args...)...)
	if code == 0 {
		if err := json.Unmarshal([]byte(stdout), out); err != nil {
			h.t.Fatalf("sealward %q prints %q: %v", args, stdout, err)
		}
	}
	return code, stderr
}

// shared is a host with two keys, each for one account.
func sharedHost(t *testing.T, hot, cold int) *host {
	t.Helper()
	h := newHost(t)
	h.write("sealward.hcl", h.read("sealward.hcl")+`
key "cold" {
  token = "softhsm"
  uri   = "pkcs11:object=cold"
  kinds = ["evm.message"]
}
`)
	h.write("policy.hcl", fmt.Sprintf("version = 1\nrule \"one\" {\n  keys = [\"hot\"]\n  callers = [\"uid:%d\"]\n  allow = true\n}\n"+
		"rule \"other\" {\n  keys = [\"cold\"]\n  callers = [\"uid:%d\"]\n  allow = true\n}\n", hot, cold))
	must(t, os.WriteFile(h.path("note.txt"), []byte("note"), 0o644))
	must(t, os.Chmod(h.path("note.txt"), 0o644)) // the umask had a say
	return h
}

type keyList struct{ Keys []struct{ Name string } }

func (k keyList) String() string {
	var names []string
	for _, key := range k.Keys {
		names = append(names, key.Name)
	}
	return strings.Join(names, " ")
}

type requestState struct{ ID, Caller, State string }

func TestACallerIsWhoTheKernelSaysAndSeesItsOwnAlone(t *testing.T) {
	t.Parallel()
	one, two := alice, bob
	if os.Geteuid() != 0 { // then both are this account, and the second key is for one that nobody here is
		one, two = os.Geteuid(), os.Geteuid()
	}
	h := sharedHost(t, one, bob)
	if os.Geteuid() == 0 {
		h.edit("sealward.hcl", "private = true", "private = false")
	}
	p := h.start()
	as := func(uid int) int {
		if uid == os.Geteuid() {
			return -1
		}
		return uid
	}
	var keys keyList
	if code, stderr := h.cli(as(one), &keys, "--socket", h.path("sign.sock"), "keys", "list"); code != 0 || keys.String() != "hot" {
		t.Errorf("uid %d sees the keys %q (%d, %s), want hot alone", one, keys, code, stderr)
	}
	sign := []string{"sign", "--kind", "evm.message", "--id", "m-1", h.path("note.txt"), "--key"}
	var signed struct{ Signatures []string }
	if code, stderr := h.cli(as(one), &signed, append(sign, "hot")...); code != 0 || len(signed.Signatures) != 1 {
		t.Fatalf("uid %d may sign with hot and gets %d: %s", one, code, stderr)
	}
	for _, args := range [][]string{append(sign, "cold"), {"--socket", h.path("sign.sock"), "keys", "show", "cold"}, {"limits", "cold"}} {
		if code, stderr := h.cli(as(one), nil, args...); code != 6 || !strings.Contains(stderr, "cold") {
			t.Errorf("uid %d asks %q and gets %d, %s; want 6: for it there is no such key", one, args, code, stderr)
		}
	}
	var mine requestState
	if code, stderr := h.cli(as(one), &mine, "request", "show", "m-1"); code != 0 || mine.State != "signed" || mine.Caller != fmt.Sprintf("uid:%d", one) {
		t.Errorf("uid %d sees its request as %+v (%d, %s)", one, mine, code, stderr)
	}
	if one != two {
		otherSees(t, h, two, one)
	}
	// Whoever it is, the journal has it by the kernel's word.
	if code, stderr := h.cli(as(one), &mine, "request", "show", "m-1", "--caller", fmt.Sprintf("uid:%d", one)); code != 0 || mine.State != "signed" {
		t.Errorf("the admin socket shows the request as %+v (%d, %s)", mine, code, stderr)
	}
	p.stop()
}

// otherSees sees that one account learns nothing of another's request m-1, may use
// the same id for its own, and sees its own key.
func otherSees(t *testing.T, h *host, uid, owner int) {
	t.Helper()
	var keys keyList
	if code, stderr := h.cli(uid, &keys, "--socket", h.path("sign.sock"), "keys", "list"); code != 0 || keys.String() != "cold" {
		t.Errorf("uid %d sees the keys %q (%d, %s), want cold alone", uid, keys, code, stderr)
	}
	if code, stderr := h.cli(uid, nil, "request", "show", "m-1"); code != 6 || !strings.Contains(stderr, "no request") {
		t.Errorf("uid %d asks for a request of uid %d and gets %d, %s; want 6", uid, owner, code, stderr)
	}
	if code, _, stderr := h.sealward(uid, "--socket", h.path("sign.sock"), "request", "show", "m-1", "--caller", fmt.Sprintf("uid:%d", owner)); code != 4 || !strings.Contains(stderr, "admin socket") {
		t.Errorf("uid %d names another caller on the sign socket and gets %d, %s; want 4", uid, code, stderr)
	}
	var signed struct{ Signatures []string }
	if code, stderr := h.cli(uid, &signed, "sign", "--kind", "evm.message", "--id", "m-1", "--key", "cold", h.path("note.txt")); code != 0 || len(signed.Signatures) != 1 {
		t.Errorf("uid %d uses the id m-1 for itself and gets %d: %s", uid, code, stderr)
	}
	var journal struct{ Entries []struct{ Body string } }
	if code, stderr := h.cli(uid, &journal, "journal", "show"); code != 0 {
		t.Fatalf("journal show: %d, %s", code, stderr)
	}
	callers := map[uint32]int{}
	for _, e := range journal.Entries {
		ev, err := signer.ParseEvent([]byte(e.Body))
		must(t, err)
		if ev.Type == signer.EventAuthorized {
			callers[ev.Proposal.Caller.UID]++
		}
	}
	if len(callers) != 2 || callers[alice] != 1 || callers[bob] != 1 {
		t.Errorf("authorisations by uid: %v, want one each of %d and %d", callers, alice, bob)
	}
}

func TestTheDaemonsOwnAccountIsRefusedUnlessTheSetUpIsPrivate(t *testing.T) {
	t.Parallel()
	h := sharedHost(t, os.Geteuid(), bob)
	h.edit("sealward.hcl", "private = true", "private = false")
	p := h.start()
	own := fmt.Sprintf("uid %d is the daemon's own account", os.Geteuid())
	for _, args := range [][]string{{"status"}, {"keys", "list"}, {"journal", "show"}, {"sign", "--key", "hot", "--kind", "evm.message", h.path("note.txt")}} {
		if code, stdout, stderr := h.sealward(-1, args...); code != 3 || !strings.Contains(stderr, own) || strings.Contains(stdout, "0x") {
			t.Errorf("sealward %q = %d, %q, %q; want 3 and %q", args, code, stdout, stderr, own)
		}
	}
	if os.Geteuid() == 0 {
		const unknown = "uid 65534 stands for accounts that this host does not know"
		if code, _, stderr := h.sealward(nobody, "status"); code != 3 || !strings.Contains(stderr, unknown) {
			t.Errorf("nobody's status = %d, %q; want 3 and %q", code, stderr, unknown)
		}
	}
	p.stop()

	h.edit("sealward.hcl", "private = false", "private = true")
	p = h.start()
	var status struct {
		Private bool
		Notices []string
	}
	if code, stderr := h.cli(-1, &status, "status"); code != 0 || !status.Private || !strings.Contains(strings.Join(status.Notices, "\n"), "private set-up") {
		t.Errorf("status of a private set-up = %d, %+v, %s; want it to say so", code, status, stderr)
	}
	p.stop()
}
