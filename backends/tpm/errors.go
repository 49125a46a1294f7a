package tpm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
)

func has(err error, codes ...tpm2.TPMRC) bool {
	return slices.ContainsFunc(codes, func(c tpm2.TPMRC) bool { return errors.Is(err, c) })
}

// full reports whether the TPM has no slot left for an object or a session.
func full(err error) bool {
	return has(err, tpm2.TPMRCObjectMemory, tpm2.TPMRCObjectHandles, tpm2.TPMRCSessionMemory, tpm2.TPMRCSessionHandles)
}

// stale reports whether a handle or a session may no longer be what it was, as after
// a restart of the TPM. A refused auth value is among these: the handle or the session
// may have become another program's.
func stale(err error) bool {
	return refused(err) || has(err, tpm2.TPMRCHandle, tpm2.TPMRCNonce,
		tpm2.TPMRCReferenceH0, tpm2.TPMRCReferenceH1, tpm2.TPMRCReferenceH2,
		tpm2.TPMRCReferenceS0, tpm2.TPMRCReferenceS1, tpm2.TPMRCReferenceS2)
}

// refused reports whether the TPM refused an auth value.
func refused(err error) bool { return has(err, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail) }

// explain adds to an error of the TPM what it means and what to do, where that is the
// same for all operations.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case has(err, tpm2.TPMRCFailure):
		return fmt.Errorf("the TPM has failed its self-test and does nothing more until the machine is switched off and on: %w", err)
	case has(err, tpm2.TPMRCInitialize):
		return backends.Gone(fmt.Errorf("the TPM was not started; that is the firmware's job, or swtpm's with --flags startup-clear: %w", err))
	case has(err, tpm2.TPMRCUpgrade):
		return backends.Gone(fmt.Errorf("the TPM's firmware is being updated: %w", err))
	}
	return err
}
