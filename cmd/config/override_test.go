package config_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sealward/sealward/cmd/config"
)

const override = `version = 1
policy  = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
reason  = "two of three tokens are lost"
`

func TestParseOverride(t *testing.T) {
	o, err := config.ParseOverride("/etc/sealward/override.hcl", []byte(override))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(o.Policy[:]); got != strings.Repeat("00112233445566778899aabbccddeeff", 2) || o.Reason != "two of three tokens are lost" {
		t.Errorf("override = %s, %q", got, o.Reason)
	}
}

func TestParseOverrideRefuses(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(override, old) {
			t.Fatalf("the good file has no %q", old)
		}
		return strings.Replace(override, old, new, 1)
	}
	for name, c := range map[string]struct{ src, want string }{
		"nothing":                       {"", `The argument "version" is required`},
		"no policy":                     {"version = 1\nreason = \"x\"\n", `The argument "policy" is required`},
		"no reason":                     {replace(`reason  = "two of three tokens are lost"`, ""), `The argument "reason" is required`},
		"an empty reason":               {replace("two of three tokens are lost", ""), "reason must not be empty"},
		"a reason of two lines":         {replace("two of", `two\nof`), "override.hcl:3,11-42: Unsuitable reason"},
		"a reason that goes on and on":  {replace("two of", strings.Repeat("x", 500)), "at most 500 bytes"},
		"a reason that turns text":      {replace("two of", "two\u202eof"), "Unsuitable reason"},
		"another version of the file":   {replace("version = 1", "version = 2"), "override.hcl:1,11-12: Unsupported version"},
		"a version that is cut short":   {replace(`"0011`, `"11`), "override.hcl:2,11-75: Unsuitable version"},
		"a version in capitals":         {replace("aabb", "AABB"), "lower-case"},
		"a version with a prefix":       {replace(`"0011`, `"0x00`), "Unsuitable version"},
		"a misspelt argument":           {replace("reason ", "raeson "), `Unsupported argument`},
		"a repeated argument":           {override + "version = 1\n", "Attribute redefined"},
		"a block":                       {override + "policy {}\n", "Unsupported block type"},
		"a variable":                    {replace(`"two of three tokens are lost"`, "USER"), "Variables not allowed"},
		"a number as reason":            {replace(`"two of three tokens are lost"`, "7"), "reason is a string"},
		"what is no configuration":      {"version =", "override.hcl:1"},
		"a version that is not written": {replace("version = 1", "version = null"), "it has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := config.ParseOverride("/etc/sealward/override.hcl", []byte(c.src))
			if err == nil || o != nil {
				t.Fatalf("accepted: %+v, %v", o, err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "override.hcl:") {
				t.Errorf("error = %v\nwant a position and %q", err, c.want)
			}
		})
	}
}
