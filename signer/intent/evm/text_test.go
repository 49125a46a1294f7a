package evm_test

import (
	"slices"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

func TestCharactersThatNobodySeesAreWarnedOf(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		warns bool
	}{
		"an emoji with its selector": {"\u2764\ufe0f", false},
		"an emoji of a digit":        {"1\ufe0f\u20e3", false},
		"a selector behind a letter": {"a\ufe0fb", true},
		"a selector at the start":    {"\ufe0fb", true},
		"selectors that carry bits":  {"\u2764\ufe0f\ufe0e", true},
		"braille without dots":       {"a\u2800b", true},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(test.text), keyFor(t), signer.Book{})
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(warnings(in), evm.WarnHiddenCharacters); got != test.warns || (field(in, "bytes") != "") != test.warns {
				t.Errorf("warnings = %v, bytes = %q; want a warning and the bytes: %v", warnings(in), field(in, "bytes"), test.warns)
			}
		})
	}
}
