package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

func (c *cli) watchCommand() *cobra.Command {
	var run bool
	w := watcher{cli: c}
	cmd := &cobra.Command{
		Use: "watch [--position FILE] [--exec PROGRAM [ARG...]]", Short: "tell a program what happens to requests that wait",
		Long: `Tell what happens to requests that wait, as it happens: that one waits, was approved,
rejected or withdrawn, was authorized or denied or has expired; that the daemon was
frozen or thawed, or that its policy was overridden.

With --exec, PROGRAM is run for each of these, one after the other in their order, with
one JSON document on its standard input. Where it fails or takes too long it is run
again, later and later, until it exits with 0: what comes next waits for that. Flags of
sealward stand before PROGRAM; what follows PROGRAM is its own.

Without --exec the documents are printed, one a line. docs/cli.md has their fields.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case w.position.path == "" && cmd.Flag("position").Changed:
				return usage("sealward watch: --position is empty; give it a value, or leave it out")
			case run && len(args) == 0:
				return usage("sealward watch: --exec takes a PROGRAM")
			case !run && len(args) > 0:
				return usage("sealward watch: %q is left over; to run it for each event, write --exec before it", args[0])
			case w.timeout <= 0:
				return usage("sealward watch: --timeout %s: want a duration that is longer than nothing", w.timeout)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			w.program = args
			return w.watch(cmd.Context())
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVar(&run, "exec", false, "run the PROGRAM that follows for each event")
	cmd.Flags().StringVar(&w.position.path, "position", "", "keep in this `file` how far it came, and go on from there after a restart")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "how long the program may run before it is killed")
	return cmd
}

// watcher hands on what happens. Each event is handed on at least once: its place is
// kept only after the program took it.
type watcher struct {
	*cli
	program  []string
	timeout  time.Duration
	position position
}

// The shortest and the longest pause before something is tried again.
const (
	soonest = time.Second
	latest  = time.Minute
)

// wait is how long the daemon is asked to wait for something to happen, and patience how
// long it is given to answer.
const (
	watchWait     = 30 * time.Second
	watchPatience = watchWait + 15*time.Second
)

func (w *watcher) watch(ctx context.Context) error {
	client := api.Dial(w.path("admin"))
	defer client.Close()
	if err := w.position.read(); err != nil {
		return err
	}
	for pause, told := soonest, ""; ; {
		err := w.follow(ctx, client, func() { pause, told = soonest, "" })
		switch {
		case ctx.Err() != nil:
			return nil // it was told to stop
		case !passing(err):
			return err
		}
		if text := message(err); text != told { // an hour out of reach is one line
			told = text
			fmt.Fprintf(w.stderr, "sealward: %s; it is tried again until it works\n", console.Safe(text))
		}
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, latest)
	}
}

// passing reports whether an error may be over after a while, as when the daemon is
// restarted.
func passing(err error) bool {
	switch codeOf(err) {
	case signer.CodeUnavailable, signer.CodeOverloaded, signer.CodePending, signer.CodeInternal:
		return true
	}
	return false
}

// sleep reports whether the time is over, and not the context.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// follow hands on events until an error. well is called each time that the daemon
// answers.
func (w *watcher) follow(ctx context.Context, client *api.Client, well func()) error {
	begin, err := beginning(ctx, client)
	if err != nil {
		return err
	}
	if err := w.position.start(begin); err != nil {
		return err
	}
	for {
		well()
		res, err := watchPending(ctx, client, w.position.Leaf)
		if err != nil {
			return err
		}
		for _, ev := range res.GetEvents() {
			if err := w.hand(ctx, ev); err != nil {
				return err
			}
			w.keep(ev.GetLeaf())
		}
		if p := res.GetPosition(); p > w.position.Leaf {
			w.keep(p)
		}
	}
}

// keep keeps the place. Where the disk is full, what comes next is not held up by that: it
// may be what people have to know.
func (w *watcher) keep(leaf uint64) {
	if err := w.position.advance(leaf); err != nil {
		fmt.Fprintf(w.stderr, "sealward: %s; what comes next is handed on, and comes again after a restart\n", console.Safe(err.Error()))
	}
}

func watchPending(ctx context.Context, client *api.Client, after uint64) (*v1.WatchPendingResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	if after == 0 { // nothing had happened
		return client.WatchAllPending(ctx, watchWait)
	}
	return client.WatchPending(ctx, after, watchWait)
}

// begun is where somebody who only now begins to watch a daemon begins.
type begun struct {
	instance string
	leaf     uint64 // after it comes what did not happen yet; 0: nothing ever did
	size     uint64 // of the journal
	status   *v1.GetStatusResponse
}

// beginning asks for it.
func beginning(ctx context.Context, client *api.Client) (begun, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return begun{}, err
	}
	list, err := client.ListPending(ctx, 0, 1)
	if err != nil {
		return begun{}, err
	}
	return begun{status.GetInstance(), list.GetPosition(), status.GetJournalSize(), status}, nil
}

// hand hands one event on until it was taken.
func (w *watcher) hand(ctx context.Context, ev *v1.PendingEvent) error {
	doc, err := document(w.position.Instance, ev)
	if err != nil {
		return err
	}
	if len(w.program) == 0 {
		_, err := w.stdout.Write(doc)
		return err
	}
	for pause := soonest; ; pause = min(2*pause, latest) {
		err := w.run(ctx, doc)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(w.stderr, "sealward: event %s of leaf %d: %s: %s; it is run again in %s\n",
			console.Safe(ev.GetEvent()), ev.GetLeaf(), console.Safe(w.program[0]), console.Safe(err.Error()), pause)
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

var errTooLong = errors.New("it ran for too long and was killed, with what it had started")
