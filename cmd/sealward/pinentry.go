package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/term"
)

// maxLine is the longest line of the Assuan protocol, without its end (Developing
// with Assuan, "Client requests").
const maxLine = 1000

// terminal is that of this process, whatever its streams are (tty(4)).
const terminal = "/dev/tty"

// pinentry asks for a PIN with a pinentry program, which speaks Assuan on its
// standard streams.
func pinentry(ctx context.Context, program, prompt string) ([]byte, error) {
	options := []string{}
	if tty, err := os.OpenFile(terminal, os.O_RDWR, 0); err == nil {
		defer tty.Close()
		fd := int(tty.Fd())
		if before, err := term.GetState(fd); err == nil {
			defer func() { _ = term.Restore(fd, before) }() // a program that is killed leaves it without echo
		}
		// Its streams are pipes, so one that draws on the terminal has to be told.
		options = append(options, "OPTION ttyname="+terminal)
		if t := os.Getenv("TERM"); t != "" {
			options = append(options, "OPTION ttytype="+escape(t))
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	pin, err := (&assuan{in, bufio.NewReaderSize(out, maxLine+2)}).getPIN(options, prompt)
	// It ends with its input, and has said all it has to say. Its status says no more.
	_ = in.Close()
	if err != nil {
		cancel()
		_ = cmd.Wait()
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	time.AfterFunc(time.Second, cancel)
	_ = cmd.Wait()
	return pin, nil
}

type assuan struct {
	w io.Writer
	r *bufio.Reader
}

func (a *assuan) getPIN(options []string, prompt string) ([]byte, error) {
	if _, err := a.answer(); err != nil { // the greeting
		return nil, err
	}
	for _, c := range append(options, "SETTITLE Sealward", "SETDESC "+escape(prompt), "SETPROMPT PIN:") {
		if _, err := a.ask(c); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Fields(c)[0], err)
		}
	}
	return a.ask("GETPIN")
}

func (a *assuan) ask(command string) ([]byte, error) {
	if _, err := io.WriteString(a.w, command+"\n"); err != nil {
		return nil, err
	}
	return a.answer()
}

var errNonsense = errors.New("it does not speak the protocol of pinentry")

// answer reads up to OK or ERR, and returns the data that came before.
func (a *assuan) answer() (data []byte, err error) {
	for {
		line, err := a.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, errNonsense
		case err != nil:
			return nil, errors.New("it ended in the middle of the conversation")
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		word, rest, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "OK":
			return data, nil
		case "ERR":
			clear(data)
			return nil, fmt.Errorf("it says: %s; nothing was sent to the token", rest)
		case "D":
			some, err := unescape(rest)
			if err != nil {
				clear(data)
				return nil, err
			}
			data = append(data, some...)
			clear(some)
			clear(rest)
			if len(data) > maxLine {
				clear(data)
				return nil, errNonsense
			}
		case "S", "#": // a status, a comment
		default:
			return nil, errNonsense
		}
	}
}

// escape keeps a text on one line of a request.
func escape(s string) string {
	return strings.NewReplacer("%", "%25", "\n", "%0A", "\r", "%0D").Replace(s)
}

// unescape reads the percent escapes of a data line.
func unescape(b []byte) ([]byte, error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			out = append(out, b[i])
			continue
		}
		var c [1]byte
		if i+2 >= len(b) {
			return nil, errors.New("its answer ends in the middle of an escape")
		}
		if _, err := hex.Decode(c[:], b[i+1:i+3]); err != nil {
			return nil, fmt.Errorf("its answer has a malformed escape: %w", err)
		}
		out = append(out, c[0])
		i += 2
	}
	return out, nil
}
