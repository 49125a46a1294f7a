package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"
)

// newLogger logs to journald, with fields, when the service manager has connected
// stderr to it, and as text to stderr otherwise.
func newLogger(stderr io.Writer) *slog.Logger {
	if ours, err := journal.StderrIsJournalStream(); err == nil && ours {
		if h, err := newJournald("/run/systemd/journal/socket", unix.Stderr); err == nil {
			return slog.New(h)
		}
	}
	return slog.New(slog.NewTextHandler(stderr, nil))
}

// journald sends log records in journald's native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): one datagram of fields each, every
// attribute a field SEALWARD_<GROUP>_<KEY> beside the readable MESSAGE.
//
// A log must not hold up a signature, so it never waits: a record that journald has
// no room for is dropped and counted in the next one (SEALWARD_LOG_DROPPED).
// [journal.Send] would wait without bound. A record that cannot go this way,
// because journald is restarting or the record is larger than a datagram may be,
// goes to stderr as text, without waiting either.
type journald struct {
	*journaldLink
	prefix string // of field names: the groups that are open
	path   string // likewise of names in MESSAGE
	attrs  []field
}

// journaldLink is shared by the handlers that With made.
type journaldLink struct {
	fd, stderr int
	to         unix.SockaddrUnix
	dropped    atomic.Uint64
}

type field struct{ name, label, value string }

func newJournald(socket string, stderr int) (*journald, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("log to journald: %w", err)
	}
	return &journald{journaldLink: &journaldLink{fd: fd, stderr: stderr, to: unix.SockaddrUnix{Name: socket}}, prefix: "SEALWARD_"}, nil
}

func (j *journald) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (j *journald) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *j
	with.attrs = with.flatten(append([]field(nil), j.attrs...), j.prefix, j.path, attrs)
	return &with
}

func (j *journald) WithGroup(name string) slog.Handler {
	if name == "" {
		return j
	}
	with := *j
	with.prefix += fieldName(name) + "_"
	with.path += name + "."
	return &with
}

func (j *journald) Handle(_ context.Context, r slog.Record) error {
	var own []slog.Attr
	r.Attrs(func(a slog.Attr) bool { own = append(own, a); return true })
	fields := j.flatten(append([]field(nil), j.attrs...), j.prefix, j.path, own)
	dropped := j.dropped.Swap(0)
	if dropped > 0 {
		n := strconv.FormatUint(dropped, 10)
		fields = append(fields, field{"SEALWARD_LOG_DROPPED", "log_dropped", n})
	}
	message := readable(r.Message, fields)
	err := unix.Sendto(j.fd, encode(priority(r.Level), message, fields), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &j.to)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
		// The prefix is the level, sd-daemon(3). stderr is a socket of journald's.
		line := fmt.Appendf(nil, "<%d>%s\n", priority(r.Level), message)
		if err = unix.Sendto(j.stderr, line, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil); err == nil {
			return nil
		}
	}
	j.dropped.Add(dropped + 1)
	return fmt.Errorf("log to journald: %w", err)
}

// flatten appends attributes as fields; the names of groups become part of theirs.
func (j *journald) flatten(to []field, prefix, path string, attrs []slog.Attr) []field {
	for _, a := range attrs {
		v := a.Value.Resolve()
		switch {
		case a.Equal(slog.Attr{}): // a handler ignores it, as slog.Handler says
		case v.Kind() == slog.KindGroup && a.Key == "":
			to = j.flatten(to, prefix, path, v.Group())
		case v.Kind() == slog.KindGroup:
			to = j.flatten(to, prefix+fieldName(a.Key)+"_", path+a.Key+".", v.Group())
		case v.Kind() == slog.KindTime:
			to = append(to, field{prefix + fieldName(a.Key), path + a.Key, v.Time().UTC().Format(time.RFC3339Nano)})
		default:
			to = append(to, field{prefix + fieldName(a.Key), path + a.Key, v.String()})
		}
	}
	return to
}

// fieldName makes a key what journald takes: A to Z, 0 to 9 and underscores.
func fieldName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}

// priority is the syslog(3) level.
func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}

// readable is the message with its attributes, on one line, for journalctl without
// options. Values that came from a caller cannot look like another attribute.
func readable(message string, fields []field) string {
	var b strings.Builder
	b.WriteString(message)
	for _, f := range fields {
		fmt.Fprintf(&b, " %s=%s", quoted(f.label), quoted(f.value))
	}
	return b.String()
}

// quoted quotes what is empty or could be taken for more than one word.
func quoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r == '"' || r == '=' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}) {
		return strconv.Quote(s)
	}
	return s
}

// encode writes fields with their lengths, so that no value can contain another
// field. journald ignores a field whose name is longer than 64 bytes.
func encode(p journal.Priority, message string, fields []field) []byte {
	var b bytes.Buffer
	add := func(name, value string) {
		b.WriteString(name[:min(len(name), 64)])
		b.WriteByte('\n')
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
		b.WriteString(value)
		b.WriteByte('\n')
	}
	add("PRIORITY", strconv.Itoa(int(p)))
	add("SYSLOG_IDENTIFIER", "sealwardd")
	add("MESSAGE", message)
	for _, f := range fields {
		add(f.name, f.value)
	}
	return b.Bytes()
}
