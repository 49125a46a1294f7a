package backends

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// FuzzFrame checks that a frame which is accepted is all that was read: it encodes
// back to the same bytes.
func FuzzFrame(f *testing.F) {
	for _, seed := range [][]byte{{}, {0, 0, 0, 1, 0, 0, 0, 9, 64, 7}, {0, 0, 0, 0, 255, 255, 255, 255, 5}, {255, 255, 255, 255, 0, 0, 0, 0, 64}, {0, 0, 0, 5, 0, 0, 0, 0, 64, 1}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), 64)
		var out []byte
		for {
			fr, err := readFrame(r)
			if err != nil {
				if err == io.EOF && !bytes.Equal(in, out) {
					t.Errorf("read %x of %x and came to its end", out, in)
				}
				break
			}
			if out, err = appendFrame(out, fr.kind, fr.id, fr.body); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(in, out) {
			t.Errorf("%x reads as %x", in, out)
		}
	})
}

// FuzzLink says anything to the daemon's end of a connection, on which two
// operations wait. Both come to an end, in an answer or with the link.
func FuzzLink(f *testing.F) {
	for _, seed := range []string{
		"", "\x00\x00\x00\x01\x00\x00\x00\x01\x40x", "\x00\x00\x00\x05\x00\x00\x00\x02\x42touch",
		"\x00\x00\x00\x04\x00\x00\x00\x00\x43\x00\x00\x00\x03", "\x00\x00\x00\x02\x00\x00\x00\x01\x41{}",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, say []byte) {
		ours, theirs := net.Pipe()
		c := &Config{Timeout: time.Minute, TouchTimeout: time.Minute}
		marks := newPINMarks(filepath.Join(dir, "mark"), time.Now)
		l := newLink(ours, c, &pinDesk{marks: marks, log: slog.New(slog.DiscardHandler)})
		ends := make(chan error, 2)
		for range 2 {
			go func() { _, err := l.call(kindState, func(signer.Notice) {}); ends <- err }()
		}
		go io.Copy(io.Discard, theirs)
		if _, err := theirs.Write(say); err == nil {
			theirs.Close()
		}
		for range 2 {
			<-ends
		}
		l.reads.Wait()
		if l.err == nil {
			t.Error("the link is still there")
		}
		theirs.Close()
	})
}

func TestErrorsKeepTheirMeaningOnTheWire(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		same func(error) bool
	}{
		"gone": {Gone(errors.New("pulled")), func(err error) bool {
			return errors.Is(err, ErrGone) && err.Error() == "the device is out of reach: pulled"
		}},
		"a PIN": {&PINError{Left: 2, Sent: true, Text: "wrong"}, func(err error) bool {
			p, ok := errors.AsType[*PINError](err)
			return ok && p.Left == 2 && p.Sent && !p.Blocked && p.Text == "wrong"
		}},
		"for a caller": {&signer.Error{Code: signer.CodeNotFound, Detail: "no such key", Err: errors.New("x")}, func(err error) bool { return err.Error() == "not_found: no such key: x" }},
		"any other":    {errors.New("jam"), func(err error) bool { return err.Error() == "jam" && signer.CodeOf(err) == signer.CodeInternal }},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := toJSON(toWire(c.err), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := fromWire(body); err != nil || !c.same(got) {
				t.Errorf("%v arrives as %v, %v", c.err, got, err)
			}
		})
	}
}

func TestPlainTextIsFitForALog(t *testing.T) {
	for in, want := range map[string]string{
		"ok": "ok", "a\x1b[31mb\nc": "a?[31mb?c", "\u202egnp": "?gnp", "\xff": "?", strings.Repeat("x", 30): strings.Repeat("x", 20) + " [...]",
	} {
		if got := plain(in, 20); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}
