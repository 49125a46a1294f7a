package ipc

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// The messages of sd_notify(3). Without a service manager that listens they do
// nothing and succeed.

// NotifyReady says that start-up, or a reload, is complete.
func NotifyReady(status string) error {
	return notify(daemon.SdNotifyReady, "STATUS="+oneLine(status))
}

// NotifyStarting says how far a start is that takes longer than usual, and by when the
// service manager hears of it again: until then TimeoutStartSec= does not end it.
func NotifyStarting(status string, within time.Duration) error {
	return notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()), "STATUS="+oneLine(status))
}

// NotifyReloading says that a reload has begun; [NotifyReady] ends it.
func NotifyReloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("notify service manager: %w", os.NewSyscallError("clock_gettime", err))
	}
	return notify(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// NotifyStopping says that the daemon is shutting down.
func NotifyStopping() error { return notify(daemon.SdNotifyStopping) }

// Watchdog tells the service manager at half of its WatchdogSec=, until the context
// ends, that the daemon is alive, as long as alive returns nil within that time. It
// returns at once when there is no watchdog.
func Watchdog(ctx context.Context, log *slog.Logger, alive func(context.Context) error) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, interval/2)
		err := alive(check)
		cancel()
		if err == nil {
			err = notify(daemon.SdNotifyWatchdog)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("watchdog not told that the daemon is alive", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func notify(lines ...string) error {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}

// oneLine keeps a text from adding assignments of its own.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
