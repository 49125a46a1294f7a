package backends_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

func TestCloseLeavesNothingBehind(t *testing.T) {
	c := config(t)
	stacks := func() string {
		b := make([]byte, 1<<20)
		return string(b[:runtime.Stack(b, true)])
	}
	ours := func() int { return strings.Count(stacks(), "backends.(*") }
	before := ours()
	tok := start(t, c)
	mustSign(t, find(t, tok))
	pid := tok.Health().WorkerPID
	for range 2 {
		if err := tok.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := syscall.Kill(-pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the worker's group is still there: %v", err)
	}
	if n := events(t, c, "close"); n != 1 {
		t.Errorf("the device was closed %d times", n)
	}
	eventually(t, "no goroutine is left", func() bool { return ours() <= before })
	if h := tok.Health(); h.Up || h.Reason != "it is closed" || h.WorkerPID != 0 {
		t.Errorf("health = %+v", h)
	}
	if _, err := tok.Find(t.Context(), "key"); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Find after Close = %v", err)
	}
}

func TestCloseDoesNotWaitForADriverThatHangs(t *testing.T) {
	t.Parallel()
	c := config(t)
	tok := start(t, c)
	pid := tok.Health().WorkerPID
	script(t, c, "close", "hang")
	began := time.Now()
	if err := tok.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("Close took %s", took)
	}
	if err := syscall.Kill(-pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the worker is still there: %v", err)
	}
}

func TestAConfigurationThatIsWrongIsRefused(t *testing.T) {
	good := config(t)
	for name, f := range map[string]func(*backends.Config){
		"no name":                   func(c *backends.Config) { c.Name = "" },
		"no driver":                 func(c *backends.Config) { c.Driver = "" },
		"no worker":                 func(c *backends.Config) { c.Worker = nil },
		"worker and service":        func(c *backends.Config) { c.Address = "/run/x" },
		"relative worker":           func(c *backends.Config) { c.Worker = []string{"worker"} },
		"worker that is not there":  func(c *backends.Config) { c.Worker = []string{"/nonexistent/worker"} },
		"relative socket":           func(c *backends.Config) { c.Worker, c.Address = nil, "x" },
		"no mark":                   func(c *backends.Config) { c.PINMark = "" },
		"mark where anyone writes":  func(c *backends.Config) { c.PINMark = "/tmp/mark" },
		"negative queue":            func(c *backends.Config) { c.Queue = -1 },
		"too much at once":          func(c *backends.Config) { c.AtOnce = 1 << 20 },
		"negative timeout":          func(c *backends.Config) { c.Timeout = -1 },
		"settings that are no JSON": func(c *backends.Config) { c.Settings = json.RawMessage("{") },
		"environment without name":  func(c *backends.Config) { c.Environment = []string{"=x"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			f(&c)
			tok, err := backends.Start(t.Context(), c)
			if err == nil || tok != nil {
				t.Errorf("Start = %v, %v; want an error", tok, err)
			}
			if tok != nil {
				tok.Close()
			}
		})
	}
}
