package backends_test

import (
	"strings"
	"testing"
)

// What finds a TPM's key is its key file's content.
func TestAKeyFileIsInNoMessage(t *testing.T) {
	t.Parallel()
	c := config(t)
	tok := start(t, c)
	facts := find(t, tok).Facts()
	k := tok.Known("-----BEGIN TSS2 PRIVATE KEY-----\nMIIBsealed\n-----END TSS2 PRIVATE KEY-----\n", facts)
	err := sign(k)
	if err == nil || strings.Contains(err.Error(), "sealed") || !strings.Contains(err.Error(), facts.Public.Fingerprint()) {
		t.Errorf("sign = %v; want the key's fingerprint and not its file", err)
	}
}
