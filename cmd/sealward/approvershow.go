package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
)

// showReview writes what an approver reads: what is against it, what to think of, what it
// does, whose it is, and who approves.
func (a *approver) showReview(w io.Writer, r reviewed) error {
	if _, err := io.WriteString(w, r.alarms()); err != nil {
		return err
	}
	p := r.told.GetPending()
	if !r.readable {
		return sheet(w, [2]string{"proposal", p.GetProposal()}, [2]string{"caller", callerText(p)}, [2]string{"request", p.GetId()})
	}
	if _, err := io.WriteString(w, console.Intent(r.proposal.Intent, nil, a.names())); err != nil {
		return err
	}
	if r.comparable {
		fmt.Fprintln(w, "\nwhat another policy changes:")
		if err := showChanges(w, r.changes); err != nil {
			return err
		}
	}
	if claim := r.proposal.Request.Claim; claim != "" {
		fmt.Fprintf(w, "\n%s", console.Claim(claim))
	}
	q := r.proposal
	fmt.Fprintln(w)
	if err := sheet(w, [2]string{"proposal", hex.EncodeToString(r.digest[:])},
		[2]string{"caller", callerText(p)}, [2]string{"request", q.Request.ID}, [2]string{"key", strings.TrimSpace(q.Key.Name + " " + q.Key.Fingerprint)}, [2]string{"kind", string(q.Request.Kind)},
		[2]string{"instance", q.Instance}, [2]string{"policy", hex.EncodeToString(q.Policy[:])},
	); err != nil {
		return err
	}
	return showProgress(w, p, r.told.GetHeard())
}

// alarms are what stands first.
func (r reviewed) alarms() string {
	var b strings.Builder
	const rest = "             "
	for _, why := range r.refusals {
		b.WriteString(console.Wrapped("REFUSED  ", rest, why))
	}
	for _, d := range r.differences {
		b.WriteString(console.Wrapped("DIFFERS  ", rest, d.What))
		b.WriteString(console.Named("           ", "here", d.Mine))
		b.WriteString(console.Named("           ", "daemon", d.Theirs))
	}
	for _, risk := range r.risks {
		b.WriteString(console.Wrapped("RISK     ", rest, risk))
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

func callerText(p *v1.Pending) string {
	if p.GetUser() == "" {
		return p.GetCaller()
	}
	return p.GetCaller() + " (" + p.GetUser() + ")"
}

// showProgress says, in the daemon's words, who approves and until when it waits.
func showProgress(w io.Writer, p *v1.Pending, heard []*v1.HeardApproval) error {
	fmt.Fprintln(w, "\nby the daemon's word:")
	if err := sheet(w, [2]string{"state", p.GetState()}, [2]string{"waits since", when(p.GetSince())}, [2]string{"not before", when(p.GetDue())}, [2]string{"expires", when(p.GetDeadline())}); err != nil {
		return err
	}
	if err := showQuorums(w, p.GetQuorums()); err != nil {
		return err
	}
	return showHeard(w, heard)
}

func showQuorums(w io.Writer, all []*v1.QuorumState) error {
	for _, q := range all {
		state := "open"
		if q.GetMet() {
			state = "met"
		}
		_, err := fmt.Fprintf(w, "%s, %s: approved by %s; still asked: %s\n", console.Safe(quorumText(q.GetQuorum())), state, whoAll(q.GetApproved()), whoAll(q.GetOpen()))
		if err != nil {
			return err
		}
	}
	return nil
}

func quorumText(q *v1.Quorum) string {
	text := fmt.Sprintf("%d of %s", q.GetApprovals(), q.GetGroup())
	if q.GetIncluding() != "" {
		text += ", one of " + q.GetIncluding() + " among them"
	}
	if q.GetDevices() > 1 {
		text += fmt.Sprintf(", each with %d devices", q.GetDevices())
	}
	if q.GetExcludeCaller() {
		text += ", not by who asks"
	}
	if q.GetLimit() != "" {
		return text + fmt.Sprintf(" (limit %q of rule %q)", q.GetLimit(), q.GetRule())
	}
	if q.GetRule() != "" {
		return text + fmt.Sprintf(" (rule %q)", q.GetRule())
	}
	return text
}

func whoAll(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	safe := make([]string, len(names))
	for i, n := range names {
		safe[i] = console.Safe(n)
	}
	return strings.Join(safe, ", ")
}

func showHeard(w io.Writer, heard []*v1.HeardApproval) error {
	if len(heard) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, h := range heard {
		rows = append(rows, []string{when(h.GetTime()), h.GetApprover(), h.GetWord(), when(h.GetExpires()), h.GetDevice(), h.GetReason()})
	}
	return table(w, []string{"TIME", "APPROVER", "WORD", "COUNTS UNTIL", "DEVICE", "REASON"}, rows)
}

// reviewDocument is a review for programs.
type reviewDocument struct {
	Proposal    string          `json:"proposal"`
	Approvable  bool            `json:"approvable"`
	Refusals    []string        `json:"refusals"`
	Differences []differs       `json:"differences"`
	Risks       []string        `json:"risks"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Intent      json.RawMessage `json:"intent,omitempty"` // as it was read here
	Claim       string          `json:"claim,omitempty"`
	Changes     []consequence   `json:"changes,omitempty"`
	Daemon      json.RawMessage `json:"daemon"` // Pending, of docs/api.md: the daemon's words
}

type differs struct {
	What   string `json:"what"`
	Here   string `json:"here"`
	Daemon string `json:"daemon"`
}

func (a *approver) document(r reviewed) (reviewDocument, error) {
	marshal := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}
	doc := reviewDocument{
		Proposal: r.told.GetPending().GetProposal(), Approvable: r.refusal() == nil, Refusals: append([]string{}, r.refusals...), Differences: []differs{},
		Risks: append([]string{}, r.risks...), Changes: r.changes,
	}
	for _, d := range r.differences {
		doc.Differences = append(doc.Differences, differs{d.What, d.Mine, d.Theirs})
	}
	var err error
	if doc.Daemon, err = marshal.Marshal(r.told.GetPending()); err != nil || !r.readable {
		return doc, err
	}
	doc.Fingerprint, doc.Claim = r.proposal.Key.Fingerprint, r.proposal.Request.Claim
	doc.Intent, err = marshal.Marshal(api.Document(r.proposal.Intent, nil, a.now()))
	return doc, err
}

// show writes a review to standard output.
func (c *cli) showReview(a *approver, r reviewed) error {
	doc, err := a.document(r)
	if err != nil {
		return err
	}
	return c.record(doc, func(w io.Writer) error { return a.showReview(w, r) })
}
