package tpm

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

func TestKeysAreLoadedAgainAfterTheTPMRestarts(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	made, k := generate(t, d, p256)
	_, other := generate(t, d, backends.KeySpec{Algorithm: signer.AlgorithmP384})
	for range 3 {
		signs(t, k, message())
		signs(t, other, signer.Message{Scheme: signer.SchemeP384, Bytes: make([]byte, 48)})
		if err := tpm.Kill(); err != nil {
			t.Fatal(err)
		}
		sig, err := k.Sign(t.Context(), message(), nil)
		if !errors.Is(err, backends.ErrGone) || sig != nil {
			t.Errorf("while the TPM is down, Sign = %x, %v; want gone", sig, err)
		}
		if err := tpm.Start(); err != nil {
			t.Fatal(err)
		}
	}
	signs(t, find(t, d, made.Locator), message())
	signs(t, other, signer.Message{Scheme: signer.SchemeP384, Bytes: make([]byte, 48)})
}

// After a restart another program's key may have the handle that ours had. It is not
// used, and not flushed.
func TestAHandleThatBecameSomebodyElsesIsLeftAlone(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	_, k := generate(t, d, p256)
	signs(t, k, message())
	if err := tpm.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := tpm.Start(); err != nil {
		t.Fatal(err)
	}
	link := foreign(t, tpm)
	template := attestationTemplate()
	template.ObjectAttributes.Restricted = false
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
	_, end, err := tpm2.HMACSession(link, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, k, message())
	if got, err := (tpm2.ReadPublic{ObjectHandle: rsp.ObjectHandle}).Execute(link); err != nil || string(got.Name.Buffer) != string(rsp.Name.Buffer) {
		t.Errorf("the other program's key is gone: %v", err)
	}
	_ = end()
}

// More keys than the TPM has slots take turns.
func TestMoreKeysThanSlotsTakeTurns(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	var keys []backends.DeviceKey
	for range 7 {
		_, k := generate(t, d, p256)
		keys = append(keys, k)
	}
	for range 3 {
		for _, k := range keys {
			signs(t, k, message())
		}
	}
	if n := left(t, foreign(t, tpm)); n > 3+3 {
		t.Errorf("%d objects and sessions are loaded; three of each are what fits", n)
	}
}

func TestSlotsThatAnotherProgramTakesAreNamedAndUsedAgainWhenFree(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	_, k := generate(t, d, p256)
	link := foreign(t, tpm)
	var taken []tpm2.TPMHandle
	for len(d.loaded) > 0 {
		d.unload(d.loaded[0])
	}
	for range 3 {
		rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(storageTemplate())}.Execute(link)
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, rsp.ObjectHandle)
	}
	sig, err := k.Sign(t.Context(), message(), nil)
	if signer.CodeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "taken by other programs") || !strings.Contains(err.Error(), "tpm2_flushcontext -t") || sig != nil {
		t.Errorf("Sign = %x, %v; want unavailable, and what to do", sig, err)
	}
	for _, h := range taken {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(link); err != nil {
			t.Fatal(err)
		}
		// One slot is enough for a key that was loaded before, as its context was saved.
		signs(t, k, message())
	}
}

func TestSessionsThatAnotherProgramTakesAreNamed(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	_, k := generate(t, d, p256)
	link := foreign(t, tpm)
	d.endSessions()
	var ends []func() error
	for range 3 {
		_, end, err := tpm2.HMACSession(link, tpm2.TPMAlgSHA256, 16)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	refuses(t, k, message(), "session slots of the TPM are all taken")
	for _, end := range ends {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	signs(t, k, message())
}

// crasher is the variable that makes this test binary the driver that crashes.
const crasher = "TPM_TEST_CRASH"

// TestTwentyCrashesLeaveTheTPMUsable kills a process that has keys and sessions loaded,
// and the TPM every other time, with a key subject to lockout in use by nobody.
func TestTwentyCrashesLeaveTheTPMUsable(t *testing.T) {
	if at := os.Getenv(crasher); at != "" {
		crash(t, at)
	}
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	made, _ := generate(t, d, p256)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/key"
	if err := os.WriteFile(file, []byte(made.Locator), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTwentyCrashesLeaveTheTPMUsable$")
		cmd.Env = append(os.Environ(), crasher+"="+tpm.Path()+"\n"+file)
		out, err := cmd.CombinedOutput()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Fatalf("crash %d: %v\n%s", i, err, out)
		}
		if i%2 == 1 {
			if err := tpm.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := tpm.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	d = openTPM(t, tpm)
	signs(t, find(t, d, made.Locator), message())
	s, err := d.State(t.Context())
	if err != nil || fact(s, "lockout counter") != "0 of 3" || fact(s, "lockout") != "no" {
		t.Errorf("after 20 crashes, lockout counter %q, lockout %q, %v", fact(s, "lockout counter"), fact(s, "lockout"), err)
	}
}

// crash signs and dies, with everything loaded.
func crash(t *testing.T, at string) {
	path, file, _ := strings.Cut(at, "\n")
	locator, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := openWith(t, Settings{Device: path})
	signs(t, find(t, d, string(locator)), message())
	generate(t, d, p256)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func TestATPMThatIsExchangedIsGone(t *testing.T) {
	one, other := startTPM(t), startTPM(t)
	d := openTPM(t, one)
	_, k := generate(t, d, p256)
	signs(t, k, message())
	l, err := dial(other.Path())
	if err != nil {
		t.Fatal(err)
	}
	d.link.tpm = l
	sig, err := k.Sign(t.Context(), message(), nil)
	if !errors.Is(err, backends.ErrGone) || !strings.Contains(err.Error(), "cleared or exchanged") || sig != nil {
		t.Errorf("Sign = %x, %v; want gone", sig, err)
	}
}

// busy is a TPM that says something before it does anything.
type busy struct {
	code  tpm2.TPMRC
	left  int
	sent  int
	fails error
}

func (b *busy) Send([]byte) ([]byte, error) {
	b.sent++
	if b.fails != nil {
		return nil, b.fails
	}
	if b.left == 0 {
		return response(0), nil
	}
	b.left--
	return response(b.code), nil
}

func (b *busy) Close() error { return nil }

func response(code tpm2.TPMRC) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, 10}, uint32(code))
}

func TestATPMThatAsksToBeAskedAgainIs(t *testing.T) {
	for name, c := range map[string]struct {
		tpm  busy
		want tpm2.TPMRC
		most int
	}{
		"once":             {busy{code: tpm2.TPMRCRetry, left: 1}, 0, 2},
		"during self-test": {busy{code: tpm2.TPMRCTesting, left: 10}, 0, 11},
		"yielded":          {busy{code: tpm2.TPMRCYielded, left: 3}, 0, 4},
		"writing too fast": {busy{code: tpm2.TPMRCNVRate, left: 3}, 0, 4},
		"for ever":         {busy{code: tpm2.TPMRCRetry, left: 1 << 30}, tpm2.TPMRCRetry, 40},
		"another warning":  {busy{code: tpm2.TPMRCLockout, left: 1}, tpm2.TPMRCLockout, 1},
		"full for Linux":   {busy{fails: os.NewSyscallError("write", syscall.ENOMEM)}, tpm2.TPMRCObjectMemory, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				out, err := (&link{tpm: &c.tpm}).Send([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8})
				if err != nil || tpm2.TPMRC(binary.BigEndian.Uint32(out[6:])) != c.want {
					t.Errorf("Send = %x, %v; want code %#x", out, err, uint32(c.want))
				}
				if c.tpm.sent > c.most || time.Since(start) > 2*patience {
					t.Errorf("sent %d times in %v", c.tpm.sent, time.Since(start))
				}
			})
		})
	}
}

func TestLinuxWithoutSessionSlotsIsOutOfThose(t *testing.T) {
	b := &busy{fails: syscall.ENOMEM}
	out, err := (&link{tpm: b}).Send([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x76, 0, 8})
	if err != nil || tpm2.TPMRC(binary.BigEndian.Uint32(out[6:])) != tpm2.TPMRCSessionMemory {
		t.Errorf("Send = %x, %v; want that sessions are full", out, err)
	}
	if out, err := (&link{tpm: &busy{fails: syscall.EIO}}).Send(nil); !errors.Is(err, backends.ErrGone) || out != nil {
		t.Errorf("Send = %x, %v; want gone", out, err)
	}
}

func TestAStorageKeyThatIsKeptSavesASlot(t *testing.T) {
	tpm := startTPM(t)
	before, _ := generate(t, openTPM(t, tpm), p256)
	persist(t, foreign(t, tpm), storageTemplate())
	d := openTPM(t, tpm)
	if s, err := d.State(t.Context()); err != nil || fact(s, "storage root key") != "kept at 0x81000001" {
		t.Errorf("state = %+v, %v", s, err)
	}
	signs(t, find(t, d, before.Locator), message())
	var keys []backends.DeviceKey
	for range 3 {
		_, k := generate(t, d, p256)
		keys = append(keys, k)
	}
	for _, k := range keys {
		signs(t, k, message())
	}
	if len(d.loaded) != 3 {
		t.Errorf("%d keys are loaded, want 3", len(d.loaded))
	}
	if err := tpm.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := tpm.Start(); err != nil {
		t.Fatal(err)
	}
	signs(t, keys[0], message())
}

func TestAnotherKeyInThePlaceOfTheStorageKeyIsNotUsed(t *testing.T) {
	tpm := startTPM(t)
	persist(t, foreign(t, tpm), tpm2.ECCSRKTemplate)
	d := openTPM(t, tpm)
	if s, err := d.State(t.Context()); err != nil || fact(s, "storage root key") != "re-created, takes a slot" {
		t.Errorf("state = %+v, %v", s, err)
	}
	_, k := generate(t, d, p256)
	signs(t, k, message())
}

func TestWithAnOwnerPasswordTheKeptStorageKeyIsUsed(t *testing.T) {
	tpm := startTPM(t)
	made, _ := generate(t, openTPM(t, tpm), p256)
	link := foreign(t, tpm)
	password := func(old, value string) {
		if _, err := (tpm2.HierarchyChangeAuth{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth([]byte(old))}, NewAuth: tpm2.TPM2BAuth{Buffer: []byte(value)}}).Execute(link); err != nil {
			t.Fatal(err)
		}
	}
	password("", "owner")
	d := newDriver(t, Settings{Device: tpm.Path()})
	if _, err := d.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "tpm2_evictcontrol") {
		t.Errorf("Open error = %v, want what to do", err)
	}
	d.Close()
	password("owner", "")
	persist(t, link, storageTemplate())
	password("", "owner")
	d = openTPM(t, tpm)
	signs(t, find(t, d, made.Locator), message())
	if _, err := d.Call(t.Context(), "counter.define", []byte(`{"index":`+strconv.Itoa(firstOwnerIndex)+`}`)); err == nil || !strings.Contains(err.Error(), "tpm2_nvdefine") {
		t.Errorf("counter.define error = %v, want what to do", err)
	}
}

// persist keeps a storage key, and leaves no slot taken.
func persist(t *testing.T, link transport.TPM, template tpm2.TPMTPublic) {
	t.Helper()
	for _, h := range []uint32{0x80000000, 0x80000001, 0x80000002} {
		_, _ = tpm2.FlushContext{FlushHandle: tpm2.TPMHandle(h)}.Execute(link)
	}
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.EvictControl{Auth: tpm2.TPMRHOwner, ObjectHandle: &tpm2.NamedHandle{Handle: rsp.ObjectHandle, Name: rsp.Name}, PersistentHandle: persistentStorage}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(link); err != nil {
		t.Fatal(err)
	}
}
