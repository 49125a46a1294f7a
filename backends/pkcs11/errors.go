package pkcs11

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
)

// errRefused says that a key is there and is not to be used.
var errRefused = errors.New("the key is refused")

// gone reports whether the module is to be initialised and the token opened anew
// after an error. The last two codes stand for anything; for some vendors they are
// what an idle connection ends in, cured only by C_Finalize.
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

// unsent reports whether an error of a login came before the PIN was looked at.
// What a device that failed half way had done by then is not known, so its errors
// are not among these.
func unsent(err error) bool {
	return hasCode(err,
		pkcs11.CKR_SESSION_COUNT, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
		pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_USER_TYPE_INVALID,
		pkcs11.CKR_OPERATION_NOT_INITIALIZED, pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
}

// pinError turns what a login ended in into the error that says what became of the
// PIN, or returns it as it is where that is not known. flags are the token's, as
// they are after it.
func pinError(token string, err error, flags uint) error {
	e := &backends.PINError{Left: triesLeft(flags), Sent: true}
	switch {
	case err == nil:
		return nil
	case hasCode(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE):
		e.Blocked = e.Left == 0
		e.Text = fmt.Sprintf("%s refused the PIN: %v%s", token, err, warn(e.Left))
	case hasCode(err, pkcs11.CKR_PIN_LOCKED):
		return locked(token)
	case hasCode(err, pkcs11.CKR_PIN_EXPIRED):
		e.Text = fmt.Sprintf("%s wants its PIN changed before it can be used: %v; change it with the token's own tools", token, err)
	case hasCode(err, pkcs11.CKR_USER_PIN_NOT_INITIALIZED):
		e.Sent = false
		e.Text = fmt.Sprintf("%s has no user PIN yet: %v; set one as its security officer, e.g. pkcs11-tool --init-pin", token, err)
	case unsent(err):
		return &notSent{backends.PINError{Left: e.Left, Text: fmt.Sprintf("log in to %s, which did not look at the PIN", token)}, err}
	default:
		return fmt.Errorf("log in to %s: %w", token, err)
	}
	return e
}

// notSent is a login that failed before the PIN counted. It is a
// [*backends.PINError] for who keeps count of PINs, and its cause for who decides
// whether the token is gone.
type notSent struct {
	pin   backends.PINError
	cause error
}

func (e *notSent) Error() string   { return fmt.Sprintf("%s: %v", e.pin.Text, e.cause) }
func (e *notSent) Unwrap() []error { return []error{&e.pin, e.cause} }

// locked says that a token takes no PIN any more.
func locked(token string) error {
	return &backends.PINError{Blocked: true, Text: token + " has locked its PIN after too many wrong ones and takes none; its security officer must set a new one, e.g. pkcs11-tool --init-pin"}
}

func warn(left int) string {
	switch left {
	case 0:
		return "; it is locked now"
	case 1:
		return "; one more wrong PIN locks it"
	default:
		return ""
	}
}

// triesLeft is what a token's flags tell of wrong PINs that it still takes.
func triesLeft(flags uint) int {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return 0
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return 1
	default:
		return -1
	}
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
