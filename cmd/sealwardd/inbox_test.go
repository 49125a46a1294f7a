package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// tmux is a terminal of 80 columns and 24 lines with a shell in it, on a server of its own.
type tmux struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T, dir string) *tmux {
	t.Helper()
	dir, err := os.MkdirTemp(dir, "tmux-")
	must(t, err)
	s := &tmux{t, filepath.Join(dir, "socket")}
	script := "cd " + filepath.Dir(dir) + " && PS1='$ ' exec sh"
	cmd := exec.Command("tmux", "-S", s.socket, "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env -u NO_COLOR TERM=screen sh -c \""+script+"\"")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v (if it is not installed, run make deps)\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the terminal shows\n%s", s.screen())
		}
		s.tell("kill-server") // ends what runs in it with SIGHUP
	})
	return s
}

func (s *tmux) tell(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Errorf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *tmux) screen() string { return s.tell("capture-pane", "-p") }

// types types a text as it is, and press presses keys by their names.
func (s *tmux) types(text string)    { s.t.Helper(); s.tell("send-keys", "-l", text) }
func (s *tmux) press(keys ...string) { s.t.Helper(); s.tell(append([]string{"send-keys"}, keys...)...) }

// shows waits until the screen matches, and returns it.
func (s *tmux) shows(what string) string {
	s.t.Helper()
	var got string
	eventually(s.t, "the terminal shows "+what, func() bool {
		got = s.screen()
		return regexp.MustCompile(what).MatchString(got)
	})
	return got
}

const passphrase = "correct horse"

// sits is an inbox of alice's in a terminal. She signs with an SSH key of which she alone
// knows the passphrase.
func (h *treasury) sits() *tmux {
	h.t.Helper()
	s := newTerminal(h.t, h.dir)
	bin, err := buildPrograms()
	must(h.t, err)
	must(h.t, os.WriteFile(h.path("inbox"), fmt.Appendf(nil, "#!/bin/sh\n%s --sockets %s inbox --config %s\necho \"it ended with $?\"\n", filepath.Join(bin, "sealward"), h.dir, h.path("approver.hcl")), 0o700))
	return s
}

func inboxTreasury(t *testing.T) *treasury {
	t.Helper()
	h := frozenHost(t)
	outside(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", h.path("alice"))
	h.edit("policy.hcl", `approver "alice" { certificate = "alice.pem" }`, `approver "alice" { ssh_key = "alice.pub" }`)
	return h
}

// configure writes alice's own file, which knows the daemon and its key.
func (h *treasury) configure() {
	h.t.Helper()
	h.write("approver.hcl", fmt.Sprintf("version = 1\nname = \"alice\"\ninstance = %q\nkey \"hot\" { fingerprint = %q }\nbook = \"names.hcl\"\ndevice {\n  ssh { key = \"alice\" }\n}\n",
		h.status().GetInstance(), h.public("hot").Fingerprint()))
	h.write("names.hcl", hostAssets)
}

func TestAnInboxInATerminal(t *testing.T) {
	t.Parallel()
	h := inboxTreasury(t)
	p := h.start()
	h.configure()
	first := h.ask(payment("invoice-1", 1))
	s := h.sits()
	s.shows(`^\$`)
	s.types("./inbox")
	s.press("Enter")
	s.shows(`sealward inbox: 1 waiting, 1 for alice\n(.|\n)*uid:(.|\n)*\* transfer: at most 0\.1021 eth(.|\n)*key hot, id invoice-1, 0 of 2 of treasury, waits `)

	// What comes is on the screen by itself.
	second := h.ask(payment("invoice-2", 2))
	s.shows(`2 waiting, 2 for alice(.|\n)*last: .* invoice-2: waits`)

	// Read, approve with a passphrase, as the first of two.
	s.press("Down", "Enter")
	s.shows(`request invoice-1 of (.|\n)*RISK(.|\n)*lines? *\n.*space page`)
	s.press("a")
	s.shows(`read to its end first`)
	for range 12 {
		s.press("Space")
	}
	s.shows(`proposal +` + first.GetProposal()[:20])
	s.press("a")
	s.shows(`APPROVE invoice-1\? type yes: _`)
	s.types("yes")
	s.shows(`type yes: yes_`)
	s.press("Enter")
	s.shows(`approve request invoice-1(.|\n)*Enter passphrase`)
	s.types("wrong")
	s.press("Enter")
	s.shows(`not approved: ssh-keygen did not sign`)
	if q := h.pending("invoice-1").GetQuorums()[0]; len(q.GetApproved()) != 0 {
		t.Fatalf("with a wrong passphrase it is approved: %v", q)
	}
	s.press("a")
	s.types("yes")
	s.shows(`type yes: yes_`)
	s.press("Enter")
	s.shows(`(Enter passphrase(.|\n)*){2}`) // it stands below the first
	s.types(passphrase)
	s.press("Enter")
	s.shows(`approved as alice, leaf \d+ of the journal`)
	s.press("G")
	s.shows(`approved by alice`)
	h.agreeBy(first, "signed", h.bob)
	s.shows(`GONE: it does not wait any more`)

	// Reject the other with a reason.
	s.press("q")
	s.shows(`1 waiting, 1 for alice`)
	s.press("g", "Down", "Enter")
	s.shows(`request invoice-2 of `)
	s.press("x")
	s.types("nobody ordered this")
	s.shows(`Why\? nobody ordered this_`)
	s.press("Enter")
	s.shows(`(Enter passphrase(.|\n)*){3}`)
	s.types(passphrase)
	s.press("Enter")
	s.shows(`GONE: it does not wait any more`)
	eventually(t, "the rejected one is denied", func() bool {
		r, err := h.sign().Request(t.Context(), second.GetId(), "")
		return err == nil && r.GetState() == "denied"
	})

	// A freeze is told on top, and so is a daemon that is gone.
	_, err := h.admin().Freeze(t.Context(), "a strange payment", nil)
	must(t, err)
	s.shows(`FROZEN: nothing is signed until a thaw.*\n?.*a strange payment`)
	p.stop()
	s.shows(`NO CONNECTION: what stands here may be old`)
	h.start()
	eventually(t, "it is connected again", func() bool { return !strings.Contains(s.screen(), "NO CONNECTION") })
	s.shows(`FROZEN`)

	// The terminal is as it was.
	s.press("q")
	s.shows(`0 waiting(.|\n)*nothing waits`)
	s.press("q")
	s.shows(`\$ \./inbox\n(.|\n)*it ended with 0\n`)
	h.sound()
}

func TestAnInboxKeepsToItsTerminal(t *testing.T) {
	t.Parallel()
	h := inboxTreasury(t)
	h.start()
	h.configure()
	h.post(h.bob, h.ask(payment("invoice-1", 1)), signer.WordApprove)
	for _, c := range []struct {
		env    string
		colour bool
	}{{"TERM=screen", true}, {"NO_COLOR=yes", false}, {"TERM=dumb", false}} {
		s := h.sits()
		s.shows(`^\$`)
		s.types(c.env + " ./inbox")
		s.press("Enter")
		s.shows(`1 waiting(.|\n)*1 of 2 of treasury`)
		s.press("Down", "Enter")
		s.shows(`(RISK|CLASS)(.|\n)*lines? *\n.*space page`)
		// SGR with a parameter that selects a colour (ECMA-48, 8.3.117).
		if got := s.tell("capture-pane", "-p", "-e"); regexp.MustCompile(`\x1b\[[0-9;]*3[0-7][;m]`).MatchString(got) != c.colour {
			t.Errorf("%s: colour = %v, want %v:\n%q", c.env, !c.colour, c.colour, got)
		}
		s.tell("resize-window", "-x", "60", "-y", "15")
		got := s.shows(`request invoice-1 of (.|\n)*q back *\n`)
		if n := strings.Count(got, "\n"); n != 15 {
			t.Errorf("%s: the smaller screen has %d lines, want 15:\n%s", c.env, n, got)
		}
		s.press("C-c")
		s.shows(`it ended with 0\n`)
	}
}
