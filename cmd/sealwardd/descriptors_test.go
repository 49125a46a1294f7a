package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// usdcLabels is a descriptor, and its folder's manifest.
const usdcLabels = `{
  "$schema": "../../specs/erc7730-v2.schema.json",
  "context": {"contract": {"deployments": [{"chainId": 1, "address": "` + usdc + `"}]}},
  "metadata": {"owner": "Circle", "contractName": "USD Coin"},
  "display": {"formats": {"transfer(address to, uint256 amount)": {"intent": "Send", "fields": [{"path": "to", "label": "Payee", "format": "raw"}]}}}
}
`

// withLabels adds a folder of descriptors to a set-up, and pins it.
func withLabels(h *host) {
	h.t.Helper()
	must(h.t, os.Mkdir(h.path("labels"), 0o700))
	h.write("labels/usdc.json", usdcLabels)
	h.write("labels/descriptors.sha256", fmt.Sprintf("sealward descriptors 1\n%x  usdc.json\n", sha256.Sum256([]byte(usdcLabels))))
	h.write("policy.hcl", hostPolicy+fmt.Sprintf("\ndescriptors {\n  folder = \"labels\"\n  sha256 = \"%x\"\n}\n", sha256.Sum256([]byte(h.read("labels/descriptors.sha256")))))
}

// inspectTransfer asks what a transfer of usdc would do.
func (h *host) inspectTransfer() *v1.Intent {
	h.t.Helper()
	res, err := h.sign().Inspect(h.t.Context(), &v1.InspectRequest{Key: "hot", Kind: "evm.transaction", PayloadText: fmt.Sprintf(
		`{"chainId":"0x1","nonce":"0x0","to":%q,"gas":"0x186a0","maxFeePerGas":"0x4a817c800","maxPriorityFeePerGas":"0x3b9aca00",`+
			`"data":"0xa9059cbb000000000000000000000000%s00000000000000000000000000000000000000000000000000000000002625a0"}`, usdc, strings.ToLower(payee[2:]))})
	must(h.t, err)
	return res.GetIntent()
}

func TestWhatDescriptorsSayStandsBesideTheIntent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	plain := h.inspectTransfer()
	if plain.GetClearSigning() != nil {
		t.Errorf("without descriptors there are labels: %v", plain.GetClearSigning())
	}
	withLabels(h)
	p.signal(syscall.SIGHUP)
	eventually(t, "the descriptors are in force", func() bool { return h.inspectTransfer().GetClearSigning() != nil })

	labelled := h.inspectTransfer()
	labels := labelled.GetClearSigning()
	if labels.GetDescriptor_() != "usdc.json" || labels.GetOwner() != "Circle" || labels.GetIntent() != "Send" ||
		len(labels.GetFields()) != 1 || labels.GetFields()[0].GetLabel() != "Payee" || !strings.Contains(labels.GetFields()[0].GetValue(), payee) {
		t.Errorf("the labels are %v", labels)
	}
	labelled.ClearSigning = nil
	if labelled.String() != plain.String() {
		t.Errorf("with descriptors the intent is\n%s\nwithout\n%s", labelled, plain)
	}

	// A reload that finds them changed keeps what was in force, labels included.
	for what, spoil := range map[string]struct {
		do   func()
		want string
	}{
		"a descriptor that changed":   {func() { h.write("labels/usdc.json", strings.Replace(usdcLabels, "Payee", "Nobody", 1)) }, "is not what was pinned"},
		"a descriptor that was added": {func() { h.write("labels/more.json", "{}") }, "is not in descriptors.sha256"},
		"a manifest that changed":     {func() { h.write("labels/descriptors.sha256", "sealward descriptors 1\n") }, "descriptors.sha256"},
	} {
		spoil.do()
		p.signal(syscall.SIGHUP)
		eventually(t, what+": status says why", func() bool {
			s, err := h.admin().Status(t.Context())
			return err == nil && strings.Contains(s.GetPolicyError(), spoil.want)
		})
		if got := h.inspectTransfer().GetClearSigning().GetFields(); len(got) != 1 || got[0].GetLabel() != "Payee" {
			t.Errorf("%s: the labels are %v, want the old ones", what, got)
		}
		h.write("labels/usdc.json", usdcLabels)
		h.write("labels/descriptors.sha256", fmt.Sprintf("sealward descriptors 1\n%x  usdc.json\n", sha256.Sum256([]byte(usdcLabels))))
		_ = os.Remove(h.path("labels/more.json"))
	}
	p.stop()
}

func TestTheDaemonDoesNotStartWithOtherDescriptorsThanThePinned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*host)
		want  []string
	}{
		"a descriptor that changed": {func(h *host) { h.edit("labels/usdc.json", "Payee", "Nobody") },
			[]string{"labels", "usdc.json", "is not what was pinned"}},
		"a descriptor that is missing": {func(h *host) { must(h.t, os.Remove(h.path("labels/usdc.json"))) },
			[]string{"usdc.json", "is missing"}},
		"a descriptor that was added": {func(h *host) { h.write("labels/more.json", "{}") },
			[]string{"more.json", "is not in descriptors.sha256"}},
		"a descriptor that all may write": {func(h *host) { h.mode("labels/usdc.json", 0o666) },
			[]string{"usdc.json", "mode 0666", "chmod"}},
		"a descriptor that is a link": {func(h *host) {
			h.write("elsewhere.json", usdcLabels)
			must(h.t, os.Remove(h.path("labels/usdc.json")))
			must(h.t, os.Symlink("../elsewhere.json", h.path("labels/usdc.json")))
		}, []string{"usdc.json", "is not a regular file"}},
		"a folder that all may write": {func(h *host) { h.mode("labels", 0o777) },
			[]string{"labels", "chmod"}},
		"no manifest": {func(h *host) { must(h.t, os.Remove(h.path("labels/descriptors.sha256"))) },
			[]string{"labels/descriptors.sha256", "no such file"}},
		"a manifest that changed": {func(h *host) { h.write("labels/descriptors.sha256", "sealward descriptors 1\n") },
			[]string{"labels/descriptors.sha256", "is not the file that was pinned"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			withLabels(h)
			c.spoil(h)
			p := h.try()
			if code := p.wait(); code != 1 {
				t.Errorf("starting ends with %d, want 1", code)
			}
			contains(t, "starting", strings.ReplaceAll(p.log.String(), `\"`, `"`), c.want...)
		})
	}
}

// A descriptor that is not valid is as good as absent, and the log says so.
func TestADescriptorThatIsNotValidIsNotUsed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	withLabels(h)
	broken := strings.Replace(usdcLabels, `"path": "to"`, `"path": "nowhere"`, 1)
	h.write("labels/usdc.json", broken)
	manifest := fmt.Sprintf("sealward descriptors 1\n%x  usdc.json\n", sha256.Sum256([]byte(broken)))
	h.edit("policy.hcl", fmt.Sprintf("%x", sha256.Sum256([]byte(h.read("labels/descriptors.sha256")))), fmt.Sprintf("%x", sha256.Sum256([]byte(manifest))))
	h.write("labels/descriptors.sha256", manifest)
	p := h.start()
	if got := h.inspectTransfer().GetClearSigning(); got != nil {
		t.Errorf("there are labels: %v", got)
	}
	contains(t, "the log", p.log.String(), "not used", "usdc.json", "nowhere")
	p.stop()
}
