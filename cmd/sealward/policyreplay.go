package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// What counts as spent in the span that is replayed.
const (
	spendingRecorded  = "recorded"  // what was authorised
	spendingCandidate = "candidate" // what the candidate would have authorised
)

// replayFlags say what to replay.
type replayFlags struct {
	config, since, until, file string
	recorded                   bool
}

func (c *cli) policyReplayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [CANDIDATE] [--since 24h] [--until TIME] [--file JOURNAL]",
		Short: "decide recorded requests again, by a candidate or as a check",
		Long: `Decide the requests in the journal again, by the policy in the file CANDIDATE, and show
which would come out otherwise. Nothing is signed, recorded or reserved. The payloads
are read again, with the candidate's own address books and contracts, and judged with
the caller, key and time of the record.

What was spent within the span is what CANDIDATE itself would have authorised in it, and
before the span what was authorised: as if CANDIDATE had been in force from its
beginning on. What it refuses uses up no limit, and what it allows does. Callers do not
see that, of course: one that asked again after a refusal is there twice. With
--as-it-was every request is judged by itself instead: what was spent before it is what
was really authorised, as the decision was told where both policies measure alike.

Names of keys and sockets come from the configuration that --config names, or from
sealward.hcl beside CANDIDATE, and else from the policy in force. Public keys are those
of the policy in force, or with --file those in the records. A request by a key that is
not among them is refused, since limits and bindings are by public key.

Without CANDIDATE every decision is made again by the policy that made it, which the
journal keeps, from the facts that were journalled: verdict, rules, reason, limits and
quorums must come out as they are recorded, and so must the facts, measured from the
authorisations before. "All the same" shows that the record explains itself.

Times are RFC 3339, or a duration that counts back from the end: "90m", "24h", "7d". The
end is --until, or now, or with --file the last entry of the journal. With --file the
journal is read from its file, which no daemon may have open. It is believed as it lies;
"journal verify" says whether it is intact.

Not judged: what the daemon refused without asking policy (a key was disabled, the
request was not valid at its time), which is counted; requests that never became a
proposal, whose payloads are not recorded; refusals that were not recorded.

The exit code is 0 if nothing comes out otherwise, and 7 if something does or, without
CANDIDATE, could not be checked.`,
		Example: `  # what would yesterday have been like?
  sealward policy replay /etc/sealward/candidate.hcl

  # does the record of last week explain itself?
  sealward policy replay --since 7d`,
		Args: arguments(0, 1, "one CANDIDATE at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			candidate := ""
			if len(args) == 1 {
				candidate = args[0]
			}
			return c.replay(cmd, f, candidate)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the configuration `file` that belongs to CANDIDATE")
	flags.StringVar(&f.since, "since", "24h", "the `beginning`: a time, or how long before the end")
	flags.StringVar(&f.until, "until", "", "the `end`: a time, or how long ago")
	flags.StringVar(&f.file, "file", "", "read the journal in this `file`, without a daemon")
	flags.BoolVar(&f.recorded, "as-it-was", false, "count what was authorised, not what CANDIDATE would have")
	return cmd
}

// check looks at how flags are written.
func (f replayFlags) check(cmd *cobra.Command, candidate string) error {
	for _, name := range []string{"since", "until", "file"} {
		if flag := cmd.Flag(name); flag.Changed && flag.Value.String() == "" {
			return usage("--%s is empty; give it a value, or leave it out", name)
		}
	}
	if candidate == "" && (f.config != "" || f.recorded) {
		return usage("--config and --as-it-was are for a CANDIDATE, which is missing")
	}
	return nil
}

func (c *cli) replay(cmd *cobra.Command, f replayFlags, candidate string) (err error) {
	if err := f.check(cmd, candidate); err != nil {
		return err
	}
	ctx := cmd.Context()
	src, err := c.openJournal(ctx, f.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	r := &replay{src: src, recorded: f.recorded}
	if err := c.window(ctx, r, f); err != nil {
		return err
	}
	r.out = replayed{Spending: spendingRecorded, Since: r.since.Format(time.RFC3339Nano), Why: []string{}, Changes: []replayChange{}}
	if !r.till.IsZero() {
		r.out.Until = r.till.Format(time.RFC3339Nano)
	}
	if candidate != "" {
		if err := r.loadCandidate(ctx, candidate, f.config); err != nil {
			return err
		}
		r.out.Policy = fmt.Sprintf("%x", r.candidate.Version())
		if !f.recorded {
			r.out.Spending = spendingCandidate
		}
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	if err := c.record(&r.out, r.out.show); err != nil {
		return err
	}
	return r.out.verdict()
}

// verdict is nil if nothing came out otherwise.
func (r *replayed) verdict() error {
	switch {
	case len(r.Changes) > 0 && r.Policy != "":
		return problems{fmt.Sprintf("%d of %d decisions would come out otherwise", len(r.Changes), r.Decisions)}
	case len(r.Changes) > 0:
		return problems{fmt.Sprintf("%d of %d decisions do not come out as they are recorded", len(r.Changes), r.Decisions)}
	case r.Unchecked > 0:
		return problems{fmt.Sprintf("%d of %d decisions could not be checked", r.Unchecked, r.Decisions)}
	default:
		return nil
	}
}

// window sets from when until when to replay.
func (c *cli) window(ctx context.Context, r *replay, f replayFlags) error {
	end := c.now()
	if size := r.src.size(); f.file != "" && size > 0 {
		last, err := r.src.page(ctx, size-1, 1)
		if err != nil {
			return err
		}
		if len(last) == 1 {
			end = last[0].at
		}
	}
	var err error
	if f.until != "" {
		if r.till, err = timeFlag("until", f.until, end); err != nil {
			return err
		}
		end = r.till
	}
	if r.since, err = timeFlag("since", f.since, end); err != nil {
		return err
	}
	if !r.till.IsZero() && !r.since.Before(r.till) {
		return usage("--since %s is not before --until %s", f.since, f.until)
	}
	return nil
}

// timeFlag reads a time, or a duration before an end.
func timeFlag(name, text string, end time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return time.Time{}, usage("--%s %q: want a duration such as 24h or 7d, or a time such as 2030-01-31T12:00:00Z", name, text)
	}
	return end.Add(-d).UTC(), nil
}

// loadCandidate loads a policy as the daemon would if it were put in force.
func (r *replay) loadCandidate(ctx context.Context, path, configPath string) error {
	src, err := readFile(path)
	if err != nil {
		return err
	}
	env, err := r.environment(ctx, path, configPath)
	if err != nil {
		return err
	}
	env.Files = filesBeside(path)
	if r.candidate, err = policy.Load(path, src, env); err != nil {
		return defects{err}
	}
	r.keys = env.Keys
	return nil
}

// environment is what a candidate may name: the keys and sockets of its configuration,
// or else those of the policy in force.
func (r *replay) environment(ctx context.Context, path, configPath string) (policy.Env, error) {
	cfg, err := (&namesFlags{path, configPath}).configuration()
	if err != nil {
		return policy.Env{}, err
	}
	daemon, running := r.src.(*daemonJournal)
	if !running {
		if cfg == nil {
			return policy.Env{}, fmt.Errorf("there is no %s: a policy names keys and sockets of a configuration; say which with --config", configBeside(path))
		}
		keys, err := r.recordedKeys(ctx)
		return asConfigured(cfg, keys), err
	}
	b, err := daemon.inForce(ctx)
	if err != nil || cfg == nil {
		return policy.Env{Keys: b.Keys, Sockets: b.Sockets}, err
	}
	return asConfigured(cfg, b.Keys), nil
}

// asConfigured is what a configuration lets a policy name. Of the keys only devices know the
// public halves: those that are known here take the place of made-up ones.
func asConfigured(cfg *config.Config, known map[string]signer.KeyInfo) policy.Env {
	env := environment(cfg)
	for name, k := range env.Keys {
		if real, ok := known[name]; ok {
			real.Kinds, real.Chains = k.Kinds, k.Chains
			env.Keys[name] = real
		}
	}
	return env
}

// recordedKeys are the keys that the records of the span name, the latest of each name.
func (r *replay) recordedKeys(ctx context.Context) (map[string]signer.KeyInfo, error) {
	first, end, err := span(ctx, r.src, r.since, r.till)
	if err != nil {
		return nil, err
	}
	keys := map[string]signer.KeyInfo{}
	err = eachDecision(ctx, r.src, first, end, func(_ logged, ev signer.Event) error {
		if ev.Proposal.Key.Name != signer.AdminKey {
			keys[ev.Proposal.Key.Name] = ev.Proposal.Key
		}
		return nil
	})
	return keys, err
}
