package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/signer"
)

func (c *cli) journalDecisionsCommand() *cobra.Command {
	var e export
	cmd := &cobra.Command{
		Use: "decisions", Short: "export what was decided and what moves by it, also as CSV",
		Long: `Export every decision of the journal, with a row for each effect of its payload and
one for the fee, so that the rows of one asset can be added up. --csv writes a file for
spreadsheets and book-keeping; docs/cli.md has its columns. Add up the rows whose outcome is
signed: the others are there, too.

Names and decimals of assets come from the policy in force, or from --policy. With --file the
journal of a daemon that is stopped is read, which is not verified by it: run "sealward journal
verify" for that. A TIME is in RFC 3339, or a date, which begins in UTC, or a duration that
counts back from now, such as 24h or 30d.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.exportDecisions(cmd.Context(), e) },
	}
	f := cmd.Flags()
	f.StringVar(&e.since, "since", "", "the first `time`; the beginning by default")
	f.StringVar(&e.until, "until", "", "the `time` before which to end; the end by default")
	f.BoolVar(&e.csv, "csv", false, "write CSV instead of a table for people")
	f.StringVar(&e.file, "file", "", "read the journal in this `file`, without a daemon")
	e.names.flags(cmd)
	return cmd
}

// export is what the flags say.
type export struct {
	since, until string
	csv          bool
	file         string
	names        namesFlags
}

func (c *cli) exportDecisions(ctx context.Context, e export) error {
	if e.csv && c.output == outputJSON {
		return usage("--csv and -o %s are two formats; choose one", outputJSON)
	}
	t, err := c.period(e)
	if err != nil {
		return err
	}
	book, err := c.bookFor(ctx, e)
	if err != nil {
		return err
	}
	src, err := c.openJournal(ctx, e.file)
	if err != nil {
		return err
	}
	out := c.decisionWriter(e.csv)
	err = t.walk(ctx, src, func(d *settled) error { return out.write(d.rows(book)) })
	return errors.Join(err, out.flush(), src.close())
}

// bookFor says what assets and accounts are called: by the policy that is named, or by
// the one in force. Without a daemon there is none in force.
func (c *cli) bookFor(ctx context.Context, e export) (signer.Book, error) {
	switch {
	case e.names.policy != "":
		_, p, err := e.names.load()
		if err != nil {
			return signer.Book{}, err
		}
		return p.Book(), nil
	case e.names.config != "":
		return signer.Book{}, usage("--config is for --policy, which is missing")
	case e.file != "":
		return signer.Book{}, nil
	}
	client := api.Dial(c.path("admin"))
	defer client.Close()
	_, p, err := c.keptPolicy(ctx, client, "")
	if err != nil {
		return signer.Book{}, fmt.Errorf("names of assets come from the policy in force, and that cannot be had (%w); name a file with --policy", err)
	}
	return p.Book(), nil
}

// period is the time whose decisions are wanted; zero times are no bound.
type period struct{ since, until time.Time }

func (c *cli) period(e export) (t period, err error) {
	for _, f := range []struct {
		name, text string
		to         *time.Time
	}{{"since", e.since, &t.since}, {"until", e.until, &t.until}} {
		if f.text == "" {
			continue
		}
		if day, derr := time.Parse(time.DateOnly, f.text); derr == nil {
			*f.to = day
		} else if *f.to, err = timeFlag(f.name, f.text, c.now()); err != nil {
			return t, err
		}
	}
	if !t.until.IsZero() && !t.since.Before(t.until) {
		return t, usage("--since %s is not before --until %s", e.since, e.until)
	}
	return t, nil
}

// settled is a decision and what became of it.
type settled struct {
	leaf    uint64
	event   signer.Event
	outcome string
}

// What became of an authorisation. The first is that of one without an outcome: the
// daemon was stopped while it signed, or it signs just now.
const (
	outcomeUnknown = iota
	outcomeFailed
	outcomeSigned
	outcomeActed
	outcomeLater // of what waited: a later leaf decides, and has its own row
)

var outcomeNames = [...]string{outcomeUnknown: "outcome_unknown", outcomeFailed: "failed", outcomeSigned: "signed", outcomeActed: "acted"}

// walk hands every decision of the time to show, in order. The journal is read twice,
// a page at a time, since what became of a decision stands anywhere after it. A byte is
// held for each leaf, and nothing else; what is recorded meanwhile is left out.
func (t period) walk(ctx context.Context, src journalSource, show func(*settled) error) error {
	first, end, err := span(ctx, src, t.since, t.until)
	if err != nil {
		return err
	}
	outcomes := make([]byte, end-first)
	err = each(ctx, src, first, src.size(), func(l logged) error { return learn(outcomes, first, l) })
	if err != nil {
		return err
	}
	return each(ctx, src, first, end, func(l logged) error {
		if !l.decides() || outcomes[l.leaf-first] == outcomeLater {
			return nil
		}
		ev, err := l.decision()
		if err != nil {
			return err
		}
		d := &settled{leaf: l.leaf, event: ev, outcome: "denied"}
		switch {
		case l.kind == signer.EventAuthorized:
			d.outcome = outcomeNames[outcomes[l.leaf-first]]
		case ev.Decision.Verdict == signer.Ask: // it waits; in a record of old, it was refused
			d.outcome = "asked"
		}
		return show(d)
	})
}

// learn notes what became of an authorisation, or of a request that waited, if that is one
// of those from first on. A failure is not final, a success is.
func learn(outcomes []byte, first uint64, l logged) error {
	var became byte
	switch l.kind {
	case signer.EventAuthorized, signer.EventDenied, signer.EventWaiting:
		ev, err := signer.ParseEvent(l.body)
		if err != nil {
			return l.unreadable(err)
		}
		if at := ev.Waited; at > 0 && at >= first && at-first < uint64(len(outcomes)) {
			outcomes[at-first] = outcomeLater
		}
		return nil
	case signer.EventSigned:
		became = outcomeSigned
	case signer.EventActed:
		became = outcomeActed
	case signer.EventFailed:
		became = outcomeFailed
	default:
		return nil
	}
	ev, err := signer.ParseEvent(l.body)
	if err == nil && (ev.Outcome == nil || ev.Outcome.Authorization >= l.leaf) {
		err = errors.New("it is the outcome of nothing before it")
	}
	if err != nil {
		return l.unreadable(err)
	}
	if at := ev.Outcome.Authorization; at >= first && at-first < uint64(len(outcomes)) {
		outcomes[at-first] = max(outcomes[at-first], became)
	}
	return nil
}
