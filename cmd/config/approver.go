package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// Approver is the configuration of an approver's program, approver.hcl. Paths are
// absolute.
type Approver struct {
	Socket   string // the daemon's admin socket, perhaps a forwarded one; empty: the usual one
	Instance string // of the daemon's journal
	// Name is what the policy calls this approver. It only finds what waits for them.
	Name   string
	Device ApproverDevice
	// Keys are the fingerprints of the keys that the approver knows, by the names that the
	// daemon has for them.
	Keys map[string]string
	Book string // the file of the approver's own names; empty: none
	// WorkerProgram drives the device; empty: sealward-worker beside the program.
	WorkerProgram string
}

// ApproverDevice is what an approver signs with: a key in a token, or an SSH key. The zero
// one is none.
type ApproverDevice struct {
	Token   Token  // PKCS11 or PIV is set
	Locator string // the URI of its key, or the slot
	Padding signer.Padding
	// SSHKey is the file of an SSH key, or of its public half where an agent has the rest.
	SSHKey string
}

// None reports whether there is nothing to sign with.
func (d ApproverDevice) None() bool {
	return d.Token.PKCS11 == nil && d.Token.PIV == nil && d.SSHKey == ""
}

type approverFile struct {
	Version  *hcl.Attribute   `hcl:"version"`
	Socket   *hcl.Attribute   `hcl:"socket,optional"`
	Instance *hcl.Attribute   `hcl:"instance"`
	Name     *hcl.Attribute   `hcl:"name,optional"`
	Book     *hcl.Attribute   `hcl:"book,optional"`
	Worker   *hcl.Attribute   `hcl:"worker_program,optional"`
	Devices  []approverDevice `hcl:"device,block"`
	Keys     []approverKey    `hcl:"key,block"`
}

type approverKey struct {
	Name        string         `hcl:"name,label"`
	Fingerprint *hcl.Attribute `hcl:"fingerprint"`
}

type approverDevice struct {
	PKCS11       *approverPKCS11 `hcl:"pkcs11,block"`
	PIV          *approverPIV    `hcl:"piv,block"`
	SSH          *approverSSH    `hcl:"ssh,block"`
	Environment  *hcl.Attribute  `hcl:"environment,optional"`
	Readable     *hcl.Attribute  `hcl:"readable,optional"`
	Writable     *hcl.Attribute  `hcl:"writable,optional"`
	Network      *hcl.Attribute  `hcl:"network,optional"`
	Timeout      *hcl.Attribute  `hcl:"timeout,optional"`
	TouchTimeout *hcl.Attribute  `hcl:"touch_timeout,optional"`
}

type approverPKCS11 struct {
	Module       *hcl.Attribute `hcl:"module"`
	ModuleSHA256 *hcl.Attribute `hcl:"module_sha256,optional"`
	URI          *hcl.Attribute `hcl:"uri"`
	Padding      *hcl.Attribute `hcl:"padding,optional"`
}

type approverPIV struct {
	Serial  *hcl.Attribute `hcl:"serial"`
	Slot    *hcl.Attribute `hcl:"slot"`
	Reader  *hcl.Attribute `hcl:"reader,optional"`
	Socket  *hcl.Attribute `hcl:"socket,optional"`
	Padding *hcl.Attribute `hcl:"padding,optional"`
}

type approverSSH struct {
	Key *hcl.Attribute `hcl:"key"`
}

// ParseApprover reads an approver.hcl. Positions in errors, and what a relative path is
// relative to, are those of [Parse]; home is what ~/ at the beginning of a path stands for.
func ParseApprover(path, home string, src []byte) (*Approver, error) {
	f, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, problems(diags)
	}
	r := &approverReader{reader: reader{dir: filepath.Dir(path), blocks: blockRanges(f)}, home: home}
	var raw approverFile
	if r.diags = gohcl.DecodeBody(f.Body, nil, &raw); r.diags.HasErrors() {
		return nil, problems(r.diags)
	}
	top := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	r.must(raw.Version, "version", top)
	r.must(raw.Instance, "instance", top)
	if v := r.int(raw.Version, 1, 0, 1<<30); v != 1 {
		r.fail(raw.Version, "Unsupported version", "This program reads version 1.")
	}
	a := &Approver{
		Socket: r.path(raw.Socket), Instance: r.string(raw.Instance, ""), Name: r.string(raw.Name, ""), Book: r.path(raw.Book), WorkerProgram: r.path(raw.Worker), Keys: map[string]string{},
	}
	for i, b := range raw.Devices {
		at := r.blocks.at("device", i)
		if i > 0 {
			r.failAt(at, "Repeated device", "There is one in this file; whoever has another one to approve with has a file for each, and names it with --config.")
		}
		a.Device = r.device(b, at)
	}
	for i, b := range raw.Keys {
		r.known(a.Keys, b, r.blocks.at("key", i))
	}
	if r.diags.HasErrors() {
		return nil, problems(r.diags)
	}
	return a, nil
}

// approverReader also knows a home folder.
type approverReader struct {
	reader
	home string
}

// must reports an argument that is absent; gohcl takes one for optional.
func (r *approverReader) must(a *hcl.Attribute, name string, at hcl.Range) {
	if a == nil {
		r.failAt(at, "Missing required argument", fmt.Sprintf("The argument %q is required, but no definition was found.", name))
	}
}

func (r *approverReader) path(a *hcl.Attribute) string {
	if s := r.string(a, ""); strings.HasPrefix(s, "~/") {
		return filepath.Join(r.home, s[2:])
	}
	return r.reader.path(a)
}

func (r *approverReader) known(keys map[string]string, b approverKey, at hcl.Range) {
	r.must(b.Fingerprint, "fingerprint", at)
	switch {
	case keys[b.Name] != "":
		r.failAt(at, "Repeated key", fmt.Sprintf("There is already a key %q.", b.Name))
	case !validName(b.Name) || b.Name == signer.AdminKey:
		r.failAt(at, "Unsuitable name", fmt.Sprintf("A key's name is made of a-z 0-9 - and is not %q, which stands for Sealward itself.", signer.AdminKey))
	}
	keys[b.Name] = r.print(b.Fingerprint)
}

func (r *approverReader) device(b approverDevice, at hcl.Range) (d ApproverDevice) {
	given := 0
	if b.PKCS11 != nil {
		given++
		r.pkcs11Key(&d, *b.PKCS11, at)
	}
	if b.PIV != nil {
		given++
		r.pivKey(&d, *b.PIV, at)
	}
	if b.SSH != nil {
		given++
		r.must(b.SSH.Key, "key", at)
		d.SSHKey = r.path(b.SSH.Key)
		for _, a := range []*hcl.Attribute{b.Environment, b.Readable, b.Writable, b.Network, b.Timeout, b.TouchTimeout} {
			if a != nil {
				r.fail(a, "Unsuitable argument", "An SSH key is used by ssh-keygen, which is not confined.")
			}
		}
	}
	if given != 1 {
		r.failAt(at, "What is it?", "A device has exactly one of pkcs11 { ... }, piv { ... } and ssh { ... }.")
	}
	t := r.worker(tokenBlock{Name: "approver", Environment: b.Environment, Readable: b.Readable, Writable: b.Writable, Network: b.Network, Timeout: b.Timeout, TouchTimeout: b.TouchTimeout})
	t.PKCS11, t.PIV, t.Secret.Typed = d.Token.PKCS11, d.Token.PIV, true
	d.Token = t
	return d
}

// pkcs11Key takes apart the URI of a key: what it says of the token finds the token.
func (r *approverReader) pkcs11Key(d *ApproverDevice, b approverPKCS11, at hcl.Range) {
	r.must(b.Module, "module", at)
	r.must(b.URI, "uri", at)
	d.Locator, d.Padding = r.string(b.URI, ""), r.padding(b.Padding)
	parts := strings.Split(strings.TrimPrefix(d.Locator, "pkcs11:"), ";")
	token := slices.DeleteFunc(slices.Clone(parts), func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		return name == "object" || name == "id" || name == "type"
	})
	if b.URI != nil && (!strings.HasPrefix(d.Locator, "pkcs11:") || len(token) == 0 || len(token) == len(parts)) {
		r.fail(b.URI, "Unsuitable URI", `It names a token and a key in it (RFC 7512), such as "pkcs11:token=alice;object=approvals".`)
	}
	d.Token.PKCS11 = r.pkcs11(&pkcs11Block{Module: b.Module, ModuleSHA256: b.ModuleSHA256})
	d.Token.PKCS11.URI = "pkcs11:" + strings.Join(token, ";")
}

func (r *approverReader) pivKey(d *ApproverDevice, b approverPIV, at hcl.Range) {
	r.must(b.Serial, "serial", at)
	r.must(b.Slot, "slot", at)
	d.Locator, d.Padding = r.slot(b.Slot), r.padding(b.Padding)
	d.Token.PIV = &PIV{Serial: uint32(r.int(b.Serial, 0, 1, 1<<32-1)), Reader: r.string(b.Reader, ""), Socket: r.path(b.Socket)}
}
