package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
)

func (c *cli) unlockCommand() *cobra.Command {
	var program string
	var credential bool
	cmd := &cobra.Command{
		Use: "unlock TOKEN", Short: "type the PIN of a token",
		Long: `Type the PIN of a token whose PIN no file holds, or whose credential was refused.

The PIN is asked for on this terminal, or by the program that --pinentry names, and
sealed here to the process that drives the token: the daemon passes it on and cannot
read it. It is sent to the token once. The process keeps it until it ends, and then
it has to be typed again.

With --credential nothing is typed: the token's own credential, which a file or
systemd holds, is tried once more. That is for after it was set right.`,
		Args: arguments(1, 1, "the name of one TOKEN; sealward status lists them"), ValidArgsFunction: c.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			if credential {
				if program != "" {
					return usage("--credential asks for no PIN, so there is nothing for --pinentry")
				}
				return c.retry(cmd.Context(), args[0])
			}
			return c.unlock(cmd, args[0], program)
		},
	}
	cmd.Flags().StringVar(&program, "pinentry", "", "ask with this `program`, such as pinentry-curses, instead of the terminal")
	cmd.Flags().BoolVar(&credential, "credential", false, "have the token's own credential tried once more")
	return cmd
}

func (c *cli) unlock(cmd *cobra.Command, token, program string) error {
	ctx := cmd.Context()
	unlockKey := func() ([]byte, error) {
		return on(c, "admin", func(client *api.Client) ([]byte, error) { return client.UnlockKey(ctx, token) })
	}
	// Before somebody types: is there such a token, and does it wait for a PIN?
	if _, err := unlockKey(); err != nil {
		return err
	}
	prompt, err := c.prompt(ctx, token)
	if err != nil {
		return err
	}
	pin, err := c.askPIN(ctx, program, prompt)
	if err != nil {
		return err
	}
	defer clear(pin)
	// Anew, because it is another one as soon as the worker was started again.
	key, err := unlockKey()
	if err != nil {
		return err
	}
	sealed, err := backends.SealPIN(key, token, pin)
	if err != nil {
		return err
	}
	t, err := on(c, "admin", func(client *api.Client) (*v1.TokenHealth, error) { return client.Unlock(ctx, token, sealed) })
	if err != nil {
		return err
	}
	return c.showUnlocked(t)
}

// prompt tells how many tries there are, and refuses where there is none.
func (c *cli) prompt(ctx context.Context, token string) (string, error) {
	status, err := on(c, "admin", func(client *api.Client) (*v1.GetStatusResponse, error) { return client.Status(ctx) })
	if err != nil {
		return "", err
	}
	text := "PIN of token " + token
	for _, t := range status.GetTokens() {
		if t.GetName() != token || t.TriesLeft == nil {
			continue
		}
		switch left := t.GetTriesLeft(); left {
		case 0:
			return "", fmt.Errorf("token %s is blocked and takes no PIN any more; docs/operations.md says how its PUK or security officer sets a new one", token)
		case 1:
			text += " (one try left; a wrong PIN blocks it)"
		default:
			text += fmt.Sprintf(" (%d tries left)", left)
		}
	}
	return text, nil
}

// retryWait is how long the token's own credential is waited for, which is tried as
// soon as the worker has started again.
const retryWait = 15 * time.Second

func (c *cli) retry(ctx context.Context, token string) error {
	asked := time.Now()
	t, err := on(c, "admin", func(client *api.Client) (*v1.TokenHealth, error) { return client.Retry(ctx, token) })
	if err != nil {
		return err
	}
	for time.Since(asked) < retryWait && t.GetState() != "up" && (t.GetState() == "down" || t.GetSince().AsTime().Before(asked)) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		status, err := on(c, "admin", func(client *api.Client) (*v1.GetStatusResponse, error) { return client.Status(ctx) })
		if err != nil {
			return err
		}
		for _, now := range status.GetTokens() {
			if now.GetName() == token {
				t = now
			}
		}
	}
	return c.showUnlocked(t)
}

func (c *cli) showUnlocked(t *v1.TokenHealth) error {
	if err := c.answer(t, func(w io.Writer) error { return showTokens(w, []*v1.TokenHealth{t}) }); err != nil {
		return err
	}
	if t.GetState() != "up" {
		return problems{fmt.Sprintf("token %s is %s: %s", t.GetName(), t.GetState(), strings.TrimPrefix(t.GetReason(), "locked: "))}
	}
	return nil
}

// askPIN asks a person. Nothing is echoed, and nothing is read from a pipe: a PIN in
// a script belongs into a credential.
func (c *cli) askPIN(ctx context.Context, program, prompt string) (pin []byte, err error) {
	if program != "" {
		pin, err = pinentry(ctx, program, prompt)
	} else {
		pin, err = typed(ctx, prompt)
	}
	switch {
	case ctx.Err() != nil:
		err = errors.New("interrupted; nothing was sent to the token")
	case err == nil && len(bytes.TrimSpace(pin)) == 0:
		err = errors.New("no PIN was typed; nothing was sent to the token")
	}
	if err != nil {
		clear(pin)
		return nil, err
	}
	return pin, nil
}

// typed reads a line from the terminal of this process, whatever its streams are.
func typed(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("there is no terminal to ask for the PIN on; run this on one, name a program with --pinentry, or give the token a pin_file or pin_credential")
	}
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for the PIN: %w", err)
	}
	defer func() { _ = term.Restore(fd, before) }() // an interrupted read leaves it without echo
	// Echo is off before anybody is asked: a program, or a quick hand, may not wait.
	quiet, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		quiet.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(fd, unix.TCSETS, quiet)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the PIN: switch off echo: %w", err)
	}
	fmt.Fprintf(tty, "%s: ", console.Safe(prompt))
	type line struct {
		pin []byte
		err error
	}
	read := make(chan line, 1)
	go func() { // reading a terminal cannot be cancelled; after an interrupt this ends with the process
		pin, err := term.ReadPassword(fd)
		read <- line{pin, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(tty)
		return nil, ctx.Err()
	case l := <-read:
		fmt.Fprintln(tty)
		if errors.Is(l.err, io.EOF) {
			return nil, nil // the end of input is no PIN
		}
		return l.pin, l.err
	}
}

// showTokens shows how tokens are, a sheet for each.
func showTokens(w io.Writer, tokens []*v1.TokenHealth) error {
	for i, t := range tokens {
		if i > 0 {
			fmt.Fprintln(w)
		}
		pairs := [][2]string{{"token", t.GetName()}, {"kind", t.GetKind()}, {"device", t.GetDevice()}, {"state", t.GetState()}, {"reason", t.GetReason()}}
		if t.TriesLeft != nil {
			pairs = append(pairs, [2]string{"PIN tries left", fmt.Sprint(t.GetTriesLeft())})
		}
		if t.GetState() == "down" {
			pairs = append(pairs, [2]string{"tried again", when(t.GetRetry())})
		}
		if t.GetRestarts() > 0 {
			pairs = append(pairs, [2]string{"worker restarted", fmt.Sprint(t.GetRestarts(), " times")})
		}
		for _, f := range t.GetFacts() {
			pairs = append(pairs, [2]string{f.GetName(), f.GetValue()})
		}
		for _, n := range t.GetNotes() {
			pairs = append(pairs, [2]string{"note", n})
		}
		if err := sheet(w, pairs...); err != nil {
			return err
		}
	}
	return nil
}
