package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sealward/sealward/signer"
)

// watcher starts sealward watch, and returns how to end it as its unit does.
func (h *host) watcher(args ...string) (stop func()) {
	h.t.Helper()
	bin, err := buildPrograms()
	must(h.t, err)
	cmd := exec.Command(filepath.Join(bin, "sealward"), append([]string{"--sockets", h.dir, "watch"}, args...)...)
	var log output
	cmd.Stdout, cmd.Stderr = &log, &log
	must(h.t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := <-ended; err != nil {
			h.t.Errorf("watch ended with %v:\n%s", err, log.String())
		}
	}
	h.t.Cleanup(stop)
	return stop
}

// A program is told what happens in a treasury, in order, also what happened
// while nobody watched and while the daemon was down.
func TestAProgramIsToldWhatHappens(t *testing.T) {
	t.Parallel()
	h := frozenHost(t)
	p := h.start()
	must(t, os.WriteFile(h.path("notify"), []byte("#!/bin/sh\ncat >>"+h.path("told")+"\n"), 0o700))
	args := []string{"--position", h.path("position"), "--exec", h.path("notify")}
	stop := h.watcher(args...)
	eventually(t, "it begins", func() bool { return !h.missing("position") })
	t.Cleanup(func() {
		if t.Failed() && !h.missing("told") {
			t.Logf("the program was told\n%s", h.read("told"))
		}
	})
	told := func() (out []string) {
		if h.missing("told") {
			return nil
		}
		for l := range strings.Lines(h.read("told")) {
			var doc struct {
				Version                         int
				Instance, Leaf, Event, Approver string
				Request                         *struct{ ID, State, Proposal string }
			}
			if json.Unmarshal([]byte(l), &doc) != nil {
				return nil // half of a line
			}
			if doc.Version != 1 || doc.Instance != h.status().GetInstance() || doc.Leaf == "" {
				t.Errorf("the document is %s", l)
			}
			text := doc.Event
			if doc.Request != nil {
				text += " " + doc.Request.ID
			}
			out = append(out, strings.TrimSpace(text+" "+doc.Approver))
		}
		return out
	}
	agreed, rejected := h.ask(payment("agreed", 1)), h.ask(payment("rejected", 2))
	h.post(h.alice, agreed, signer.WordApprove)
	stop()
	h.post(h.alice, agreed, signer.WordWithdraw)
	h.agreeBy(agreed, "signed", h.bob, h.carol)
	h.watcher(args...)
	want := []string{"waits agreed", "waits rejected", "approved agreed alice", "withdrawn agreed alice", "approved agreed bob", "approved agreed carol", "authorized agreed"}
	eventually(t, "what happened meanwhile is told", func() bool { return len(told()) >= len(want) })
	p.stop()
	h.start()
	h.post(h.carol, rejected, signer.WordReject)
	want = append(want, "rejected rejected carol", "denied rejected")
	eventually(t, "it is rejected", func() bool { return len(told()) >= len(want) })
	_, err := h.admin().Freeze(t.Context(), "a strange payment", nil)
	must(t, err)
	want = append(want, "frozen "+me(t))
	eventually(t, "it is frozen", func() bool { return len(told()) >= len(want) })
	// At least once: what the program was at when it was stopped, it is told again.
	if got := slices.Compact(told()); !slices.Equal(got, want) {
		t.Errorf("told was\n%s\nwant\n%s", fmt.Sprint(got), fmt.Sprint(want))
	}
}
