package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// act is an administrative request as a command line has it.
type act struct {
	admin.Order
	id      string
	out     string // the new file for the key file that it results in; empty: none
	private bool   // whether that is for nobody else to read
	// wait is how long it is waited for approvals; zero: not at all.
	wait time.Duration
}

func (a *act) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.id, "id", "", "the request's `id`, to ask again for the same; chosen at random if not given")
	cmd.Flags().DurationVar(&a.wait, "wait", 0, "how long to wait for approvals, if it takes any; not at all if not given")
}

// act sends an administrative request and shows its result.
func (c *cli) act(cmd *cobra.Command, a *act) error {
	payload, err := a.Encode()
	if err != nil {
		return err
	}
	file, err := createFile(a.out, a.private)
	if err != nil {
		return err
	}
	defer file.abandon()
	if a.id == "" {
		a.id = randomID()
		if c.output == outputText {
			fmt.Fprintf(c.stderr, "request %s (to ask again: --id %s)\n", a.id, a.id)
		}
	}
	r := &v1.Request{Id: a.id, Key: signer.AdminKey, Kind: string(signer.KindAdmin), Payload: payload}
	// An RSA key takes a card as long as a call may last.
	res, err := c.askFor(cmd.Context(), "admin", &v1.SignRequest{Request: r, WaitForApprovals: a.wait > 0}, max(a.wait, longestCall))
	if err != nil {
		return err
	}
	return c.acted(a, file, res.GetArtifact())
}

// acted keeps the key file that an act resulted in, and then shows the result: with
// the key file in it unless that is safe on the disk.
func (c *cli) acted(a *act, file *newFile, result []byte) error {
	var made struct {
		KeyFile string `json:"key_file"`
	}
	if err := json.Unmarshal(result, &made); err != nil {
		return fmt.Errorf("the daemon's answer is not the result of an act: %w", err)
	}
	var kept error
	written := ""
	switch {
	case a.out != "" && made.KeyFile == "":
		kept = fmt.Errorf("there is no key file in the result; nothing was written to %s", a.out)
	case a.out != "":
		if err := file.finish(made.KeyFile); err != nil {
			kept = fmt.Errorf("write the key file: %w; it is above, and request %s shows it again", err, a.id)
		} else {
			written = a.out
		}
	}
	if err := c.showActed(result, written); err != nil {
		return errors.Join(err, kept)
	}
	if made.KeyFile != "" && a.out == "" && c.output == outputText {
		fmt.Fprintln(c.stderr, "\nkeep the key file: without it the key is lost")
	}
	return kept
}

func (c *cli) showActed(result []byte, written string) error {
	if c.output == outputText {
		return showResult(c.stdout, result, written)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, result, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.stdout, b.String())
	return err
}

// showResult shows the JSON object that an act resulted in: its fields in their
// order, and what has several lines after the rest. A key file that was written is
// named instead.
func showResult(w io.Writer, result []byte, written string) error {
	dec := json.NewDecoder(bytes.NewReader(result))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("the daemon's answer is not the result of an act")
	}
	var pairs [][2]string
	var texts []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		label := strings.ReplaceAll(fmt.Sprint(name), "_", " ")
		var text string
		switch err := json.Unmarshal(raw, &text); {
		case name == "key_file" && written != "":
			pairs = append(pairs, [2]string{label, written})
		case name == "public": // as keys show has it
			pairs = append(pairs, [2]string{"public key", inHex(text)})
		case err != nil:
			pairs = append(pairs, structured(label, raw)...)
		case strings.Contains(text, "\n"):
			texts = append(texts, text)
		default:
			pairs = append(pairs, [2]string{label, text})
		}
	}
	if err := sheet(w, pairs...); err != nil {
		return err
	}
	for _, text := range texts {
		fmt.Fprintln(w)
		for line := range strings.Lines(text) {
			fmt.Fprintln(w, console.Safe(strings.TrimRight(line, "\n")))
		}
	}
	return nil
}

// inHex rewrites what a result has in base64.
func inHex(text string) string {
	if b, err := base64.StdEncoding.DecodeString(text); err == nil {
		return hexText(b)
	}
	return text
}

// structured is a value that is no text: a device's evidence, a list of facts, or
// what a newer daemon has, as it is.
func structured(label string, raw json.RawMessage) (pairs [][2]string) {
	facts := func(label string, all []signer.Field) {
		for _, f := range all {
			pairs = append(pairs, [2]string{label + f.Name, f.Value})
		}
	}
	var e backends.Evidence
	if json.Unmarshal(raw, &e) == nil && e.Format != "" {
		pairs = append(pairs, [2]string{label, e.Format})
		facts("proven: ", e.Proven)
		facts("claimed: ", e.Claimed)
		return pairs
	}
	var list []signer.Field
	if json.Unmarshal(raw, &list) == nil {
		facts("", list)
		return pairs
	}
	return [][2]string{{label, string(raw)}}
}

// whileTelling makes a call about a request and tells meanwhile what the request waits for:
// a device to be touched, approvals.
func whileTelling[T any](ctx context.Context, c *cli, socket, id string, tell func(id, state string), call func(*api.Client) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Where this fails, the call itself says what is wrong. The daemon may be back soon.
		for c.watch(ctx, c.path(socket), id, "", tell) != nil && ctx.Err() == nil {
			pause(ctx, time.Second)
		}
	}()
	defer func() { cancel(); <-ended }()
	return on(c, socket, call)
}

// watch calls tell with each state of a request, until it is done.
func (c *cli) watch(ctx context.Context, socket, id, caller string, tell func(id, state string)) error {
	client := api.Dial(socket)
	defer client.Close()
	for known := ""; known != string(signer.ProgressDone); {
		state, err := client.Watch(ctx, id, caller, known)
		if err != nil {
			return err
		}
		if state != known {
			tell(id, state)
		}
		known = state
	}
	return nil
}

// tell says what only a person can do about a request.
func (c *cli) tell(id, state string) {
	switch {
	case state != string(signer.ProgressTouch):
	case c.output == outputJSON:
		_ = json.NewEncoder(c.stderr).Encode(map[string]string{"notice": state, "request_id": id})
	default:
		fmt.Fprintln(c.stderr, "touch your key now")
	}
}
