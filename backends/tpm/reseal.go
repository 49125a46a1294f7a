package tpm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
)

// reseal is the argument of "reseal.plan" and "reseal".
type reseal struct {
	Key string `json:"key"` // the key file
	// PCRs are values to approve, in hexadecimal, by number. Those of the key's PCRs
	// that are not here have their present value.
	PCRs map[string]string `json:"pcrs,omitempty"`
	// Authority is the PEM of the authority's public key.
	Authority string `json:"authority"`
	// Signature is the authority's, of the plan's statement: ECDSA with SHA-256, DER.
	Signature []byte `json:"signature,omitempty"`
}

// resealPlan is the result of "reseal.plan".
type resealPlan struct {
	PCRs      map[string]string `json:"pcrs"`      // all of the key's, as they would be approved
	Statement []byte            `json:"statement"` // what the authority signs
}

// resealed is the result of "reseal".
type resealed struct {
	Key string `json:"key"` // the new key file, with the approval
}

// branch is the one that a reseal is about.
func (d *driver) resealBranch(ctx context.Context, r reseal) (*tss2.Key, branch, map[string]string, error) {
	f, err := tss2.Parse([]byte(r.Key))
	if err != nil {
		return nil, branch{}, nil, err
	}
	s, err := sealOf(f)
	if err != nil || s == nil {
		return nil, branch{}, nil, errors.Join(errors.New("the key is not bound to PCRs"), err)
	}
	authority, err := authorityKey(r.Authority)
	if err != nil {
		return nil, branch{}, nil, err
	}
	b := branch{selection: s.initial.selection, either: s.initial.either, approval: &approval{authority: authority}}
	if hex.EncodeToString(authorizeDigest(authority)) != hex.EncodeToString(b.either[1].Buffer) {
		return nil, branch{}, nil, errors.New("this is not the authority that the key was made with")
	}
	pcrs := selected(b.selection)
	var values [][]byte
	if err := d.exclusively(ctx, func() (err error) {
		values, err = d.readPCRs(pcrs)
		return err
	}); err != nil {
		return nil, branch{}, nil, err
	}
	all := map[string]string{}
	for i, p := range pcrs {
		all[strconv.Itoa(p)] = hex.EncodeToString(values[i])
	}
	for name, value := range r.PCRs {
		v, err := hex.DecodeString(value)
		i := slices.IndexFunc(pcrs, func(p int) bool { return strconv.Itoa(p) == name })
		if err != nil || len(v) != 32 || i < 0 {
			return nil, branch{}, nil, fmt.Errorf("PCR %q with value %q: the key is bound to %s, each with a value of 64 hexadecimal digits", name, value, s.pcrs())
		}
		values[i], all[name] = v, hex.EncodeToString(v)
	}
	b.values = digestOf(values)
	return f, b, all, nil
}

func (d *driver) planReseal(ctx context.Context, r reseal) (resealPlan, error) {
	_, b, values, err := d.resealBranch(ctx, r)
	if err != nil {
		return resealPlan{}, fmt.Errorf("plan to reseal: %w", err)
	}
	return resealPlan{values, b.statement()}, nil
}

func (d *driver) reseal(ctx context.Context, r reseal) (resealed, error) {
	f, b, _, err := d.resealBranch(ctx, r)
	if err != nil {
		return resealed{}, fmt.Errorf("reseal: %w", err)
	}
	if b.approval.signature, err = approvalSignature(b, r.Signature); err != nil {
		return resealed{}, fmt.Errorf("reseal: %w", err)
	}
	// The newest first, and the one that it repeats or that is too many not at all.
	f.AuthPolicies = slices.DeleteFunc(f.AuthPolicies, func(a tss2.AuthPolicy) bool {
		return string(a.Policy[0].Parameters) == string(b.commands()[0].Parameters)
	})
	f.AuthPolicies = slices.Insert(f.AuthPolicies, 0, tss2.AuthPolicy{Policy: b.commands()})
	f.AuthPolicies = f.AuthPolicies[:min(len(f.AuthPolicies), mostApprovals)]
	file, err := f.Encode()
	if err != nil {
		return resealed{}, fmt.Errorf("reseal: %w", err)
	}
	if _, err := d.Find(ctx, string(file)); err != nil {
		return resealed{}, fmt.Errorf("reseal: %w", err)
	}
	return resealed{string(file)}, nil
}

// approvalSignature checks the authority's signature and translates it.
func approvalSignature(b branch, der []byte) (tpm2.TPMTSignature, error) {
	point, err := b.approval.authority.Unique.ECC()
	if err != nil {
		return tpm2.TPMTSignature{}, err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, point.X.Buffer, point.Y.Buffer))
	if err != nil {
		return tpm2.TPMTSignature{}, err
	}
	sum := sha256.Sum256(b.statement())
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) != 0 || !ecdsa.VerifyASN1(public, sum[:], der) {
		return tpm2.TPMTSignature{}, errors.New("the signature is not the authority's, of the statement for these values; if PCRs have changed since the plan, name the planned values")
	}
	return tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash:       tpm2.TPMAlgSHA256,
		SignatureR: tpm2.TPM2BECCParameter{Buffer: rs.R.FillBytes(make([]byte, 32))},
		SignatureS: tpm2.TPM2BECCParameter{Buffer: rs.S.FillBytes(make([]byte, 32))},
	})}, nil
}
