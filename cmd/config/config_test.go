package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/cmd/config"
)

const good = `version = 1
policy  = "policy.hcl"
journal {
  path = "/var/lib/sealward/journal.db"
  key  = "journal"
}
socket "sign" {
  path  = "/run/sealward/sign.sock"
  mode  = "0660"
  group = "sealward"
}
token "hsm" {
  pkcs11 {
    module   = "/usr/lib/softhsm/libsofthsm2.so"
    uri      = "pkcs11:token=sealward"
    pin_file = "hsm.pin"
  }
}
key "hot" {
  token  = "hsm"
  uri    = "pkcs11:object=hot"
  kinds  = ["evm.transaction"]
  chains = ["eip155:1"]
}
key "journal" {
  token      = "hsm"
  uri        = "pkcs11:object=journal"
  statements = true
}
`

func TestParse(t *testing.T) {
	c, err := config.Parse("/etc/sealward/sealward.hcl", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Policy != "/etc/sealward/policy.hcl" || c.Tokens[0].PKCS11.PINFile != "/etc/sealward/hsm.pin" {
		t.Errorf("relative paths became %q and %q, want them beside the configuration", c.Policy, c.Tokens[0].PKCS11.PINFile)
	}
	if c.Private || c.Journal.CheckpointInterval != time.Second || c.Tokens[0].PKCS11.Sessions != 8 || c.Sockets[0].Mode != 0o660 {
		t.Errorf("defaults are off: %+v", c)
	}
	if k := c.Keys[0]; k.Name != "hot" || k.Statements || k.Chains[0] != "eip155:1" {
		t.Errorf("key = %+v", k)
	}
}

func TestParseRefuses(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the good file has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, c := range map[string]struct{ src, want string }{
		"a misspelt argument":           {replace("policy  =", "polcy  ="), `sealward.hcl:2,1-6: Unsupported argument`},
		"a missing argument":            {replace(`policy  = "policy.hcl"`, ""), `The argument "policy" is required`},
		"a repeated argument":           {replace("version = 1", "version = 1\nversion = 1"), "Attribute redefined"},
		"a repeated block":              {good + "journal {\n path = \"x\"\n key = \"journal\"\n}\n", "Duplicate journal block"},
		"another version":               {replace("version = 1", "version = 2"), `sealward.hcl:1,11-12: Unsupported version`},
		"a version as text":             {replace("version = 1", `version = "1"`), "version is a number"},
		"a truth as text":               {replace("version = 1", "version = 1\nprivate = \"true\""), "private is a bool"},
		"an unknown block":              {good + "sokcet \"x\" {}\n", `Blocks of type "sokcet" are not expected here. Did you mean "socket"?`},
		"a key in a token that is not":  {replace(`token  = "hsm"`, `token  = "hms"`), `There is no token "hms". Did you mean "hsm"?`},
		"a kind that is not":            {replace("evm.transaction", "evm.transction"), `Did you mean "evm.transaction"?`},
		"a journal key for callers":     {replace(`key  = "journal"`, `key  = "hot"`), `There is no key "hot" with statements = true`},
		"a statement key with kinds":    {replace("statements = true", "statements = true\n kinds = [\"digest\"]"), "signs nothing else"},
		"a digest key with other kinds": {replace(`["evm.transaction"]`, `["evm.message", "digest"]`), "A key for digests signs nothing else"},
		"a chain that is not CAIP-2":    {replace("eip155:1", "ethereum"), `"ethereum" is no CAIP-2 id`},
		"a transaction key, no chain":   {replace(`chains = ["eip155:1"]`, ""), "Missing chains"},
		"a mode for the world's x":      {replace("0660", "0771"), "Unsuitable mode"},
		"a number as mode":              {replace(`"0660"`, "660"), "mode is a string"},
		"two keys of one name":          {replace(`key "journal"`, `key "hot"`), `There is already a key "hot"`},
		"no PIN":                        {replace(`pin_file = "hsm.pin"`, ""), "either pin_file or pin_credential"},
		"two PINs":                      {replace(`pin_file = "hsm.pin"`, "pin_file = \"p\"\n pin_credential = \"c\""), "either pin_file or pin_credential"},
		"a credential with a path":      {replace(`pin_file = "hsm.pin"`, `pin_credential = "../c"`), "Unsuitable credential"},
		"an environment variable":       {replace(`"hsm.pin"`, `"${HOME}/pin"`), "Variables not allowed"},
		"a function":                    {replace(`"hsm.pin"`, `env("PIN")`), "Function calls not allowed"},
		"no sign socket":                {replace(`socket "sign"`, `socket "sing"`), `socket "sign"`},
		"a pin in the file":             {replace(`pin_file = "hsm.pin"`, `pin = "1234"`), "Unsupported argument"},
		"a bad digest":                  {replace(`pin_file = "hsm.pin"`, "pin_file = \"p\"\n module_sha256 = \"00\""), "Want 64 hexadecimal digits"},
		"a fingerprint of no key":       {replace("statements = true", "statements = true\n fingerprint = \"sha256:ab\""), "Unsuitable fingerprint"},
		"an endless wait":               {replace("version = 1", "version = 1\nstop_timeout = \"10h\""), "between 1s and 10m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse("/etc/sealward/sealward.hcl", []byte(c.src))
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant it to hold %q", err, c.want)
			}
			if strings.Contains(c.want, "1234") || !strings.Contains(err.Error(), "sealward.hcl:") {
				t.Errorf("error %v has no position", err)
			}
		})
	}
}
