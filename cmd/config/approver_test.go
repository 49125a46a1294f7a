package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/signer"
)

const goodApprover = `version  = 1
socket   = "~/treasury.sock"
instance = "0123"
name     = "alice"
book     = "names.hcl"
device {
  environment = { SOFTHSM2_CONF = "/x" }
  timeout     = "20s"
  pkcs11 {
    module = "/usr/lib/softhsm/libsofthsm2.so"
    uri    = "pkcs11:token=alice;object=approvals;serial=12"
  }
}
key "treasury" {
  fingerprint = "sha256:` + sum64 + `"
}
`

const sum64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseApprover(t *testing.T) {
	a, err := config.ParseApprover("/home/alice/.config/sealward/approver.hcl", "/home/alice", []byte(goodApprover))
	if err != nil {
		t.Fatal(err)
	}
	if a.Socket != "/home/alice/treasury.sock" || a.Book != "/home/alice/.config/sealward/names.hcl" || a.Instance != "0123" || a.Name != "alice" || a.Keys["treasury"] != "sha256:"+sum64 {
		t.Errorf("it says %+v", a)
	}
	d := a.Device
	if d.None() || d.Token.Kind() != "pkcs11" || d.Token.PKCS11.URI != "pkcs11:token=alice;serial=12" || d.Locator != "pkcs11:token=alice;object=approvals;serial=12" ||
		d.Token.Timeout != 20*time.Second || d.Token.TouchTimeout != 30*time.Second || !d.Token.Secret.Typed || d.Padding != signer.PaddingPSS || d.Token.Environment["SOFTHSM2_CONF"] != "/x" {
		t.Errorf("its device is %+v, in token %+v", d, d.Token.PKCS11)
	}
}

func TestParseApproverOfOtherDevices(t *testing.T) {
	begin, rest, _ := strings.Cut(goodApprover, "device {")
	_, end, _ := strings.Cut(rest, "\n}\n")
	for name, c := range map[string]struct {
		device string
		want   func(d config.ApproverDevice) bool
	}{
		"none": {"", config.ApproverDevice.None},
		"a card": {"device {\n piv {\n serial = 7\n slot = \"9c\"\n padding = \"pkcs1\"\n socket = \"pcscd.sock\"\n}\n}\n", func(d config.ApproverDevice) bool {
			return d.Token.Kind() == "piv" && d.Token.PIV.Serial == 7 && d.Locator == "9c" && d.Padding == signer.PaddingPKCS1 && d.Token.PIV.Socket == "/etc/pcscd.sock"
		}},
		"an SSH key": {"device {\n ssh { key = \"~/.ssh/id_ed25519_sk\" }\n}\n", func(d config.ApproverDevice) bool {
			return d.SSHKey == "/home/alice/.ssh/id_ed25519_sk" && !d.None()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := config.ParseApprover("/etc/approver.hcl", "/home/alice", []byte(begin+c.device+end))
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(a.Device) {
				t.Errorf("its device is %+v", a.Device)
			}
		})
	}
}

func TestParseApproverRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"another version":             {"version  = 1", "version = 2", "approver.hcl:1,11-12: Unsupported version"},
		"no version":                  {"version  = 1\n", "", `The argument "version" is required`},
		"no instance":                 {`instance = "0123"`, "", `The argument "instance" is required`},
		"an empty instance":           {`"0123"`, `""`, "instance must not be empty"},
		"a misspelled argument":       {"instance", "instnace", `"instnace" is not expected here`},
		"a repeated argument":         {"book  ", "instance = \"1\"\nbook", "Attribute redefined"},
		"an unknown block":            {"key \"treasury\"", "keys \"treasury\"", `"keys" are not expected here`},
		"a key without a fingerprint": {"fingerprint = ", "# ", `The argument "fingerprint" is required`},
		"a fingerprint of old":        {"sha256:", "md5:", "Unsuitable fingerprint"},
		"a key of Sealward's own":     {"key \"treasury\"", "key \"sealward\"", "stands for Sealward itself"},
		"a key twice":                 {"key \"treasury\"", "key \"treasury\" {\n fingerprint = \"sha256:" + sum64 + "\"\n}\nkey \"treasury\"", "Repeated key"},
		"two devices":                 {"key \"treasury\"", "device {\n ssh { key = \"x\" }\n}\nkey \"treasury\"", "Repeated device"},
		"a device that is two":        {"  pkcs11 {", "  ssh { key = \"x\" }\n  pkcs11 {", "exactly one of pkcs11"},
		"a device that is nothing":    {"device {", "device {\n}\ndevice {", "exactly one of pkcs11"},
		"a PIN":                       {"    module", "    pin_file = \"pin\"\n    module", `"pin_file" is not expected here`},
		"a URI of a token alone":      {";object=approvals;serial=12", "", "It names a token and a key in it"},
		"a URI of a key alone":        {"token=alice;object=approvals;serial=12", "object=approvals", "It names a token and a key in it"},
		"a URI of something else":     {"pkcs11:token", "https:token", "It names a token and a key in it"},
		"a variable for the loader":   {"SOFTHSM2_CONF", "LD_PRELOAD", "Unsuitable variable"},
		"a number for a text":         {`instance = "0123"`, "instance = 123", "instance is a string"},
		"no text of HCL":              {"version", "{", "approver.hcl:1,"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := config.ParseApprover("approver.hcl", "/home/alice", []byte(strings.Replace(goodApprover, c.old, c.new, 1)))
			if err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want an error with %q", a, err, c.want)
			}
		})
	}
}
