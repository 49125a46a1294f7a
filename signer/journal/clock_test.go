package journal

import (
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

func TestJournalTime(t *testing.T) {
	const month = 30 * day
	const minute = time.Minute
	for name, tc := range map[string]struct {
		act         func(*host)
		reopen      bool
		accept      bool
		least, most time.Duration // that journal time advances
		held        bool
	}{
		"follows the wall clock":                          {func(h *host) { h.pass(time.Hour) }, false, false, time.Hour, time.Hour, false},
		"follows it over a restart":                       {func(h *host) { h.pass(time.Hour) }, true, false, time.Hour, time.Hour, false},
		"stays when the wall clock is stepped back":       {func(h *host) { h.step(-month) }, false, false, 0, 0, true},
		"goes on slowly when the wall clock is behind":    {func(h *host) { h.step(-month); h.pass(10 * minute) }, false, false, 5 * minute, 5 * minute, true},
		"waits for a wall clock that is a little behind":  {func(h *host) { h.step(-5 * minute); h.pass(20 * minute) }, false, false, 15 * minute, 15 * minute, false},
		"stays when it is stepped back over a restart":    {func(h *host) { h.step(-month) }, true, false, 0, 0, true},
		"does not follow a step of a month":               {func(h *host) { h.step(month); h.pass(minute) }, false, false, minute, minute + 3*time.Second, true},
		"nor over a restart":                              {func(h *host) { h.step(month); h.pass(minute) }, true, false, minute, minute + time.Second, true},
		"nor many small steps":                            {func(h *host) { smallSteps(h, 1000) }, false, false, 0, 3 * time.Second, true},
		"takes a wall clock that is accepted":             {func(h *host) { h.step(month) }, true, true, month, month, false},
		"does not run back for one that is accepted":      {func(h *host) { h.step(-month) }, true, true, 0, 0, true},
		"counts ten minutes off as ten minutes":           {func(h *host) { h.reboot(10*minute, 0) }, true, false, 10*minute + 20*time.Second, 10*minute + 20*time.Second, false},
		"does not count a night off before it's accepted": {func(h *host) { h.reboot(8*time.Hour, 0) }, true, false, 20 * time.Second, 21 * time.Second, true},
		"counts it when accepted":                         {func(h *host) { h.reboot(8*time.Hour, 0) }, true, true, 8*time.Hour + 20*time.Second, 8*time.Hour + 20*time.Second, false},
		"goes on after a reboot with a clock of 1970":     {func(h *host) { h.reboot(minute, -50*365*day) }, true, false, 10 * time.Second, 10 * time.Second, true},
		"goes on after a reboot with a clock ahead":       {func(h *host) { h.reboot(minute, month) }, true, false, 20 * time.Second, 21 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			path := privateFile(t)
			j := open(t, h.config(path))
			before := record(t, j, proposal(j, "a", "hot", wei(5)), allow).Time
			tc.act(h)
			if tc.reopen {
				shut(t, j)
				c := h.config(path)
				c.AcceptTime = tc.accept
				j = open(t, c)
			}
			_, held := j.TimeHeld()
			rec := record(t, j, proposal(j, "b", "hot", wei(5)), limit(5, 5))
			if d := rec.Time.Sub(before); d < tc.least || d > tc.most {
				t.Errorf("journal time advanced by %s, want %s to %s", d, tc.least, tc.most)
			}
			if held != tc.held {
				t.Errorf("held = %v, want %v", held, tc.held)
			}
			if !rec.Facts.Wall.Equal(h.wall) {
				t.Errorf("wall = %s, want %s", rec.Facts.Wall, h.wall)
			}
			if empty := tc.least >= day; (rec.Decision.Verdict == signer.Allow) != empty {
				t.Errorf("verdict %s after %s; the window of a day is empty: %v", rec.Decision.Verdict, rec.Time.Sub(before), empty)
			}
		})
	}
}

// smallSteps sets the wall clock ahead by a second, over and over.
func smallSteps(h *host, n int) {
	for range n {
		h.step(time.Second)
		h.pass(time.Millisecond)
	}
}

func TestManyRestartsGiveNoTimeAway(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	before := record(t, j, proposal(j, "a", "hot", wei(5)), allow).Time
	for range 50 {
		h.step(time.Minute)
		shut(t, j)
		j = open(t, h.config(path))
		if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted}); err != nil {
			t.Fatal(err)
		}
	}
	if d := record(t, j, proposal(j, "b", "hot", wei(5)), allow).Time.Sub(before); d > maxSlack {
		t.Errorf("journal time advanced by %s while no time passed", d)
	}
}

// TestTheClockNeverDecreases reads the clock under all sorts of steps, and the
// slack must not come back faster than it should.
func TestTheClockNeverDecreases(t *testing.T) {
	start := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	c := &clock{last: start, slack: maxSlack}
	now := moment{wall: start}
	last := start
	for i := range 10_000 {
		passed := time.Duration(i%7) * 13 * time.Millisecond
		now.since += passed
		now.wall = now.wall.Add(passed + time.Duration(i%11-5)*time.Duration(i%5)*time.Second)
		at := c.read(now)
		if at.Before(last) {
			t.Fatalf("reading %d: %s after %s", i, at, last)
		}
		if most := start.Add(now.since + maxSlack + now.since/slackRate); at.After(most) {
			t.Fatalf("reading %d: %s, at most %s is possible", i, at, most)
		}
		last = at
	}
	now.since -= time.Hour // a boot clock that runs back is not believed
	if at := c.read(now); at.Before(last) {
		t.Errorf("%s after %s", at, last)
	}
}

func TestLinuxBootAdvances(t *testing.T) {
	boot := linuxBoot()
	id, first, err := boot()
	if err != nil {
		t.Fatal(err)
	}
	again, second, err := boot()
	if err != nil || len(id) != 36 || again != id || first <= 0 || second < first {
		t.Errorf("boot %q at %s, then %q at %s, %v", id, first, again, second, err)
	}
}
