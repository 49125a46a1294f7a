package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

func wants(t *testing.T, what, text string, all ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ") // lines are wrapped
	for _, want := range all {
		if !strings.Contains(flat, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

func TestARequestIsApprovedWithAnSSHKey(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	dir := d.serve(t)
	code, stdout, stderr := sealward("", "--sockets", dir, "approve", digest, "--yes", "--config", file, "--valid-for", "1h", "--reason", "as agreed")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	wants(t, "what is shown", stderr, "CLASS transfer", "SENDS 2.5 usdc", "(hosting)", digest, "claim of the caller, unverified", "2 of treasury")
	wants(t, "standard output", stdout, "approved by alice, leaf 77", "approved by alice; still asked: bob")
	if strings.Contains(stderr, "RISK") || strings.Contains(stderr, "REFUSED") {
		t.Errorf("an ordinary payment is shown with alarms:\n%s", stderr)
	}
	if len(d.heard) != 1 {
		t.Fatalf("heard %d approvals", len(d.heard))
	}
	got := d.heard[0].Approval
	if got.Word != signer.WordApprove || hex.EncodeToString(got.Proposal[:]) != digest || got.Instance != instanceID || got.Reason != "as agreed" || got.Expires.Sub(got.Time) != time.Hour {
		t.Errorf("it was signed that %+v", got)
	}
}

func TestARequestIsNamedInSeveralWays(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	for range 3 { // more pages
		d.waitsFor(t, "other", signer.KindEVMTransaction, tokenPayment, treasuryKey(t), [32]byte{1})
	}
	dir := d.serve(t)
	for name, c := range map[string]struct {
		id   string
		code int
		want string
	}{
		"the whole digest":           {digest, exitOK, "rejected by alice"},
		"the digest's beginning":     {digest[:8], exitOK, "rejected by alice"},
		"the id":                     {"invoice-7", exitOK, "rejected by alice"},
		"the id with its caller":     {"uid:1000/invoice-7", exitOK, "rejected by alice"},
		"an id of several requests":  {"other", exitUsage, "is not enough to tell; it may be"},
		"another caller's":           {"uid:7/invoice-7", exitNotFound, "no request that waits is called"},
		"too little of a digest":     {digest[:7], exitNotFound, "no request that waits is called"},
		"a digest that is not there": {strings.Repeat("ab", 32), exitNotFound, "no such proposal waits"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", "--sockets", dir, "reject", c.id, "--yes", "--config", file, "--reason", "unknown vendor")
			if code != c.code || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", code, c.code, c.want, stdout, stderr)
			}
		})
	}
}

// Each lie is refused: nothing is signed, and what differs is said, mine and the daemon's.
func TestADaemonThatLiesGetsNoApproval(t *testing.T) {
	elsewhere := "eip155:1:0x1111111111111111111111111111111111111111"
	for name, c := range map[string]struct {
		lie  func(t *testing.T, d *house, p *v1.GetPendingResponse)
		want []string
	}{
		"about whom it pays": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Intent.Effects[0].Counterparty = elsewhere
		}, []string{`effect 1, counterparty`, "here = \"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7\"", "daemon = \"" + elsewhere}},
		"about the amount": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Intent.Effects[0].Quantity.Amount = "250000"
		}, []string{"effect 1, quantity", "exact 2500000", "exact 250000 "}},
		"about what leaves": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Intent.Outflow, p.Pending.Outflow = nil, nil
		}, []string{"outflow 1", "(not there)", "outflow in the list"}},
		"about the amount in the list": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Pending.Outflow[0].Amount = "1" },
			[]string{"outflow in the list", "exact 1 "}},
		"that it does nothing more": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Intent.Effects[0].Class, p.Intent.Class, p.Pending.Class = "message", "message", "message"
		}, []string{"effect 1, class", `"transfer"`, `"message"`, "class: \"transfer\" here"}},
		"that all was read": {func(t *testing.T, d *house, p *v1.GetPendingResponse) {
			p.Intent.Complete = false
		}, []string{"completely read", "yes", "no, a part cannot be read"}},
		"about the fee":     {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Intent.Fees.Amount = "1" }, []string{"fee", "at_most 1 "}},
		"about the message": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Intent.Messages[0].Bytes[0] ^= 1 }, []string{"message 1", "here", "daemon"}},
		"about the digests": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Intent.Digests[0].Value = strings.Repeat("ab", 32)
		}, []string{"digest 1", strings.Repeat("ab", 32)}},
		"about the payload": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Payload = bytes.Replace(p.Payload, []byte("2625a0"), []byte("000001"), 1)
		}, []string{"no proposal about this payload", "do not approve it"}},
		"with a message that the payload does not have": {func(t *testing.T, _ *house, p *v1.GetPendingResponse) {
			// The digest fits, and so does the list: only the payload says otherwise.
			var w map[string]any
			must1(t, json.Unmarshal(p.Proposal, &w))
			w["messages"].([]any)[0].(map[string]any)["bytes"] = strings.Repeat("cd", 32)
			raw, err := json.Marshal(w)
			must1(t, err)
			p.Proposal = raw
			read, err := signer.ReadProposal(raw, treasuryKey(t), p.Payload, p.Claim)
			must1(t, err)
			sum := read.Digest()
			p.Pending.Proposal, p.Intent.Messages[0].Bytes = hex.EncodeToString(sum[:]), bytes.Repeat([]byte{0xcd}, 32)
		}, []string{"message 1 of the proposal", "cdcdcdcd"}},
		"about the claim": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Claim = "salaries" },
			[]string{"claim: \"salaries\" here, \"hosting, November\" by the daemon"}},
		"about who asks":        {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Pending.Caller = "uid:0" }, []string{"caller: \"uid:1000\" here, \"uid:0\" by the daemon"}},
		"about whose uid it is": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Pending.User = "alice" }, []string{"caller's account"}},
		"about the request":     {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Pending.Id = "invoice-8" }, []string{"request id"}},
		"about the kind":        {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) { p.Pending.Kind = "evm.message" }, []string{"kind in the list"}},
		"about the key's name": {func(_ *testing.T, _ *house, p *v1.GetPendingResponse) {
			p.Key.Name, p.Pending.Key = "petty-cash", "petty-cash"
		}, []string{`key "petty-cash" is not in`, "fingerprint = \"sha256:"}},
		"about the key": {func(t *testing.T, d *house, p *v1.GetPendingResponse) {
			other := treasuryKey(t)
			other.Public.Bytes = append([]byte{}, other.Public.Bytes...)
			copy(other.Public.Bytes, []byte{4})
			other.Public.Bytes[1] ^= 1
			p.Key.Public = other.Public.Bytes
		}, []string{"do not approve it", "and the key beside it is"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := payday(t)
			file := d.withSSH(t, "")
			p := d.pending[0]
			c.lie(t, d, p)
			code, stdout, stderr := sealward("", "--sockets", d.serve(t), "approve", p.Pending.Proposal, "--yes", "--config", file)
			if code != exitProblems || stdout != "" || len(d.heard) != 0 {
				t.Fatalf("exit code %d, heard %d:\n%s%s", code, len(d.heard), stdout, stderr)
			}
			wants(t, "what is shown", stderr, append(c.want, "REFUSED", "not to be approved")...)
		})
	}
}

func TestAnotherDaemonOrKeyGetsNoApproval(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     string
	}{
		"another instance": {instanceID, strings.Repeat("9", 32), "it is of the daemon with instance"},
		"another key":      {"fingerprint = \"sha256:", "fingerprint = \"sha256:" + strings.Repeat("0", 64) + "\" #", "the daemon's key \"treasury\" is sha256:"},
		"a key not known":  {"key \"treasury\"", "key \"savings\"", "is not in"},
		"another's book":   {"book.hcl", "other.hcl", "effect 1"},
	} {
		t.Run(name, func(t *testing.T) {
			d, digest := payday(t)
			file := d.withSSH(t, "")
			text, err := os.ReadFile(file)
			must1(t, err)
			must1(t, os.WriteFile(file, []byte(strings.Replace(string(text), c.old, c.new, 1)), 0o600))
			// The token is at another address: to this book, the call is of what is not known.
			must1(t, os.WriteFile(filepath.Join(filepath.Dir(file), "other.hcl"), []byte("version = 1\n"), 0o600))
			code, _, stderr := sealward("", "--sockets", d.serve(t), "approve", digest, "--yes", "--config", file)
			if code != exitProblems || len(d.heard) != 0 {
				t.Errorf("exit code %d, heard %d", code, len(d.heard))
			}
			wants(t, "what is shown", stderr, c.want)
		})
	}
}

func TestAChangeOfPolicyIsComparedHere(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(t *testing.T, d *house)
		code int
		want []string
	}{
		"an honest one": {func(*testing.T, *house) {}, exitOK, []string{"what another policy changes:", "2000 usdc", "1000 usdc", "CLASS policy_change"}},
		"a bundle that is another policy": {func(_ *testing.T, d *house) { d.policies[1].Bundle = d.policies[0].Bundle }, exitProblems,
			[]string{"what the daemon returned as policy"}},
		"a bundle of the policy in force that is another": {func(_ *testing.T, d *house) { d.policies[0].Bundle = d.policies[1].Bundle }, exitProblems,
			[]string{"what the daemon returned as policy"}},
		"a bundle that is none": {func(_ *testing.T, d *house) { d.policies[1].Bundle = []byte("{}") }, exitProblems, []string{"cannot be read"}},
		"a bundle with a policy that does not load": {func(_ *testing.T, d *house) {
			d.policies[1].Bundle = bytes.Replace(d.policies[1].Bundle, []byte(`"source":"`), []byte(`"source":"AAAA`), 1)
		}, exitProblems, []string{"cannot be loaded here"}},
		"a version that the payload does not have": {func(t *testing.T, d *house) {
			d.pending[0].Intent.Effects[0].Attributes[signer.AttributePolicyTo] = strings.Repeat("0", 64)
		}, exitProblems, []string{`attribute "to"`}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &house{}
			digest := d.change(t)
			file := d.withSSH(t, "")
			c.lie(t, d)
			code, _, stderr := sealward("", "--sockets", d.serve(t), "approve", digest, "--yes", "--config", file)
			if code != c.code || (len(d.heard) == 1) != (c.code == exitOK) {
				t.Errorf("exit code %d, want %d; heard %d", code, c.code, len(d.heard))
			}
			wants(t, "what is shown", stderr, c.want...)
		})
	}
}

// A key that an administrative request is about has to be the approver's key, too.
func TestAnActOnAnotherKeyGetsNoApproval(t *testing.T) {
	d := &house{keys: []*v1.Key{apiKey(treasuryKey(t))}}
	payload, err := admin.Order{Act: admin.ActDisable, Key: "treasury", Reason: "lost"}.Encode()
	must1(t, err)
	digest := d.waitsFor(t, "disable-1", signer.KindAdmin, string(payload), adminInfo, [32]byte{1})
	file := d.withSSH(t, "")
	dir := d.serve(t)
	if code, _, stderr := sealward("", "--sockets", dir, "approve", digest, "--yes", "--config", file); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	d.keys[0].Public = bytes.Clone(d.keys[0].Public)
	d.keys[0].Public[1] ^= 1
	code, _, stderr := sealward("", "--sockets", dir, "approve", digest, "--yes", "--config", file)
	if code != exitProblems || len(d.heard) != 1 {
		t.Errorf("exit code %d, heard %d", code, len(d.heard))
	}
	wants(t, "what is shown", stderr, `the daemon's key "treasury" is`, `attribute "fingerprint"`)
}

// Whoever makes a file of a request puts what they like into it. The key that is told first
// is the one that it is about, and the one that is held to approver.hcl.
func TestAFileThatNamesAKeyTwiceGetsNoApproval(t *testing.T) {
	evil := apiKey(treasuryKey(t))
	evil.Public = bytes.Clone(evil.Public)
	evil.Public[1] ^= 1
	d := &house{keys: []*v1.Key{evil}}
	payload, err := admin.Order{Act: admin.ActEnable, Key: "treasury", Reason: "found"}.Encode()
	must1(t, err)
	digest := d.waitsFor(t, "enable-1", signer.KindAdmin, string(payload), adminInfo, [32]byte{1})
	file := d.withSSH(t, "")
	for name, keys := range map[string][]*v1.Key{"the wrong one first": {evil, apiKey(treasuryKey(t))}, "the right one first": {apiKey(treasuryKey(t)), evil}} {
		text, err := dossier{told: d.pending[0], keys: keys}.encode(noon.AsTime())
		must1(t, err)
		if code, stdout, stderr := sealward(string(text), "approve", digest, "--file", "-", "--yes", "--config", file); code != exitProblems || stdout != "" {
			t.Errorf("%s: exit code %d:\n%s%s", name, code, stdout, stderr)
		}
	}
}

func TestRisksStandFirst(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	p := d.pending[0]
	p.Pending.Deadline = timestamppb.New(time.Now().Add(10 * time.Minute))
	p.Decision.Limits = []*v1.LimitUse{limited("2000000"), limited("4000000"), limited("0")}
	p.Key.Protection = "wrapped"
	must1(t, os.WriteFile(filepath.Join(filepath.Dir(file), "book.hcl"), []byte(strings.Split(ownBook, "addresses")[0]), 0o600))
	code, stdout, stderr := sealward("", "--sockets", d.serve(t), "request", "show", digest, "--config", file)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	wants(t, "what is shown", stdout, "your own book does not have eip155:1:0x52908400098527886E0F7030069857D2E4169EE7", "it waits only until", "it takes 83% of what is left of limit \"a day\" of rule \"large\" (5 usdc in 24h)",
		"it takes more than what is left of limit", "it takes 50% of", "the key is sealed to its device")
	if !strings.HasPrefix(stdout, "RISK ") || strings.Index(stdout, "RISK") > strings.Index(stdout, "CLASS") {
		t.Errorf("risks do not stand first:\n%s", stdout)
	}
	var doc struct {
		Approvable bool
		Risks      []string
		Intent     map[string]any
	}
	_, stdout, _ = sealward("", "-o", "json", "--sockets", d.serve(t), "request", "show", digest, "--config", file)
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || !doc.Approvable || len(doc.Risks) != 6 || doc.Intent["class"] != "transfer" {
		t.Errorf("as JSON it is %v, %+v", err, doc)
	}
}

func TestApprovalWithoutAConnection(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) (*house, string){
		"a payment": payday,
		"a change of policy": func(t *testing.T) (*house, string) {
			d := &house{}
			return d, d.change(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, digest := begin(t)
			file := d.withSSH(t, "")
			dir, folder := d.serve(t), t.TempDir()
			request, signed := filepath.Join(folder, "request.json"), filepath.Join(folder, "signed.json")
			if code, _, stderr := sealward("", "--sockets", dir, "request", "export", digest[:10], request); code != exitOK {
				t.Fatalf("export: exit code %d: %s", code, stderr)
			}
			nowhere := t.TempDir() // no socket
			if code, _, stderr := sealward("", "--sockets", nowhere, "approve", digest, "--file", request, "--out", signed, "--yes", "--config", file); code != exitOK {
				t.Fatalf("approve: exit code %d: %s", code, stderr)
			}
			if code, stdout, stderr := sealward("", "approval", "show", signed); code != exitOK || !strings.Contains(stdout, digest) || !strings.Contains(stdout, "not verified here") {
				t.Errorf("show: exit code %d:\n%s%s", code, stdout, stderr)
			}
			code, stdout, stderr := sealward("", "--sockets", dir, "approval", "import", signed)
			if code != exitOK || len(d.heard) != 1 || !strings.Contains(stdout, "approved by alice") {
				t.Errorf("import: exit code %d, heard %d:\n%s%s", code, len(d.heard), stdout, stderr)
			}
		})
	}
}

func TestAFileThatWasChangedOnTheWayGetsNoApproval(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	request := filepath.Join(t.TempDir(), "request.json")
	if code, _, stderr := sealward("", "--sockets", d.serve(t), "request", "export", digest, request); code != exitOK {
		t.Fatalf("export: exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(request)
	must1(t, err)
	for name, c := range map[string]struct {
		old, new string
		code     int
		want     string
	}{
		"another amount":     {`"2500000"`, `"2500001"`, exitProblems, "2500001"},
		"another format":     {dossierFormat, "sealward.dev/request/v9", exitGeneral, "this program reads"},
		"a field of another": {`"exported"`, `"exportiert"`, exitGeneral, "unknown field"},
		"something after it": {"\n}\n", "\n}\n{}", exitGeneral, "something follows it"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(text), c.old, c.new, -1)
			code, stdout, stderr := sealward(changed, "approve", digest, "--file", "-", "--yes", "--config", file)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", code, c.code, c.want, stdout, stderr)
			}
		})
	}
}

// Between "request show --file" and "approve --file --yes", another request took its place.
func TestAYesIsForTheFileThatWasReviewed(t *testing.T) {
	d, _ := payday(t)
	file := d.withSSH(t, "")
	another := d.waitsFor(t, "invoice-8", signer.KindEVMTransaction, strings.Replace(tokenPayment, "2625a0", "2625af", 1), treasuryKey(t), [32]byte{1})
	request := filepath.Join(t.TempDir(), "request.json")
	if code, _, stderr := sealward("", "--sockets", d.serve(t), "request", "export", "invoice-7", request); code != exitOK {
		t.Fatalf("export: exit code %d: %s", code, stderr)
	}
	code, stdout, stderr := sealward("", "approve", another, "--file", request, "--yes", "--config", file)
	if code != exitProblems || stdout != "" || !strings.Contains(stderr, "nothing was signed") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
}

func TestFreezeAndWithdraw(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	dir := d.serve(t)
	code, stdout, stderr := sealward("", "--sockets", dir, "freeze", "--reason", "laptop stolen", "--config", file)
	if code != exitOK || d.reason != "laptop stolen" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	wants(t, "freeze", stdout, "frozen, leaf 78", "uid:1000 slow-1 treasury 70")
	if code, stdout, _ = sealward("", "--sockets", dir, "freeze", "--reason", "disk full", "--config", file); code != exitProblems || !strings.Contains(stdout, "it is not on record") {
		t.Errorf("a freeze that is not on record: exit code %d\n%s", code, stdout)
	}
	if code, _, stderr = sealward("", "--sockets", dir, "freeze", "--reason", "stolen", "--sign", "--config", file); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	signed := filepath.Join(t.TempDir(), "freeze.json")
	if code, _, stderr = sealward("", "freeze", "--reason", "stolen again", "--sign", "--out", signed, "--config", file); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr = sealward("", "--sockets", dir, "approval", "import", signed); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr = sealward("", "--sockets", dir, "withdraw", digest, "--yes", "--config", file); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var said []string
	for _, h := range d.heard {
		said = append(said, string(h.Approval.Word)+" "+h.Approval.Reason)
	}
	if got := strings.Join(said, "; "); got != "freeze stolen; freeze stolen again; withdraw " {
		t.Errorf("heard %q", got)
	}
}

// What is rejected need not be understood: whoever cannot read it says no.
func TestWhatCannotBeReadCanBeRejected(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	d.pending[0].Payload = []byte("garbage")
	code, _, stderr := sealward("", "--sockets", d.serve(t), "reject", digest, "--reason", "nonsense", "--yes", "--config", file)
	if code != exitOK || len(d.heard) != 1 || hex.EncodeToString(d.heard[0].Approval.Proposal[:]) != digest {
		t.Errorf("exit code %d, heard %d: %s", code, len(d.heard), stderr)
	}
}

func TestRequestCommands(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	done := d.waitsFor(t, "delayed", signer.KindEVMTransaction, tokenPayment, treasuryKey(t), [32]byte{1})
	d.pending[1].Pending.Quorums[0].Met = true
	d.events = []*v1.PendingEvent{{Leaf: 1, Time: noon, Event: "approved", Pending: d.pending[0].Pending, Approver: "bob\x1b", Reason: "fine"}, {Leaf: 2, Time: noon, Event: "frozen", Reason: "stolen"}}
	dir := d.serve(t)
	_, stdout, _ := sealward("", "--sockets", dir, "request", "list", "--config", file)
	wants(t, "list", stdout, digest[:12], "uid:1000 (payroll)", "invoice-7", "treasury", "transfer", "2.5 usdc", "0/2 treasury", "1 more wait")
	if strings.Contains(stdout, done[:12]) {
		t.Errorf("list has what needs nobody:\n%s", stdout)
	}
	_, stdout, _ = sealward("", "--sockets", dir, "request", "list", "--all", "--config", file)
	wants(t, "list --all", stdout, digest[:12], done[:12])
	code, stdout, stderr := sealward("", "--sockets", dir, "request", "watch")
	wants(t, "watch", stdout, "2026-11-23T12:00:00Z approved uid:1000/invoice-7 "+digest[:12]+` by bob\u{1b} (fine)`, "frozen (stolen)")
	if code != exitUnavailable {
		t.Errorf("watch ends with %d: %s", code, stderr)
	}
	if code, _, stderr = sealward("", "--sockets", dir, "request", "cancel", "invoice-7", "--reason", "wrong sum"); code != exitOK || d.cancelled != "invoice-7 wrong sum" {
		t.Errorf("cancel: exit code %d, %q: %s", code, d.cancelled, stderr)
	}
	_, stdout, _ = sealward("", "--sockets", dir, "request", "show", "invoice-7")
	wants(t, "show", stdout, "state waits", "2 of treasury", "still asked: alice, bob")
	code, stdout, _ = sealward("", "--sockets", dir, "request", "show", "uid:1000/invoice-7", "--config", filepath.Join(t.TempDir(), "none.hcl"))
	if code != exitGeneral || stdout != "" {
		t.Errorf("without the file that was named: exit code %d:\n%s", code, stdout)
	}
}

func TestAWrongCommandLineSignsNothing(t *testing.T) {
	d, digest := payday(t)
	file := d.withSSH(t, "")
	dir := d.serve(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"yes to a part of a digest":      {[]string{"approve", digest[:12], "--yes"}, "the whole digest"},
		"yes to an id":                   {[]string{"approve", "invoice-7", "--yes"}, "the whole digest"},
		"yes to whatever is in a file":   {[]string{"approve", "--file", "x", "--yes"}, "the whole digest"},
		"a part of a digest, and a file": {[]string{"approve", digest[:12], "--file", "x"}, "the whole digest"},
		"neither":                        {[]string{"approve"}, "one ID, or --file FILE"},
		"a validity of less":             {[]string{"approve", digest, "--yes", "--valid-for", "-1h"}, "longer than nothing"},
		"a rejection for no reason":      {[]string{"reject", digest, "--yes"}, "--reason is missing"},
		"a freeze for no reason":         {[]string{"freeze", "--sign"}, "--reason is missing"},
		"a thaw for no reason":           {[]string{"thaw"}, "--reason is missing"},
		"a freeze nobody signs, out":     {[]string{"freeze", "--reason", "x", "--out", "f"}, "--out is for --sign"},
		"an empty file":                  {[]string{"approve", "--file", ""}, "--file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--sockets", dir}, c.args...)
			if c.args[0] != "thaw" {
				args = append(args, "--config", file)
			}
			code, _, stderr := sealward("", args...)
			if code != exitUsage || !strings.Contains(stderr, c.want) || len(d.heard) != 0 {
				t.Errorf("exit code %d, heard %d: %s", code, len(d.heard), stderr)
			}
		})
	}
}

func TestApproverFilesThatOthersCanWriteAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"approver.hcl": func(file string) error { return os.Chmod(file, 0o622) },
		"the book":     func(file string) error { return os.Chmod(filepath.Join(filepath.Dir(file), "book.hcl"), 0o666) },
		"the folder":   func(file string) error { return os.Chmod(filepath.Dir(file), 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			d, digest := payday(t)
			file := d.withSSH(t, "")
			must1(t, spoil(file))
			code, _, stderr := sealward("", "--sockets", d.serve(t), "approve", digest, "--yes", "--config", file)
			if code != exitGeneral || len(d.heard) != 0 || !strings.Contains(stderr, "chmod") {
				t.Errorf("exit code %d, heard %d: %s", code, len(d.heard), stderr)
			}
		})
	}
}

// FuzzDossier checks that a file of any content ends in an error, or in a review that
// refuses unless all of it fits.
func FuzzDossier(f *testing.F) {
	d := dossier{told: &v1.GetPendingResponse{Pending: &v1.Pending{Proposal: strings.Repeat("ab", 32)}, Key: &v1.Key{Name: "treasury"}}}
	seed, err := d.encode(noon.AsTime())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"format":"sealward.dev/request/v1","pending":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := readDossier(data)
		if err != nil {
			return
		}
		again, err := d.encode(noon.AsTime())
		if err != nil {
			t.Fatal(err)
		}
		back, err := readDossier(again)
		if err != nil || !proto.Equal(back.told, d.told) {
			t.Errorf("it is %v, and read again %v: %v", d.told, back.told, err)
		}
		r := (&approver{path: "approver.hcl", now: noon.AsTime, tell: func(string) {}}).examine(d)
		if r.refusal() == nil {
			t.Errorf("a request of an instance without a name may be approved: %v", d.told)
		}
	})
}
