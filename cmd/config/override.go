package config

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// OverrideFile is the name of root's override, beside the configuration.
const OverrideFile = "override.hcl"

// Override is root's order to put a policy in force that nobody approved.
type Override struct {
	Policy [32]byte // the version that the policy on disk must have
	Reason string   // for the record, in one line
}

type overrideFile struct {
	Version *hcl.Attribute `hcl:"version"`
	Policy  *hcl.Attribute `hcl:"policy"`
	Reason  *hcl.Attribute `hcl:"reason"`
}

// ParseOverride reads an override file. path is for positions in errors, which are those
// of [Parse].
func ParseOverride(path string, src []byte) (*Override, error) {
	f, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, problems(diags)
	}
	r := &reader{}
	var raw overrideFile
	if r.diags = gohcl.DecodeBody(f.Body, nil, &raw); r.diags.HasErrors() {
		return nil, problems(r.diags)
	}
	if v := r.int(raw.Version, 1, 0, 1<<30); v != 1 {
		r.fail(raw.Version, "Unsupported version", "This program reads version 1.")
	}
	r.require(OverrideFile, f.Body)
	o := &Override{Reason: r.string(raw.Reason, "")}
	o.Policy = r.policyVersion(raw.Policy)
	if len(o.Reason) > signer.MaxReason || strings.TrimSpace(o.Reason) != o.Reason || strings.ContainsFunc(o.Reason, func(c rune) bool { return !unicode.IsPrint(c) }) {
		r.fail(raw.Reason, "Unsuitable reason", fmt.Sprintf("It is one line of at most %d bytes that print, without space around it.", signer.MaxReason))
	}
	if r.diags.HasErrors() {
		return nil, problems(r.diags)
	}
	return o, nil
}

// policyVersion reads the version of a policy.
func (r *reader) policyVersion(a *hcl.Attribute) (version [32]byte) {
	s := r.string(a, "")
	if s == "" {
		return version
	}
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(version) || hex.EncodeToString(raw) != s {
		r.fail(a, "Unsuitable version", "It is all 64 lower-case hexadecimal digits of a policy's version, as `sealward policy apply --dry-run` prints it.")
		return version
	}
	return [32]byte(raw)
}
