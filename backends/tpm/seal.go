package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
)

// A key that is bound to PCRs has this policy, and its auth value alone does nothing:
//
//	PolicyOR(PolicyPCR(the values when it was made), PolicyAuthorize(authority)) PolicyAuthValue
//
// The authority is the public key of somebody outside. He approves other values by
// signing their PolicyPCR digest and [approvalRef] with ECDSA and SHA-256, for all keys
// that name him at once. Approvals are kept in the key file, as authPolicy
// (draft-bottomley-tpm2-keys, 5); a file has at most [mostApprovals] of them.

// approvalRef is the policyRef of an approval: what else the authority's key signs
// cannot be taken for one.
var approvalRef = []byte("sealward pcr approval v1")

const mostApprovals = 8

// binding says how a new key is bound.
type binding struct {
	pcrs      []int
	authority tpm2.TPMTPublic
}

// newBinding checks a list of PCRs and the PEM of their authority. It is nil for an
// empty list.
func newBinding(pcrs []int, authority string) (*binding, error) {
	pcrs = slices.Sorted(slices.Values(pcrs))
	for i, p := range pcrs {
		if p < 0 || p > 23 || (i > 0 && p == pcrs[i-1]) {
			return nil, fmt.Errorf("PCRs %v: they are numbers from 0 to 23, each once", pcrs)
		}
	}
	if authority == "" {
		if len(pcrs) > 0 {
			return nil, errors.New("a key that is bound to PCRs is lost with the next firmware update unless somebody can approve other values: set pcr_authority to his public key")
		}
		return nil, nil
	}
	public, err := authorityKey(authority)
	if err != nil || len(pcrs) == 0 {
		return nil, err
	}
	return &binding{pcrs, public}, nil
}

// authorityKey reads the PEM of a P-256 key as the public area of an external key.
func authorityKey(text string) (tpm2.TPMTPublic, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return tpm2.TPMTPublic{}, errors.New("pcr_authority is not one PEM block of a PUBLIC KEY")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return tpm2.TPMTPublic{}, fmt.Errorf("pcr_authority: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return tpm2.TPMTPublic{}, errors.New("pcr_authority is not a P-256 key")
	}
	point, err := key.Bytes()
	if err != nil {
		return tpm2.TPMTPublic{}, fmt.Errorf("pcr_authority: %w", err)
	}
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{UserWithAuth: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull},
			Scheme:    tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull},
			CurveID:   tpm2.TPMECCNistP256,
			KDF:       tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
		}),
	}, nil
}

// seal is how a key is bound: the values it was made under, and approved ones.
type seal struct {
	initial  branch
	approved []branch // the newest first
}

// branch is one way to satisfy the policy.
type branch struct {
	selection tpm2.TPMLPCRSelection
	values    []byte // digest of the PCRs' values
	either    []tpm2.TPM2BDigest
	approval  *approval // nil for the values that the key was made under
}

// approval is an authority's signature.
type approval struct {
	authority tpm2.TPMTPublic
	signature tpm2.TPMTSignature
}

// seal binds to the present values.
func (b *binding) seal(values [][]byte) *seal {
	first := branch{selection: selection(b.pcrs), values: digestOf(values)}
	first.either = []tpm2.TPM2BDigest{{Buffer: first.pcrDigest()}, {Buffer: authorizeDigest(b.authority)}}
	return &seal{initial: first}
}

func selection(pcrs []int) tpm2.TPMLPCRSelection {
	mask := make([]byte, 3)
	for _, p := range pcrs {
		mask[p/8] |= 1 << (p % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: mask}}}
}

// selected is the inverse of selection.
func selected(s tpm2.TPMLPCRSelection) []int {
	var pcrs []int
	for i := range 24 {
		if s.PCRSelections[0].PCRSelect[i/8]&(1<<(i%8)) != 0 {
			pcrs = append(pcrs, i)
		}
	}
	return pcrs
}

func digestOf(values [][]byte) []byte {
	sum := sha256.Sum256(bytes.Join(values, nil))
	return sum[:]
}

// extend is the PolicyUpdate of TPM 2.0 Library part 3, 23.2.3, by the policy's hash.
func extend(digest []byte, parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(append([][]byte{digest}, parts...), nil))
	return sum[:]
}

func code(c tpm2.TPMCC) []byte { return binary.BigEndian.AppendUint32(nil, uint32(c)) }

// pcrDigest is the policy's digest after TPM2_PolicyPCR (part 3, 23.7).
func (b *branch) pcrDigest() []byte {
	return extend(make([]byte, 32), code(tpm2.TPMCCPolicyPCR), tpm2.Marshal(b.selection), b.values)
}

// authorizeDigest is the policy's digest after TPM2_PolicyAuthorize (part 3, 23.16).
func authorizeDigest(authority tpm2.TPMTPublic) []byte {
	return extend(extend(make([]byte, 32), code(tpm2.TPMCCPolicyAuthorize), nameOf(authority)), approvalRef)
}

// nameOf is the name of a public area whose hash is SHA-256.
func nameOf(p tpm2.TPMTPublic) []byte {
	sum := sha256.Sum256(tpm2.Marshal(p))
	return append(binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMAlgSHA256)), sum[:]...)
}

// digest is the whole policy's.
func (b *branch) digest() []byte {
	d := extend(make([]byte, 32), code(tpm2.TPMCCPolicyOR), b.either[0].Buffer, b.either[1].Buffer) // part 3, 23.6
	return extend(d, code(tpm2.TPMCCPolicyAuthValue))                                               // part 3, 23.17
}

// commands writes a branch as a key file has it: the TPM's commands in their order. Of
// TPM2_PolicyPCR a file has the selection and then the bare digest, of
// TPM2_PolicyAuthorize the key, the policyRef and the signature
// (draft-bottomley-tpm2-keys, 4.1).
func (b *branch) commands() []tss2.Policy {
	list := []tss2.Policy{{Command: tpm2.TPMCCPolicyPCR, Parameters: append(tpm2.Marshal(b.selection), b.values...)}}
	if b.approval != nil {
		list = append(list, tss2.Policy{Command: tpm2.TPMCCPolicyAuthorize, Parameters: slices.Concat(
			tpm2.Marshal(tpm2.New2B(b.approval.authority)), tpm2.Marshal(tpm2.TPM2BDigest{Buffer: approvalRef}), tpm2.Marshal(b.approval.signature))})
	}
	return append(list,
		tss2.Policy{Command: tpm2.TPMCCPolicyOR, Parameters: tpm2.Marshal(tpm2.TPMLDigest{Digests: b.either})},
		tss2.Policy{Command: tpm2.TPMCCPolicyAuthValue, Parameters: []byte{}})
}

// sealOf reads how the key of a file is bound. It is nil for one that is not.
func sealOf(f *tss2.Key) (*seal, error) {
	if f.Public.ObjectAttributes.UserWithAuth {
		if len(f.Policy) != 0 || len(f.AuthPolicies) != 0 {
			return nil, errors.New("it has a policy, and can be used without; the policy would protect nothing")
		}
		return nil, nil
	}
	if f.Public.ObjectAttributes.AdminWithPolicy {
		return nil, errors.New("its policy rules its administration too (adminWithPolicy), which is not supported")
	}
	initial, err := parseBranch(f.Policy, f.Public.AuthPolicy.Buffer)
	if err != nil {
		return nil, err
	}
	if initial.approval != nil || !bytes.Equal(initial.pcrDigest(), initial.either[0].Buffer) {
		return nil, errors.New("its policy is not one of the values that it was made under")
	}
	s := &seal{initial: initial}
	if len(f.AuthPolicies) > mostApprovals {
		return nil, fmt.Errorf("it has more than %d approvals", mostApprovals)
	}
	for _, a := range f.AuthPolicies {
		b, err := parseBranch(a.Policy, f.Public.AuthPolicy.Buffer)
		if err != nil {
			return nil, err
		}
		if b.approval == nil || !bytes.Equal(authorizeDigest(b.approval.authority), b.either[1].Buffer) {
			return nil, errors.New("an approval in it is not by its authority")
		}
		s.approved = append(s.approved, b)
	}
	return s, nil
}

var errShape = errors.New("its policy is not one that is made here (PCRs, an authority, an auth value)")

// parseBranch reads commands that come to a policy, and accepts nothing that commands
// would not write.
func parseBranch(list []tss2.Policy, want []byte) (branch, error) {
	var b branch
	if len(list) < 3 || list[0].Command != tpm2.TPMCCPolicyPCR || len(list[0].Parameters) != 4+2+1+3+32 {
		return b, errShape
	}
	pcr := list[0].Parameters
	parsed, err := tpm2.Unmarshal[tpm2.TPMLPCRSelection](pcr[:10])
	if err != nil || len(parsed.PCRSelections) != 1 || len(parsed.PCRSelections[0].PCRSelect) != 3 {
		return b, errShape
	}
	b.selection, b.values = *parsed, pcr[10:]
	if len(list) == 4 && list[1].Command == tpm2.TPMCCPolicyAuthorize {
		if b.approval, err = parseApproval(list[1].Parameters); err != nil {
			return b, err
		}
	}
	or := list[len(list)-2]
	if or.Command != tpm2.TPMCCPolicyOR || len(or.Parameters) != 4+2*(2+32) {
		return b, errShape
	}
	either, err := tpm2.Unmarshal[tpm2.TPMLDigest](or.Parameters)
	if err != nil || len(either.Digests) != 2 {
		return b, errShape
	}
	b.either = either.Digests
	if !slices.EqualFunc(b.commands(), list, func(x, y tss2.Policy) bool {
		return x.Command == y.Command && bytes.Equal(x.Parameters, y.Parameters)
	}) {
		return b, errShape
	}
	if !bytes.Equal(b.digest(), want) {
		return b, errors.New("the policy in the file is not that of its key")
	}
	return b, nil
}

func parseApproval(b []byte) (*approval, error) {
	var parts [2][]byte
	for i := range parts {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, errShape
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		parts[i], b = b[2:n], b[n:]
	}
	public, err := tss2.ParsePublic(parts[0])
	if err != nil {
		return nil, errShape
	}
	signature, err := tpm2.Unmarshal[tpm2.TPMTSignature](b)
	if err != nil || signature.SigAlg != tpm2.TPMAlgECDSA {
		return nil, errShape
	}
	return &approval{*public, *signature}, nil
}

// pcrs names them, for people.
func (s *seal) pcrs() string {
	var names []string
	for _, p := range selected(s.initial.selection) {
		names = append(names, strconv.Itoa(p))
	}
	return strings.Join(names, ",")
}

// readPCRs reads PCRs of the SHA-256 bank.
func (d *driver) readPCRs(pcrs []int) ([][]byte, error) {
	var values [][]byte
	for _, p := range pcrs { // one by one: a TPM returns as many at once as it likes
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection([]int{p})}.Execute(d.link)
		if err != nil {
			return nil, fmt.Errorf("read PCR %d: %w", p, err)
		}
		if len(rsp.PCRValues.Digests) != 1 || len(rsp.PCRValues.Digests[0].Buffer) != 32 {
			return nil, fmt.Errorf("read PCR %d: the TPM has no SHA-256 bank of PCRs", p)
		}
		values = append(values, rsp.PCRValues.Digests[0].Buffer)
	}
	return values, nil
}

// satisfy runs the policy of a key in a session.
func (s *seal) satisfy(d *driver, session session) error {
	for _, b := range append(slices.Clone(s.approved), s.initial) {
		values, err := d.readPCRs(selected(b.selection))
		if err != nil {
			return err
		}
		if bytes.Equal(digestOf(values), b.values) {
			return b.run(d, session)
		}
	}
	return &sealError{s.pcrs()}
}

// sealError says that no values of the PCRs that a key accepts are the present ones.
type sealError struct{ pcrs string }

func (e *sealError) Error() string {
	return "the key is bound to PCRs " + e.pcrs + " of the TPM, and this machine did not start with any of the values that were approved. " +
		"If firmware, boot loader or kernel were changed on purpose, have the new values approved: sealward keys reseal"
}

// run runs the commands of a branch.
func (b *branch) run(d *driver, s session) error {
	h := s.Handle()
	var ticket *tpm2.TPMTTKVerified
	if b.approval != nil {
		var err error
		if ticket, err = d.verify(b); err != nil {
			return err
		}
	}
	if _, err := (tpm2.PolicyPCR{PolicySession: h, PcrDigest: tpm2.TPM2BDigest{Buffer: b.values}, Pcrs: b.selection}).Execute(d.link); err != nil {
		return fmt.Errorf("satisfy the key's policy (PCRs): %w", err)
	}
	if b.approval != nil {
		if _, err := (tpm2.PolicyAuthorize{
			PolicySession: h, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: b.pcrDigest()}, PolicyRef: tpm2.TPM2BDigest{Buffer: approvalRef},
			KeySign: tpm2.TPM2BName{Buffer: nameOf(b.approval.authority)}, CheckTicket: *ticket,
		}).Execute(d.link); err != nil {
			return fmt.Errorf("satisfy the key's policy (approval): %w", err)
		}
	}
	if _, err := (tpm2.PolicyOr{PolicySession: h, PHashList: tpm2.TPMLDigest{Digests: b.either}}).Execute(d.link); err != nil {
		return fmt.Errorf("satisfy the key's policy: %w", err)
	}
	if _, err := (tpm2.PolicyAuthValue{PolicySession: h}).Execute(d.link); err != nil {
		return fmt.Errorf("satisfy the key's policy: %w", err)
	}
	return nil
}

// verify has the TPM check an approval, for which it gives a ticket.
func (d *driver) verify(b *branch) (*tpm2.TPMTTKVerified, error) {
	authority := &object{what: "the PCR authority's public key", bring: func([]*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
		rsp, err := tpm2.LoadExternal{InPublic: tpm2.New2B(b.approval.authority), Hierarchy: tpm2.TPMRHOwner}.Execute(d.link)
		if err != nil {
			return 0, tpm2.TPM2BName{}, err
		}
		return rsp.ObjectHandle, rsp.Name, nil
	}}
	if err := d.load(authority); err != nil {
		return nil, err
	}
	defer d.unload(authority)
	sum := sha256.Sum256(b.statement())
	rsp, err := tpm2.VerifySignature{KeyHandle: authority.named(), Digest: tpm2.TPM2BDigest{Buffer: sum[:]}, Signature: b.approval.signature}.Execute(d.link)
	if err != nil {
		return nil, fmt.Errorf("check the approval of the PCRs' values: %w", err)
	}
	return &rsp.Validation, nil
}

// statement is what the authority signs, before hashing (part 3, 23.16: aHash).
func (b *branch) statement() []byte { return append(b.pcrDigest(), approvalRef...) }
