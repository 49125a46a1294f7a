package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

// readerName makes a YubiKey of the card for clients that go by the reader's name.
const readerName = "Yubico YubiKey CCID"

// slots is how many cards fit into a reader of vpcd.
const slots = 2

// Reader is a private pcscd with a virtual card reader for two cards. Several can
// run side by side, and beside the host's own. Nothing about it needs privileges.
//
// vpcd listens on all addresses of the host, and believes whoever connects: do not
// run it where somebody might take the place of the card. A private pcscd that does
// not run as root sees the host's real USB readers, too.
type Reader struct {
	dir    string
	socket string
	port   int // of the first slot, the second has the next; 0 while there is none; guarded by mu

	cmd    *exec.Cmd
	exited chan struct{} // closed when pcscd has ended

	mu    sync.Mutex
	cards [slots]*inserted
	used  [slots]bool // a card was pulled from the slot
}

// inserted is a card in a slot.
type inserted struct {
	card    *pivcard.Card
	cancel  context.CancelFunc
	done    chan struct{} // closed when nothing of it runs any more
	present chan struct{} // gets a value when pcscd has the card
	conn    net.Conn      // guarded by Reader.mu; nil while there is none
	removed bool          // guarded by Reader.mu
}

// StartReader starts a pcscd in a folder.
func StartReader(dir string) (*Reader, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &Reader{dir: dir, socket: filepath.Join(dir, "pcscd.comm")}
	if len(r.socket) > 107 { // unix(7)
		return nil, fmt.Errorf("start a virtual card reader: the path %s is too long for a socket; choose a shorter folder", r.socket)
	}
	if err := r.start(); err != nil {
		return nil, fmt.Errorf("start a virtual card reader: %w", err)
	}
	return r, nil
}

// Socket returns the path of pcscd's socket.
func (r *Reader) Socket() string { return r.socket }

// Env returns the environment variable by which a client finds this pcscd. The
// library reads it once, so a process can use one pcscd only.
func (r *Reader) Env() string { return "PCSCLITE_CSOCK_NAME=" + r.socket }

// PID returns the process id of pcscd.
func (r *Reader) PID() int { return r.cmd.Process.Pid }

// Restart starts pcscd again after [Reader.Kill]; the cards are still inserted, and
// Restart returns when pcscd has them.
func (r *Reader) Restart() error {
	r.mu.Lock()
	cards := r.cards
	r.mu.Unlock()
	for _, in := range cards {
		if in != nil {
			select {
			case <-in.present: // of the pcscd before
			default:
			}
		}
	}
	if err := r.start(); err != nil {
		return fmt.Errorf("start a virtual card reader: %w", err)
	}
	for _, in := range cards {
		if in == nil {
			continue
		}
		if err := in.awaitPresence(); err != nil {
			return err
		}
	}
	return nil
}

// Kill kills pcscd with no warning.
func (r *Reader) Kill() error {
	select {
	case <-r.exited:
		return nil
	default:
	}
	r.mu.Lock()
	r.port = 0 // somebody else may get it
	r.mu.Unlock()
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-r.exited
	return nil
}

// Stop removes the cards and ends pcscd.
func (r *Reader) Stop() error {
	r.mu.Lock()
	cards := r.cards
	r.mu.Unlock()
	for _, in := range cards {
		if in != nil {
			in.cancel()
			<-in.done
		}
	}
	return r.Kill()
}

// start starts pcscd, with other ports if somebody else has those.
func (r *Reader) start() error {
	var err error
	for range 10 {
		// Below the range from which the kernel takes ports for connections.
		port := 20000 + 2*rand.IntN(6000)
		if err = r.startAt(port); !errors.Is(err, errPorts) {
			return err
		}
	}
	return err
}

var errPorts = errors.New("the virtual reader could not listen")

func (r *Reader) startAt(port int) error {
	conf := filepath.Join(r.dir, "reader.conf.d")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		return err
	}
	driver, err := find("vpcd's driver", []string{"/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "/usr/lib*/pcsc/drivers/serial/libifdvpcd.so*"})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("FRIENDLYNAME \"%s\"\nDEVICENAME /dev/null:0x%04X\nLIBPATH %s\nCHANNELID 0x%04X\n", readerName, port, driver, port)
	if err := os.WriteFile(filepath.Join(conf, "vpcd"), []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Remove(r.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.socket, Net: "unix"})
	if err != nil {
		return err
	}
	// pcscd is to be the only one that holds the socket, so that it ends with it.
	l.SetUnlinkOnClose(false)
	defer l.Close()
	if err := r.run(l, conf); err != nil {
		return err
	}
	if err := r.awaitPorts(port); err != nil {
		return errors.Join(err, r.Kill())
	}
	r.mu.Lock()
	r.port = port
	r.mu.Unlock()
	return nil
}

// pcscd's own socket has a fixed path, so it is given one as systemd gives it: the
// shell is there because LISTEN_PID is the number of the process that becomes pcscd.
// In a mount namespace of its own it leaves no trace in /run and sees no USB devices.
const startPCSCD = `
if [ "$1" = private ]; then
	mkdir -p /run/pcscd && mount -t tmpfs none /run/pcscd || exit 1
	[ ! -d /dev/bus/usb ] || mount -t tmpfs none /dev/bus/usb || exit 1
fi
LISTEN_PID=$$ LISTEN_FDS=1 exec "$2" --foreground --config "$3"
`

func (r *Reader) run(l *net.UnixListener, conf string) error {
	pcscd, err := find("pcscd", []string{"/usr/sbin/pcscd", "/usr/bin/pcscd", "/usr/local/sbin/pcscd"})
	if err != nil {
		return err
	}
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	log, err := os.OpenFile(filepath.Join(r.dir, "pcscd.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	start := func(mode string, flags uintptr) error {
		r.cmd = exec.Command("/bin/sh", "-c", startPCSCD, "sh", mode, pcscd, conf)
		r.cmd.ExtraFiles = []*os.File{f}
		r.cmd.Stdout, r.cmd.Stderr = log, log
		// The cards are in this process: a pcscd that outlives it is of no use.
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: flags, Pdeathsig: syscall.SIGKILL}
		return r.cmd.Start()
	}
	err = start("private", syscall.CLONE_NEWNS)
	if errors.Is(err, syscall.EPERM) { // not root, or not in this container
		err = start("plain", 0)
	}
	if err != nil {
		return err
	}
	cmd, exited := r.cmd, make(chan struct{})
	r.exited = exited
	go func() { // ends with pcscd
		_ = cmd.Wait() // it says "killed"
		close(exited)
	}()
	return nil
}

// awaitPorts waits until pcscd, and nobody else, listens on both ports.
func (r *Reader) awaitPorts(port int) error {
	for range 1000 {
		select {
		case <-r.exited:
			return fmt.Errorf("pcscd ended as soon as it was started: %s", r.log())
		default:
		}
		listening, err := listens(r.PID(), port)
		if err != nil {
			return err
		}
		if listening {
			return nil
		}
		if log := r.log(); strings.Contains(log, "Could not initialize connection to virtual ICC") {
			return fmt.Errorf("%w on port %d or %d: %s", errPorts, port, port+1, log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%w on ports %d and %d within 10 s: %s", errPorts, port, port+1, r.log())
}

func (r *Reader) log() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "pcscd.log"))
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b))
}

// listens reports whether a process listens on a port and on the next. It is asked
// of the kernel, for to connect would be to insert a card.
func listens(pid, port int) (bool, error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false, err
	}
	fds, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil {
		return false, err
	}
	open := map[string]bool{}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil { // it may be closed by now
			open[target] = true
		}
	}
	found := 0
	for line := range strings.Lines(string(table)) {
		const listen = "0A" // TCP_LISTEN
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listen || !open["socket:["+f[9]+"]"] {
			continue
		}
		for i := range slots {
			if strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port+i)) {
				found++
			}
		}
	}
	return found == slots, nil
}
