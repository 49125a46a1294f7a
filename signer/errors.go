package signer

import (
	"errors"
	"fmt"
)

// Code is a stable name for what went wrong. Codes are API; docs/api.md has them.
type Code string

// The codes.
const (
	CodeInvalid         Code = "invalid_request" // the request cannot be understood; fix it
	CodeUnauthenticated Code = "unauthenticated" // the kernel does not say who is asking
	CodeNotFound        Code = "not_found"       // no such key or request, or not yours to see
	CodeDenied          Code = "denied"          // policy refuses
	CodeConflict        Code = "conflict"        // this request id was used for other content
	CodeExpired         Code = "expired"         // outside the request's validity
	CodePending         Code = "pending"         // not finished within the wait; look it up
	CodeOverloaded      Code = "overloaded"      // too many requests at once; try again
	CodeUnavailable     Code = "unavailable"     // key or record is out of reach; try again
	CodeWaiting         Code = "waiting"         // it waits for approvals, or for time to pass; look it up
	CodeFrozen          Code = "frozen"          // nothing is signed until approvers thaw it
	CodeInternal        Code = "internal"        // a defect of ours
)

// Error is the one type of error that leaves this package.
type Error struct {
	Code   Code
	Detail string // for the caller
	Err    error  // for the operator's log; never crosses a socket
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.Code, e.Detail)
	}
	return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err; what is not classified is internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Invalid is an error about a request that cannot be understood.
func Invalid(format string, args ...any) error { return invalid(format, args...) }

func invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Detail: fmt.Sprintf(format, args...)}
}
