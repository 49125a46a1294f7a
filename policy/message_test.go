package policy

import (
	"testing"

	"github.com/sealward/sealward/signer"
)

// A rule that limits what may leave lets through any personal message, such as the
// hash of a Safe's transaction that an owner approves by eth_sign.
func TestARuleOfAmountsLetsNoMessageThroughUnlessItNamesTheKind(t *testing.T) {
	message := func(_ *testing.T, p *signer.Proposal) {
		p.Request.Kind, p.Intent = signer.KindEVMMessage, signer.Intent{
			Kind: signer.KindEVMMessage, Complete: true, Effects: []signer.Effect{{Class: signer.ClassMessage}},
			Warnings: []signer.Warning{{Code: "evm_message_looks_like_hash", Severity: signer.SeverityWarn}},
			Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: make([]byte, 32)}},
		}
	}
	const limit = "limit \"a day\" {\n amount = \"1 eth\"\n window = \"24h\"\n}\n"
	run(t, map[string]decision{
		"a limit that no kind names the message for": {policy: allow(limit), change: message},
		"named":    {policy: allow("kinds = [\"evm.message\"]\n" + limit), change: message, allow: true},
		"no limit": {policy: allow(""), change: message, allow: true},
	})
}
