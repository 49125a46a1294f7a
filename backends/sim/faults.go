package sim

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The module is a file that the test builds, not cgo: it has to be loaded by its
// path, like a vendor's.
//
//go:embed faultmodule/faults.c
var faultsSource []byte

// Function is a function of PKCS #11 that [Faults] watches.
type Function int

// The functions, numbered by their place in CK_FUNCTION_LIST (PKCS #11 v2.40, 3.3).
const (
	Initialize   Function = 0
	Finalize     Function = 1
	OpenSession  Function = 12
	CloseSession Function = 13
	Login        Function = 18
	FindObjects  Function = 26
	SignInit     Function = 42
	Sign         Function = 43

	functions = 68
)

// Deed is what a function does instead of returning an error. faultmodule/faults.c
// has the same numbers.
type Deed uint64

// The deeds. The lies are for [Sign] only.
const (
	Crash        Deed = 1 // write to no memory, as a bug in C does
	Hang         Deed = 2 // never return
	FlipBit      Deed = 3 // return the signature with a bit changed
	OtherMessage Deed = 4 // return a good signature of another message
	TooLong      Deed = 5 // claim a longer signature than there is room for
)

// Faults is a PKCS#11 module in front of another, which counts calls and fails on
// demand. It takes effect in every process that loads Module, at once.
type Faults struct {
	Module string   // path of the module that fails
	Env    []string // variables by which a process finds what is behind it
	State  string   // path of a file that a process which loads Module writes to
	state  *os.File
}

// NewFaults builds the module in a folder and sets the variables by which this
// process and its children will find what is behind it.
func NewFaults(dir, behind string) (*Faults, error) {
	source, module, state := filepath.Join(dir, "faults.c"), filepath.Join(dir, "faults.so"), filepath.Join(dir, "faults.state")
	if err := os.WriteFile(source, faultsSource, 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", module, source, "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s (is gcc installed? run `make deps`): %w: %s", module, err, strings.TrimSpace(string(out)))
	}
	f, err := os.OpenFile(state, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(3*functions*8), os.Setenv("FAULTS_MODULE", behind), os.Setenv("FAULTS_STATE", state)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Faults{module, []string{"FAULTS_MODULE=" + behind, "FAULTS_STATE=" + state}, state, f}, nil
}

// Calls returns how often a function was called since the last Reset.
func (f *Faults) Calls(fn Function) (uint64, error) {
	var b [8]byte
	_, err := f.state.ReadAt(b[:], 8*int64(fn))
	return binary.NativeEndian.Uint64(b[:]), err
}

// Fail makes the next calls of a function return a value, such as
// pkcs11.CKR_DEVICE_ERROR, without reaching what is behind.
func (f *Faults) Fail(fn Function, value uint, times uint64) error {
	return errors.Join(f.put(functions+int(fn), uint64(value)), f.put(2*functions+int(fn), times))
}

// Do makes the next calls of a function do something worse than fail.
func (f *Faults) Do(fn Function, d Deed, times uint64) error {
	if d >= FlipBit && fn != Sign {
		return fmt.Errorf("function %d of PKCS #11 returns no signature to lie about", fn)
	}
	return errors.Join(f.put(functions+int(fn), uint64(d)<<32), f.put(2*functions+int(fn), times))
}

// Reset forgets all counts and faults.
func (f *Faults) Reset() error {
	_, err := f.state.WriteAt(make([]byte, 3*functions*8), 0)
	return err
}

// Close releases the file that is shared with the module.
func (f *Faults) Close() error { return f.state.Close() }

func (f *Faults) put(place int, n uint64) error {
	_, err := f.state.WriteAt(binary.NativeEndian.AppendUint64(nil, n), 8*int64(place))
	return err
}
