package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/sealward/sealward/backends"
)

// patience is how long a TPM may ask to be asked again. A self-test takes seconds.
const patience = 5 * time.Second

// link carries commands to the TPM and responses back, whole.
type link struct {
	tpm     transport.TPMCloser
	managed bool // there is a resource manager in front of it
}

// dial opens a device node or a socket.
func dial(path string) (*link, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, backends.Gone(fmt.Errorf("open TPM: there is no %s; is the TPM enabled in the firmware set-up, and its kernel driver loaded?", path))
	case err != nil:
		return nil, fmt.Errorf("open TPM: %w", err)
	}
	open := linuxtpm.Open
	if info.Mode()&os.ModeSocket != 0 {
		// It connects for each command, so that several programs can use one swtpm.
		open = linuxudstpm.Open
	}
	tpm, err := open(path)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("open TPM: %w; add the service's user to the group that owns the device, usually tss", err)
	case errors.Is(err, syscall.EBUSY):
		return nil, backends.Gone(fmt.Errorf("open TPM: %w; another program has it open, so configure /dev/tpmrm0, which many can use", err))
	case err != nil:
		return nil, fmt.Errorf("open TPM: %w", err)
	}
	return &link{tpm, strings.HasPrefix(filepath.Base(path), "tpmrm")}, nil
}

// Send sends a command until the TPM has taken it. Sending the same bytes again is
// right: a command that was not run has not rolled its session's nonces (TPM 2.0
// Library part 1, 19.6.3).
func (l *link) Send(command []byte) ([]byte, error) {
	var waited time.Duration
	for pause := time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		response, err := l.tpm.Send(command)
		switch {
		case errors.Is(err, syscall.ENOMEM):
			return outOfSlots(command), nil
		case err != nil:
			return nil, backends.Gone(err)
		case !again(response) || waited >= patience:
			return response, nil
		}
		time.Sleep(pause)
		waited += pause
	}
}

// again reports whether a response says that the command has to be sent again.
func again(response []byte) bool {
	if len(response) < 10 {
		return false
	}
	switch tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate:
		return true
	}
	return false
}

// outOfSlots is the response of a TPM that is full. Linux's resource manager, which
// keeps three objects and three sessions for each client, fails the system call.
func outOfSlots(command []byte) []byte {
	code := tpm2.TPMRCObjectMemory
	if len(command) >= 10 && tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm2.TPMCCStartAuthSession {
		code = tpm2.TPMRCSessionMemory
	}
	response := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMSTNoSessions))
	response = binary.BigEndian.AppendUint32(response, 10)
	return binary.BigEndian.AppendUint32(response, uint32(code))
}

func (l *link) Close() error { return l.tpm.Close() }
