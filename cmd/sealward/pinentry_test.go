package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPinentryOnATerminal(t *testing.T) {
	program, err := exec.LookPath("pinentry-tty")
	if err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	for name, c := range map[string]struct {
		typed string
		code  int
		want  string // on the terminal
		pins  []string
	}{
		"a PIN":         {"27 18%28\r", exitOK, "up", []string{"27 18%28"}},
		"an interrupt":  {"27\x03", exitGeneral, "nothing was sent to the token", nil},
		"an empty line": {"\r", exitGeneral, "no PIN was typed; nothing was sent to the token", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{status: sound(), fakeDevices: fakeDevices{key: newKey()}}
			p := sits(t, "--sockets", f.serve(t), "unlock", "--pinentry", program, "hsm")
			p.waitsFor(`(?s)PIN of token hsm.*PIN:`)
			p.echoes(false)
			p.types(c.typed)
			code, text := p.sees()
			if code != c.code || !strings.Contains(text, c.want) || strings.Contains(text, "27 18%28") {
				t.Errorf("exit code %d:\n%s", code, text)
			}
			if !slices.Equal(f.pins, c.pins) {
				t.Errorf("the token was sent %q, want %q", f.pins, c.pins)
			}
		})
	}
}

// TestPinentryThatIsOdd is about programs that the real one is not.
func TestPinentryThatIsOdd(t *testing.T) {
	const polite = "echo OK hello\nwhile read word rest; do\ncase $word in\nGETPIN) %s;;\n*) echo OK;;\nesac\ndone\n"
	with := func(getpin string) string { return strings.Replace(polite, "%s", getpin, 1) }
	for name, c := range map[string]struct {
		script string
		code   int
		want   string // in the error
		pins   []string
	}{
		"it escapes":                          {with("printf 'D 1%%2542%%0d%%0A\\nOK\\n'"), exitOK, "", []string{"1%42\r\n"}},
		"it has comments and a status":        {with("printf '# a comment\\nS PASSWORD_FROM_CACHE\\nD 12\\nD 34\\nOK done\\n'"), exitOK, "", []string{"1234"}},
		"it stays when it was asked to go":    {with("echo D 1234; echo OK; exec sleep 60"), exitOK, "", []string{"1234"}},
		"it ends with a failure afterwards":   {with("echo D 1234; echo OK; exit 3"), exitOK, "", []string{"1234"}},
		"somebody cancels":                    {with("echo 'ERR 83886179 Operation cancelled <Pinentry>'"), exitGeneral, "it says: 83886179 Operation cancelled <Pinentry>; nothing was sent to the token", nil},
		"somebody cancels in the middle":      {with("echo D 1234; echo 'ERR 83886179 cancelled'"), exitGeneral, "83886179 cancelled", nil},
		"its error has a terminal's commands": {with("printf 'ERR 1 \\033[2J\\n'"), exitGeneral, `\u{1b}[2J`, nil},
		"it returns nothing":                  {with("echo OK"), exitGeneral, "no PIN was typed", nil},
		"it ends at once":                     {"", exitGeneral, "it ended in the middle of the conversation", nil},
		"it ends in the middle":               {with("echo D 1234; exit 0"), exitGeneral, "it ended in the middle of the conversation", nil},
		"it cuts an escape off":               {with("echo D 12%2; echo OK"), exitGeneral, "ends in the middle of an escape", nil},
		"it has an escape that is none":       {with("echo D 12%zz; echo OK"), exitGeneral, "malformed escape", nil},
		"it speaks nonsense":                  {"echo hello; exec sleep 60", exitGeneral, "it does not speak the protocol of pinentry", nil},
		"it speaks nonsense without an end":   {"while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", exitGeneral, "it does not speak the protocol of pinentry", nil},
		"its PIN has no end":                  {with("while :; do echo D 1234567890123456789012345678901234567890; done"), exitGeneral, "it does not speak the protocol of pinentry", nil},
		"it refuses what it is told":          {"echo OK\nread line\necho 'ERR 1 unknown'\nexec sleep 60", exitGeneral, "it says: 1 unknown", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "pinentry")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script), 0o755); err != nil {
				t.Fatal(err)
			}
			f := &fake{status: sound(), fakeDevices: fakeDevices{key: newKey()}}
			began := time.Now()
			code, stdout, stderr := sealward("", "--sockets", f.serve(t), "unlock", "--pinentry", program, "hsm")
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d: %q, want %d and %q", code, stderr, c.code, c.want)
			}
			if strings.Contains(stdout+stderr, "1234") {
				t.Errorf("the PIN was shown: %s%s", stdout, stderr)
			}
			if !slices.Equal(f.pins, c.pins) {
				t.Errorf("the token was sent %q, want %q", f.pins, c.pins)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("it took %s", took)
			}
		})
	}
	if code, _, stderr := sealward("", "--sockets", (&fake{status: sound(), fakeDevices: fakeDevices{key: newKey()}}).serve(t), "unlock", "--pinentry", "/nowhere/pinentry", "hsm"); code != exitGeneral || !strings.Contains(stderr, "/nowhere/pinentry") {
		t.Errorf("a program that is not there: exit code %d: %s", code, stderr)
	}
}
