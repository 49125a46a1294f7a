package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// TPM is a TPM 2.0 in a folder of its own: libtpms, run by swtpm behind a Unix
// socket. What a TPM keeps without power is in the folder and outlives the process.
// There is no resource manager in front of it, so it has three slots for keys.
type TPM struct {
	dir string
	cmd *exec.Cmd
	end chan error // of cmd
}

// StartTPM makes a TPM in a folder, or starts the one that is there.
func StartTPM(dir string) (*TPM, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	t := &TPM{dir: dir}
	// unix(7): sun_path has 108 bytes with the zero that ends it.
	if len(t.control()) > 107 {
		return nil, fmt.Errorf("start swtpm: the path %s is too long for a Unix socket", t.control())
	}
	if err := os.MkdirAll(t.state(), 0o700); err != nil {
		return nil, err
	}
	return t, t.Start()
}

// Path is the socket's, for a driver's configuration.
func (t *TPM) Path() string { return filepath.Join(t.dir, "tpm") }

// control is the path of a second socket, which clients built on tpm2-tss look for
// beside the first.
func (t *TPM) control() string { return t.Path() + ".ctrl" }

// TCTI says where the TPM is to programs built on tpm2-tss: to tpm2-tools in
// TPM2TOOLS_TCTI. Such a client connects for each command, so several can run.
func (t *TPM) TCTI() string { return "swtpm:path=" + t.Path() }

// PID is the process, or 0 when it is not running.
func (t *TPM) PID() int {
	if t.cmd == nil {
		return 0
	}
	return t.cmd.Process.Pid
}

// Start starts the TPM again after [TPM.Kill] or [TPM.Stop], as a machine that is
// switched on does: what was loaded is gone.
func (t *TPM) Start() error {
	if t.cmd != nil {
		return fmt.Errorf("start swtpm: it is running already as process %d", t.PID())
	}
	for _, socket := range []string{t.Path(), t.control()} {
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(t.dir, "swtpm.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+t.state(),
		"--server", "type=unixio,path="+t.Path(), "--ctrl", "type=unixio,path="+t.control(), "--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("swtpm is not installed; run `make deps`")
		}
		return err
	}
	t.cmd, t.end = cmd, make(chan error, 1)
	go func() { t.end <- cmd.Wait() }()
	return t.wait()
}

// wait returns when the TPM answers a connection.
func (t *TPM) wait() error {
	for range 1000 {
		if c, err := net.Dial("unix", t.Path()); err == nil {
			return c.Close()
		}
		select {
		case err := <-t.end:
			t.cmd = nil
			return fmt.Errorf("swtpm ended (%w); see %s", err, filepath.Join(t.dir, "swtpm.log"))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.Join(fmt.Errorf("swtpm did not listen on %s within 5 s", t.Path()), t.Kill())
}

// Kill ends the TPM with no warning, as a power cut does.
func (t *TPM) Kill() error { return t.signal(syscall.SIGKILL) }

// Stop ends the TPM and leaves its state for the next start.
func (t *TPM) Stop() error { return t.signal(syscall.SIGTERM) }

func (t *TPM) signal(s syscall.Signal) error {
	if t.cmd == nil {
		return nil
	}
	if err := t.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-t.end: // it says how it was ended
	case <-time.After(10 * time.Second):
		return fmt.Errorf("swtpm, process %d, did not end within 10 s of signal %q", t.PID(), s)
	}
	t.cmd = nil
	return nil
}

func (t *TPM) state() string { return filepath.Join(t.dir, "state") }
