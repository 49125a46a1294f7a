package sim

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

func newTPMToken(t *testing.T) (*TPMToken, foreign) {
	t.Helper()
	token, err := NewTPMToken(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.TPM.Kill(); err != nil {
			t.Error(err)
		}
	})
	return token, foreign{token.Module, token.Label, token.PIN, "01", token.Env}
}

func TestTheTPMTokenSignsAfterWhateverHappens(t *testing.T) {
	token, c := newTPMToken(t)
	key, message := c.public(t), bytes.Repeat([]byte{7}, 32)
	for name, happens := range map[string]func(t *testing.T){
		"many clients come and go": func(t *testing.T) {
			for range 5 {
				c.public(t)
			}
		},
		"power fails again and again": func(t *testing.T) { // more often than there are tries before a lockout
			for range 5 {
				if err := token.TPM.Kill(); err != nil {
					t.Fatal(err)
				}
				if err := token.TPM.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := c.sign(t, message); err != nil {
					t.Fatal(err)
				}
			}
		},
		"a client is killed and what it left is flushed": func(t *testing.T) {
			for range 3 {
				leave(t, token, c)
				if err := token.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			happens(t)
			for range 3 {
				if sig, err := c.sign(t, message); err != nil || !verify(key, message, sig) {
					t.Fatalf("the signature is %x, %v", sig, err)
				}
			}
		})
	}
}

// leave kills a client that is logged in.
func leave(t *testing.T, token *TPMToken, c foreign) {
	t.Helper()
	cmd := c.command(t, "--sign", "--mechanism", "ECDSA") // what, it reads from its input after it logged in
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	link, err := linuxudstpm.Open(token.TPM.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	for {
		handles, err := loaded(link)
		if err != nil {
			t.Fatal(err)
		}
		if len(handles) > 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says "killed"
}

func TestTheTPMTokenSignsInManySessions(t *testing.T) {
	token, c := newTPMToken(t)
	for _, v := range c.env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	rate, all, err := RawRate(token.Module, token.Label, token.PIN, "p256", 8, 300*time.Millisecond)
	if err != nil || len(all) < 16 {
		t.Errorf("%d signatures, %.0f per second, %v; want two at least of each session", len(all), rate, err)
	}
}
