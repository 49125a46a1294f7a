package policy

import (
	"slices"
	"testing"
)

func TestRulesThatAskAreNamed(t *testing.T) {
	const over = "limit \"a day\" {\n amount = \"1 eth\"\n window = \"24h\"\n over = \"require:treasury:1\"\n}\n"
	for name, tt := range map[string]struct {
		rules []string
		want  []string
	}{
		"none":                              {[]string{"allow = true", "deny = \"no\""}, nil},
		"one that requires":                 {[]string{"allow = true", twoOf}, []string{"b"}},
		"one whose limit may be exceeded":   {[]string{"allow = true\n" + over}, []string{"a"}},
		"one that delays":                   {[]string{"allow = true\ndelay = \"1h\""}, []string{"a"}},
		"each once, in the order of a file": {[]string{guard + over + "delay = \"1h\"\nexpires = \"2h\"", "allow = true", twoOf + guard}, []string{"a", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := load(t, rulesText(tt.rules...)).Asks(); !slices.Equal(got, tt.want) {
				t.Errorf("Asks = %q, want %q", got, tt.want)
			}
		})
	}
	if got := (&Policy{}).Asks(); got != nil {
		t.Errorf("the zero policy asks in %q", got)
	}
}
