package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/sealward/sealward/signer"
)

// The codes of warnings.
const (
	WarnKeyImported   = "admin_key_imported"
	WarnRecovery      = "admin_recovery"
	WarnTestException = "admin_test_exception"
	WarnTrustFile     = "admin_trust_file"
)

// Decoder decodes kind "sealward.admin".
type Decoder struct{}

var _ signer.Decoder = Decoder{}

// Version implements [signer.Decoder].
func (Decoder) Version() string { return "sealward.admin/3" }

// Decode implements [signer.Decoder].
func (d Decoder) Decode(payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	if key.Name != signer.AdminKey {
		return signer.Intent{}, signer.Invalid("administrative request: it is for key %q, not for %q", signer.AdminKey, key.Name)
	}
	return d.Preview(payload, "", book)
}

// Preview shows an order to people who have no daemon.
func (Decoder) Preview(payload []byte, _ string, _ signer.Book) (signer.Intent, error) {
	o, err := Parse(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	in := signer.Intent{
		Kind: signer.KindAdmin, Complete: true,
		Effects: []signer.Effect{{Class: acts[o.Act].class, Attributes: o.attributes()}},
		Fields:  []signer.Field{{Name: "act", Value: o.Act}},
	}
	for _, name := range slices.Sorted(maps.Keys(o.Options)) {
		in.Fields = append(in.Fields, signer.Field{Name: "option " + name, Value: o.Options[name]})
	}
	if o.Challenge != "" {
		in.Fields = append(in.Fields, signer.Field{Name: "challenge", Value: o.Challenge})
	}
	for _, b := range []struct{ name, field string }{{"blob", o.Blob}, {"target", o.Target}} {
		if b.field != "" {
			size, sum := digest(b.field)
			in.Fields = append(in.Fields, signer.Field{Name: b.name, Value: fmt.Sprintf("%d bytes", size)})
			in.Digests = append(in.Digests, signer.Digest{Name: b.name, Value: sum})
		}
	}
	in.Warnings = o.warnings()
	return in, nil
}

// warnings are what whoever approves an order should know before its details.
func (o *Order) warnings() (out []signer.Warning) {
	warn := func(is bool, code string, severity signer.Severity, text string) {
		if is {
			out = append(out, signer.Warning{Code: code, Severity: severity, Text: text})
		}
	}
	warn(o.Act == ActImport, WarnKeyImported, signer.SeverityWarn, "the key was made elsewhere, and copies of it may be there")
	warn(o.TestException != "", WarnTestException, signer.SeverityDanger,
		"the target need not prove that it is a genuine device: whoever made it may be able to read the key")
	warn(o.Recovery, WarnRecovery, signer.SeverityDanger,
		"break-glass: the recovery quorum alone decides this, and no rule of the policy has a say; approve it only if those whom the rules name cannot")
	warn(o.Act == ActTrustFile, WarnTrustFile, signer.SeverityWarn,
		"whoever can write the policy's file on the host can then change the policy without asking anybody")
	return out
}

// Recognises implements [signer.Decoder].
func (Decoder) Recognises(payload []byte) bool {
	_, err := Parse(payload)
	return err == nil
}

// Assemble implements [signer.Decoder]. An act has no signatures.
func (Decoder) Assemble([]byte, signer.KeyInfo, [][]byte) ([]byte, error) {
	return nil, errors.New("an administrative request has no signatures")
}

// attributes are what policy can match. Those that are not there are absent.
func (o *Order) attributes() map[string]string {
	a := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			a[name] = value
		}
	}
	set(signer.AttributeKey, o.Key)
	set(signer.AttributeSuccessor, o.Successor)
	set(signer.AttributeReason, o.Reason)
	set(signer.AttributePolicyFrom, o.From)
	set(signer.AttributePolicyTo, o.To)
	set(signer.AttributeAlgorithm, string(o.Algorithm))
	if o.Recovery {
		set(signer.AttributeRecovery, "true")
	}
	set("name", o.Name)
	set("token", o.Token)
	set("test_exception", o.TestException)
	if o.Bits != 0 {
		set("bits", strconv.Itoa(o.Bits))
	}
	for name, field := range map[string]string{"blob_digest": o.Blob, "target_digest": o.Target} {
		if field != "" {
			_, sum := digest(field)
			set(name, "0x"+hex.EncodeToString(sum[:]))
		}
	}
	switch {
	case o.Act == ActImport:
		set(signer.AttributeProtection, string(signer.ProtectionWrapped))
		set(signer.AttributeOrigin, string(signer.OriginImported))
	case o.Act == ActCreate && o.Wrapped:
		set(signer.AttributeProtection, string(signer.ProtectionWrapped))
		set(signer.AttributeOrigin, string(signer.OriginGenerated))
	case o.Act == ActCreate:
		set(signer.AttributeProtection, string(signer.ProtectionResident))
		set(signer.AttributeOrigin, string(signer.OriginGenerated))
	}
	return a
}

// digest is over the bytes that a field stands for; check has read it before.
func digest(field string) (size int, sum [32]byte) {
	b, err := Bytes(field)
	if err != nil {
		return 0, sum
	}
	return len(b), sha256.Sum256(b)
}
