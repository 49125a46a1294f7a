package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeJournald listens where journald would, and stands for stderr.
type fakeJournald struct {
	*net.UnixConn
	stderr *os.File
}

func newFakeJournald(t *testing.T) (*fakeJournald, *slog.Logger, *journald) {
	t.Helper()
	dir, err := os.MkdirTemp("", "journald-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newJournald(path, pair[0])
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeJournald{c, os.NewFile(uintptr(pair[1]), "stderr")}
	t.Cleanup(func() {
		c.Close()
		fake.stderr.Close()
		unix.Close(pair[0])
		unix.Close(h.fd)
	})
	return fake, slog.New(h), h
}

// next decodes one datagram as journald does.
func (f *fakeJournald) next(t *testing.T) map[string]string {
	t.Helper()
	buf := make([]byte, 256<<10)
	f.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := f.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for b := buf[:n]; len(b) > 0; {
		name, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok || len(rest) < 8 {
			t.Fatalf("datagram ends within the field %q", name)
		}
		size := binary.LittleEndian.Uint64(rest)
		if rest = rest[8:]; uint64(len(rest)) <= size || rest[size] != '\n' {
			t.Fatalf("field %q has no %d bytes", name, size)
		}
		out[string(name)], b = string(rest[:size]), rest[size+1:]
	}
	return out
}

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

func TestALogRecordBecomesFields(t *testing.T) {
	fake, log, _ := newFakeJournald(t)
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("east", 3600))
	for name, tc := range map[string]struct {
		log  func()
		want map[string]string
	}{
		"levels are priorities": {func() { log.Error("it broke") },
			map[string]string{"PRIORITY": "3", "MESSAGE": "it broke", "SYSLOG_IDENTIFIER": "sealwardd"}},
		"a warning": {func() { log.Warn("w") }, map[string]string{"PRIORITY": "4", "MESSAGE": "w", "SYSLOG_IDENTIFIER": "sealwardd"}},
		"attributes are fields and readable": {func() { log.Info("denied", "request", "r 1", "uid", 1000, "error", errors.New("no rule")) },
			map[string]string{"PRIORITY": "6", "MESSAGE": `denied request="r 1" uid=1000 error="no rule"`, "SYSLOG_IDENTIFIER": "sealwardd",
				"SEALWARD_REQUEST": "r 1", "SEALWARD_UID": "1000", "SEALWARD_ERROR": "no rule"}},
		"groups are flattened": {func() {
			log.With("a", 1).WithGroup("key").With("name", "hot").Info("m", slog.Group("chain", "id", "eip155:1"), slog.Group("", "flat", true))
		},
			map[string]string{"PRIORITY": "6", "MESSAGE": "m a=1 key.name=hot key.chain.id=eip155:1 key.flat=true", "SYSLOG_IDENTIFIER": "sealwardd",
				"SEALWARD_A": "1", "SEALWARD_KEY_NAME": "hot", "SEALWARD_KEY_CHAIN_ID": "eip155:1", "SEALWARD_KEY_FLAT": "true"}},
		"times are in UTC": {func() { log.Info("m", "at", when) },
			map[string]string{"PRIORITY": "6", "MESSAGE": "m at=2026-01-02T02:04:05.000000006Z", "SYSLOG_IDENTIFIER": "sealwardd", "SEALWARD_AT": "2026-01-02T02:04:05.000000006Z"}},
		"a value cannot add a field or an attribute": {func() { log.Info("m", "claim", "x\nPRIORITY=0\nuid=0 \u202e") },
			map[string]string{"PRIORITY": "6", "MESSAGE": `m claim="x\nPRIORITY=0\nuid=0 \u202e"`, "SYSLOG_IDENTIFIER": "sealwardd", "SEALWARD_CLAIM": "x\nPRIORITY=0\nuid=0 \u202e"}},
		"nor can a key": {func() { log.Info("m", "a\nb=c-ä", "v") },
			map[string]string{"PRIORITY": "6", "MESSAGE": `m "a\nb=c-ä"=v`, "SYSLOG_IDENTIFIER": "sealwardd", "SEALWARD_A_B_C__": "v"}},
		"a value may hide itself": {func() { log.Info("m", "pin", secret("1234")) },
			map[string]string{"PRIORITY": "6", "MESSAGE": "m pin=hidden", "SYSLOG_IDENTIFIER": "sealwardd", "SEALWARD_PIN": "hidden"}},
	} {
		t.Run(name, func(t *testing.T) {
			log.Debug("not this")
			tc.log()
			got := fake.next(t)
			for k, want := range tc.want {
				if got[k] != want {
					t.Errorf("%s = %q, want %q", k, got[k], want)
				}
			}
			if len(got) != len(tc.want) {
				t.Errorf("fields = %q, want %d", got, len(tc.want))
			}
		})
	}
}

func TestHandlersMadeFromOneAnotherDoNotShareAttributes(t *testing.T) {
	fake, log, _ := newFakeJournald(t)
	base := log.With("a", 1)
	one, two := base.With("b", 1), base.With("c", 2)
	one.Info("m")
	if got := fake.next(t)["MESSAGE"]; got != "m a=1 b=1" {
		t.Errorf("MESSAGE = %q", got)
	}
	two.Info("m")
	if got := fake.next(t)["MESSAGE"]; got != "m a=1 c=2" {
		t.Errorf("MESSAGE = %q", got)
	}
}

func (f *fakeJournald) line(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 1<<20)
	n, err := f.stderr.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestWithoutJournaldTheRecordGoesToStderr(t *testing.T) {
	fake, log, _ := newFakeJournald(t)
	fake.Close()
	log.Warn("gone", "why", "restart")
	if got := fake.line(t); got != "<4>gone why=restart\n" {
		t.Errorf("stderr = %q", got)
	}
}

func TestARecordTooLargeForADatagramGoesToStderr(t *testing.T) {
	fake, log, h := newFakeJournald(t)
	if err := unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	log.Info("large", "text", strings.Repeat("x", 64<<10))
	if got := fake.line(t); !strings.HasPrefix(got, "<6>large text=xxx") {
		t.Errorf("stderr = %.40q", got)
	}
}

func TestALogThatNobodyReadsHoldsNothingUp(t *testing.T) {
	for name, gone := range map[string]bool{"journald hangs": false, "journald is gone and stderr is full": true} {
		t.Run(name, func(t *testing.T) {
			fake, log, h := newFakeJournald(t)
			if gone {
				fake.Close()
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 20000 {
					log.Info("a line of the log that is long enough to fill a buffer of some hundred kilobytes")
				}
			}()
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatal("logging waits for a reader")
			}
			if h.dropped.Load() == 0 {
				t.Error("nothing was dropped; the test fills no buffer")
			}
			if gone {
				return
			}
			for range 20000 { // make room
				fake.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				if _, err := fake.Read(make([]byte, 4096)); err != nil {
					break
				}
			}
			log.Info("back")
			if got := fake.next(t); got["MESSAGE"] == "back" || got["SEALWARD_LOG_DROPPED"] == "" || got["SEALWARD_LOG_DROPPED"] == "0" {
				t.Errorf("the first line after that is %q, want how many were dropped", got)
			}
			if h.dropped.Load() != 0 {
				t.Error("what was dropped is counted again")
			}
		})
	}
}

func TestWithoutTheServiceManagerTheLogIsTextOnStderr(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "1:1")
	var out bytes.Buffer
	newLogger(&out).Info("hello", "uid", 1)
	if got := out.String(); !strings.Contains(got, "level=INFO msg=hello uid=1") {
		t.Errorf("stderr = %q", got)
	}
}
