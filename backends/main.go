package backends

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Main is the program of a worker: it returns the status to exit with, which must
// happen at once (see [Serve]). args are the arguments without the program's name.
func Main(args []string, drivers map[string]NewDriver) int {
	var o options
	flags := flag.NewFlagSet("sealward-worker", flag.ContinueOnError)
	flags.StringVar(&o.confine, "confine", "", "what to give up first, as `JSON`, before the program executes itself anew without this argument")
	flags.BoolVar(&o.listen, "listen", false, "serve one connection on a socket passed by systemd, then exit")
	flags.StringVar(&o.socket, "socket", "", "serve one connection on a socket made at this `path`, then exit")
	flags.Func("peer-user", "a `user` whose processes may connect; give it once for each", func(name string) error {
		o.peers = append(o.peers, name)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "sealward-worker: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	if err := o.run(args, drivers); err != nil {
		fmt.Fprintf(os.Stderr, "sealward-worker: %s\n", plain(err.Error(), 4000))
		return 1
	}
	return 0
}

type options struct {
	confine string
	listen  bool
	socket  string
	peers   []string
}

func (o options) run(args []string, drivers map[string]NewDriver) error {
	if o.confine != "" {
		var c Confinement
		if err := fromJSON([]byte(o.confine), &c); err != nil {
			return fmt.Errorf("--confine: %w", err)
		}
		return ConfineAndExec(c, slices.Concat(os.Args[:len(os.Args)-len(args)], unconfined(args)), os.Environ())
	}
	if err := shield(); err != nil {
		return err
	}
	conn, err := o.connection()
	if err != nil {
		return err
	}
	err = Serve(conn, drivers)
	if errors.Is(err, ErrGone) || errors.Is(err, io.EOF) {
		return nil // the daemon knows the one, and has decided the other
	}
	return err
}

// unconfined is args without --confine.
func unconfined(args []string) []string {
	i := slices.Index(args, "--confine")
	if i < 0 || i+1 >= len(args) {
		return append(slices.Clone(args), "--confine=") // given in another form; the last one counts
	}
	return slices.Delete(slices.Clone(args), i, i+2)
}

// shield keeps other processes of the account from reading this one's memory, and
// that out of core files. What execve(2) keeps was given up before it; the flag of
// PR_SET_DUMPABLE it resets.
func shield() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return os.NewSyscallError("setrlimit RLIMIT_CORE", err)
	}
	return os.NewSyscallError("prctl PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// inherited is the descriptor that a daemon or systemd passes (sd_listen_fds(3):
// SD_LISTEN_FDS_START).
const inherited = 3

// connection returns the one connection that this process serves.
func (o options) connection() (net.Conn, error) {
	if !o.listen && o.socket == "" {
		if len(o.peers) > 0 {
			return nil, errors.New("--peer-user is for --listen and --socket")
		}
		f := ours(inherited)
		defer f.Close() // FileConn has its own
		conn, err := net.FileConn(f)
		if err != nil {
			return nil, fmt.Errorf("there is no connection at descriptor %d (%w): this program is started by sealwardd; to run it as a service, give --listen", inherited, err)
		}
		return conn, nil
	}
	uids, err := lookUp(o.peers)
	if err != nil {
		return nil, err
	}
	listener, err := o.listener()
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peer(conn)
		if err == nil && slices.Contains(uids, uid) {
			return conn, nil
		}
		fmt.Fprintf(os.Stderr, "sealward-worker: refused a connection of uid %d (%v): want --peer-user of %q\n", uid, err, o.peers)
		conn.Close()
	}
}

// ours takes over a descriptor, and keeps it from what a library may start.
func ours(fd int) *os.File {
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "inherited")
}

func (o options) listener() (net.Listener, error) {
	if o.socket != "" {
		if o.listen {
			return nil, errors.New("--listen and --socket exclude each other")
		}
		if err := os.Remove(o.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err := net.Listen("unix", o.socket)
		if err != nil {
			return nil, err
		}
		// The daemon is another user; who may come in, the peer's uid says.
		return l, os.Chmod(o.socket, 0o666)
	}
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" {
		return nil, errors.New("--listen: systemd has passed no socket, or more than one; start the worker's .socket unit")
	}
	f := ours(inherited)
	defer f.Close()
	return net.FileListener(f)
}

// lookUp returns the ids of users.
func lookUp(names []string) ([]uint32, error) {
	if len(names) == 0 {
		return nil, errors.New("no --peer-user given: name the user that sealwardd runs as")
	}
	var uids []uint32
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("--peer-user: %w", err)
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--peer-user %s: %w", name, err)
		}
		uids = append(uids, uint32(uid))
	}
	return uids, nil
}

// peer returns the uid of the process that connected, as it was then (SO_PEERCRED in
// unix(7)).
func peer(conn net.Conn) (uint32, error) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("no Unix socket")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(cerr, err); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
