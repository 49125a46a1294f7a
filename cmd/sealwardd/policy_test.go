package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

const tokenList = `{"name":"l","timestamp":"2026-11-01T00:00:00Z","version":{"major":1,"minor":0,"patch":0},"tokens":[` +
	`{"chainId":1,"address":"0x6b175474e89094c44da98b954eedeac495271d0f","name":"Dai","symbol":"DAI","decimals":18}]}`

// certificate is one of a key that is made for it and forgotten.
func certificate(t *testing.T) string {
	t.Helper()
	return newPerson(t, "somebody").pem
}

// pinned is a policy that names a file of every sort, as they are on disk, and lets
// operators change it.
func (h *host) pinned() string {
	h.t.Helper()
	return hostPolicy + adminPolicy + fmt.Sprintf(`
token_list "main" {
  file   = "tokens.json"
  sha256 = "%x"
}
descriptors {
  folder = "labels"
  sha256 = "%x"
}
approver "alice" { certificate = "alice.pem" }
group "treasury" { members = ["alice"] }
rule "who decides" {
  keys = ["sealward"]
  when = "effects.all(e, e.class == 'policy_change')"
  require {
    group     = "treasury"
    approvals = 1
  }
}
rule "logins" {
  kinds = ["evm.message"]
  when  = "effects.all(e, e.class == 'login')"
  require {
    group     = "treasury"
    approvals = 1
  }
}
`, sha256.Sum256([]byte(h.read("tokens.json"))), sha256.Sum256([]byte(h.read("labels/descriptors.sha256"))))
}

func (h *host) labels(text string) {
	h.t.Helper()
	h.write("labels/usdc.json", text)
	h.write("labels/descriptors.sha256", fmt.Sprintf("sealward descriptors 1\n%x  usdc.json\n", sha256.Sum256([]byte(text))))
}

// bundledHost is a host whose policy names a file of every sort.
func bundledHost(t *testing.T) *host {
	t.Helper()
	h := newHost(t)
	withLabels(h)
	h.write("tokens.json", tokenList)
	h.write("alice.pem", certificate(t))
	h.write("policy.hcl", h.pinned())
	return h
}

// policyOf is a version as the daemon returns it, which has to be what it says.
func (h *host) policyOf(version string) *v1.GetPolicyResponse {
	h.t.Helper()
	res, err := h.admin().Policy(context.Background(), version)
	must(h.t, err)
	b, err := policy.ReadBundle(res.GetBundle())
	must(h.t, err)
	p, err := b.Load()
	must(h.t, err)
	if v := fmt.Sprintf("%x", p.Version()); v != res.GetVersion() {
		h.t.Errorf("the bundle of policy %s is of version %s", res.GetVersion(), v)
	}
	return res
}

// TestWhatIsOnDiskIsNotInForce swaps each file that a policy is made of. Until a reload
// nothing changes, after one that is refused neither, and what was in force before stays
// to be had, byte for byte.
func TestWhatIsOnDiskIsNotInForce(t *testing.T) {
	t.Parallel()
	list := strings.Replace(tokenList, `"decimals":18`, `"decimals":6`, 1)
	for name, c := range map[string]struct {
		swap    func(*host)
		refusal string // of the reload, while the policy file pins what was there
	}{
		"the policy file":           {func(h *host) { h.edit("policy.hcl", "1000 devcoin", "1 devcoin") }, ""},
		"an approver's certificate": {func(h *host) { h.write("alice.pem", certificate(h.t)) }, ""},
		"a token list":              {func(h *host) { h.write("tokens.json", list) }, "is not the file that was pinned"},
		"a manifest of descriptors": {func(h *host) { h.labels(strings.Replace(usdcLabels, "Payee", "Nobody", 1)) }, "is not the file that was pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := bundledHost(t)
			p := h.start()
			before, old := h.status(), h.policyOf("")
			if b, err := policy.ReadBundle(old.GetBundle()); err != nil || string(b.Source) != h.read("policy.hcl") || len(b.Files) != 3 {
				t.Fatalf("the bundle has the policy %q and %d files (%v), want the file and 3", b.Source, len(b.Files), err)
			}
			same := func(when string) {
				t.Helper()
				if got := h.policyOf(""); got.GetVersion() != before.GetPolicy() || !bytes.Equal(got.GetBundle(), old.GetBundle()) {
					t.Errorf("%s policy %s is in force, want %s and the same bundle", when, got.GetVersion(), before.GetPolicy())
				}
				if got := h.inspectTransfer().GetClearSigning().GetFields(); len(got) != 1 || got[0].GetLabel() != "Payee" {
					t.Errorf("%s the labels are %v, want those of the start", when, got)
				}
			}

			c.swap(h)
			same("after the swap")
			h.pay("after-the-swap")
			if evs := h.events(before.GetJournalSize()); len(evs) != 2 || evs[0].Proposal == nil || fmt.Sprintf("%x", evs[0].Proposal.Policy) != before.GetPolicy() {
				t.Errorf("after the swap the journal has %+v, want one payment under policy %s", evs, before.GetPolicy())
			}

			if c.refusal != "" {
				from := h.size()
				p.signal(syscall.SIGHUP)
				eventually(t, "status says why the reload was refused", func() bool { return strings.Contains(h.status().GetPolicyError(), c.refusal) })
				same("after a reload that was refused")
				evs := h.events(from)
				if len(evs) != 1 || evs[0].Type != signer.EventPolicy || evs[0].Code != signer.CodeInvalid || !strings.Contains(evs[0].Detail, c.refusal) || evs[0].Bundle != [32]byte{} {
					t.Errorf("the refusal is recorded as %+v", evs)
				}
				if all, err := h.admin().Policies(t.Context(), 0, 0); err != nil || len(all.GetPolicies()) != 1 {
					t.Errorf("after a reload that was refused the history is %v, %v", all, err)
				}
				h.write("policy.hcl", h.pinned())
			}
			from := h.size()
			p.signal(syscall.SIGHUP)
			eventually(t, "the reload puts another version in force", func() bool { return h.status().GetPolicy() != before.GetPolicy() })
			now := h.policyOf("")
			evs := h.events(from)
			if len(evs) != 1 || evs[0].Type != signer.EventPolicy || evs[0].Code != "" || fmt.Sprintf("%x", evs[0].Policy) != now.GetVersion() || evs[0].Bundle != sha256.Sum256(now.GetBundle()) {
				t.Errorf("the change is recorded as %+v", evs)
			}
			if b, err := policy.ReadBundle(now.GetBundle()); err != nil || string(b.Source) != h.read("policy.hcl") {
				t.Errorf("the policy in force has the file %q, %v", b.Source, err)
			}
			if got := h.policyOf(before.GetPolicy()); !bytes.Equal(got.GetBundle(), old.GetBundle()) {
				t.Error("the bundle of the version before is another one now")
			}
			p = h.again(p)
			if got := h.policyOf(before.GetPolicy()); !bytes.Equal(got.GetBundle(), old.GetBundle()) {
				t.Error("after a restart the bundle of the version before is another one")
			}
			h.sound()
			p.stop()
		})
	}
}

func TestTheHistoryOfThePolicyIsForOperators(t *testing.T) {
	t.Parallel()
	h := bundledHost(t)
	p := h.start()
	var versions []string
	for i := range 3 {
		h.edit("policy.hcl", fmt.Sprintf("%d usdc", 1000+i), fmt.Sprintf("%d usdc", 1001+i))
		last := h.status().GetPolicy()
		p.signal(syscall.SIGHUP)
		eventually(t, "the policy is reloaded", func() bool { return h.status().GetPolicy() != last })
		versions = append(versions, h.status().GetPolicy())
	}
	all, err := h.admin().Policies(t.Context(), 0, 0)
	must(t, err)
	if n := len(all.GetPolicies()); n != 4 {
		t.Fatalf("the history has %d records, want the start and 3 changes", n)
	}
	for i, r := range all.GetPolicies() {
		want := "policy"
		if i == 3 {
			want = "started"
		}
		if r.GetEvent() != want || r.GetInForce() != (i == 0) || !r.GetKept() || i < 3 && r.GetVersion() != versions[2-i] {
			t.Errorf("record %d is %v", i, r)
		}
	}
	page, err := h.admin().Policies(t.Context(), all.GetPolicies()[1].GetLeaf(), 1)
	must(t, err)
	if len(page.GetPolicies()) != 1 || page.GetPolicies()[0].GetLeaf() != all.GetPolicies()[2].GetLeaf() || page.GetPolicies()[0].GetInForce() {
		t.Errorf("the page before leaf %d is %v", all.GetPolicies()[1].GetLeaf(), page)
	}

	for name, c := range map[string]struct {
		version string
		code    signer.Code
		want    string
	}{
		"no hexadecimal":         {"latest", signer.CodeInvalid, "64 lower-case hexadecimal digits"},
		"capitals":               {strings.ToUpper(versions[0]), signer.CodeInvalid, "64 lower-case hexadecimal digits"},
		"cut short":              {versions[0][:8], signer.CodeInvalid, "64 lower-case hexadecimal digits"},
		"one that was never":     {strings.Repeat("ab", 32), signer.CodeNotFound, "the journal keeps no policy of version abab"},
		"zero, which is no hash": {strings.Repeat("00", 32), signer.CodeNotFound, "keeps no policy"},
	} {
		res, err := h.admin().Policy(t.Context(), c.version)
		if codeOf(err) != c.code || !strings.Contains(err.Error(), c.want) || res != nil {
			t.Errorf("%s: Policy = %v, %v; want code %q and %q", name, res, err, c.code, c.want)
		}
	}
	if _, err := h.admin().Policies(t.Context(), 0, 1001); codeOf(err) != signer.CodeInvalid {
		t.Errorf("Policies of 1001 = %v, want code %q", err, signer.CodeInvalid)
	}
	if res, err := h.sign().Policy(t.Context(), ""); err == nil || res != nil {
		t.Errorf("the sign socket returns policy %v", res)
	}
	if res, err := h.sign().Policies(t.Context(), 0, 0); err == nil || res != nil {
		t.Errorf("the sign socket returns the history %v", res)
	}
	eventually(t, "calls are counted by method", func() bool {
		_, body := h.get("metrics.sock", "GET", "/metrics")
		return strings.Contains(body, `method="GetPolicy"`) && strings.Contains(body, `method="ListPolicies"`)
	})
	p.stop()
}
