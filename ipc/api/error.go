package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// Error is what a call returns when it did not succeed. Codes are API; docs/api.md
// says for each what to do about it.
type Error struct {
	Code    signer.Code
	Message string // for the person who asked; it may quote what was sent
	// RequestID is the id of the request that it is about, if there was one.
	RequestID string

	cause error
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns what failed below: a context's error, or the dialler's.
func (e *Error) Unwrap() error { return e.cause }

// codeOfNonsense is for an answer that a sound daemon does not give.
const codeOfNonsense = signer.CodeInternal

// codes are what a Connect code means where the daemon did not say it itself.
var codes = map[connect.Code]signer.Code{
	connect.CodeInvalidArgument:    signer.CodeInvalid,
	connect.CodeUnauthenticated:    signer.CodeUnauthenticated,
	connect.CodeNotFound:           signer.CodeNotFound,
	connect.CodePermissionDenied:   signer.CodeDenied,
	connect.CodeAlreadyExists:      signer.CodeConflict,
	connect.CodeFailedPrecondition: signer.CodeExpired,
	connect.CodeDeadlineExceeded:   signer.CodePending,
	connect.CodeResourceExhausted:  signer.CodeOverloaded,
	connect.CodeUnavailable:        signer.CodeUnavailable,
}

// read turns what Connect returned into an [*Error].
func (c *Client) read(ctx context.Context, err error) *Error {
	if d, ok := asDialError(err); ok {
		return &Error{Code: signer.CodeUnavailable, Message: cannotReach(d.path, d.err), cause: d.err}
	}
	ce, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return &Error{Code: signer.CodeUnavailable, Message: fmt.Sprintf("call to %s: %v", c.path, err), cause: err}
	}
	if d := detail(ce); d != nil && d.GetCode() != "" {
		return &Error{Code: signer.Code(d.GetCode()), Message: ce.Message(), RequestID: d.GetRequestId(), cause: ctx.Err()}
	}
	switch {
	case ctx.Err() != nil:
		return &Error{Code: signer.CodePending, Message: "gave up waiting for an answer; what was asked may still be done", cause: ctx.Err()}
	case ce.Code() == connect.CodeUnimplemented:
		return &Error{Code: signer.CodeInvalid, Message: fmt.Sprintf("%s does not serve this call; docs/api.md says which socket does", c.path)}
	case !connect.IsWireError(ce) && (ce.Code() == connect.CodeUnavailable || broken(ce.Unwrap())):
		return &Error{Code: signer.CodeUnavailable, Message: fmt.Sprintf("the connection to %s broke: %s; what was asked may still be done", c.path, ce.Message()), cause: ce.Unwrap()}
	}
	code, ok := codes[ce.Code()]
	if !ok {
		return &Error{Code: signer.CodeInternal, Message: fmt.Sprintf("what answers at %s does not speak this API: %s", c.path, ce.Message()), cause: ce.Unwrap()}
	}
	return &Error{Code: code, Message: ce.Message(), cause: ce.Unwrap()}
}

// broken reports whether a connection ended before the answer was whole, as when the
// daemon is killed. Connect calls some of that unknown.
func broken(err error) bool {
	_, failed := errors.AsType[*net.OpError](err) // reset, broken pipe
	return failed || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func detail(ce *connect.Error) *v1.ErrorDetail {
	for _, d := range ce.Details() {
		m, err := d.Value()
		if err != nil {
			continue // of a newer daemon; not ours to read
		}
		if e, ok := m.(*v1.ErrorDetail); ok {
			return e
		}
	}
	return nil
}

// cannotReach says what to check when a socket cannot be connected to.
func cannotReach(path string, err error) string {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("cannot reach sealwardd at %s: gave up waiting for it to accept; it may be busy or stopped", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("cannot reach sealwardd: there is no socket %s; is the daemon running (systemctl status sealwardd), and is the path the one in sealward.hcl?", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("cannot reach sealwardd: uid %d may not open %s; `ls -l` shows the group that may, `id` the groups of yours (a new one counts after the next login)", os.Getuid(), path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("cannot reach sealwardd: nobody listens on %s; the daemon has stopped (systemctl status sealwardd)", path)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Sprintf("cannot reach sealwardd: too many callers wait at %s; try again", path)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Sprintf("cannot reach sealwardd: %s cannot be a socket's path: it is empty or longer than 107 bytes", path)
	}
	return fmt.Sprintf("cannot reach sealwardd at %s: %v", path, err)
}
