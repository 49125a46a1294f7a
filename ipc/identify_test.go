package ipc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

// pair returns a listener in the test's own hands, and its path.
func pair(t *testing.T) (*net.UnixListener, string) {
	t.Helper()
	ls, err := Listen([]Socket{{Name: "sign", Path: filepath.Join(folder(t), "s"), Mode: 0o666}})
	must(t, err)
	t.Cleanup(func() { ls[0].Close() })
	return ls[0].unix, ls[0].Addr()
}

// own connects to a listener from this process and returns the server's end.
func own(t *testing.T) *net.UnixConn {
	t.Helper()
	l, path := pair(t)
	c, err := net.Dial("unix", path)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	accepted, err := l.AcceptUnix()
	must(t, err)
	t.Cleanup(func() { accepted.Close() })
	return accepted
}

func refused(t *testing.T, c signer.Caller, err error, code signer.Code, detail string) {
	t.Helper()
	e, ok := errors.AsType[*signer.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Detail, detail) {
		t.Errorf("Identify error = %v, want code %q and %q", err, code, detail)
	}
	if c.Identified || c.UID != 0 || c.PID != 0 || c.Socket != "" {
		t.Errorf("Identify returns %+v beside an error", c)
	}
}

func TestTheKernelSaysWhoConnected(t *testing.T) {
	got, err := NewIdentifier(true).Identify(own(t), "sign")
	must(t, err)
	if int(got.UID) != os.Geteuid() || int(got.GID) != os.Getegid() || int(got.PID) != os.Getpid() ||
		got.Socket != "sign" || !got.Identified {
		t.Errorf("Identify = %+v", got)
	}
	wantUser, wantGroup := "", "" // a uid need not have an account
	if me, err := user.LookupId(fmt.Sprint(os.Geteuid())); err == nil {
		wantUser = me.Username
		g, err := user.LookupGroupId(me.Gid)
		must(t, err)
		wantGroup = g.Name
	}
	if got.User != wantUser || wantGroup != "" && !slices.Contains(got.Groups, wantGroup) {
		t.Errorf("user = %q in %q, want %q in %q among others", got.User, got.Groups, wantUser, wantGroup)
	}
}

func TestTheDaemonsOwnAccountIsRefusedUnlessPrivate(t *testing.T) {
	c, err := NewIdentifier(false).Identify(own(t), "sign")
	refused(t, c, err, signer.CodeUnauthenticated, fmt.Sprintf("uid %d is the daemon's own account", os.Geteuid()))
}

func TestASocketWithoutANameIdentifiesNobody(t *testing.T) {
	c, err := NewIdentifier(true).Identify(own(t), "")
	refused(t, c, err, signer.CodeUnauthenticated, "no name")
}

func TestAClosedConnectionIdentifiesNobody(t *testing.T) {
	conn := own(t)
	conn.Close()
	c, err := NewIdentifier(true).Identify(conn, "sign")
	refused(t, c, err, signer.CodeUnauthenticated, "does not say")
}

func TestCredentialsThatNameNobodyAreRefused(t *testing.T) {
	id := NewIdentifier(false)
	id.self = 997
	for name, tc := range map[string]struct {
		cred unix.Ucred
		want string // empty: admitted
	}{
		"an account":                         {unix.Ucred{Pid: 10, Uid: 1234}, ""},
		"root":                               {unix.Ucred{Pid: 10, Uid: 0}, ""},
		"the overflow uid":                   {unix.Ucred{Pid: 10, Uid: 65534}, "stands for accounts"},
		"no uid":                             {unix.Ucred{Pid: 10, Uid: 1<<32 - 1}, "stands for accounts"},
		"a process in another pid namespace": {unix.Ucred{Pid: 0, Uid: 1234}, "another pid namespace"},
		"the daemon's own account":           {unix.Ucred{Pid: 10, Uid: 997}, "daemon's own account"},
	} {
		t.Run(name, func(t *testing.T) {
			err := id.admits(&tc.cred)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("admits = %v, want %q", err, tc.want)
			}
		})
	}
	private := NewIdentifier(true)
	if err := private.admits(&unix.Ucred{Pid: 10, Uid: 65534}); err == nil {
		t.Error("a private set-up admits the overflow uid")
	}
}

// Root can be anyone; anyone else can only be itself.
func TestCallersOfOtherAccounts(t *testing.T) {
	_, path := start(t, nil)
	uids := map[string]int{"the own account": os.Geteuid()}
	if os.Geteuid() == 0 {
		uids["an account of another uid"] = 1234
		uids["an account with a name"] = 1 // daemon, in Debian and most others
	}
	for name, uid := range uids {
		t.Run(name, func(t *testing.T) {
			out, err := command(t, "caller", path, uid).Output()
			must(t, err)
			wantUser := ""
			if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
				wantUser = u.Username
			}
			contains(t, "whoami", string(out), "true ", fmt.Sprintf("uid=%d ", uid), fmt.Sprintf("user=%q", wantUser), "socket=sign")
		})
	}
	if os.Geteuid() == 0 {
		t.Run("the overflow uid is refused", func(t *testing.T) {
			out, err := command(t, "caller", path, 65534).Output()
			must(t, err)
			contains(t, "whoami", string(out), `"code":"unauthenticated"`, "uid 65534 stands for accounts")
		})
	}
}

func TestAConnectionLeftToAChildIdentifiesNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		reaped bool
		pidfd  func(int) (int, error)
	}{
		"the connector was reaped":                         {true, peerPidfd},
		"the connector is a zombie":                        {false, peerPidfd},
		"the connector was reaped, kernel without a pidfd": {true, func(int) (int, error) { return -1, unix.ENOPROTOOPT }},
	} {
		t.Run(name, func(t *testing.T) {
			l, path := pair(t)
			cmd := command(t, "orphan", path, os.Geteuid())
			must(t, cmd.Start())
			conn, err := l.AcceptUnix()
			must(t, err)
			defer conn.Close() // ends the child
			if tc.reaped {
				must(t, cmd.Wait())
			} else {
				eventually(t, "the connector is a zombie", func() bool {
					b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
					return err == nil && strings.Contains(string(b), ") Z ")
				})
				defer cmd.Wait()
			}
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read = %v; the child does not hold the connection", err)
			}
			id := NewIdentifier(true)
			id.pidfd = tc.pidfd
			c, err := id.Identify(conn, "sign")
			refused(t, c, err, signer.CodeUnauthenticated, "has ended")
		})
	}
}

func TestOldKernelsIdentifyByCredentialsAlone(t *testing.T) {
	id := NewIdentifier(true)
	id.pidfd = func(int) (int, error) { return -1, unix.ENOPROTOOPT }
	c, err := id.Identify(own(t), "sign")
	must(t, err)
	if c.Unit != "" || !c.Identified || int(c.PID) != os.Getpid() {
		t.Errorf("Identify = %+v, want no unit", c)
	}
}

func TestAUidThatChangedSinceConnectingIsRefused(t *testing.T) {
	id, conn := NewIdentifier(true), own(t)
	raw, err := conn.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		_, err = id.prove(int(fd), &unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Geteuid()) + 1})
	}))
	refused(t, signer.Caller{}, err, signer.CodeUnauthenticated, "connect again")
}

func TestRunningOutOfDescriptorsIsNotTheCallersFault(t *testing.T) {
	id := NewIdentifier(true)
	id.pidfd = func(int) (int, error) { return -1, unix.EMFILE }
	c, err := id.Identify(own(t), "sign")
	refused(t, c, err, signer.CodeUnavailable, "try again")
}

func TestAccountsAreAskedOncePerUidAndForgotten(t *testing.T) {
	asked := make(chan uint32, 2*accountsMost)
	release := make(chan struct{})
	a := newAccounts()
	a.ask = func(uid uint32) (account, error) {
		asked <- uid
		switch uid {
		case 1:
			<-release
			return account{name: "slow"}, nil
		case 2:
			return account{}, errors.New("directory is down")
		}
		return account{name: fmt.Sprint("u", uid)}, nil
	}
	slow := make(chan account)
	for range 10 {
		go func() {
			acc, err := a.lookup(1)
			if err != nil {
				t.Errorf("lookup = %v", err)
			}
			slow <- acc
		}()
	}
	if got := <-asked; got != 1 {
		t.Fatalf("asked for %d", got)
	}
	if acc, err := a.lookup(3); err != nil || acc.name != "u3" {
		t.Errorf("another uid waits for the slow one: %+v, %v", acc, err)
	}
	<-asked
	close(release)
	for range 10 {
		if acc := <-slow; acc.name != "slow" {
			t.Errorf("lookup = %+v", acc)
		}
	}
	for range 2 {
		if acc, err := a.lookup(2); err == nil || acc.name != "" || acc.groups != nil {
			t.Errorf("a failing database gives %+v, %v, want an error", acc, err)
		}
	}
	if len(asked) != 1 {
		t.Errorf("asked %d times about the one that fails, want once", len(asked))
	}
	for uid := range uint32(accountsMost) { // some of these do not fit
		a.lookup(100 + uid)
	}
	if len(a.known) > accountsMost {
		t.Errorf("%d accounts are remembered, the most is %d", len(a.known), accountsMost)
	}
}

func TestAUidWithoutAnAccountHasNoNameAndNoGroups(t *testing.T) {
	acc, err := askNSS(3999999999)
	if err != nil || acc.name != "" || acc.groups != nil {
		t.Errorf("askNSS = %+v, %v", acc, err)
	}
}

// cgroup2 returns where a cgroup2 file system is mounted, or "".
func cgroup2(t *testing.T) string {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	must(t, err)
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if before, after, ok := strings.Cut(sc.Text(), " - "); ok && strings.HasPrefix(after, "cgroup2 ") {
			return strings.Fields(before)[4]
		}
	}
	return ""
}

func TestUnitsProvableAgreesWithTheKernel(t *testing.T) {
	err := UnitsProvable()
	if isCgroup2(cgroupRoot) != nil {
		if err == nil || !strings.Contains(err.Error(), "no cgroup2 file system") {
			t.Errorf("UnitsProvable = %v, want what is wrong with %s", err, cgroupRoot)
		}
		return
	}
	if err != nil && !strings.Contains(err.Error(), "Linux") {
		t.Errorf("UnitsProvable = %v, want which kernel it takes", err)
	}
}

// group makes control groups and removes them after the test. It returns "" where
// this process may not.
func makeGroups(t *testing.T, root string, paths ...string) bool {
	t.Helper()
	for _, p := range paths {
		dir := filepath.Join(root, p)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
			return false
		}
		must(t, err)
		t.Cleanup(func() { syscall.Rmdir(dir) })
	}
	return true
}

func TestTheUnitIsTheFirstOneOnTheWayDown(t *testing.T) {
	root := cgroup2(t)
	slice := fmt.Sprintf("sealwardtest%d.slice", os.Getpid())
	if root == "" || !makeGroups(t, root, slice) {
		// Without the means to make groups: the own one, as /proc has it.
		c, err := NewIdentifier(true).Identify(own(t), "sign")
		must(t, err)
		b, err := os.ReadFile("/proc/self/cgroup")
		must(t, err)
		if !strings.Contains(string(b), c.Unit) {
			t.Errorf("unit = %q, which is not in %q", c.Unit, b)
		}
		return
	}
	for name, tc := range map[string]struct {
		groups []string
		want   string
	}{
		"a service":               {[]string{"payroll.service"}, "payroll.service"},
		"a scope in a slice":      {[]string{"user.slice", "user.slice/session-1.scope"}, "user.slice/session-1.scope"},
		"inside a service":        {[]string{"w.service", "w.service/worker", "w.service/worker/1"}, "w.service"},
		"a user's own unit":       {[]string{"user@1.service", "user@1.service/app.slice", "user@1.service/app.slice/payroll.service"}, "user@1.service"},
		"a slice is not a unit":   {[]string{"system.slice"}, ""},
		"an unknown kind of name": {[]string{"payroll"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			for _, g := range tc.groups {
				paths = append(paths, filepath.Join(slice, g))
			}
			makeGroups(t, root, paths...)
			dir, err := os.Open(filepath.Join(root, paths[len(paths)-1]))
			must(t, err)
			defer dir.Close()
			l, path := pair(t)
			cmd := command(t, "caller", path, os.Geteuid())
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			cmd.Stderr = nil // gets no answer worth reading
			must(t, cmd.Start())
			defer cmd.Wait()
			conn, err := l.AcceptUnix()
			must(t, err)
			defer io.WriteString(conn, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n")
			id := NewIdentifier(true)
			id.units.root = root
			want := ""
			if tc.want != "" {
				want = filepath.Join(slice, tc.want)
			}
			for range 2 { // walked for, and remembered
				c, err := id.Identify(conn, "sign")
				must(t, err)
				if c.Unit != want {
					t.Errorf("unit = %q, want %q", c.Unit, want)
				}
			}
			conn.CloseWrite()
		})
	}
}

func TestAUnitWithManyGroupsHidesNoOther(t *testing.T) {
	root := cgroup2(t)
	slice := fmt.Sprintf("sealwardtest%d-many.slice", os.Getpid())
	if root == "" || !makeGroups(t, root, slice, slice+"/a.service", slice+"/b.service", slice+"/b.service/inner") {
		if got := walkUnits("/proc"); len(got) != 0 {
			t.Errorf("walkUnits of what is no cgroup2 finds %d groups", len(got))
		}
		return
	}
	for i := range nestedMost + 100 {
		makeGroups(t, root, fmt.Sprintf("%s/a.service/%d", slice, i))
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(root, slice, "b.service/inner"), &st))
	found := walkUnits(root)
	if got, want := found[st.Ino], slice+"/b.service"; got != want {
		t.Errorf("unit = %q, want %q", got, want)
	}
	inside := 0
	for _, unit := range found {
		if unit == slice+"/a.service" {
			inside++
		}
	}
	if inside > nestedMost+1 {
		t.Errorf("%d groups inside one unit were looked at, the most is %d", inside, nestedMost)
	}
}

func TestAnInodeOfAnotherFileSystemIsNoUnit(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/fake.service", 0o755))
	var st unix.Stat_t
	must(t, unix.Stat(dir+"/fake.service", &st))
	if got := (&units{root: dir}).find(st.Ino); got != "" {
		t.Errorf("find = %q, want nothing", got)
	}
}
