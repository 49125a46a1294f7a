package ipc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager stands in for systemd and returns the next message.
func manager(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(folder(t), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		buf := make([]byte, 4096)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(buf)
		must(t, err)
		return string(buf[:n])
	}
}

func TestTheServiceManagerIsToldWhatHappens(t *testing.T) {
	next := manager(t)
	for want, tell := range map[string]func() error{
		"READY=1\nSTATUS=2 keys, 1 unavailable": func() error { return NotifyReady("2 keys, 1 unavailable") },

		"READY=1\nSTATUS=bad STOPPING=1": func() error { return NotifyReady("bad\nSTOPPING=1\n") },
		"STOPPING=1":                     NotifyStopping,

		"EXTEND_TIMEOUT_USEC=90000000\nSTATUS=half done": func() error { return NotifyStarting("half done", 90*time.Second) },
	} {
		must(t, tell())
		if got := next(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	must(t, NotifyReloading())
	usec, ok := strings.CutPrefix(next(), "RELOADING=1\nMONOTONIC_USEC=")
	if n, err := strconv.ParseInt(usec, 10, 64); !ok || err != nil || n <= 0 {
		t.Errorf("told MONOTONIC_USEC=%q", usec)
	}
}

func TestWithoutAServiceManagerNothingIsToldAndNothingFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	for _, err := range []error{NotifyReady("x"), NotifyReloading(), NotifyStopping(), NotifyStarting("x", time.Second),
		Watchdog(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error { return nil })} {
		if err != nil {
			t.Errorf("error = %v", err)
		}
	}
}

func TestAServiceManagerThatIsGoneIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := NotifyReady("x"); err == nil || !strings.Contains(err.Error(), "notify service manager") {
		t.Errorf("error = %v", err)
	}
}

func TestTheWatchdogIsFedOnlyWhileAlive(t *testing.T) {
	next := manager(t)
	t.Setenv("WATCHDOG_USEC", "40000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, cancel := context.WithCancel(t.Context())
	var asked, sick atomic.Int32
	done := make(chan error, 1)
	go func() {
		done <- Watchdog(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
			asked.Add(1)
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the check has no deadline")
			}
			if sick.Load() > 0 {
				return errors.New("journal does not answer")
			}
			return nil
		})
	}()
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("told %q", got)
		}
	}
	sick.Store(1)
	before := asked.Load()
	eventually(t, "it has been asked again", func() bool { return asked.Load() > before+3 })
	cancel()
	must(t, <-done)
	must(t, NotifyStopping())
	for range 2 { // one may have been on its way
		if got := next(); got == "STOPPING=1" {
			return
		}
	}
	t.Error("fed while not alive")
}
