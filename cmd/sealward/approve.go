package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// speech is what an approver is about to say, as a command line has it.
type speech struct {
	approverFlags
	word      signer.Word
	reason    string
	validFor  time.Duration
	yes       bool
	file, out string
}

func (c *cli) approveCommand() *cobra.Command {
	s := speech{word: signer.WordApprove}
	cmd := &cobra.Command{
		Use:   "approve ID | approve [DIGEST] --file FILE [--out SIGNED]",
		Short: "approve a request that waits, with your own token (admin socket)",
		Long: `Approve a request that waits: fetch it, decode it here, compare what it does with what
the daemon says, show it with its risks first, ask, and sign the digest of its proposal
with your own token. Where one fact differs, where the daemon or the key is not the one
in your approver.hcl, or where a policy is not what its version stands for, nothing is
signed, and what differs is shown; the exit code is 7.

ID is the digest of the proposal, or 8 digits and more of its beginning, or the id of
the request, with its caller where that is needed: uid:1000/ID. With --yes nobody is
asked, and ID has to be the whole digest that was reviewed with "request show".

With --file it works without a connection: FILE is what "request export" wrote
elsewhere, and SIGNED is for "approval import". DIGEST is what was reviewed; a FILE with
another request is refused.`,
		Args: arguments(0, 1, "one ID, or --file FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := strings.Join(args, "")
			switch {
			case id == "" && s.file == "":
				return usage("sealward approve: want one ID, or --file FILE")
			case s.out != "" && s.file == "":
				return usage("--out is for --file; without it the approval is handed to the daemon")
			case id != "" && s.file != "" && !versionWhole.MatchString(id):
				return usage("--file: beside it, ID has to be the whole digest of the proposal, 64 hexadecimal digits")
			case s.yes && !versionWhole.MatchString(id):
				return usage("--yes asks nobody, so ID has to be the whole digest of the proposal that you reviewed, 64 hexadecimal digits")
			case s.validFor < 0:
				return usage("--valid-for %s: want a duration that is longer than nothing", s.validFor)
			}
			if s.file != "" {
				return c.approveFile(cmd.Context(), &s, id)
			}
			return c.speak(cmd.Context(), &s, id)
		},
	}
	s.flags(cmd)
	cmd.Flags().DurationVar(&s.validFor, "valid-for", 0, "how long the approval counts; as long as the request waits if not given")
	cmd.Flags().StringVar(&s.reason, "reason", "", "why, for the record: `text`")
	cmd.Flags().BoolVar(&s.yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&s.file, "file", "", "the `file` of the request, where there is no connection")
	cmd.Flags().StringVar(&s.out, "out", "", "a new `file` for the signed approval; standard output if not given")
	return cmd
}

func (c *cli) rejectCommand() *cobra.Command {
	s := speech{word: signer.WordReject}
	cmd := &cobra.Command{
		Use: "reject ID --reason TEXT", Short: "reject a request that waits, which ends it (admin socket)",
		Long: `Reject a request that waits, signed with your own token. One rejection by anybody who
is asked for an approval ends it, and cannot be taken back. ID is as for "approve".`,
		Args: arguments(1, 1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			return c.speak(cmd.Context(), &s, args[0])
		},
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&s.reason, "reason", "", "why, for the record and for whoever asked: `text`")
	cmd.Flags().BoolVar(&s.yes, "yes", false, "do not ask")
	return cmd
}

func (c *cli) withdrawCommand() *cobra.Command {
	s := speech{word: signer.WordWithdraw}
	cmd := &cobra.Command{
		Use: "withdraw ID", Short: "take back your approval, as long as the request waits (admin socket)",
		Long: `Take back your approval of a request that still waits, signed with your own token. You
cannot approve the same proposal again. ID is as for "approve".`,
		Args: arguments(1, 1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.speak(cmd.Context(), &s, args[0]) },
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&s.reason, "reason", "", "why, for the record: `text`")
	cmd.Flags().BoolVar(&s.yes, "yes", false, "do not ask")
	return cmd
}

// speak reviews a request that waits, and signs and hands in what is said about it.
func (c *cli) speak(ctx context.Context, s *speech, id string) error {
	a, err := c.loadApprover(s.approverFlags)
	if err != nil {
		return err
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	p, err := findPending(ctx, client, id)
	if err != nil {
		return err
	}
	r, err := a.review(ctx, client, p.GetProposal())
	if err != nil {
		return err
	}
	signed, err := c.consider(ctx, a, r, s)
	if err != nil {
		return err
	}
	res, err := post(ctx, client, signed)
	if err != nil {
		return err
	}
	return c.answer(res, func(w io.Writer) error { return showPosted(w, s.word, res) })
}

// post hands in what was signed. Where no answer comes, it may count all the same.
func post(ctx context.Context, client *api.Client, signed []byte) (*v1.PostApprovalResponse, error) {
	res, err := client.PostApproval(ctx, signed)
	switch code := signer.CodeOf(err); {
	case err == nil:
		return res, nil
	case code == signer.CodeUnavailable, code == signer.CodeInternal, code == signer.CodePending:
		return nil, &signer.Error{Code: signer.CodeUnavailable, Detail: "it is signed, and may have been handed in; look at the request again: " + message(err)}
	}
	return nil, err
}

// consider shows a request, asks, and signs.
func (c *cli) consider(ctx context.Context, a *approver, r reviewed, s *speech) ([]byte, error) {
	if c.output == outputText || !s.yes { // who is asked reads it, whatever standard output is for
		if err := a.showReview(c.stderr, r); err != nil {
			return nil, err
		}
	}
	statement, err := a.says(s.word, r, s.reason, s.validFor)
	if err != nil {
		return nil, err
	}
	if !s.yes {
		p := r.told.GetPending()
		what := fmt.Sprintf("%s %s/%s, proposal %.12s", s.word, p.GetCaller(), p.GetId(), p.GetProposal())
		if err := c.confirm(ctx, console.Safe(what)); err != nil {
			return nil, err
		}
	}
	return a.sign(ctx, statement)
}

// confirm asks on the terminal of this process, whatever its streams are.
func (c *cli) confirm(ctx context.Context, what string) error {
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		return errors.New("there is no terminal to ask on, so nothing was signed; run this on one, or give --yes after you read the request")
	}
	defer tty.Close()
	// What was typed, or pasted, before the question is no answer to it (tcflush(3)).
	if err := unix.IoctlSetInt(int(tty.Fd()), unix.TCFLSH, unix.TCIFLUSH); err != nil {
		return fmt.Errorf("ask on the terminal: %w; nothing was signed", err)
	}
	fmt.Fprintf(tty, "\n%s? type yes: ", what)
	answer := make(chan string, 1)
	go func() { // a read of a terminal ends with the process, or with the line
		line, _ := bufio.NewReader(tty).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(tty)
		return errors.New("interrupted; nothing was signed")
	case line := <-answer:
		if strings.TrimSpace(line) != "yes" {
			return errors.New("not confirmed; nothing was signed")
		}
		return nil
	}
}

// pasts are what the words are called once they are said.
var pasts = map[signer.Word]string{
	signer.WordApprove: "approved", signer.WordReject: "rejected", signer.WordWithdraw: "withdrawn", signer.WordFreeze: "frozen",
}

func showPosted(w io.Writer, word signer.Word, res *v1.PostApprovalResponse) error {
	again := ""
	if res.GetPrior() {
		again = ", as it was before"
	}
	_, err := fmt.Fprintf(w, "%s by %s, leaf %d of the journal%s\n", pasts[word], console.Safe(res.GetApprover()), res.GetLeaf(), again)
	if err != nil || res.GetPending().GetState() == "" {
		return err
	}
	p := res.GetPending()
	if err := sheet(w, [2]string{"request", p.GetCaller() + "/" + p.GetId()}, [2]string{"state", p.GetState()}); err != nil {
		return err
	}
	return showQuorums(w, p.GetQuorums())
}

// approveFile approves where there is no connection: the request of that digest, or the one
// in the file where that is empty.
func (c *cli) approveFile(ctx context.Context, s *speech, digest string) error {
	a, err := c.loadApprover(s.approverFlags)
	if err != nil {
		return err
	}
	d, err := c.readDossierFile(s.file)
	if err != nil {
		return err
	}
	if told := d.told.GetPending().GetProposal(); digest != "" && told != digest {
		return problems{fmt.Sprintf("%s has the proposal %.80q, not %s; nothing was signed", s.file, told, digest)}
	}
	c.notice(fmt.Sprintf("the file was written at %s; what came since, it does not say", d.exported.Format(time.RFC3339)))
	r := a.examine(d)
	out, err := createFile(s.out, false)
	if err != nil {
		return err
	}
	defer out.abandon()
	signed, err := c.consider(ctx, a, r, s)
	if err != nil {
		return err
	}
	if out != nil {
		return out.finish(string(signed) + "\n")
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", signed)
	return err
}

func (c *cli) readDossierFile(path string) (dossier, error) {
	data, err := c.readBounded(path, maxDossier)
	if err != nil {
		return dossier{}, err
	}
	d, err := readDossier(data)
	if err != nil {
		return dossier{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// readBounded reads a file, or standard input for "-".
func (c *cli) readBounded(path string, most int64) ([]byte, error) {
	in := c.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return data, err
}

func (c *cli) approvalCommand() *cobra.Command {
	var f approverFlags
	imported := &cobra.Command{
		Use: "import SIGNED", Short: "hand in an approval that was signed elsewhere (admin socket)",
		Long: `Hand in what "approve --file" signed on another machine. Handing it in twice changes
nothing. Who may connect to the admin socket may hand in anybody's approval: what
counts is its signature.`,
		Args: arguments(1, 1, "the file SIGNED, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.importApproval(cmd.Context(), f, args[0]) },
	}
	f.file(imported)
	show := &cobra.Command{
		Use: "show FILE", Short: "show what a signed approval says, without verifying it",
		Long: `Show what a signed approval says. Whether it is by whom it seems to be is not checked:
that takes the policy's certificates, which the daemon has.`,
		Args: arguments(1, 1, "one FILE, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error { return c.showApproval(args[0]) },
	}
	return group("approval", "approvals that travel as files", imported, show)
}

func (c *cli) readSigned(path string) ([]byte, signer.Approval, error) {
	data, err := c.readBounded(path, signer.MaxSignedApproval+1) // and a line feed
	if err != nil {
		return nil, signer.Approval{}, err
	}
	data = []byte(strings.TrimSuffix(string(data), "\n"))
	s, err := approval.ReadUnverified(data)
	return data, s, err
}

func (c *cli) importApproval(ctx context.Context, f approverFlags, path string) error {
	a, err := c.anApprover(f)
	if err != nil {
		return err
	}
	signed, s, err := c.readSigned(path)
	if err != nil {
		return err
	}
	if s.Word == signer.WordFreeze {
		return c.postFreeze(ctx, c.adminPath(a), "", signed)
	}
	client := api.Dial(c.adminPath(a))
	defer client.Close()
	res, err := post(ctx, client, signed)
	if err != nil {
		return err
	}
	return c.answer(res, func(w io.Writer) error { return showPosted(w, s.Word, res) })
}

func (c *cli) showApproval(path string) error {
	_, s, err := c.readSigned(path)
	if err != nil {
		return err
	}
	if c.output == outputJSON {
		_, err := fmt.Fprintf(c.stdout, "%s\n", shown(s.Canonical()))
		return err
	}
	proposal, expires := "", ""
	if s.Word != signer.WordFreeze {
		proposal = fmt.Sprintf("%x", s.Proposal)
	}
	if !s.Expires.IsZero() {
		expires = s.Expires.UTC().Format(time.RFC3339)
	}
	return sheet(c.stdout, [2]string{"says", string(s.Word)}, [2]string{"proposal", proposal}, [2]string{"instance", s.Instance}, [2]string{"device", s.Device},
		[2]string{"reason", s.Reason}, [2]string{"made", s.Time.UTC().Format(time.RFC3339)}, [2]string{"counts until", expires}, [2]string{"signature", "not verified here"})
}

// jsonLine writes one document on one line.
func jsonLine(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", shown(raw))
	return err
}
