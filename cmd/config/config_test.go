package config_test

import (
	"slices"
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
	if c.Policy != "/etc/sealward/policy.hcl" || c.Tokens[0].Secret.File != "/etc/sealward/hsm.pin" {
		t.Errorf("relative paths became %q and %q, want them beside the configuration", c.Policy, c.Tokens[0].Secret.File)
	}
	if c.Private || c.Journal.CheckpointInterval != time.Second || c.Tokens[0].PKCS11.Sessions != 8 || c.Sockets[0].Mode != 0o660 {
		t.Errorf("defaults are off: %+v", c)
	}
	if c.TrustPolicyFile || c.FreezeUsers != nil {
		t.Errorf("by default it trusts the policy file (%t), and %q may freeze", c.TrustPolicyFile, c.FreezeUsers)
	}
	if k := c.Keys[0]; k.Name != "hot" || k.Statements || k.Chains[0] != "eip155:1" {
		t.Errorf("key = %+v", k)
	}
}

func TestParseWhoIsTrusted(t *testing.T) {
	c, err := config.Parse("/etc/sealward/sealward.hcl", []byte(strings.Replace(good, "version = 1", "version = 1\ntrust_policy_file = true\nfreeze_users = [\"ann\", \"night_watch-2\"]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if !c.TrustPolicyFile || !slices.Equal(c.FreezeUsers, []string{"ann", "night_watch-2"}) {
		t.Errorf("it trusts the policy file: %t; %q may freeze", c.TrustPolicyFile, c.FreezeUsers)
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
		"a misspelt argument":            {replace("policy  =", "polcy  ="), `sealward.hcl:2,1-6: Unsupported argument`},
		"a missing argument":             {replace(`policy  = "policy.hcl"`, ""), `The argument "policy" is required`},
		"a repeated argument":            {replace("version = 1", "version = 1\nversion = 1"), "Attribute redefined"},
		"a repeated block":               {good + "journal {\n path = \"x\"\n key = \"journal\"\n}\n", "Duplicate journal block"},
		"another version":                {replace("version = 1", "version = 2"), `sealward.hcl:1,11-12: Unsupported version`},
		"a version as text":              {replace("version = 1", `version = "1"`), "version is a number"},
		"a truth as text":                {replace("version = 1", "version = 1\nprivate = \"true\""), "private is a bool"},
		"a trust as text":                {replace("version = 1", "version = 1\ntrust_policy_file = \"true\""), "trust_policy_file is a bool"},
		"a number who may freeze":        {replace("version = 1", "version = 1\nfreeze_users = [\"1000\"]"), `sealward.hcl:2,16-24: Unsuitable user`},
		"nobody who may freeze":          {replace("version = 1", "version = 1\nfreeze_users = [\"\"]"), "Unsuitable user"},
		"who may freeze, twice":          {replace("version = 1", "version = 1\nfreeze_users = [\"ann\", \"ann\"]"), "Repeated user"},
		"one who may freeze, no list":    {replace("version = 1", "version = 1\nfreeze_users = \"ann\""), "freeze_users"},
		"an unknown block":               {good + "sokcet \"x\" {}\n", `Blocks of type "sokcet" are not expected here. Did you mean "socket"?`},
		"a key in a token that is not":   {replace(`token  = "hsm"`, `token  = "hms"`), `There is no token "hms". Did you mean "hsm"?`},
		"a kind that is not":             {replace("evm.transaction", "evm.transction"), `Did you mean "evm.transaction"?`},
		"a journal key for callers":      {replace(`key  = "journal"`, `key  = "hot"`), `There is no key "hot" with statements = true`},
		"a statement key with kinds":     {replace("statements = true", "statements = true\n kinds = [\"digest\"]"), "signs nothing else"},
		"a digest key with other kinds":  {replace(`["evm.transaction"]`, `["evm.message", "digest"]`), "A key for digests signs nothing else"},
		"a chain that is not CAIP-2":     {replace("eip155:1", "ethereum"), `"ethereum" is no CAIP-2 id`},
		"a transaction key, no chain":    {replace(`chains = ["eip155:1"]`, ""), "Missing chains"},
		"a typed data key, no chain":     {strings.Replace(replace(`chains = ["eip155:1"]`, ""), "evm.transaction", "evm.typed_data", 1), "Missing chains"},
		"an authorization key, no chain": {strings.Replace(replace(`chains = ["eip155:1"]`, ""), "evm.transaction", "evm.authorization", 1), "Missing chains"},
		"a mode for the world's x":       {replace("0660", "0771"), "Unsuitable mode"},
		"a number as mode":               {replace(`"0660"`, "660"), "mode is a string"},
		"two keys of one name":           {replace(`key "journal"`, `key "hot"`), `There is already a key "hot"`},
		"no PIN":                         {replace(`pin_file = "hsm.pin"`, ""), "exactly one of pin_file, pin_credential and pin_typed"},
		"a PIN that is not typed":        {replace(`pin_file = "hsm.pin"`, "pin_typed = false"), "exactly one of pin_file"},
		"two PINs":                       {replace(`pin_file = "hsm.pin"`, "pin_file = \"p\"\n pin_credential = \"c\""), "exactly one of pin_file"},
		"a credential with a path":       {replace(`pin_file = "hsm.pin"`, `pin_credential = "../c"`), "Unsuitable credential"},
		"an environment variable":        {replace(`"hsm.pin"`, `"${HOME}/pin"`), "Variables not allowed"},
		"a function":                     {replace(`"hsm.pin"`, `env("PIN")`), "Function calls not allowed"},
		"no sign socket":                 {replace(`socket "sign"`, `socket "sing"`), `socket "sign"`},
		"a pin in the file":              {replace(`pin_file = "hsm.pin"`, `pin = "1234"`), "Unsupported argument"},
		"a bad digest":                   {replace(`pin_file = "hsm.pin"`, "pin_file = \"p\"\n module_sha256 = \"00\""), "Want 64 hexadecimal digits"},
		"a fingerprint of no key":        {replace("statements = true", "statements = true\n fingerprint = \"sha256:ab\""), "Unsuitable fingerprint"},
		"an endless wait":                {replace("version = 1", "version = 1\nstop_timeout = \"10h\""), "between 1s and 10m0s"},
		"a device of two kinds":          {replace("token \"hsm\" {", "token \"hsm\" {\n piv {\n serial = 1\n pin_file = \"p\"\n }"), "exactly one of pkcs11"},
		"a device of no kind":            {good + "token \"none\" {}\n", "exactly one of pkcs11"},
		"a TPM whose keys nothing locks": {good + "token \"chip\" {\n tpm {\n device = \"/dev/tpmrm0\"\n }\n}\n", "exactly one of auth_file and auth_credential"},
		"a card with no serial number":   {good + "token \"card\" {\n piv {\n pin_typed = true\n }\n}\n", `The argument "serial" is required`},
		"a serial that no TPM has":       {good + "token \"chip\" {\n tpm {\n device = \"/dev/tpmrm0\"\n auth_file = \"a\"\n serial = \"1234\"\n }\n}\n", "Unsuitable serial number"},
		"a key found in two ways":        {replace(`uri    = "pkcs11:object=hot"`, "uri = \"pkcs11:object=hot\"\n slot = \"9c\""), "is found by uri"},
		"a key found in no way":          {replace(`uri    = "pkcs11:object=hot"`, ""), "is found by uri, which is missing"},
		"a key that stands for Sealward": {good + "key \"sealward\" {\n token = \"hsm\"\n uri = \"pkcs11:object=x\"\n kinds = [\"digest\"]\n}\n", "stands for Sealward itself"},
		"a variable that loads code":     {replace("token \"hsm\" {", "token \"hsm\" {\n environment = { LD_PRELOAD = \"/tmp/x.so\" }"), `"LD_PRELOAD" cannot be set`},
		"a sandbox for another service":  {replace("token \"hsm\" {", "token \"hsm\" {\n worker = \"/run/w.sock\"\n network = true"), "has its environment and its sandbox from there"},
		"a padding that is not":          {replace(`uri    = "pkcs11:object=hot"`, "uri = \"pkcs11:object=hot\"\n padding = \"oaep\""), "Unsuitable padding"},
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

func TestParseDevices(t *testing.T) {
	const more = `token "chip" {
  environment = { TPM = "x" }
  writable    = ["state"]
  timeout     = "5s"
  tpm {
    device    = "/dev/tpmrm0"
    auth_file = "chip.auth"
    serial    = "00112233445566778899aabbccddeeff"
    pcr_authority = "pcr.pem"
  }
}
token "card" {
  worker = "/run/sealward-worker/card.sock"
  piv {
    serial    = 4294967295
    pin_typed = true
  }
}
key "a" {
  token = "chip"
  file  = "keys/a.tpm"
  kinds = ["digest"]
}
key "b" {
  token   = "card"
  slot    = "9c"
  padding = "pkcs1"
  kinds   = ["digest"]
}
`
	c, err := config.Parse("/etc/sealward/sealward.hcl", []byte(good+more))
	if err != nil {
		t.Fatal(err)
	}
	chip, card := c.Tokens[1], c.Tokens[2]
	if chip.TPM == nil || chip.TPM.Authority != "/etc/sealward/pcr.pem" || chip.Secret.File != "/etc/sealward/chip.auth" || chip.Environment["TPM"] != "x" || chip.Writable[0] != "/etc/sealward/state" || chip.Timeout != 5*time.Second {
		t.Errorf("chip = %+v, %+v", chip, chip.TPM)
	}
	if card.PIV == nil || card.PIV.Serial != 4294967295 || !card.Secret.Typed || card.Worker == "" || card.TouchTimeout != 30*time.Second {
		t.Errorf("card = %+v, %+v", card, card.PIV)
	}
	if a, b := c.Keys[2], c.Keys[3]; a.Locator != "/etc/sealward/keys/a.tpm" || a.Padding != "pss" || b.Locator != "9c" || b.Padding != "pkcs1" {
		t.Errorf("keys = %+v, %+v", a, b)
	}
}
