package backends_test

import (
	"strings"
	"testing"
)

func TestAKeySwappedBehindItsNameIsNotAttestedUnderIt(t *testing.T) {
	t.Parallel()
	c := config(t)
	tok := start(t, c)
	k := find(t, tok)
	if e, err := k.Attest(t.Context(), []byte("c")); err != nil || e.Format != "scripted" {
		t.Fatalf("evidence = %+v, %v", e, err)
	}
	change(t, c, func(d *device) { d.Seed = "another" })
	if e, err := k.Attest(t.Context(), []byte("c")); err == nil || !strings.Contains(err.Error(), "is another one than before") {
		t.Errorf("evidence = %+v, %v; want the other key refused", e, err)
	}
}
