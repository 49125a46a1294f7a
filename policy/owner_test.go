package policy

import (
	"strings"
	"testing"
)

// Whose tokens move is the actor of an effect, and no decoder says it in an attribute. A
// rule that denies by one that never occurs would let everything through.
func TestAnAttributeThatNeverOccursIsRefused(t *testing.T) {
	src := assetsText + "rule \"theirs\" {\n  deny = \"not ours\"\n  when = \"effects.exists(e, has(e.attributes.owner))\"\n}\n"
	if _, err := Load("policy.hcl", []byte(src), testEnv()); err == nil || !strings.Contains(err.Error(), `no attribute is named "owner"`) {
		t.Errorf("Load error = %v", err)
	}
}
