package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

func (c *cli) requestCommand() *cobra.Command {
	return group("request", "what becomes of requests", c.requestListCommand(), c.requestShowCommand(), c.requestWatchCommand(), c.requestCancelCommand(), c.requestExportCommand())
}

func (c *cli) requestListCommand() *cobra.Command {
	var f approverFlags
	var all bool
	cmd := &cobra.Command{
		Use: "list [--all]", Short: "which requests wait for approvals (admin socket)",
		Long: `List the requests that still need an approval, the oldest first: of yours, where your
approver.hcl has your name in it, else of anybody. With --all, all that wait are listed.

What is listed is the daemon's word. "request show" reads a request here.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listPending(cmd.Context(), f, all) },
	}
	f.file(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also those that need nobody, or nobody but others")
	return cmd
}

func (c *cli) listPending(ctx context.Context, f approverFlags, all bool) error {
	a, err := c.anApprover(f)
	if err != nil {
		return err
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	pending, err := allPending(ctx, client)
	if err != nil {
		return err
	}
	listed := slices.DeleteFunc(slices.Clone(pending), func(p *v1.Pending) bool { return !all && !needs(p, a.Name) })
	return c.answer(&v1.ListPendingResponse{Pending: listed}, func(w io.Writer) error { return showPending(w, listed, len(pending)-len(listed), a.names()) })
}

// needs reports whether a request still needs an approver; anybody, where the name is
// empty.
func needs(p *v1.Pending, name string) bool {
	return slices.ContainsFunc(p.GetQuorums(), func(q *v1.QuorumState) bool {
		return !q.GetMet() && len(q.GetOpen()) > 0 && (name == "" || slices.Contains(q.GetOpen(), name))
	})
}

func showPending(w io.Writer, all []*v1.Pending, left int, names console.Names) error {
	if len(all) == 0 && left == 0 {
		_, err := fmt.Fprintln(w, "no request waits")
		return err
	}
	var rows [][]string
	for _, p := range all {
		var out, who []string
		for _, q := range p.GetOutflow() {
			kind := q.GetKind()
			if kind == "exact" || kind == "at_most" { // the column says so
				kind = ""
			}
			out = append(out, strings.TrimSpace(kind+" "+amount(q.GetAmount(), q.GetAsset(), names)))
		}
		for _, q := range p.GetQuorums() {
			who = append(who, fmt.Sprintf("%d/%d %s", len(q.GetApproved()), q.GetQuorum().GetApprovals(), q.GetQuorum().GetGroup()))
		}
		rows = append(rows, []string{p.GetProposal()[:min(12, len(p.GetProposal()))], callerText(p), p.GetId(), p.GetKey(), p.GetClass(), strings.Join(out, ", "), strings.Join(who, ", "), when(p.GetDue()), when(p.GetDeadline())})
	}
	if len(rows) > 0 {
		if err := table(w, []string{"PROPOSAL", "CALLER", "REQUEST", "KEY", "CLASS", "AT MOST", "APPROVED", "NOT BEFORE", "EXPIRES"}, rows); err != nil {
			return err
		}
	}
	if left > 0 {
		_, err := fmt.Fprintf(w, "%d more wait; --all lists them\n", left)
		return err
	}
	return nil
}

func (c *cli) requestShowCommand() *cobra.Command {
	var caller, file string
	var f approverFlags
	var names namesFlags
	cmd := &cobra.Command{
		Use: "show ID | show --file FILE", Short: "what became of a request, or what one that waits would do",
		Long: `Show what became of one of your requests. With --caller it is a request of somebody
else, which only the admin socket shows.

A request that waits is named by the digest of its proposal, or 8 digits and more of its
beginning, or as uid:1000/ID, at the admin socket. It is decoded here, by the book and
the keys in your approver.hcl, and shown as "approve" shows it: what speaks against it,
its risks, what it does, who approves. The exit code is 7 if it must not be approved.
With --file it is one that "request export" wrote.`,
		Args: arguments(0, 1, "the ID of a request, or --file FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if names.policy == "" {
				f.config, names.config = names.config, ""
			}
			switch {
			case (len(args) == 1) == (file != ""):
				return usage("sealward request show: want one ID, or --file FILE")
			case file != "":
				return c.showDossier(f, file)
			}
			return c.showOne(cmd.Context(), args[0], caller, f, names)
		},
	}
	cmd.Flags().StringVar(&caller, "caller", "", "whose request it is, such as `uid:1000`")
	cmd.Flags().StringVar(&file, "file", "", "the `file` of a request that was exported")
	names.flags(cmd)
	cmd.Flag("config").Usage = "the approver's own `file`, ~/.config/sealward/approver.hcl if not given; with --policy, the daemon's configuration that belongs to it"
	return cmd
}

func (c *cli) showDossier(f approverFlags, file string) error {
	a, err := c.anApprover(f)
	if err != nil {
		return err
	}
	d, err := c.readDossierFile(file)
	if err != nil {
		return err
	}
	r := a.examine(d)
	return errors.Join(c.showReview(a, r), r.refusal())
}

// showOne shows a request that waits, where there is one of that name that an approver may
// look at, and else what became of one's own.
func (c *cli) showOne(ctx context.Context, id, caller string, f approverFlags, names namesFlags) error {
	if whose, rest, ok := strings.Cut(id, "/"); ok && caller == "" {
		caller, id = whose, rest
	}
	pending := id
	if caller != "" {
		pending = caller + "/" + id
	}
	if caller != "" || versionBegin.MatchString(id) {
		done, err := c.showWaitingOne(ctx, pending, f)
		if done || err != nil && codeOf(err) != signer.CodeNotFound && caller == "" && versionWhole.MatchString(id) {
			return err
		}
	}
	book, err := names.read(c.now())
	if err != nil {
		return err
	}
	socket, err := c.whose(caller, f)
	if err != nil {
		return err
	}
	client := api.Dial(socket)
	defer client.Close()
	res, err := client.Request(ctx, id, caller)
	if err != nil {
		return err
	}
	return c.answer(res, func(w io.Writer) error { return showRequest(w, res, book) })
}

// showWaitingOne shows a request that waits; done is false where there is none such, or it
// is not for this user to see.
func (c *cli) showWaitingOne(ctx context.Context, id string, f approverFlags) (done bool, err error) {
	a, err := c.anApprover(f)
	if err != nil {
		return true, err
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	p, err := findPending(ctx, client, id)
	if _, ambiguous := errors.AsType[usageError](err); err != nil {
		return ambiguous, err
	}
	r, err := a.review(ctx, client, p.GetProposal())
	if err != nil {
		return false, err
	}
	return true, errors.Join(c.showReview(a, r), r.refusal())
}

func (c *cli) requestWatchCommand() *cobra.Command {
	var caller string
	var f approverFlags
	cmd := &cobra.Command{
		Use: "watch [ID]", Short: "see what happens to requests that wait, or to one until it is done",
		Long: `Show what a request waits for, each time that it is something else, until it is done:
"waiting" for approvals or for time to pass, "touch" when somebody has to touch the
device now.

Without ID it is a line for everything that happens to requests that wait, as it
happens (admin socket).`,
		Args: arguments(0, 1, "the ID of one request, or nothing"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.watchPending(cmd.Context(), f)
			}
			socket, err := c.whose(caller, f)
			if err != nil {
				return err
			}
			return c.watch(cmd.Context(), socket, args[0], caller, func(id, state string) {
				_ = c.record(struct {
					ID    string `json:"id"`
					State string `json:"state"`
				}{id, state}, func(w io.Writer) error { _, err := fmt.Fprintln(w, console.Safe(state)); return err })
			})
		},
	}
	cmd.Flags().StringVar(&caller, "caller", "", "whose request it is, such as `uid:1000`")
	f.file(cmd)
	return cmd
}

// watchPending writes a line for everything that happens, until it is interrupted.
func (c *cli) watchPending(ctx context.Context, f approverFlags) error {
	a, err := c.anApprover(f)
	if err != nil {
		return err
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	res, err := client.WatchPending(ctx, 0, time.Nanosecond) // where it is now
	for err == nil {
		for _, e := range res.GetEvents() {
			if err := c.answer(e, func(w io.Writer) error { return showEvent(w, e) }); err != nil {
				return err
			}
		}
		if after := res.GetPosition(); after == 0 { // nothing has ever happened
			res, err = client.WatchAllPending(ctx, 0)
		} else {
			res, err = client.WatchPending(ctx, after, 0)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func showEvent(w io.Writer, e *v1.PendingEvent) error {
	p := e.GetPending()
	line := []string{when(e.GetTime()), e.GetEvent()}
	if p.GetId() != "" {
		line = append(line, p.GetCaller()+"/"+p.GetId())
	}
	if p.GetProposal() != "" {
		line = append(line, p.GetProposal()[:min(12, len(p.GetProposal()))])
	}
	if e.GetApprover() != "" {
		line = append(line, "by "+e.GetApprover())
	}
	if e.GetReason() != "" {
		line = append(line, "("+e.GetReason()+")")
	}
	_, err := fmt.Fprintln(w, console.Safe(strings.Join(line, "  ")))
	return err
}

func (c *cli) requestCancelCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "end a request of your own that waits",
		Args: arguments(1, 1, "the ID of one of your requests"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cancel := func(client *api.Client) (struct{}, error) {
				return struct{}{}, client.Cancel(cmd.Context(), args[0], reason)
			}
			_, err := on(c, "sign", cancel)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ECONNREFUSED) {
				_, err = on(c, "admin", cancel) // an operator's own
			}
			if err != nil {
				return err
			}
			return c.record(struct {
				ID    string `json:"id"`
				State string `json:"state"`
			}{args[0], "cancelled"}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "request %s is cancelled\n", console.Safe(args[0]))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record: `text`")
	return cmd
}

func (c *cli) requestExportCommand() *cobra.Command {
	var f approverFlags
	cmd := &cobra.Command{
		Use: "export ID FILE", Short: "write a request that waits to a file, for an approver without a connection (admin socket)",
		Long: `Write all that an approver needs to judge a request that waits to a new FILE: for
"approve --file" and "request show --file" on a machine without a connection to the
daemon. ID is as for "approve".`,
		Args: arguments(2, 2, "an ID and a new FILE, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.export(cmd.Context(), f, args[0], args[1]) },
	}
	f.file(cmd)
	return cmd
}

func (c *cli) export(ctx context.Context, f approverFlags, id, file string) error {
	a, err := c.anApprover(f)
	if err != nil {
		return err
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	p, err := findPending(ctx, client, id)
	if err != nil {
		return err
	}
	d, err := fetchDossier(ctx, client, p.GetProposal())
	if err != nil {
		return err
	}
	text, err := d.encode(c.now())
	if err != nil {
		return err
	}
	if file == "-" {
		_, err := c.stdout.Write(text)
		return err
	}
	out, err := createFile(file, true) // it tells what somebody is about to pay
	if err != nil {
		return err
	}
	defer out.abandon()
	return out.finish(string(text))
}

// whose is the socket that shows requests of a caller; of one's own, when it is empty.
func (c *cli) whose(caller string, f approverFlags) (socket string, err error) {
	if caller == "" {
		return c.path("sign"), nil
	}
	a, err := c.anApprover(f)
	if err != nil {
		return "", err
	}
	return c.adminPath(a), nil
}

// states are what the states of a request mean.
var states = map[string]string{
	"waiting":         "waits",
	"denied":          "denied",
	"signed":          "signed",
	"acted":           "done",
	"failed":          "failed: it was authorised but not signed; ask again with the same id",
	"outcome_unknown": "outcome unknown: it was authorised, and no signature is on record; ask again with the same id",
}

func showRequest(w io.Writer, r *v1.GetRequestResponse, names console.Names) error {
	state, ok := states[r.GetState()]
	if !ok {
		state = r.GetState()
	}
	pairs := [][2]string{
		{"request", r.GetId()}, {"caller", r.GetCaller()}, {"state", state}, {"detail", r.GetDetail()}, {"key", r.GetKey()}, {"kind", r.GetKind()},
		{"time", when(r.GetTime())}, {"leaf", strconv.FormatUint(r.GetLeaf(), 10)}, {"proposal", r.GetProposalDigest()},
		{"not before", when(r.GetDue())}, {"expires", when(r.GetDeadline())},
	}
	if r.GetOutcomeLeaf() > 0 {
		pairs = append(pairs, [2]string{"outcome's leaf", strconv.FormatUint(r.GetOutcomeLeaf(), 10)})
	}
	for _, s := range r.GetSignatures() {
		pairs = append(pairs, [2]string{"signature", hexText(s)})
	}
	act := r.GetKind() == string(signer.KindAdmin)
	if len(r.GetArtifact()) > 0 && !act {
		pairs = append(pairs, [2]string{"result", hexText(r.GetArtifact())})
	}
	if err := sheet(w, pairs...); err != nil {
		return err
	}
	if len(r.GetArtifact()) > 0 && act {
		fmt.Fprintln(w)
		if err := showResult(w, r.GetArtifact(), ""); err != nil {
			return err
		}
	}
	if err := showQuorums(w, r.GetQuorums()); err != nil {
		return err
	}
	if err := showHeard(w, r.GetHeard()); err != nil {
		return err
	}
	if r.GetClaim() != "" {
		fmt.Fprintf(w, "\n%s", console.Claim(r.GetClaim()))
	}
	fmt.Fprintln(w)
	return showDecision(w, r.GetDecision(), r.GetIntent(), names)
}
