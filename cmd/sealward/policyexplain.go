package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
)

// explainFlags say which decision to explain.
type explainFlags struct {
	// Of one that is on record.
	request, caller string
	// Of one that is not.
	policy, config, key, kind, as, at string
	known                             []string
}

func (c *cli) policyExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain LEAF | --request ID [--caller uid:N] | --policy FILE --key NAME --kind KIND --as CALLER PAYLOAD",
		Short: "why a request was decided as it was",
		Long: `Show for every rule of a policy what became of it for one request: whether it is about
the key, the caller and the kind, what each term of its condition came to and the values
that the term was about, which effect decided, how near each limit was. Rules that would
have let the request through but for one thing (one term, their hours, their limits) are
marked CLOSE.

A decision on record is named by its leaf of the journal, or by the request's id. It is
explained by the policy that made it, which the journal keeps, from the facts that were
recorded with it; and it is made again. Should that not come out as it is recorded, the
output says so first and the exit code is 7. The admin socket serves all this.

With --policy it is about a request that nobody made, under a policy that need not be in
force. No daemon is needed and nothing is recorded: nothing was spent before, every
recipient is new unless --known names it, and nothing waits for approvals. Keys and
sockets come from the configuration, sealward.hcl beside the policy by default, or where
there is none from the cases beside it; public keys, which only devices know, are made up.
PAYLOAD is a file, or - for standard input.

The exit code is 0 if the decision is "allow", and 3 if not.`,
		Example: `  # why was it refused?
  sealward policy explain --request pay-17 --caller uid:1000

  # what would this policy make of that transaction?
  sealward policy explain --policy policy.hcl --key hot --kind evm.transaction \
      --as user:payroll,socket:payroll tx.json`,
		Args: arguments(0, 1, "a LEAF, or a PAYLOAD with --policy"),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := c.explained(cmd, &f, args)
			if err != nil {
				return err
			}
			if err := c.record(x.document(), x.show); err != nil {
				return err
			}
			return x.verdict()
		},
	}
	kindFlag(cmd, &f.kind)
	flags := cmd.Flags()
	flags.StringVar(&f.request, "request", "", "the `id` of the request, in place of a leaf")
	flags.StringVar(&f.caller, "caller", "", "whose request it is, such as `uid:1000`; needed where several callers chose the id")
	flags.StringVar(&f.policy, "policy", "", "explain what the policy in this `file` would decide")
	flags.StringVar(&f.config, "config", "", "the configuration `file` that belongs to --policy; sealward.hcl beside it by default")
	flags.StringVar(&f.key, "key", "", "the `name` of the key that is asked for")
	flags.StringVar(&f.as, "as", "", "who asks: user:NAME, uid:N (1000 by default), group:NAME, socket:NAME (sign by default) and unit:PATH, with commas between them")
	flags.StringVar(&f.at, "time", "", "`when` it is decided, in RFC 3339; now by default")
	flags.StringArrayVar(&f.known, "known", nil, "a recipient that the key paid before, as an `account` such as eip155:1:0x5290...; may be repeated")
	return cmd
}

// explained is a decision with its explanation.
type explained struct {
	policy.Explanation
	policy   *policy.Policy
	proposal signer.Proposal
	facts    signer.Facts
	// Of a decision on record: as it is recorded, and in what it comes out otherwise now.
	recorded *signer.Event
	leaf     uint64
	differs  []string
	unasked  bool // the daemon refused it itself, before it asked policy
	ended    bool // the daemon refused it itself, whatever policy said: it waited, or would have had to
}

// decision is the one that counts: that on record, if there is one.
func (x *explained) decision() signer.Decision {
	if x.recorded != nil {
		return *x.recorded.Decision
	}
	return x.Decision
}

// verdict ends the command by what was decided.
func (x *explained) verdict() error {
	if len(x.differs) > 0 {
		return problems{fmt.Sprintf("the decision of leaf %d does not come out as it is recorded", x.leaf)}
	}
	if d := x.decision(); d.Verdict != signer.Allow {
		return verdict{d.Reason}
	}
	return nil
}

// explained reads what the command line means.
func (c *cli) explained(cmd *cobra.Command, f *explainFlags, args []string) (*explained, error) {
	for _, name := range []string{"request", "caller", "as", "time"} {
		if flag := cmd.Flag(name); flag.Changed && flag.Value.String() == "" {
			return nil, usage("--%s is empty; give it a value, or leave it out", name)
		}
	}
	if f.policy != "" {
		return c.explainSupposed(cmd, f, args)
	}
	for _, name := range []string{"config", "key", "kind", "as", "time", "known"} {
		if cmd.Flags().Changed(name) {
			return nil, usage("--%s is for a request that nobody made, under the policy that --policy names, which is missing", name)
		}
	}
	if (len(args) == 1) == (f.request != "") {
		return nil, usage("which decision? name a LEAF, or a request with --request, or a policy with --policy; see %s --help", cmd.CommandPath())
	}
	if f.caller != "" && f.request == "" {
		return nil, usage("--caller is for --request, which is missing")
	}
	return c.explainRecorded(cmd.Context(), f, args)
}

func (c *cli) explainRecorded(ctx context.Context, f *explainFlags, args []string) (*explained, error) {
	var leaf uint64
	if len(args) == 1 {
		var err error
		if leaf, err = strconv.ParseUint(args[0], 10, 64); err != nil {
			return nil, usage("leaf %q: want a number", args[0])
		}
	}
	source, err := openDaemonJournal(ctx, c)
	if err != nil {
		return nil, err
	}
	defer source.client.Close()
	if f.request != "" {
		res, err := source.client.Request(ctx, f.request, f.caller)
		if err != nil {
			return nil, err
		}
		leaf = res.GetLeaf()
	}
	ev, leaf, err := decisionAt(ctx, source, leaf)
	if err != nil {
		return nil, err
	}
	own, err := (&replay{src: source}).load(ctx, ev.Proposal.Policy)
	switch {
	case err != nil:
		return nil, err
	case own.policy == nil:
		return nil, problems{fmt.Sprintf("the decision of leaf %d cannot be explained: %s", leaf, own.why)}
	}
	x := &explained{
		Explanation: own.policy.Explain(*ev.Proposal, *ev.Facts), policy: own.policy,
		proposal: *ev.Proposal, facts: *ev.Facts, recorded: &ev, leaf: leaf, unasked: byDaemon(ev),
	}
	switch {
	case x.unasked:
	case endedByDaemon(ev, x.Decision):
		x.ended = true
	default:
		x.differs = otherDecision(ev, x.Decision)
	}
	return x, nil
}

// decisionAt reads the decision at a leaf, or the one that the outcome at a leaf is of.
func decisionAt(ctx context.Context, source journalSource, leaf uint64) (signer.Event, uint64, error) {
	for range 2 {
		page, err := source.page(ctx, leaf, 1)
		if err != nil {
			return signer.Event{}, leaf, err
		}
		if len(page) == 0 {
			return signer.Event{}, leaf, &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("the journal has only %d leaves", source.size())}
		}
		if page[0].decides() {
			ev, err := page[0].decision()
			return ev, leaf, err
		}
		ev, err := signer.ParseEvent(page[0].body)
		if err != nil {
			return signer.Event{}, leaf, page[0].unreadable(err)
		}
		if ev.Outcome == nil {
			return signer.Event{}, leaf, usage("leaf %d is no decision: its event is %q; `sealward journal show` lists the leaves", leaf, page[0].kind)
		}
		leaf = ev.Outcome.Authorization
	}
	return signer.Event{}, leaf, problems{fmt.Sprintf("leaf %d is named as a decision by an outcome, and is none; `sealward journal verify` says what else is wrong", leaf)}
}

// explainSupposed explains what a policy would decide.
func (c *cli) explainSupposed(cmd *cobra.Command, f *explainFlags, args []string) (*explained, error) {
	if f.request != "" || f.caller != "" {
		return nil, usage("--request and --caller are for a decision on record, which --policy is not for")
	}
	if len(args) != 1 {
		return nil, usage("which payload? name its file, or - for standard input")
	}
	if err := required(cmd, "key", "kind", "as"); err != nil {
		return nil, err
	}
	t, sockets, err := f.trial()
	if err != nil {
		return nil, asProblem(err)
	}
	supposed := policy.Case{Key: f.key, Kind: signer.Kind(f.kind), Time: c.now().UTC(), Known: f.known}
	if f.at != "" {
		if supposed.Time, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, usage("--time %q: want a time such as 2030-01-31T12:00:00Z", f.at)
		}
	}
	if supposed.Caller, err = callerFlag(f.as, sockets); err != nil {
		return nil, err
	}
	if _, ok := t.keys[f.key]; !ok && f.key != signer.AdminKey {
		return nil, usage("--key %q: the configuration has no key of that name that policy could name", f.key)
	}
	if !slices.Contains(kinds(), f.kind) {
		return nil, usage("--kind %q: want %s", f.kind, strings.Join(kinds(), ", "))
	}
	payload, err := c.payload(f.kind, args[0])
	if err != nil {
		return nil, err
	}
	p, err := t.propose(supposed, payload)
	if err != nil {
		return nil, err
	}
	recipients := ledger.Of(p, supposed.Time).Recipients()
	for _, known := range f.known {
		if !slices.Contains(recipients, known) {
			return nil, usage("--known %q: no recipient of this payload is called that; there are: %s", known, orNothing(strings.Join(recipients, ", ")))
		}
	}
	facts, err := t.facts(supposed, p)
	if err != nil {
		return nil, err
	}
	return &explained{Explanation: t.policy.Explain(p, facts), policy: t.policy, proposal: p, facts: facts}, nil
}

// trial loads the policy with the keys and sockets that it may name; the latter are
// returned.
func (f *explainFlags) trial() (t *trial, sockets []string, err error) {
	path, env, err := (&namesFlags{f.policy, f.config}).env()
	if err != nil {
		return nil, nil, err
	}
	p, err := loadPolicy(path, env)
	if err != nil {
		return nil, nil, err
	}
	return &trial{policy: p, keys: env.Keys}, env.Sockets, nil
}

// callerFlag reads who is supposed to ask.
func callerFlag(text string, sockets []string) (policy.CaseCaller, error) {
	c := policy.CaseCaller{UID: 1000, Socket: config.SocketSign}
	said := map[string]bool{}
	for _, part := range strings.Split(text, ",") {
		what, name, _ := strings.Cut(part, ":")
		if said[what] && what != "group" {
			return c, usage("--as %q: %s is there twice", text, what)
		}
		said[what] = true
		if name == "" {
			what = ""
		}
		switch what {
		case "user":
			c.User = name
		case "group":
			c.Groups = append(c.Groups, name)
		case "unit":
			c.Unit = name
		case "socket":
			if c.Socket = name; !slices.Contains(sockets, name) {
				return c, usage("--as %q: the configuration has no socket %q; it has: %s", text, name, strings.Join(sockets, ", "))
			}
		case "uid":
			uid, err := strconv.ParseUint(name, 10, 32)
			if err != nil {
				return c, usage("--as %q: want a user id in decimal, such as uid:1000", text)
			}
			c.UID = uint32(uid)
		default:
			return c, usage("--as %q: want user:NAME, uid:N, group:NAME, socket:NAME or unit:PATH, with commas between them", text)
		}
	}
	return c, nil
}
