package backends_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// TestMain makes the test binary a worker, with drivers of its own, when it is
// started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(backends.Main(os.Args[2:], map[string]backends.NewDriver{"scripted": newScripted, "echo": newEcho}))
	}
	os.Exit(m.Run())
}

// device is a device on disk: it outlives its workers, and tests do to it what real
// ones do by themselves only rarely.
type device struct {
	PIN    string // none: the keys need none
	Left   int    // wrong PINs that it takes before it blocks
	Silent bool   // it does not tell how many are left
	Seed   string // of its key
	Each   bool   // it wants the PIN for each signature, like a PIV slot with that policy
	// Do is what happens in an operation, by its name, beside what should.
	Do map[string]string
}

// scripted drives a device in a folder, and writes down there what it was asked to
// do.
type scripted struct {
	dir  string
	host backends.Host
	mu   sync.Mutex
	pin  []byte // owned by mu
}

func newScripted(settings json.RawMessage, host backends.Host) (backends.Driver, error) {
	var s struct{ Dir string }
	if err := json.Unmarshal(settings, &s); err != nil {
		return nil, err
	}
	return &scripted{dir: s.Dir, host: host}, nil
}

// device reads how the device is now.
func (s *scripted) device() device {
	d, err := readDevice(s.dir)
	if err != nil {
		panic(err)
	}
	return d
}

func readDevice(dir string) (d device, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "device.json"))
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	return d, err
}

func writeDevice(dir string, d device) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "device.new"), b, 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "device.new"), filepath.Join(dir, "device.json"))
}

// note writes down an event.
func (s *scripted) note(event string) {
	f, err := os.OpenFile(filepath.Join(s.dir, "events"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, event)
}

// misbehave does what the device's script says for an operation.
func (s *scripted) misbehave(d device, operation string) error {
	what, how, _ := strings.Cut(d.Do[operation], " ")
	switch what {
	case "":
	case "hang":
		select {}
	case "slow":
		pause, err := time.ParseDuration(how)
		if err != nil {
			panic(err)
		}
		time.Sleep(pause)
	case "segv":
		fmt.Fprintln(os.Stderr, "about to crash \x1b[2J here")
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "panic":
		panic("the card has an impossible answer")
	case "exit":
		os.Exit(7)
	case "gone":
		return backends.Gone(errors.New("card pulled"))
	case "refuse":
		return signer.Invalid("the device refuses %s", how)
	case "deny":
		return &signer.Error{Code: signer.CodeDenied, Detail: "policy says no"}
	case "fail":
		return errors.New("paper jam \x1b[31m in tray")
	case "shout":
		for range 1 << 20 {
			fmt.Fprintln(os.Stderr, strings.Repeat("noise ", 100))
		}
	default:
		panic("no such script: " + what)
	}
	return nil
}

func (s *scripted) state(d device) backends.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := backends.State{Device: "scripted 1\x1b[0m", NeedsPIN: d.PIN != "" && s.pin == nil, TriesLeft: d.Left}
	if d.Silent {
		st.TriesLeft = -1
	}
	return st
}

func (s *scripted) Open(context.Context) (backends.State, error) {
	d := s.device()
	s.note("open")
	if err := s.misbehave(d, "open"); err != nil {
		return backends.State{}, err
	}
	return s.state(d), nil
}

func (s *scripted) State(context.Context) (backends.State, error) {
	d := s.device()
	s.note("state")
	return s.state(d), s.misbehave(d, "state")
}

func (s *scripted) Login(ctx context.Context, pin []byte) error {
	kept := slices.Clone(pin)
	if err := s.verify(ctx, kept); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pin = kept
	return nil
}

// verify sends a PIN to the device, which counts.
func (s *scripted) verify(ctx context.Context, pin []byte) error {
	d := s.device()
	left := d.Left
	if d.Silent {
		left = -1
	}
	if err := s.misbehave(d, "before try"); err != nil {
		return err
	}
	return s.host.TryPIN(ctx, left, func() error {
		if err := s.misbehave(d, "before pin"); err != nil {
			return err
		}
		s.note("pin " + string(pin))
		if d.Left == 0 {
			return &backends.PINError{Left: 0, Blocked: true, Text: "the PIN is blocked"}
		}
		right := string(pin) == d.PIN
		if d.Left--; right {
			d.Left = 3
		}
		if err := writeDevice(s.dir, d); err != nil {
			panic(err)
		}
		if err := s.misbehave(d, "after pin"); err != nil {
			return err
		}
		if right {
			return nil
		}
		left := d.Left
		if d.Silent {
			left = -1
		}
		return &backends.PINError{Left: left, Blocked: d.Left == 0, Sent: true, Text: "the PIN is wrong"}
	})
}

func (s *scripted) Find(_ context.Context, locator string) (backends.DeviceKey, error) {
	d := s.device()
	s.note("find " + locator)
	if err := s.misbehave(d, "find"); err != nil {
		return nil, err
	}
	if locator != "key" {
		return nil, &signer.Error{Code: signer.CodeNotFound, Detail: "there is no such key"}
	}
	return &scriptedKey{s, keyOf(d.Seed)}, nil
}

func (s *scripted) Generate(_ context.Context, spec backends.KeySpec) (backends.NewKey, error) {
	s.note("generate " + spec.Name)
	return backends.NewKey{Locator: spec.Name, Facts: factsOf(s.device().Seed)}, nil
}

func (s *scripted) Attest(_ context.Context, locator string, challenge []byte) (backends.Evidence, error) {
	return backends.Evidence{Format: "scripted", Parts: map[string][]byte{locator: challenge}}, nil
}

func (s *scripted) Call(_ context.Context, operation string, arguments []byte) ([]byte, error) {
	if operation == "world" { // what the worker sees of its process
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return nil, err
		}
		w := surroundings{Environment: os.Environ(), Arguments: os.Args, Parent: os.Getppid()}
		for _, fd := range fds {
			name, err := os.Readlink("/proc/self/fd/" + fd.Name())
			if err == nil {
				w.Files = append(w.Files, name)
			}
		}
		return json.Marshal(w)
	}
	return json.Marshal(operation + string(arguments))
}

// surroundings is what a worker sees of itself.
type surroundings struct {
	Environment, Arguments, Files []string
	Parent                        int
}

func (s *scripted) Close() error {
	s.note("close")
	return s.misbehave(s.device(), "close")
}

type scriptedKey struct {
	s *scripted
	k *ecdsa.PrivateKey
}

func (k *scriptedKey) Facts() backends.KeyFacts { return factsOf(k.s.device().Seed) }

func (k *scriptedKey) Sign(ctx context.Context, m signer.Message, notify func(signer.Notice)) ([]byte, error) {
	d := k.s.device()
	if d.Each {
		k.s.mu.Lock()
		pin := k.s.pin
		k.s.mu.Unlock()
		if err := k.s.verify(ctx, pin); err != nil {
			return nil, err
		}
	}
	k.s.note("sign")
	if pause, ok := strings.CutPrefix(d.Do["touch"], "after "); ok {
		notify(signer.NoticeTouch)
		wait, err := time.ParseDuration(pause)
		if err != nil {
			panic(err)
		}
		time.Sleep(wait)
		notify(signer.NoticeNone)
	}
	if err := k.s.misbehave(d, "sign"); err != nil {
		return nil, err
	}
	r, s, err := ecdsa.Sign(rand.Reader, k.k, m.Bytes)
	if err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}

// keyOf is a key that is the same in each process.
func keyOf(seed string) *ecdsa.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), new(big.Int).SetBytes(sum[:]).FillBytes(make([]byte, 32)))
	if err != nil {
		panic(err)
	}
	return k
}

func factsOf(seed string) backends.KeyFacts {
	pub, err := keyOf(seed).PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return backends.KeyFacts{
		Public:     signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: pub},
		Protection: signer.ProtectionResident, Origin: signer.OriginGenerated,
	}
}

// echo is a device that takes no time.
type echo struct{}

func newEcho(json.RawMessage, backends.Host) (backends.Driver, error) { return echo{}, nil }

func (echo) Open(context.Context) (backends.State, error) { return backends.State{Device: "echo"}, nil }
func (echo) State(context.Context) (backends.State, error) {
	return backends.State{Device: "echo"}, nil
}
func (echo) Login(context.Context, []byte) error { return errors.New("an echo has no PIN") }
func (echo) Close() error                        { return nil }
func (echo) Find(context.Context, string) (backends.DeviceKey, error) {
	return echoKey{factsOf("echo")}, nil
}

type echoKey struct{ facts backends.KeyFacts }

func (k echoKey) Facts() backends.KeyFacts { return k.facts }
func (echoKey) Sign(_ context.Context, m signer.Message, _ func(signer.Notice)) ([]byte, error) {
	return append(slices.Clone(m.Bytes), m.Bytes...), nil
}
