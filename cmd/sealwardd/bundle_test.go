package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// A list that a policy names is read with the care that the policy is read with, and
// held to its digest, at the start and at each reload.
func TestAFileThatThePolicyNamesIsTrustedAndPinned(t *testing.T) {
	t.Parallel()
	const list = `{"name":"l","timestamp":"2026-11-01T00:00:00Z","version":{"major":1,"minor":0,"patch":0},"tokens":[` +
		`{"chainId":1,"address":"0x6b175474e89094c44da98b954eedeac495271d0f","name":"Dai","symbol":"DAI","decimals":18}]}`
	h := newHost(t)
	h.write("tokens.json", list)
	h.write("policy.hcl", hostPolicy+fmt.Sprintf("\ntoken_list \"main\" {\n  file   = \"tokens.json\"\n  sha256 = \"%x\"\n}\n", sha256.Sum256([]byte(list))))

	h.mode("tokens.json", 0o666)
	p := h.try()
	if code := p.wait(); code != 1 {
		t.Errorf("with a list that all may write, starting ends with %d, want 1", code)
	}
	contains(t, "starting", p.log.String(), "read tokens.json", "mode 0666", "chmod")

	h.mode("tokens.json", 0o600)
	p = h.start()
	status := func() *v1.GetStatusResponse {
		s, err := h.admin().Status(context.Background())
		must(t, err)
		return s
	}
	old := status()
	for what, spoil := range map[string]struct {
		do   func()
		want string
	}{
		"a list that changed":           {func() { h.write("tokens.json", strings.Replace(list, ":18}", ":6}", 1)) }, "is not the file that was pinned"},
		"a list that all may write now": {func() { h.mode("tokens.json", 0o666) }, "chmod"},
	} {
		spoil.do()
		p.signal(syscall.SIGHUP)
		eventually(t, what+": status says why", func() bool { return strings.Contains(status().GetPolicyError(), spoil.want) })
		if now := status(); now.GetPolicy() != old.GetPolicy() {
			t.Errorf("%s: the policy in force is %s, want the old one", what, now.GetPolicy())
		}
		h.write("tokens.json", list)
		h.mode("tokens.json", 0o600)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "the list is as it was, and so is the policy", func() bool { return status().GetPolicyError() == "" && status().GetPolicy() == old.GetPolicy() })
	p.stop()
}
