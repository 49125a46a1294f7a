package tss2

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/google/go-tpm/tpm2"
)

// The file is (draft-bottomley-tpm2-keys, 3.1)
//
//	TPMKey ::= SEQUENCE {
//	    type        OBJECT IDENTIFIER,
//	    emptyAuth   [0] EXPLICIT BOOLEAN OPTIONAL,
//	    policy      [1] EXPLICIT SEQUENCE OF TPMPolicy OPTIONAL,
//	    secret      [2] EXPLICIT OCTET STRING OPTIONAL,
//	    authPolicy  [3] EXPLICIT SEQUENCE OF TPMAuthPolicy OPTIONAL,
//	    description [4] EXPLICIT UTF8String OPTIONAL,
//	    rsaParent   [5] EXPLICIT BOOLEAN OPTIONAL,
//	    parent      INTEGER,
//	    pubkey      OCTET STRING,   -- TPM2B_PUBLIC
//	    privkey     OCTET STRING    -- TPM2B_PRIVATE
//	}
//
// Its parts are read and written one by one, since encoding/asn1 cannot tell a
// field that is absent from one that says FALSE, nor keep a TRUE that is 1.

// The tags of the optional parts.
const (
	tagEmptyAuth = iota
	tagPolicy
	tagSecret
	tagAuthPolicy
	tagDescription
	tagRSAParent
)

// policy is the TPMPolicy of the draft, 4.1.
type policy struct {
	Command    int64  `asn1:"explicit,tag:0"`
	Parameters []byte `asn1:"explicit,tag:1"`
}

// authPolicy is the TPMAuthPolicy of the draft, 5.1.
type authPolicy struct {
	Name   string   `asn1:"explicit,tag:0,optional,utf8"`
	Policy []policy `asn1:"explicit,tag:1"`
}

func parse(der []byte) (*Key, error) {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) != 0 || outer.Tag != asn1.TagSequence || outer.Class != asn1.ClassUniversal {
		return nil, errors.New("it is not one SEQUENCE")
	}
	var (
		k   Key
		oid asn1.ObjectIdentifier
	)
	rest, err := asn1.Unmarshal(outer.Bytes, &oid)
	if err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	for t, o := range oids {
		if o.Equal(oid) {
			k.Type = t
		}
	}
	if k.Type == 0 {
		return nil, fmt.Errorf("%v is no type of TPM key that is known here", oid)
	}
	if rest, err = k.parseOptional(rest); err != nil {
		return nil, err
	}
	if err := k.parseObject(rest); err != nil {
		return nil, err
	}
	return &k, nil
}

// parseOptional reads the tagged parts and returns what comes after them. That they
// are in order, and none is there twice, shows when they are written again.
func (k *Key) parseOptional(der []byte) ([]byte, error) {
	for len(der) > 0 && der[0]&0xc0 == 0x80 {
		var (
			part asn1.RawValue
			err  error
		)
		if der, err = asn1.Unmarshal(der, &part); err != nil {
			return nil, fmt.Errorf("optional part: %w", err)
		}
		switch part.Tag {
		case tagEmptyAuth:
			err = k.parseEmptyAuth(part.Bytes)
		case tagPolicy:
			var ps []policy
			if err = into(part.Bytes, &ps, ""); err == nil {
				k.Policy, err = commands(ps)
			}
		case tagSecret:
			var b []byte
			if err = into(part.Bytes, &b, ""); err == nil {
				k.Secret, err = sized(b)
			}
		case tagAuthPolicy:
			err = k.parseAuthPolicies(part.Bytes)
		case tagDescription:
			err = into(part.Bytes, &k.Description, "utf8")
		case tagRSAParent:
			err = into(part.Bytes, &k.RSAParent, "")
		default:
			err = errors.New("it is not known here")
		}
		if err != nil {
			return nil, fmt.Errorf("optional part [%d]: %w", part.Tag, err)
		}
	}
	return der, nil
}

func (k *Key) parseEmptyAuth(der []byte) error {
	var v asn1.RawValue
	if err := into(der, &v, ""); err != nil {
		return err
	}
	if v.Tag != asn1.TagBoolean || len(v.Bytes) != 1 || bytes.IndexByte([]byte{0, 1, 0xff}, v.Bytes[0]) < 0 {
		return errors.New("it is not TRUE or FALSE")
	}
	k.EmptyAuth, k.emptyAuth = v.Bytes[0] != 0, v.Bytes
	return nil
}

func (k *Key) parseAuthPolicies(der []byte) error {
	var as []authPolicy
	if err := into(der, &as, ""); err != nil {
		return err
	}
	for _, a := range as {
		p, err := commands(a.Policy)
		if err != nil {
			return err
		}
		k.AuthPolicies = append(k.AuthPolicies, AuthPolicy{a.Name, p})
	}
	return nil
}

// parseObject reads the parent and the two parts of the object.
func (k *Key) parseObject(der []byte) error {
	var (
		parent          int64
		public, private []byte
		err             error
	)
	for _, f := range []struct {
		name string
		to   any
	}{{"parent", &parent}, {"pubkey", &public}, {"privkey", &private}} {
		if der, err = asn1.Unmarshal(der, f.to); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if len(der) != 0 {
		return errors.New("there is something after the private part")
	}
	if parent < 0 || parent > math.MaxUint32 {
		return fmt.Errorf("%d is no handle of a parent", parent)
	}
	k.Parent = tpm2.TPMHandle(parent)
	if public, err = sized(public); err != nil {
		return fmt.Errorf("pubkey: %w", err)
	}
	pub, err := ParsePublic(public)
	if err != nil {
		return err
	}
	k.Public = *pub
	if k.Private, err = sized(private); err != nil {
		return fmt.Errorf("privkey: %w", err)
	}
	return nil
}

// ParsePublic reads a TPMT_PUBLIC, and refuses bytes that are not exactly one.
func ParsePublic(b []byte) (*tpm2.TPMTPublic, error) {
	pub, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
	if err != nil {
		return nil, fmt.Errorf("public area: %w", err)
	}
	if !bytes.Equal(tpm2.Marshal(pub), b) {
		return nil, errors.New("public area: it is not in the encoding that a TPM uses")
	}
	return pub, nil
}

// der writes the key.
func (k *Key) der() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	var w writer
	w.add(oids[k.Type], "")
	if b := k.emptyAuth; len(b) == 1 && (b[0] != 0) == k.EmptyAuth {
		// Whole, since encoding/asn1 puts no tag around a RawValue.
		w.add(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagEmptyAuth, IsCompound: true, Bytes: []byte{asn1.TagBoolean, 1, b[0]}}, "")
	} else if k.EmptyAuth {
		w.tagged(tagEmptyAuth, true)
	}
	if len(k.Policy) > 0 {
		w.tagged(tagPolicy, policies(k.Policy))
	}
	if len(k.Secret) > 0 {
		w.tagged(tagSecret, tpm2.Marshal(tpm2.TPM2BEncryptedSecret{Buffer: k.Secret}))
	}
	if len(k.AuthPolicies) > 0 {
		var as []authPolicy
		for _, a := range k.AuthPolicies {
			as = append(as, authPolicy{a.Name, policies(a.Policy)})
		}
		w.tagged(tagAuthPolicy, as)
	}
	if k.Description != "" {
		// Not through tagged: "utf8" has to reach the text inside the tag.
		w.add(k.Description, fmt.Sprintf("explicit,tag:%d,utf8", tagDescription))
	}
	if k.RSAParent {
		w.tagged(tagRSAParent, true)
	}
	w.add(int64(k.Parent), "")
	w.add(tpm2.Marshal(tpm2.New2B(k.Public)), "")
	w.add(tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: k.Private}), "")
	if w.err != nil {
		return nil, w.err
	}
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: w.out})
}

// writer gathers the parts of a SEQUENCE, and the first error.
type writer struct {
	out []byte
	err error
}

func (w *writer) tagged(tag int, v any) { w.add(v, fmt.Sprintf("explicit,tag:%d", tag)) }

func (w *writer) add(v any, params string) {
	der, err := asn1.MarshalWithParams(v, params)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.out = append(w.out, der...)
}

// into reads exactly one value.
func into(der []byte, v any, params string) error {
	rest, err := asn1.UnmarshalWithParams(der, v, params)
	if err == nil && len(rest) != 0 {
		err = errors.New("there is something after its value")
	}
	return err
}

// sized returns the contents of a TPM2B, of which a field is exactly one.
func sized(b []byte) ([]byte, error) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return nil, errors.New("its length is not what its first two bytes say")
	}
	return b[2:], nil
}

func commands(ps []policy) ([]Policy, error) {
	var out []Policy
	for _, p := range ps {
		if p.Command < 0 || p.Command > math.MaxUint32 {
			return nil, fmt.Errorf("%d is no command of a policy", p.Command)
		}
		out = append(out, Policy{tpm2.TPMCC(p.Command), p.Parameters})
	}
	return out, nil
}

func policies(ps []Policy) []policy {
	var out []policy
	for _, p := range ps {
		out = append(out, policy{int64(p.Command), p.Parameters})
	}
	return out
}
