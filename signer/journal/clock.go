package journal

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSlack is how far journal time may run ahead of boot time at once. It is
	// used up by doing so and comes back at slackRate.
	maxSlack  = 2 * time.Second
	slackRate = 1000 // one part in so many, generous for a drifting oscillator
)

// clock is journal time. It advances with the time since boot, which nobody can
// set, and follows the wall clock only as far as that allows:
//
//   - It never decreases.
//   - It runs ahead of boot time by the slack at most, so that a wall clock that is
//     stepped forward cannot empty a window, not even in many small steps.
//   - While the wall clock is behind, it runs at half the speed of boot time. So it
//     is neither ahead for ever nor stands still because of a clock that is wrong by
//     years; limits hold longer, never shorter.
//
// How long the host was off is known from the wall clock alone. [resume] judges it.
type clock struct {
	mu    sync.Mutex
	last  time.Time     // journal time as last read
	since time.Duration // since boot, at that moment
	slack time.Duration
}

// moment is one reading of the clocks of the host.
type moment struct {
	wall  time.Time
	boot  string        // id of the boot
	since time.Duration // since boot, suspended time included
}

// resume continues journal time at the first opening after a boot, from the last
// time that was recorded. The wall clock is taken at its word up to maxOff beyond
// what has passed since boot; past that, and when it is behind, journal time goes
// on by boot time.
func resume(last time.Time, now moment, maxOff time.Duration) *clock {
	if ahead := now.wall.Sub(last.Add(now.since)); ahead > 0 && ahead <= maxOff {
		return &clock{last: now.wall, since: now.since}
	}
	return &clock{last: last}
}

// at returns the state of the clock at a moment.
func (c *clock) at(now moment) (last time.Time, since, slack time.Duration) {
	elapsed := max(0, now.since-c.since)
	since, slack = max(now.since, c.since), min(maxSlack, c.slack+elapsed/slackRate)
	even := c.last.Add(elapsed)
	switch ahead := now.wall.Sub(even); {
	case ahead <= 0:
		last = c.last.Add(elapsed / 2)
		if now.wall.After(last) {
			last = now.wall
		}
	case ahead <= slack:
		last, slack = now.wall, slack-ahead
	default:
		last, slack = even.Add(slack), 0
	}
	return last, since, slack
}

// read returns journal time and remembers it.
func (c *clock) read(now moment) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.since, c.slack = c.at(now)
	return c.last
}

// behind returns how far journal time is behind the wall clock.
func (c *clock) behind(now moment) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, _, _ := c.at(now)
	return now.wall.Sub(t)
}

// instant cuts a time to what the formats hold: UTC, nanoseconds, no monotonic
// reading.
func instant(t time.Time) time.Time { return time.Unix(0, t.UnixNano()).UTC() }

// linuxBoot returns a source of the boot's id and of the time since, suspended
// time included.
func linuxBoot() func() (string, time.Duration, error) {
	var id string
	var idErr error
	var once sync.Once
	return func() (string, time.Duration, error) {
		once.Do(func() {
			b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			id, idErr = strings.TrimSpace(string(b)), err
		})
		if idErr != nil {
			return "", 0, fmt.Errorf("read boot id: %w", idErr)
		}
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			return "", 0, fmt.Errorf("read time since boot: %w", err)
		}
		return id, time.Duration(ts.Nano()), nil
	}
}
