package pkcs11

import (
	"errors"

	"github.com/miekg/pkcs11"
)

// errFinalTry says that the token would be locked by the next wrong PIN.
var errFinalTry = errors.New("final try")

// gone reports whether a token is to be opened anew after an error. The last two
// codes stand for anything; for some vendors they are what an idle connection ends
// in, cured only by C_Finalize.
func gone(err error) bool {
	return hasCode(err,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED,
		pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
		pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED)
}

// stale reports whether the handle of a key no longer holds.
func stale(err error) bool {
	return hasCode(err, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID)
}

// pinRefused reports whether sending the PIN again would be wrong.
func pinRefused(err error) bool {
	return errors.Is(err, errFinalTry) || hasCode(err,
		pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE,
		pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED)
}

// PINRefused reports whether the token was sent the PIN and refused it, so that one
// try is used up.
func PINRefused(err error) bool {
	return hasCode(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE)
}

func hasCode(err error, codes ...uint) bool {
	got, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if uint(got) == c {
			return true
		}
	}
	return false
}
