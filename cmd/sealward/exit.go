package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// Exit codes. They are documented in docs/cli.md and do not change.
const (
	exitOK          = 0
	exitGeneral     = 1 // a defect, or something in the way on this host
	exitUsage       = 2 // the command line is wrong
	exitDenied      = 3 // policy refuses, or the kernel does not say who asks
	exitInvalid     = 4 // the request is wrong, expired or conflicts with an earlier one
	exitUnavailable = 5 // out of reach, overloaded, frozen or not finished: ask again
	exitNotFound    = 6 // no such key or request, or not yours to see
	exitProblems    = 7 // what was checked has problems
	exitWaiting     = 8 // the request waits for approvals, or for time to pass
)

// usageError is about the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// problems ends a check that found some; what they are is its output.
type problems struct{ what string }

func (e problems) Error() string { return e.what }

// verdict ends a question to policy whose answer is not "allow".
type verdict struct{ reason string }

func (e verdict) Error() string { return e.reason }

func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[problems](err); ok {
		return exitProblems
	}
	switch codeOf(err) {
	case signer.CodeDenied, signer.CodeUnauthenticated:
		return exitDenied
	case signer.CodeInvalid, signer.CodeConflict, signer.CodeExpired:
		return exitInvalid
	case signer.CodeUnavailable, signer.CodeOverloaded, signer.CodePending, signer.CodeFrozen:
		return exitUnavailable
	case signer.CodeNotFound:
		return exitNotFound
	case signer.CodeWaiting:
		return exitWaiting
	}
	return exitGeneral
}

// codeOf is the code of an error of the daemon's or of a decoder's, or empty.
func codeOf(err error) signer.Code {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*signer.Error](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[verdict](err); ok {
		return signer.CodeDenied
	}
	return ""
}

// explain writes an error to standard error: as text that begins "sealward: ", or
// as JSON.
func (c *cli) explain(err error) {
	if c.output == outputJSON {
		out := struct {
			Code      string `json:"code"`
			Message   string `json:"message"`
			RequestID string `json:"request_id,omitempty"`
		}{string(codeOf(err)), message(err), ""}
		if e, ok := errors.AsType[*api.Error](err); ok {
			out.RequestID = e.RequestID
		}
		var doc bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(out)                       // these are texts
		_, _ = c.stderr.Write(shown(doc.Bytes())) // there is nobody left to tell
		return
	}
	text := message(err)
	if code := codeOf(err); code != "" {
		// It may quote what somebody sent, so its lines are not ours.
		fmt.Fprintf(c.stderr, "sealward: %s: %s\n", code, console.Safe(text))
		return
	}
	for i, line := range strings.Split(strings.ReplaceAll(text, "\t", "    "), "\n") {
		if i == 0 {
			line = "sealward: " + line
		} else {
			line = "  " + line // the name of a file may have line feeds in it
		}
		fmt.Fprintln(c.stderr, console.Safe(line))
	}
}

// message is an error's text without its code.
func message(err error) string {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Message
	}
	if e, ok := errors.AsType[*signer.Error](err); ok {
		return e.Detail
	}
	return err.Error()
}
