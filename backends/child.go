package backends

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer/trustfile"
)

// process is a worker: a child of this process, or a service at the other end of a
// socket, which has no child.
type process struct {
	conn  net.Conn
	pid   int
	child *exec.Cmd
	said  *said
	gone  chan struct{} // closed once the child was waited for, with status set

	mu     sync.Mutex // no signal is sent to a process id that was given back
	waited bool       // owned by mu
	status string
}

// launch starts the worker.
//
// The child gets SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG in
// prctl(2) speaks of threads), so the caller must be locked to its own for as long
// as the child is to live.
func launch(ctx context.Context, c *Config, quota *logQuota) (*process, error) {
	if c.Address != "" {
		return dial(ctx, c)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "worker")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	p := &process{conn: conn, gone: make(chan struct{})}
	if err := p.start(c, theirs, quota); err != nil {
		conn.Close()
		return nil, err
	}
	go p.wait()
	return p, nil
}

func (p *process) start(c *Config, theirs *os.File, quota *logQuota) error {
	confinement := c.Confinement
	confinement.Keep = []int{3}
	confine, err := json.Marshal(confinement)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	argv := append(c.Worker[1:len(c.Worker):len(c.Worker)], "--confine", string(confine))
	p.child = exec.Command(c.Worker[0], argv...)
	p.child.Dir = "/"
	p.child.Env = append([]string{}, c.Environment...) // nil would be this process's own
	p.child.Stdout, p.child.Stderr = w, w
	p.child.ExtraFiles = []*os.File{theirs}
	p.child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.child.Start(); err != nil {
		r.Close()
		return err
	}
	p.pid = p.child.Process.Pid
	p.said = listen(r, c.Log, quota)
	return nil
}

// wait waits for the child, ends its group, and says how it ended.
func (p *process) wait() {
	defer close(p.gone)
	for {
		// Without reaping it, so that the id of its group is still its own.
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Kill(-p.pid, unix.SIGKILL) // what it may have started
	err := p.child.Wait()
	p.waited = true
	switch state := p.child.ProcessState; {
	case state == nil:
		p.status = fmt.Sprintf("its worker is lost: %v", err)
	case state.Sys().(syscall.WaitStatus).Signaled():
		p.status = fmt.Sprintf("its worker was ended by signal %s", unix.SignalName(state.Sys().(syscall.WaitStatus).Signal()))
	default:
		p.status = fmt.Sprintf("its worker ended with status %d", state.ExitCode())
	}
}

// kill ends the worker's whole group at once. A call into C knows no other way.
func (p *process) kill() {
	_ = p.conn.Close() // a service ends when its connection does
	if p.child == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waited {
		_ = unix.Kill(-p.pid, unix.SIGKILL)
	}
}

// end kills what is left of the worker and says how it ended and what it last said.
func (p *process) end() (status, words string) {
	p.kill()
	if p.child == nil {
		return "", ""
	}
	<-p.gone
	return p.status, p.said.last()
}

// dial connects to a worker that is a service. Whoever could put a socket there
// could ask for PINs.
func dial(ctx context.Context, c *Config) (*process, error) {
	if err := trustfile.CheckDir(filepath.Dir(c.Address)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Address)
	if err != nil {
		return nil, err
	}
	p := &process{conn: conn}
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				p.pid = int(peer.Pid)
			}
		})
	}
	return p, nil
}

// said is what a worker, or a library in it, writes to its standard error. It comes
// from code that may be hostile: it is read at a bounded rate, so that the writer
// waits and nobody else, logged at a lower one, and cleaned.
type said struct {
	log   *slog.Logger
	quota *logQuota
	pipe  *os.File
	over  chan struct{} // closed when all is read

	mu    sync.Mutex
	lines []string // the last ones; owned by mu
}

const (
	mostSaid   = 8                      // lines that are remembered
	mostLine   = 300                    // bytes of each
	saidWindow = 10 * time.Second       // in which there may be one burst
	saidChunk  = 4096                   // bytes read at once, and the longest line
	saidPause  = 10 * time.Millisecond  // after each, beyond
	saidBurst  = 64                     // chunks
	saidWait   = 500 * time.Millisecond // for the rest, when the worker has ended
)

// tracesAfter is where the Go runtime, when it crashes, has said why and goes on to
// stacks and registers, in which there may be a PIN. GOTRACEBACK does not keep it
// from that after a signal.
var tracesAfter = regexp.MustCompile(`^(goroutine [0-9]|runtime stack:|\[?stack\]?:|r[a-z0-9]{1,2} +0x)`)

func listen(pipe *os.File, log *slog.Logger, quota *logQuota) *said {
	s := &said{log: log, quota: quota, pipe: pipe, over: make(chan struct{})}
	go func() {
		defer close(s.over)
		s.read()
	}()
	return s
}

func (s *said) read() {
	r := bufio.NewReaderSize(&slowly{r: s.pipe}, saidChunk)
	trace := false
	for {
		line, err := r.ReadSlice('\n')
		trace = trace || tracesAfter.Match(line)
		if text := plain(strings.TrimSpace(string(line)), mostLine); text != "" && !trace {
			s.keep(text)
			if ok, dropped := s.quota.take(); ok {
				s.log.Warn("its worker says", "text", text, "unlogged", dropped)
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (s *said) keep(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines = append(s.lines, line); len(s.lines) > mostSaid {
		s.lines = s.lines[1:]
	}
}

// last waits for what is still to be read and returns the last lines.
func (s *said) last() string {
	_ = s.pipe.SetReadDeadline(time.Now().Add(saidWait)) // a process that left the group may hold the other end
	<-s.over
	_ = s.pipe.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, " | ")
}

// slowly pauses after each read once a burst is used up, which fills again while
// nothing comes.
type slowly struct {
	r     io.Reader
	burst int
	at    time.Time
}

func (s *slowly) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(s.at) > saidWindow {
		s.burst, s.at = saidBurst, now
	}
	if s.burst--; s.burst < 0 {
		time.Sleep(saidPause)
	}
	return s.r.Read(b)
}
