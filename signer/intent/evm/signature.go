package evm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// signature is that of a signed transaction or authorisation.
type signature struct {
	parity uint64 // of y of the point R: 0 or 1
	r, s   uint256.Int
}

// errNoSignature is about a signature that every node refuses: r or s is 0 or not below
// the order of the curve, s is in its upper half (EIP-2, EIP-7702), or no key has it.
var errNoSignature = errors.New("no node takes this signature")

// by recovers whose signature of a hash it is.
func (s *signature) by(hash common.Hash) (common.Address, error) {
	if s.parity > 1 || !crypto.ValidateSignatureValues(byte(s.parity), s.r.ToBig(), s.s.ToBig(), true) {
		return common.Address{}, errNoSignature
	}
	var sig [crypto.SignatureLength]byte
	s.r.WriteToSlice(sig[:32])
	s.s.WriteToSlice(sig[32:64])
	sig[crypto.RecoveryIDOffset] = byte(s.parity)
	point, err := crypto.Ecrecover(hash[:], sig[:])
	if err != nil {
		return common.Address{}, errNoSignature
	}
	return addressOfPoint(point), nil
}

// write writes the three values as typed transactions and authorisations end with them.
func (s *signature) write(w rlp.EncoderBuffer) {
	w.WriteUint64(s.parity)
	w.WriteUint256(&s.r)
	w.WriteUint256(&s.s)
}

// signatureOf takes apart what a key returned: r || s || v, with v 0 or 1.
func signatureOf(sig []byte) signature {
	s := signature{parity: uint64(sig[crypto.RecoveryIDOffset])}
	s.r.SetBytes(sig[:32])
	s.s.SetBytes(sig[32:64])
	return s
}

// onlySignature returns the one signature, which must be r || s || v.
func onlySignature(signatures [][]byte) ([]byte, error) {
	if len(signatures) != 1 || len(signatures[0]) != crypto.SignatureLength || signatures[0][crypto.RecoveryIDOffset] > 1 {
		return nil, fmt.Errorf("want one signature of %d bytes with v 0 or 1", crypto.SignatureLength)
	}
	return signatures[0], nil
}

// forContracts is the one signature of a text as wallets return it, and contracts take it:
// r || s || v, with v 27 or 28 (Yellow Paper, appendix E.1, ECREC).
func forContracts(what string, signatures [][]byte) ([]byte, error) {
	sig, err := onlySignature(signatures)
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", what, err)
	}
	out := slices.Clone(sig)
	out[crypto.RecoveryIDOffset] += 27
	return out, nil
}
