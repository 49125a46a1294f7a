package sim

import (
	"bytes"
	"testing"
)

func TestTheCardSignsThroughYkcs11(t *testing.T) {
	token, err := NewPIVToken(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Reader.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := foreign{token.Module, token.Label, token.PIN, "01", token.Env}
	key, message := c.public(t), bytes.Repeat([]byte{7}, 32)
	signs := func(when string) {
		t.Helper()
		if sig, err := c.sign(t, message); err != nil || !verify(key, message, sig) {
			t.Errorf("%s the signature is %x, %v", when, sig, err)
		}
	}
	signs("at first")
	if err := token.Reader.Remove(token.Card); err != nil {
		t.Fatal(err)
	}
	if sig, err := c.sign(t, message); err == nil {
		t.Errorf("without the card the signature is %x", sig)
	}
	if err := token.Reader.Insert(token.Card); err != nil {
		t.Fatal(err)
	}
	signs("with the card back")
}
