package main

import (
	"os"
	"testing"
)

// There is nothing to type a PIN to before the daemon runs.
func TestAFirstStartWithATypedPINSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	file := h.read("sealward.hcl")
	h.edit("sealward.hcl", `pin_file = "pin"`, `pin_typed = true`)
	first := h.try()
	if code := first.wait(); code != 1 {
		t.Fatalf("the first start ends with %d, want 1", code)
	}
	contains(t, "the first start", first.log.String(), "for this first start alone", "pin_file")
	h.write("sealward.hcl", file)
	h.start().stop()
	h.edit("sealward.hcl", `pin_file = "pin"`, `pin_typed = true`)
	again := h.start() // now the keys are known
	if _, err := h.admin().UnlockKey(t.Context(), "softhsm"); err != nil {
		t.Errorf("the PIN cannot be typed: %v", err)
	}
	again.kill()
}

// A try that was cut short at the first start is in the way of all later ones.
func TestAFirstStartAfterATryThatWasCutShortSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	mark := `{"version":1,"trying":{"at":"2026-01-01T00:00:00Z","left":-1,"cut":true,"failures":0}}`
	must(t, os.MkdirAll(h.path("journal"), 0o700))
	h.write("journal/pin-softhsm.json", mark)
	first := h.try()
	if code := first.wait(); code != 1 {
		t.Fatalf("the first start ends with %d, want 1", code)
	}
	contains(t, "the first start", first.log.String(), "was cut short", "remove "+h.path("journal/pin-softhsm.json"))
	must(t, os.Remove(h.path("journal/pin-softhsm.json")))
	h.start().stop()
}
