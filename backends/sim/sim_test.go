package sim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSoftHSMAddsTokensToAFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := SoftHSM(dir, "first one", "1234")
	if err != nil {
		t.Fatal(err)
	}
	second, err := SoftHSM(dir, "second", "5678")
	if err != nil {
		t.Fatal(err)
	}
	if first.URI != "pkcs11:token=first%20one" || first.Conf != second.Conf {
		t.Errorf("tokens are %+v and %+v; want one configuration and an escaped URI", first, second)
	}
	cmd := exec.Command("softhsm2-util", "--show-slots")
	cmd.Env = append(os.Environ(), first.Env())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "first one") || !strings.Contains(string(out), "second") {
		t.Errorf("SoftHSM shows %s, %v; want both tokens", out, err)
	}
	info, err := os.Stat(first.Conf)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration is %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestWhatIsMissingNamesTheCure(t *testing.T) {
	if path, err := find("SoftHSM's module", []string{"/nonexistent/*.so"}); err == nil || !strings.Contains(err.Error(), "run `make deps`") || path != "" {
		t.Errorf("find = %q, %v; want what to run", path, err)
	}
}

func TestFaultsCountsAndForgets(t *testing.T) {
	f, err := NewFaults(t.TempDir(), "/nonexistent.so")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.put(int(Login), 3); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Calls(Login); err != nil || n != 3 {
		t.Errorf("Calls = %d, %v; want 3", n, err)
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Calls(Login); err != nil || n != 0 {
		t.Errorf("Calls after Reset = %d, %v; want none", n, err)
	}
}

// foreign is somebody else's program, which uses a token in a process of its own.
type foreign struct {
	module, label, pin, id string
	env                    []string
}

func (c foreign) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "pkcs11-tool", append([]string{"--module", c.module, "--token-label", c.label, "--login", "--pin", c.pin, "--id", c.id}, args...)...)
	cmd.Env = append(os.Environ(), c.env...)
	return cmd
}

func (c foreign) run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := c.command(t, args...).CombinedOutput(); err != nil {
		t.Fatalf("pkcs11-tool: %v: %s", err, out)
	}
}

// public reads the key's public half, which is on P-256.
func (c foreign) public(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	c.run(t, "--read-object", "--type", "pubkey", "--output-file", file)
	der, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PublicKey)
}

func (c foreign) sign(t *testing.T, message []byte) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, message, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := c.command(t, "--sign", "--mechanism", "ECDSA", "--input-file", in, "--output-file", out).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	return os.ReadFile(out)
}

// faulty makes a token with a P-256 key behind a module that does what it is told.
func faulty(t *testing.T) (*Faults, foreign) {
	t.Helper()
	dir := t.TempDir()
	token, err := SoftHSM(dir, "sim", "1234")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFaults(dir, token.Module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	c := foreign{f.Module, token.Label, token.PIN, "01", append(f.Env, token.Env())}
	c.run(t, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "k")
	return f, c
}

func verify(key *ecdsa.PublicKey, message, sig []byte) bool {
	if len(sig) != 64 {
		return false
	}
	return ecdsa.Verify(key, message, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

func TestFaultsDo(t *testing.T) {
	f, c := faulty(t)
	key := c.public(t)
	message, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{1}, 32)
	other[0] ^= 1
	for name, test := range map[string]struct {
		fn     Function
		do     Deed
		signal syscall.Signal // that ends the client
		signs  []byte         // what the signature is good for
		length int
	}{
		"crash in C_Sign":       {fn: Sign, do: Crash, signal: syscall.SIGSEGV},
		"crash in C_Initialize": {fn: Initialize, do: Crash, signal: syscall.SIGSEGV},
		"change a bit":          {fn: Sign, do: FlipBit, length: 64},
		"sign something else":   {fn: Sign, do: OtherMessage, length: 64, signs: other},
		"claim to be longer":    {fn: Sign, do: TooLong, length: 80},
		"work":                  {fn: Login, length: 64, signs: message},
	} {
		t.Run(name, func(t *testing.T) {
			if err := f.Do(test.fn, test.do, 1); err != nil {
				t.Fatal(err)
			}
			sig, err := c.sign(t, message)
			var exit *exec.ExitError
			if test.signal != 0 {
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != test.signal {
					t.Errorf("the client ended with %v; want %v", err, test.signal)
				}
			} else if err != nil || len(sig) != test.length || verify(key, message, sig) != (test.signs != nil && test.signs[0] == message[0]) || test.signs != nil && !verify(key, test.signs, sig) {
				t.Errorf("the signature is %x, %v", sig, err)
			}
			if sig, err := c.sign(t, message); err != nil || !verify(key, message, sig) {
				t.Errorf("the next signature is %x, %v; want a good one", sig, err)
			}
		})
	}
	if err := f.Do(Login, FlipBit, 1); err == nil {
		t.Error("C_Login was made to lie about signatures")
	}
}

func TestFaultsHang(t *testing.T) {
	f, c := faulty(t)
	for name, fn := range map[string]Function{"C_Initialize": Initialize, "C_Login": Login, "C_Sign": Sign} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(f.Reset(), f.Do(fn, Hang, 1)); err != nil {
				t.Fatal(err)
			}
			cmd := c.command(t, "--sign", "--mechanism", "ECDSA", "--input-file", "/dev/null")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for calls := uint64(0); calls == 0; time.Sleep(time.Millisecond) {
				var err error
				if calls, err = f.Calls(fn); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-ended:
				t.Errorf("the client ended: %v", err)
			case <-time.After(200 * time.Millisecond):
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
				<-ended
			}
		})
	}
}
