package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// replayed is what came of a replay.
type replayed struct {
	Policy   string `json:"policy"`   // version of the candidate; empty: each decision's own
	Spending string `json:"spending"` // "recorded" or "candidate"
	Since    string `json:"since"`
	Until    string `json:"until"` // empty: the end of the journal
	First    uint64 `json:"first_leaf"`
	Leaves   uint64 `json:"leaves"`

	Decisions    int    `json:"decisions"`
	Same         int    `json:"same"`
	Refused      int    `json:"would_be_refused"`
	Allowed      int    `json:"would_be_allowed"`
	Asked        int    `json:"would_ask"`
	Differ       int    `json:"differ"` // of the check without a candidate
	Unchecked    int    `json:"unchecked"`
	ByDaemon     int    `json:"refused_by_daemon"`
	NotProposals int    `json:"not_proposals"`
	Unrecorded   uint64 `json:"unrecorded_refusals"`

	Why     []string       `json:"why_unchecked"`
	Changes []replayChange `json:"changes"`
}

// replayChange is a decision that comes out otherwise.
type replayChange struct {
	Leaf    uint64      `json:"leaf"`
	Time    string      `json:"time"`
	Change  string      `json:"change"`
	Caller  string      `json:"caller"`
	User    string      `json:"user"`
	Request string      `json:"request_id"`
	Key     string      `json:"key"`
	Kind    signer.Kind `json:"kind"`
	Does    string      `json:"does"`
	Was     verdictText `json:"was"`
	Now     verdictText `json:"would_be"`
	Found   []string    `json:"found"` // of the check without a candidate
}

// verdictText is a decision in a few words.
type verdictText struct {
	Verdict string   `json:"verdict"`
	Rules   []string `json:"rules"`
	Reason  string   `json:"reason"`
}

func inWords(d signer.Decision) verdictText {
	return verdictText{d.Verdict.String(), append([]string{}, d.Rules...), d.Reason}
}

func (v verdictText) String() string {
	text := v.Verdict
	if len(v.Rules) > 0 {
		quoted := make([]string, len(v.Rules))
		for i, rule := range v.Rules {
			quoted[i] = fmt.Sprintf("%q", rule)
		}
		text += " by " + strings.Join(quoted, ", ")
	}
	if v.Reason != "" {
		text += ": " + v.Reason
	}
	return text
}

// compare counts what became of a decision under the candidate. Two refusals are the same
// whatever their reasons; two that ask are if they ask the same of the same people.
func (r *replayed) compare(leaf uint64, ev signer.Event, p signer.Proposal, will signer.Decision, book signer.Book) {
	was := asPolicySaid(ev, will)
	change := ""
	switch {
	case will.Verdict == signer.Ask && was.Verdict == signer.Ask &&
		slices.Equal(was.Quorums, will.Quorums) && was.Delay == will.Delay && was.Expires == will.Expires,
		will.Verdict == was.Verdict && will.Verdict != signer.Ask:
		r.Same++
		return
	case will.Verdict == signer.Ask && was.Verdict == signer.Ask:
		change = "would ask for other approvals"
		r.Asked++
	case will.Verdict == signer.Ask:
		change = "would ask for approvals"
		r.Asked++
	case will.Verdict == signer.Allow:
		change = "would be allowed"
		r.Allowed++
	default:
		change = "would be refused"
		r.Refused++
	}
	c := changeOf(leaf, ev, change, p.Intent, book)
	c.Was, c.Now = inWords(*ev.Decision), inWords(will)
	r.Changes = append(r.Changes, c)
}

// found counts a decision that was made again, with what came out otherwise.
func (r *replayed) found(leaf uint64, ev signer.Event, found []string, book signer.Book) {
	if len(found) == 0 {
		r.Same++
		return
	}
	r.Differ++
	c := changeOf(leaf, ev, "differs", ev.Proposal.Intent, book)
	c.Was, c.Found = inWords(*ev.Decision), found
	r.Changes = append(r.Changes, c)
}

// unchecked counts a decision whose policy is not there.
func (r *replayed) unchecked(why string) {
	r.Unchecked++
	if !slices.Contains(r.Why, why) {
		r.Why = append(r.Why, why)
	}
}

func changeOf(leaf uint64, ev signer.Event, change string, in signer.Intent, book signer.Book) replayChange {
	p := ev.Proposal
	names := console.Names{Assets: book.Assets, Accounts: book.Accounts, Contracts: book.Contracts}
	return replayChange{
		Leaf: leaf, Time: ev.Time.UTC().Format(time.RFC3339Nano), Change: change, Caller: p.Caller.ID(), User: p.Caller.User,
		Request: p.Request.ID, Key: p.Key.Name, Kind: p.Request.Kind, Does: gist(in, names), Now: verdictText{Rules: []string{}}, Found: []string{},
	}
}

// mostFlows is how many payments a line names one by one.
const mostFlows = 4

// gist says in a line what a payload does: its class, and what goes where. What goes to
// many is added up, and nothing is left out of the sum.
func gist(in signer.Intent, names console.Names) string {
	text := string(in.Class())
	var parts []string
	flows := in.Flows()
	switch {
	case len(flows) > mostFlows:
		for _, q := range in.Outflow {
			parts = append(parts, quantityText(q, names))
		}
		return fmt.Sprintf("%s: %d effects; to %d accounts and with fees in all %s", text, len(in.Effects), recipients(flows), strings.Join(parts, ", "))
	case len(flows) == 0 && in.Kind == signer.KindAdmin:
		return text + ": " + attributes(in.Effects)
	}
	for _, f := range flows {
		parts = append(parts, quantityText(f.Quantity, names)+" to "+accountText(f.Recipient, names))
	}
	for _, e := range in.Effects {
		if len(flows) == 0 && e.Counterparty != "" {
			parts = append(parts, accountText(e.Counterparty, names))
		}
	}
	if n, known := in.Fee.Bound(); !known || n.Sign() > 0 {
		parts = append(parts, "fee "+quantityText(in.Fee, names))
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	return text
}

// recipients counts the accounts that something goes to. Flows are sorted by them.
func recipients(flows []signer.Flow) int {
	return len(slices.CompactFunc(slices.Clone(flows), func(a, b signer.Flow) bool { return a.Recipient == b.Recipient }))
}

func attributes(effects []signer.Effect) string {
	var out []string
	for _, e := range effects {
		for name, value := range e.Attributes {
			out = append(out, fmt.Sprintf("%s %q", name, value))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func quantityText(q signer.Quantity, names console.Names) string {
	n, known := q.Bound()
	switch asset := cmp.Or(names.Assets[q.Asset].Name, q.Asset, "any asset"); {
	case known && q.Kind == signer.QuantityAtMost:
		return "at most " + console.Amount(n, q.Asset, names)
	case known:
		return console.Amount(n, q.Asset, names)
	case q.Kind == signer.QuantityUnlimited:
		return "UNLIMITED " + asset
	default:
		return "an UNKNOWN amount of " + asset
	}
}

func accountText(id string, names console.Names) string {
	if id == "" {
		return "anybody"
	}
	if label := cmp.Or(names.Accounts[id], names.Contracts[id].Name); label != "" {
		return fmt.Sprintf("%s (%s)", id, label)
	}
	return id
}

// show writes a replay for people.
func (r *replayed) show(w io.Writer) error {
	if r.Policy == "" {
		if err := r.showCheck(w); err != nil {
			return err
		}
	} else if err := r.showSummary(w); err != nil {
		return err
	}
	for _, c := range r.Changes {
		if _, err := fmt.Fprintf(w, "\nleaf %d  %s  %s\n", c.Leaf, console.Safe(c.Time), console.Safe(c.Change)); err != nil {
			return err
		}
		lines := [][2]string{
			{"request", fmt.Sprintf("%s of %s (%s), %s with key %s", c.Request, c.Caller, cmp.Or(c.User, "no account"), c.Kind, c.Key)},
			{"does", c.Does}, {"was", c.Was.String()},
		}
		if r.Policy != "" {
			lines = append(lines, [2]string{"would be", c.Now.String()})
		}
		for _, f := range c.Found {
			lines = append(lines, [2]string{"finding", f})
		}
		for _, l := range lines {
			if _, err := fmt.Fprintf(w, "  %-9s %s\n", l[0], console.Safe(l[1])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replayed) showSummary(w io.Writer) error {
	spending := "as the candidate would have authorised it"
	if r.Spending == spendingRecorded {
		spending = "as it was"
	}
	return r.counts(w, [][2]string{
		{"candidate", r.Policy}, {"span", r.span()}, {"spending", spending},
		{"decisions", fmt.Sprint(r.Decisions)}, {"the same", fmt.Sprint(r.Same)}, {"would be refused", fmt.Sprint(r.Refused)},
		{"would be allowed", fmt.Sprint(r.Allowed)}, {"would ask", fmt.Sprint(r.Asked)},
	})
}

func (r *replayed) showCheck(w io.Writer) error {
	verdict := fmt.Sprintf("%d decisions, all the same", r.Decisions)
	if r.Differ+r.Unchecked > 0 {
		verdict = fmt.Sprintf("%d decisions, %d the same, %d DIFFER, %d could not be checked", r.Decisions, r.Same, r.Differ, r.Unchecked)
	}
	if _, err := fmt.Fprintln(w, verdict); err != nil {
		return err
	}
	pairs := [][2]string{{"span", r.span()}}
	for _, why := range r.Why {
		pairs = append(pairs, [2]string{"not checked", why})
	}
	return r.counts(w, pairs)
}

// counts writes a summary, and what a replay cannot judge.
func (r *replayed) counts(w io.Writer, pairs [][2]string) error {
	if r.ByDaemon > 0 {
		pairs = append(pairs, [2]string{"by the daemon", fmt.Sprintf("%d refused before policy was asked: a key was disabled, or the request not valid then; or ended while they waited", r.ByDaemon)})
	}
	if r.NotProposals > 0 {
		pairs = append(pairs, [2]string{"not replayed", fmt.Sprintf("%d requests that were refused before there was a proposal; the journal does not have their payloads", r.NotProposals)})
	}
	if r.Unrecorded > 0 {
		pairs = append(pairs, [2]string{"not recorded", fmt.Sprintf("%d refusals, of callers who were refused too often", r.Unrecorded)})
	}
	return sheet(w, pairs...)
}

func (r *replayed) span() string {
	return fmt.Sprintf("%s to %s, %d leaves from leaf %d on", r.Since, cmp.Or(r.Until, "the end"), r.Leaves, r.First)
}
