package config

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/sealward/sealward/signer"
)

// Token is a device that holds keys, and the process that drives it. Exactly one of
// PKCS11, TPM and PIV is set.
type Token struct {
	Name   string
	PKCS11 *PKCS11
	TPM    *TPM
	PIV    *PIV

	Secret Secret
	// Worker is the socket of a worker that runs as a service of its own; empty: the
	// daemon starts one, and the rest says what that may reach.
	Worker             string
	Environment        map[string]string
	Readable, Writable []string
	Network            bool

	Timeout, TouchTimeout time.Duration // of one operation
}

// Kind is the family of devices, as drivers are named: "pkcs11", "tpm" or "piv".
func (t Token) Kind() string {
	switch {
	case t.TPM != nil:
		return "tpm"
	case t.PIV != nil:
		return "piv"
	default:
		return "pkcs11"
	}
}

// Token returns the token of a name; the zero Token where there is none.
func (c *Config) Token(name string) Token {
	i := slices.IndexFunc(c.Tokens, func(t Token) bool { return t.Name == name })
	if i < 0 {
		return Token{}
	}
	return c.Tokens[i]
}

// Key returns the key of a name; the zero Key where there is none.
func (c *Config) Key(name string) Key {
	i := slices.IndexFunc(c.Keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}
	}
	return c.Keys[i]
}

// Secret says where a PIN, or a TPM's auth value, comes from. Exactly one is set.
type Secret struct {
	File, Credential string
	Typed            bool // by an operator, after each start of the worker
}

// PKCS11 is a token behind a PKCS#11 module.
type PKCS11 struct {
	Module       string
	ModuleSHA256 []byte // nil: not pinned
	URI          string // RFC 7512, of the token
	Sessions     int
}

// TPM is a TPM 2.0. Its keys are in files.
type TPM struct {
	Device string // a device node, or the Unix socket of swtpm
	Serial string // the one TPM that is accepted, as `sealward status` shows it; empty: any
	// Authority is the file of the public key that approves other PCR values for keys
	// that are bound to PCRs; Roots that of the certificates that the endorsement key
	// of a TPM has to lead to before a wrapped key goes there. Either may be empty.
	Authority, Roots string
}

// RootsYubico stands for the certificates that Yubico published.
const RootsYubico = "yubico"

// PIV is a smartcard with PIV, such as a YubiKey.
type PIV struct {
	Serial uint32
	Reader string // a part of the reader's name; empty: any
	Socket string // of pcscd; empty: the system's
	// Roots is the file of the certificates that attestations have to lead to, or
	// "yubico" for those that Yubico published; empty: none.
	Roots string
}

type tokenBlock struct {
	Name         string         `hcl:"name,label"`
	PKCS11       *pkcs11Block   `hcl:"pkcs11,block"`
	TPM          *tpmBlock      `hcl:"tpm,block"`
	PIV          *pivBlock      `hcl:"piv,block"`
	Worker       *hcl.Attribute `hcl:"worker,optional"`
	Environment  *hcl.Attribute `hcl:"environment,optional"`
	Readable     *hcl.Attribute `hcl:"readable,optional"`
	Writable     *hcl.Attribute `hcl:"writable,optional"`
	Network      *hcl.Attribute `hcl:"network,optional"`
	Timeout      *hcl.Attribute `hcl:"timeout,optional"`
	TouchTimeout *hcl.Attribute `hcl:"touch_timeout,optional"`
}

type pkcs11Block struct {
	Module        *hcl.Attribute `hcl:"module"`
	ModuleSHA256  *hcl.Attribute `hcl:"module_sha256,optional"`
	URI           *hcl.Attribute `hcl:"uri"`
	PINFile       *hcl.Attribute `hcl:"pin_file,optional"`
	PINCredential *hcl.Attribute `hcl:"pin_credential,optional"`
	PINTyped      *hcl.Attribute `hcl:"pin_typed,optional"`
	Sessions      *hcl.Attribute `hcl:"sessions,optional"`
}

type tpmBlock struct {
	Device         *hcl.Attribute `hcl:"device"`
	AuthFile       *hcl.Attribute `hcl:"auth_file,optional"`
	AuthCredential *hcl.Attribute `hcl:"auth_credential,optional"`
	Serial         *hcl.Attribute `hcl:"serial,optional"`
	Authority      *hcl.Attribute `hcl:"pcr_authority,optional"`
	Roots          *hcl.Attribute `hcl:"endorsement_roots,optional"`
}

type pivBlock struct {
	Serial        *hcl.Attribute `hcl:"serial"`
	Reader        *hcl.Attribute `hcl:"reader,optional"`
	Socket        *hcl.Attribute `hcl:"socket,optional"`
	Roots         *hcl.Attribute `hcl:"attestation_roots,optional"`
	PINFile       *hcl.Attribute `hcl:"pin_file,optional"`
	PINCredential *hcl.Attribute `hcl:"pin_credential,optional"`
	PINTyped      *hcl.Attribute `hcl:"pin_typed,optional"`
}

func (r *reader) tokens(c *Config, blocks []tokenBlock) {
	seen := map[string]bool{}
	for i, b := range blocks {
		at := r.blocks.at("token", i)
		switch {
		case seen[b.Name]:
			r.failAt(at, "Repeated token", fmt.Sprintf("There is already a token %q.", b.Name))
		case !validName(b.Name):
			r.failAt(at, "Unsuitable name", "A token's name is made of a-z 0-9 -.")
		}
		seen[b.Name] = true
		t := r.worker(b)
		if t.Worker != "" {
			for _, a := range []*hcl.Attribute{b.Environment, b.Readable, b.Writable, b.Network} {
				if a != nil {
					r.fail(a, "No say over this worker", "A worker that is a service of its own has its environment and its sandbox from there.")
				}
			}
		}
		kinds := 0
		if b.PKCS11 != nil {
			kinds++
			t.PKCS11 = r.pkcs11(b.PKCS11)
			t.Secret = r.secret(b.PKCS11.URI, "PIN", b.PKCS11.PINFile, b.PKCS11.PINCredential, b.PKCS11.PINTyped)
		}
		if b.TPM != nil {
			kinds++
			t.TPM = &TPM{Device: r.path(b.TPM.Device), Serial: r.string(b.TPM.Serial, ""), Authority: r.path(b.TPM.Authority), Roots: r.path(b.TPM.Roots)}
			if b.TPM.Serial != nil && !tpmSerial.MatchString(t.TPM.Serial) {
				r.fail(b.TPM.Serial, "Unsuitable serial number", "A TPM's serial is 32 hexadecimal digits, as `sealward status` shows it.")
			}
			t.Secret = r.secret(b.TPM.Device, "auth value", b.TPM.AuthFile, b.TPM.AuthCredential, nil)
		}
		if b.PIV != nil {
			kinds++
			t.PIV = &PIV{
				Serial: uint32(r.int(b.PIV.Serial, 0, 1, 1<<32-1)), Reader: r.string(b.PIV.Reader, ""),
				Socket: r.path(b.PIV.Socket), Roots: r.string(b.PIV.Roots, ""),
			}
			if t.PIV.Roots != RootsYubico {
				t.PIV.Roots = r.path(b.PIV.Roots)
			}
			t.Secret = r.secret(b.PIV.Serial, "PIN", b.PIV.PINFile, b.PIV.PINCredential, b.PIV.PINTyped)
		}
		if kinds != 1 {
			r.failAt(at, "How is it reached?", "A token has exactly one of pkcs11 { ... }, tpm { ... } and piv { ... }.")
		}
		c.Tokens = append(c.Tokens, t)
	}
}

func (r *reader) pkcs11(b *pkcs11Block) *PKCS11 {
	p := &PKCS11{Module: r.path(b.Module), URI: r.string(b.URI, ""), Sessions: r.int(b.Sessions, 8, 1, 1024)}
	if b.ModuleSHA256 != nil {
		sum, err := hex.DecodeString(r.string(b.ModuleSHA256, ""))
		if err != nil || len(sum) != 32 {
			r.fail(b.ModuleSHA256, "Unsuitable digest", "Want 64 hexadecimal digits, as sha256sum prints them.")
		}
		p.ModuleSHA256 = sum
	}
	return p
}

// secret reads where a PIN or an auth value comes from. near is for the position
// when nothing says.
func (r *reader) secret(near *hcl.Attribute, what string, file, credential, typed *hcl.Attribute) Secret {
	s := Secret{File: r.path(file), Credential: r.string(credential, ""), Typed: r.bool(typed)}
	given := 0
	for _, is := range []bool{file != nil, credential != nil, s.Typed} {
		if is {
			given++
		}
	}
	if given != 1 {
		prefix, more := "pin", ", pin_credential and pin_typed = true"
		if what != "PIN" {
			prefix, more = "auth", " and auth_credential"
		}
		r.fail(near, "Where is the "+what+"?", fmt.Sprintf("Give exactly one of %s_file%s.", prefix, more))
	}
	if credential != nil && (s.Credential == "" || strings.ContainsAny(s.Credential, "/\x00") || strings.HasPrefix(s.Credential, ".")) {
		r.fail(credential, "Unsuitable credential", "It is the name of a systemd credential, as in LoadCredential=NAME:PATH.")
	}
	return s
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment is what a worker's libraries find in theirs. What would have the
// loader run other code is refused: the module is named, and may be pinned.
func (r *reader) environment(a *hcl.Attribute) map[string]string {
	var out map[string]string
	if !r.value(a, cty.Map(cty.String), &out) {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(out)) {
		if !variable.MatchString(k) || strings.ContainsRune(out[k], 0) || strings.HasPrefix(k, "LD_") || strings.HasPrefix(k, "GO") {
			r.fail(a, "Unsuitable variable", fmt.Sprintf("%q cannot be set for a worker.", k))
		}
	}
	return out
}

func (r *reader) paths(a *hcl.Attribute) []string {
	out := r.strings(a)
	for i, p := range out {
		if p == "" {
			r.fail(a, "Empty value", fmt.Sprintf("%s has an empty path.", a.Name))
		} else if !filepath.IsAbs(p) {
			out[i] = filepath.Join(r.dir, p)
		}
	}
	return out
}

var tpmSerial = regexp.MustCompile(`^[0-9a-f]{32}$`)

var slot = regexp.MustCompile(`^(9[acde]|8[2-9a-f]|9[0-5])$`)

// locator reads the one argument that finds a key in its kind of token.
func (r *reader) locator(k *Key, b keyBlock, t Token, at hcl.Range) {
	want := map[string]*hcl.Attribute{"uri": b.URI, "file": b.File, "slot": b.Slot}
	has := "uri"
	switch {
	case t.TPM != nil:
		has = "file"
	case t.PIV != nil:
		has = "slot"
	}
	for name, a := range want {
		if name != has && a != nil {
			r.fail(a, "Unsuitable argument", fmt.Sprintf("A key in the token %q is found by %s.", t.Name, has))
		}
	}
	if want[has] == nil {
		r.failAt(at, "Missing required argument", fmt.Sprintf("A key in the token %q is found by %s, which is missing.", t.Name, has))
		return
	}
	switch has {
	case "file":
		k.Locator = r.path(b.File)
	case "slot":
		k.Locator = r.slot(b.Slot)
	default:
		k.Locator = r.string(b.URI, "")
	}
	k.Padding = r.padding(b.Padding)
}

// worker reads what the process that drives a token is given.
func (r *reader) worker(b tokenBlock) Token {
	return Token{
		Name: b.Name, Worker: r.path(b.Worker), Environment: r.environment(b.Environment),
		Readable: r.paths(b.Readable), Writable: r.paths(b.Writable), Network: r.bool(b.Network),
		Timeout:      r.duration(b.Timeout, 10*time.Second, 100*time.Millisecond, 10*time.Minute),
		TouchTimeout: r.duration(b.TouchTimeout, 30*time.Second, time.Second, 10*time.Minute),
	}
}

// slot reads that of a key in a PIV card.
func (r *reader) slot(a *hcl.Attribute) string {
	s := r.string(a, "")
	if a != nil && !slot.MatchString(s) {
		r.fail(a, "Unsuitable slot", `A slot is "9a", "9c", "9d", "9e", or "82" to "95".`)
	}
	return s
}

// print reads the fingerprint of a key; empty where there is none.
func (r *reader) print(a *hcl.Attribute) string {
	s := r.string(a, "")
	if a != nil && !fingerprint.MatchString(s) {
		r.fail(a, "Unsuitable fingerprint", "It is sha256: and 64 hexadecimal digits, as `sealward keys show` prints it.")
	}
	return s
}

// padding reads that of an RSA key, "pss" by default.
func (r *reader) padding(a *hcl.Attribute) signer.Padding {
	p := signer.Padding(r.string(a, string(signer.PaddingPSS)))
	if p != signer.PaddingPSS && p != signer.PaddingPKCS1 {
		r.fail(a, "Unsuitable padding", `The padding of an RSA key is "pss" or "pkcs1".`)
	}
	return p
}
