package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

func (c *cli) inboxCommand() *cobra.Command {
	var flags approverFlags
	cmd := &cobra.Command{
		Use: "inbox", Short: "a screen of what waits for approvals: read, approve, reject",
		Long: `Show what waits for approvals, and for whose, as it happens. Open a request to read what
it does, decoded here by your own files, and approve or reject it with your own device.

Requests stand in a group for each caller, the largest first; amounts are compared
within an asset. Press ? for the keys.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.output == outputJSON {
				return usage("sealward inbox is a screen and has no -o json; sealward request list has")
			}
			return c.inbox(cmd.Context(), flags)
		},
	}
	flags.flags(cmd)
	return cmd
}

func (c *cli) inbox(ctx context.Context, flags approverFlags) error {
	in, ok := c.stdin.(*os.File)
	out, also := c.stdout.(*os.File)
	if !ok || !also || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return usage("sealward inbox is a screen and takes a terminal; sealward request list is for programs")
	}
	a, err := c.anApprover(flags)
	if err != nil {
		return err
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	d := &desk{client: client, approver: a, now: c.now, stderr: c.stderr}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newInbox(d, func(f func(context.Context) tea.Msg) tea.Cmd { return func() tea.Msg { return f(ctx) } })
	m.colour = colourful(os.Getenv)
	// The library would write what is typed to a file of that name.
	if err := os.Unsetenv("TEA_TRACE"); err != nil {
		return err
	}
	_, err = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// colourful reports whether a terminal is to be sent colours: https://no-color.org, and
// terminfo(5) has "dumb" for one without any ability.
func colourful(env func(string) string) bool {
	return env("NO_COLOR") == "" && env("TERM") != "" && env("TERM") != "dumb"
}

// desk is what the screen works with: the daemon, and the approver's own files and device.
type desk struct {
	client   *api.Client
	approver *approver
	now      func() time.Time
	stderr   io.Writer
}

// What the desk tells the screen. gen is that of the connection that it was asked on.
type (
	begunMsg struct {
		gen   int
		begun begun
		err   error
	}
	pageMsg struct {
		gen   int
		after uint64
		page  []*v1.Pending
		err   error
	}
	watchMsg struct {
		gen    int
		res    *v1.WatchPendingResponse
		status *v1.GetStatusResponse
		err    error
	}
	retryMsg  struct{ gen int }
	tickMsg   struct{}
	reviewMsg struct {
		proposal string
		r        reviewed
		err      error
	}
	saidMsg struct {
		word signer.Word
		res  *v1.PostApprovalResponse
		err  error
	}
)

// callPatience bounds a call that has nothing to wait for.
const callPatience = 30 * time.Second

func (d *desk) begin(ctx context.Context, gen int) tea.Msg {
	b, err := beginning(ctx, d.client)
	return begunMsg{gen, b, err}
}

// pageSize is how many requests are read at once.
const pageSize = 500

func (d *desk) page(ctx context.Context, gen int, after uint64) tea.Msg {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	res, err := d.client.ListPending(ctx, after, pageSize)
	return pageMsg{gen, after, res.GetPending(), err}
}

func (d *desk) watch(ctx context.Context, gen int, after uint64) tea.Msg {
	res, err := watchPending(ctx, d.client, after)
	if err != nil {
		return watchMsg{gen: gen, err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	status, err := d.client.Status(ctx)
	return watchMsg{gen, res, status, err}
}

func (d *desk) review(ctx context.Context, proposal string) tea.Msg {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	r, err := d.approver.review(ctx, d.client, proposal)
	return reviewMsg{proposal, r, err}
}

// say signs an approval with the approver's device and hands it in. It runs while the
// terminal is the device's: somebody may type a PIN there.
func (d *desk) say(ctx context.Context, word signer.Word, s *reading, reason string) (*v1.PostApprovalResponse, error) {
	var statement signer.Approval
	var err error
	if word == signer.WordApprove {
		statement, err = d.approver.says(word, s.r, reason, 0)
	} else {
		// What cannot be read can be rejected: by the digest that it was asked for with.
		statement, err = d.approver.statement(word, s.digest, reason, 0)
	}
	if err != nil {
		return nil, err
	}
	signed, err := d.approver.sign(ctx, statement)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	return post(ctx, d.client, signed)
}

// terminalTurn has the terminal while something is signed.
type terminalTurn struct {
	out   io.Writer
	title string
	run   func() error
}

func (s *terminalTurn) Run() error {
	fmt.Fprint(s.out, console.Wrapped("", "  ", s.title))
	return s.run()
}

func (s *terminalTurn) SetStdin(io.Reader)    {}
func (s *terminalTurn) SetStdout(w io.Writer) { s.out = w }
func (s *terminalTurn) SetStderr(io.Writer)   {}

// speak hands the terminal over, signs, and tells the screen what came of it.
func (m *inbox) speak(word signer.Word, reason string) tea.Cmd {
	s, d := m.opened, m.desk
	title := fmt.Sprintf("%s request %s of %s", word, s.q.p.GetId(), callerText(s.q.p))
	var res *v1.PostApprovalResponse
	turn := &terminalTurn{title: title}
	turn.run = func() (err error) {
		done, _ := m.do(func(ctx context.Context) tea.Msg {
			res, err = d.say(ctx, word, s, reason)
			return saidMsg{word, res, err}
		})().(saidMsg)
		return done.err
	}
	return tea.Exec(turn, func(err error) tea.Msg { return saidMsg{word, res, err} })
}
