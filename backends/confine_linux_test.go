package backends_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/backends"
)

// world is what the processes of the test find.
type world struct {
	Stage       string // "confine": confine yourself and go on with "probe"
	Confinement backends.Confinement
	Dir         string // of everything below
	Neighbour   int    // another process of the account
	TCP         string // an address where somebody listens
	Abstract    string // an abstract Unix socket, likewise
}

const worldVariable = "SEALWARD_TEST_WORLD"

func (w world) journal() string { return filepath.Join(w.Dir, "state", "journal.db") }
func (w world) token() string   { return filepath.Join(w.Dir, "token") }

// probe is something that a process tries. Unless alike is set it works where
// nothing is confined, which keeps a probe that always fails from proving anything.
type probe struct {
	name  string
	try   func(world) error
	want  error // when confined; nil: it works
	alike bool  // what is not confined may be refused it too, or is not asked
	abi   int   // of Landlock, that it takes; 0: none, it is the filter of system calls
}

// The versions of Landlock that restrict what is probed here (landlock(7), "VERSIONS").
const (
	files  = 1
	moves  = 2 // from one folder to another, which the first refuses everywhere
	scopes = 6 // abstract sockets
)

// answer is what came of a probe.
type answer struct {
	Worked bool   // without an error
	Wanted bool   // as it should when confined
	Text   string // both
}

func opens(flags int, path func(world) string) func(world) error {
	return func(w world) error {
		fd, err := unix.Open(path(w), flags|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

func at(path string) func(world) string { return func(world) string { return path } }

func socket(family int) func(world) error {
	return func(world) error {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

// call makes a system call that fails for its arguments if it is not refused.
func call(number uintptr, args ...uintptr) func(world) error {
	return func(world) error {
		var a [4]uintptr
		copy(a[:], args)
		_, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], 0, 0)
		if slices.Contains([]unix.Errno{0, unix.EFAULT, unix.EINVAL, unix.EBADF, unix.ENOENT}, errno) {
			return nil
		}
		return errno
	}
}

const bad = ^uintptr(0)

// probes, in the order in which they are tried: what destroys comes last.
var probes = []probe{
	{"the journal is not read", opens(unix.O_RDONLY, world.journal), unix.EACCES, false, files},
	{"the journal is not written", opens(unix.O_WRONLY, world.journal), unix.EACCES, false, files},
	{"the journal's folder is not listed", func(w world) error { _, err := os.ReadDir(filepath.Dir(w.journal())); return err }, unix.EACCES, false, files},
	{"nothing is put beside the journal", opens(unix.O_WRONLY|unix.O_CREAT, func(w world) string { return w.journal() + "-wal" }), unix.EACCES, false, files},
	{"/etc is not listed", func(world) error { _, err := os.ReadDir("/etc"); return err }, unix.EACCES, false, files},
	{"what is in /etc is not all read", opens(unix.O_RDONLY, at("/etc/fstab")), unix.EACCES, true, files},
	{"another process is not looked at", opens(unix.O_RDONLY, func(w world) string { return fmt.Sprintf("/proc/%d/cmdline", w.Neighbour) }), unix.EACCES, false, files},
	{"/tmp is not written", opens(unix.O_WRONLY|unix.O_CREAT, func(w world) string { return filepath.Join(filepath.Dir(w.Dir), "extra") }), unix.EACCES, false, files},
	{"a device that is not named stays shut", opens(unix.O_RDWR, at("/dev/full")), unix.EACCES, false, files},
	{"there is no IPv4", socket(unix.AF_INET), unix.EPERM, false, 0},
	{"there is no IPv6", socket(unix.AF_INET6), unix.EPERM, true, 0},
	{"there is no TCP", func(w world) error { return dial("tcp", w.TCP) }, unix.EPERM, false, 0},
	{"there are no packets of one's own making", socket(unix.AF_PACKET), unix.EPERM, true, 0},
	{"there is no netlink", socket(unix.AF_NETLINK), unix.EPERM, false, 0},
	{"abstract sockets are out of reach", func(w world) error { return dial("unix", w.Abstract) }, unix.EPERM, false, scopes},
	{"the neighbour is not signalled", func(w world) error { return unix.Kill(w.Neighbour, 0) }, unix.EPERM, false, 0},
	{"nor is its group", func(world) error { return unix.Kill(0, 0) }, unix.EPERM, false, 0},
	{"nor by way of a descriptor's owner", func(w world) error { return setOwner(w.Neighbour) }, unix.EPERM, false, 0},
	{"its limits are not changed", func(w world) error { return unix.Prlimit(w.Neighbour, unix.RLIMIT_NOFILE, nil, new(unix.Rlimit)) }, unix.EPERM, false, 0},
	{"its priority is not changed", func(w world) error { return unix.Setpriority(unix.PRIO_PROCESS, w.Neighbour, 0) }, unix.EPERM, false, 0},
	{"its processors are not changed", func(w world) error { return unix.SchedSetaffinity(w.Neighbour, &unix.CPUSet{255}) }, unix.EPERM, false, 0},
	{"ptrace is refused", call(unix.SYS_PTRACE, bad), unix.EPERM, true, 0},
	{"memory of others is not read", call(unix.SYS_PROCESS_VM_READV, bad), unix.EPERM, true, 0},
	{"memory of others is not written", call(unix.SYS_PROCESS_VM_WRITEV, bad), unix.EPERM, true, 0},
	{"descriptors of others are not taken", call(unix.SYS_PIDFD_GETFD, bad), unix.EPERM, true, 0},
	{"io_uring is refused", call(unix.SYS_IO_URING_SETUP, 1, 0), unix.EPERM, true, 0},
	{"there is no user namespace", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER), unix.EPERM, true, 0},
	{"nor one by clone", call(unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_FS), unix.EPERM, true, 0}, // without a filter: EINVAL
	{"clone3 seems not to be there", call(unix.SYS_CLONE3, 0, 0), unix.ENOSYS, true, 0},
	{"openat2 seems not to be there", call(unix.SYS_OPENAT2, bad, 0, 0, 0), unix.ENOSYS, true, 0},
	{"keyrings are refused", call(unix.SYS_KEYCTL, bad), unix.EPERM, true, 0},
	{"calls of x32 are refused", call(0x40000000+unix.SYS_GETPID, 0), unix.EPERM, true, 0},
	{"what was in /usr can be executed", func(world) error { return exec.Command("/bin/true").Run() }, nil, false, 0},
	{"and is confined too", func(w world) error { return exec.Command("/bin/cat", w.journal()).Run() }, &exec.ExitError{}, false, files},
	{"accounts are looked up", opens(unix.O_RDONLY, at("/etc/passwd")), nil, false, 0},
	{"randomness is there", opens(unix.O_RDONLY, at("/dev/urandom")), nil, false, 0},
	{"/dev/null takes everything", opens(unix.O_WRONLY, at("/dev/null")), nil, false, 0},
	{"what was granted is read", opens(unix.O_RDONLY, func(w world) string { return filepath.Join(w.Dir, "module", "conf") }), nil, false, 0},
	{"and written nowhere", opens(unix.O_WRONLY, func(w world) string { return filepath.Join(w.Dir, "module", "conf") }), unix.EACCES, false, files},
	{"the token's folder is used", useToken, nil, false, moves},
	{"a device that was named takes ioctls", openTerminal, nil, false, 0},
	{"Unix sockets are there", socket(unix.AF_UNIX), nil, false, 0},
	{"a file's socket is connected to", func(w world) error { return dial("unix", filepath.Join(w.Dir, "s")) }, nil, false, 0},
	{"it signals itself", func(world) error { return unix.Kill(os.Getpid(), 0) }, nil, false, 0},
	{"the descriptor to keep is open", readKept, nil, false, 0},
	{"no other descriptor came along", noJournalOpen, nil, true, 0},
	{"every thread is confined", func(w world) error { return onThreads(func() error { return threadIsConfined(w) }) }, nil, true, 0},
	{"its limits are set", limited, nil, true, 0},
	{"the journal keeps its mode", func(w world) error { return unix.Chmod(w.journal(), 0o600) }, unix.EPERM, false, 0},
	{"and its owner", func(w world) error { return unix.Chown(w.journal(), os.Getuid(), os.Getgid()) }, unix.EPERM, false, 0},
	{"and its attributes", func(w world) error { return unix.Setxattr(w.journal(), "user.x", []byte("x"), 0) }, unix.EPERM, true, 0},
	{"the journal is not truncated", func(w world) error { return unix.Truncate(w.journal(), 0) }, unix.EPERM, false, 0},
	{"nor by opening it to read", opens(unix.O_RDONLY|unix.O_TRUNC, world.journal), unix.EPERM, false, 0},
	{"nor is what is only to read", opens(unix.O_RDONLY|unix.O_TRUNC, func(w world) string { return filepath.Join(w.Dir, "module", "conf") }), unix.EPERM, false, 0},
	{"the journal is not linked to the token", func(w world) error { return os.Link(w.journal(), filepath.Join(w.token(), "stolen")) }, unix.EXDEV, false, files},
	{"the journal is not moved", func(w world) error { return os.Rename(w.journal(), w.journal()+".old") }, unix.EACCES, false, files},
	{"the journal's folder is not emptied", func(w world) error { return os.RemoveAll(filepath.Dir(w.journal())) }, unix.EACCES, false, files},
}

func dial(network, address string) error {
	c, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

func setOwner(pid int) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(r.Fd(), unix.F_SETOWN, pid)
	return errors.Join(err, r.Close(), w.Close())
}

// useToken does what libraries do to files: make, write, cut, rename, move, remove.
func useToken(w world) error {
	sub, a := filepath.Join(w.token(), "sub"), filepath.Join(w.token(), "a")
	return errors.Join(
		os.Mkdir(sub, 0o700), os.WriteFile(a, []byte("object"), 0o600), os.WriteFile(a, []byte("o"), 0o600),
		os.Rename(a, a+"2"), os.Rename(a+"2", filepath.Join(sub, "a")), os.RemoveAll(sub))
}

func openTerminal(world) error {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPTN)
	return errors.Join(err, f.Close())
}

func readKept(world) error {
	b := make([]byte, 8)
	n, err := unix.Pread(3, b, 0)
	if err == nil && string(b[:n]) != "kept" {
		err = fmt.Errorf("descriptor 3 has %q", b[:n])
	}
	return err
}

func noJournalOpen(w world) error {
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(names) < 4 {
		return fmt.Errorf("/proc/self/fd has %q, %v", names, err)
	}
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil && to == w.journal() {
			return fmt.Errorf("%s is the journal", name)
		}
	}
	return nil
}

// TestAConfinedProcess runs itself: once confined, and once not, for comparison.
func TestAConfinedProcess(t *testing.T) {
	if text := os.Getenv(worldVariable); text != "" {
		os.Exit(child(text))
	}
	abi := backends.LandlockABI()
	for name, confined := range map[string]bool{"reaches only what it was granted": true, "would reach all of it if it were not": false} {
		t.Run(name, func(t *testing.T) {
			got := run(t, newWorld(t), confined)
			for _, p := range probes {
				a, ok := got[p.name]
				if confined && p.abi > abi {
					t.Logf("not proven here, where Landlock has ABI %d and it takes %d: %s: %s", abi, p.abi, p.name, a.Text)
					continue
				}
				if !ok || confined && !a.Wanted || !confined && !p.alike && !a.Worked {
					t.Errorf("%s: %s", p.name, a.Text)
				}
			}
		})
	}
}

func TestAConfinedProcessHasTheNetworkThatItWasGranted(t *testing.T) {
	w := newWorld(t)
	w.Confinement.Network = true
	got := run(t, w, true)
	for name, works := range map[string]bool{
		"there is no IPv4": true, "there is no TCP": true, "there is no netlink": true,
		"there are no packets of one's own making": false, "the journal is not read": false,
	} {
		if name == "the journal is not read" && backends.LandlockABI() < files {
			t.Logf("not proven here, where there is no Landlock: %s", name)
			continue
		}
		if a, ok := got[name]; !ok || a.Worked != works {
			t.Errorf("%s: %s; want it to work: %v", name, a.Text, works)
		}
	}
}

// newWorld makes what the probes look for.
func newWorld(t *testing.T) world {
	t.Helper()
	w := world{Dir: t.TempDir(), Neighbour: os.Getpid()}
	for name, text := range map[string]string{"state/journal.db": "history", "module/conf": "conf", "token/object": "key", "kept": "kept"} {
		path := filepath.Join(w.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	w.Confinement = backends.Confinement{
		Read: []string{filepath.Join(w.Dir, "module"), filepath.Join(w.Dir, "not there")}, Write: []string{w.token()},
		Devices: []string{"/dev/ptmx"}, Keep: []int{3},
	}
	w.Abstract = "@" + w.Dir
	listen := func(network, address string) string {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.Addr().String()
	}
	listen("unix", w.Abstract)
	listen("unix", filepath.Join(w.Dir, "s"))
	w.TCP = listen("tcp", "127.0.0.1:0")
	return w
}

// run runs this program as a child and returns what its probes complain of.
func run(t *testing.T, w world, confined bool) map[string]answer {
	t.Helper()
	if confined {
		w.Stage = "confine"
	}
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	kept, err1 := os.Open(filepath.Join(w.Dir, "kept"))
	journal, err2 := os.Open(w.journal()) // which must not survive
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	defer journal.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAConfinedProcess$")
	cmd.Env = append(os.Environ(), worldVariable+"="+string(text))
	cmd.ExtraFiles = []*os.File{kept, journal}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the child: %v: %s", err, out)
	}
	var got map[string]answer
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("the child says %q: %v", out, err)
	}
	return got
}

// child is one of the two stages.
func child(text string) int {
	var w world
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if w.Stage != "confine" {
		if err := json.NewEncoder(os.Stdout).Encode(w.probe()); err != nil {
			return 1
		}
		return 0
	}
	w.Stage = "probe"
	startThreads()
	runtime.LockOSThread()
	next, err := json.Marshal(w)
	if err = errors.Join(err, dropCapabilities()); err == nil {
		err = backends.ConfineAndExec(w.Confinement, os.Args, []string{worldVariable + "=" + string(next), "PATH=/usr/bin:/bin"})
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// startThreads starts some that are there when the process is confined.
func startThreads() {
	var ready sync.WaitGroup
	for range 8 {
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			select {}
		}()
	}
	ready.Wait()
}

// dropCapabilities makes root as weak as anybody else.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// probe tries everything.
func (w world) probe() map[string]answer {
	got := map[string]answer{}
	for _, p := range probes {
		err := p.try(w)
		var exit, exited *exec.ExitError
		wanted := errors.Is(err, p.want) || errors.As(p.want, &exit) && errors.As(err, &exited)
		got[p.name] = answer{err == nil, wanted, fmt.Sprintf("got %v, want %v", err, p.want)}
	}
	return got
}

// onThreads calls f on some threads at once.
func onThreads(f func() error) error {
	var ready, done sync.WaitGroup
	errs := make([]error, 8)
	ready.Add(len(errs))
	for i := range errs {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			ready.Wait() // so that no thread serves two
			errs[i] = f()
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// threadIsConfined looks at the one it runs on.
func threadIsConfined(w world) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", unix.Gettid()))
	if err != nil {
		return err
	}
	for _, want := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n", "\nCapEff:\t0000000000000000\n"} {
		if !strings.Contains(string(status), want) {
			return fmt.Errorf("thread %d lacks %q", unix.Gettid(), want)
		}
	}
	if err := opens(unix.O_RDONLY, world.journal)(w); backends.LandlockABI() >= files && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("thread %d opens the journal: %v", unix.Gettid(), err)
	}
	if err := unix.Kill(w.Neighbour, 0); !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("thread %d signals another process: %v", unix.Gettid(), err)
	}
	return nil
}

func limited(world) error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 1024} {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return err
		}
		if now.Cur != most || now.Max != most {
			return fmt.Errorf("limit %d is %+v, want %d", resource, now, most)
		}
	}
	if mask := unix.Umask(0o077); mask != 0o077 {
		return fmt.Errorf("umask is %04o, want 0077", mask)
	}
	return nil
}
