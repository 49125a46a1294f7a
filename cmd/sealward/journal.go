package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/receipt"
	"github.com/sealward/sealward/signer/scheme"
)

func (c *cli) journalCommand() *cobra.Command {
	return group("journal", "read and verify the record (admin socket)",
		c.journalShowCommand(), c.journalDecisionsCommand(), c.journalVerifyCommand(), c.journalCheckpointCommand(), c.journalProofCommand())
}

// page is how many entries are asked for at once: each may hold a payload.
const page = 100

func (c *cli) journalShowCommand() *cobra.Command {
	var from uint64
	var limit uint32
	cmd := &cobra.Command{
		Use: "show", Short: "show entries of the journal, the last ones unless told otherwise",
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			entries, size, err := c.entries(cmd, from, cmd.Flags().Changed("from"), limit)
			if err != nil {
				return err
			}
			return c.answer(&v1.ListEntriesResponse{Entries: entries, Size: size}, func(w io.Writer) error { return showEntries(w, entries) })
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "the first `leaf` to show")
	cmd.Flags().Uint32Var(&limit, "limit", 20, "how `many` to show")
	return cmd
}

// entries reads a range of the journal page by page; without a beginning, its end.
func (c *cli) entries(cmd *cobra.Command, from uint64, given bool, limit uint32) (all []*v1.Entry, size uint64, err error) {
	client := api.Dial(c.path("admin"))
	defer client.Close()
	if !given {
		first, err := client.Entries(cmd.Context(), 0, 1)
		if err != nil {
			return nil, 0, err
		}
		from = first.GetSize() - min(first.GetSize(), uint64(limit))
	}
	for uint32(len(all)) < limit {
		res, err := client.Entries(cmd.Context(), from, min(page, limit-uint32(len(all))))
		if err != nil {
			return nil, 0, err
		}
		size = res.GetSize()
		if len(res.GetEntries()) == 0 {
			break
		}
		all = append(all, res.GetEntries()...)
		from += uint64(len(res.GetEntries()))
	}
	return all, size, nil
}

func showEntries(w io.Writer, entries []*v1.Entry) error {
	var rows [][]string
	for _, e := range entries {
		who, what := "", "the body cannot be read"
		if ev, err := signer.ParseEvent([]byte(e.GetBody())); err == nil {
			who, what = summary(ev)
		}
		rows = append(rows, []string{strconv.FormatUint(e.GetIndex(), 10), when(e.GetTime()), e.GetType(), who, what})
	}
	return table(w, []string{"LEAF", "TIME", "EVENT", "CALLER", "WHAT"}, rows)
}

// summary says in a line what an entry is about. -o json has all of it.
func summary(ev signer.Event) (who, what string) {
	if ev.Caller != nil {
		who = ev.Caller.ID()
	}
	switch {
	case ev.Proposal != nil:
		p := ev.Proposal
		what = fmt.Sprintf("%s with %s, request %s", p.Request.Kind, p.Key.Name, p.Request.ID)
		who = p.Caller.ID()
		if ev.Decision != nil && ev.Decision.Reason != "" {
			what += ": " + ev.Decision.Reason
		}
	case ev.Outcome != nil && ev.Outcome.Code != "":
		what = fmt.Sprintf("authorisation of leaf %d: %s: %s", ev.Outcome.Authorization, ev.Outcome.Code, ev.Outcome.Detail)
	case ev.Outcome != nil:
		what = fmt.Sprintf("authorisation of leaf %d", ev.Outcome.Authorization)
	case ev.Heard != nil:
		h := ev.Heard
		what = fmt.Sprintf("%s: %s", h.Approver, h.Approval.Word)
		if h.Approval.Proposal != [32]byte{} {
			what += fmt.Sprintf(" proposal %x", h.Approval.Proposal[:8])
		}
		if h.Approval.Reason != "" {
			what += ": " + h.Approval.Reason
		}
	case ev.Policy != [32]byte{} && ev.Code != "":
		what = fmt.Sprintf("policy %x stays in force; %s", ev.Policy, ev.Detail)
	case ev.Policy != [32]byte{}:
		what = fmt.Sprintf("policy %x", ev.Policy)
	default:
		what = ev.Detail
	}
	dropped := ev.Dropped
	if ev.Decision != nil {
		dropped = ev.Decision.Dropped
	}
	if dropped > 0 {
		what += fmt.Sprintf(" (%d refusals before it were not recorded)", dropped)
	}
	return who, what
}

func (c *cli) journalVerifyCommand() *cobra.Command {
	var file, key string
	var known []string
	cmd := &cobra.Command{
		Use: "verify", Short: "recompute the whole journal and say what is wrong",
		Long: `Recompute the whole journal: bodies against leaves, leaves against the tree, the tree
against every checkpoint, and every signature against its authorisation. The exit
code is 7 if something is wrong.

The daemon does it, unless --file names a journal that no daemon has open. Then
--verifier-key says whom to trust; it is never taken from the journal itself.
Checkpoints that were kept elsewhere, given with --checkpoint, also show a journal
that was rolled back or cut off as a whole.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return c.verifyFile(cmd, file, key, known)
			}
			if key != "" || len(known) > 0 {
				return usage("--verifier-key and --checkpoint are for --file, which is missing")
			}
			res, err := on(c, "admin", func(client *api.Client) (*v1.VerifyResponse, error) { return client.Verify(cmd.Context()) })
			if err != nil {
				return err
			}
			return c.verified(res)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "verify the journal in this `file`, without a daemon")
	f.StringVar(&key, "verifier-key", "", "the `key` of the checkpoints, as `sealward journal checkpoint --show-key` once printed it")
	f.StringArrayVar(&known, "checkpoint", nil, "a `file` with a checkpoint that was kept elsewhere; may be repeated")
	return cmd
}

func (c *cli) verifyFile(cmd *cobra.Command, file, key string, known []string) error {
	if key == "" {
		return usage("--file needs --verifier-key: the key to trust is not taken from the journal")
	}
	trusted, err := receipt.ParseVerifier(key)
	if err != nil {
		return usageError{err}
	}
	cfg := journal.VerifyConfig{Path: file, Trusted: trusted, Signature: scheme.Verify}
	for _, path := range known {
		note, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		cfg.Known = append(cfg.Known, note)
	}
	r, err := journal.Verify(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	res := &v1.VerifyResponse{
		Records: r.Leaves, Authorized: r.Authorized, Denied: r.Denied, Malformed: r.Malformed,
		Signed: r.Signed, Acted: r.Acted, Failed: r.Failed, OutcomeUnknown: r.Unknown, Checkpoints: r.Checkpoints,
		Asked: r.Asked, Waiting: r.Waiting, Approvals: r.Approvals,
	}
	for _, p := range r.Problems {
		res.Problems = append(res.Problems, p.String())
	}
	if r.More {
		res.Problems = append(res.Problems, "and more; these are the first")
	}
	return c.verified(res)
}

func (c *cli) verified(res *v1.VerifyResponse) error {
	err := c.answer(res, func(w io.Writer) error {
		fmt.Fprintf(w, "%d records: %d authorized, %d denied, %d malformed, %d signed, %d acted, %d failed, %d outcome unknown; %d checkpoints\n",
			res.GetRecords(), res.GetAuthorized(), res.GetDenied(), res.GetMalformed(), res.GetSigned(), res.GetActed(), res.GetFailed(), res.GetOutcomeUnknown(), res.GetCheckpoints())
		if res.GetAsked() > 0 {
			fmt.Fprintf(w, "%d asked people or patience, of which %d wait; %d approvals, rejections and withdrawals\n", res.GetAsked(), res.GetWaiting(), res.GetApprovals())
		}
		for _, p := range res.GetProblems() {
			fmt.Fprintf(w, "PROBLEM  %s\n", console.Safe(p))
		}
		if len(res.GetProblems()) == 0 {
			fmt.Fprintln(w, "intact")
		}
		return nil
	})
	if err == nil && len(res.GetProblems()) > 0 {
		err = problems{"the journal is not intact"}
	}
	return err
}

func (c *cli) journalCheckpointCommand() *cobra.Command {
	var now, showKey bool
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "print the latest signed checkpoint; keep it on another machine",
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			res, err := on(c, "admin", func(client *api.Client) (*v1.GetCheckpointResponse, error) {
				return client.Checkpoint(cmd.Context(), now)
			})
			if err != nil {
				return err
			}
			if err := checkNote(res); err != nil {
				return err
			}
			return c.answer(res, func(w io.Writer) error {
				text := res.GetCheckpoint() // byte for byte: it is for a file
				if showKey {
					text = res.GetVerifierKey() + "\n"
				}
				_, err := io.WriteString(w, text)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "sign a new one if the journal grew since the latest")
	cmd.Flags().BoolVar(&showKey, "show-key", false, "print the verifier key of the checkpoints instead")
	return cmd
}

// checkNote holds a checkpoint to the key that came with it, so that no garbage is
// kept for the day when it is needed.
func checkNote(res *v1.GetCheckpointResponse) error {
	v, err := receipt.ParseVerifier(res.GetVerifierKey())
	if err == nil {
		_, err = receipt.OpenCheckpoint([]byte(res.GetCheckpoint()), v)
	}
	if err != nil {
		return problems{fmt.Sprintf("the daemon's checkpoint does not verify under its own key: %v", err)}
	}
	return nil
}

func (c *cli) journalProofCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "proof LEAF", Short: "print the proof that a leaf is in the journal",
		Args: arguments(1, 1, "the number of a LEAF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			leaf, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usage("leaf %q: want a number", args[0])
			}
			proof, err := on(c, "admin", func(client *api.Client) (string, error) { return client.Proof(cmd.Context(), leaf, wait) })
			if err != nil {
				return err
			}
			if err := checkProof(proof, leaf); err != nil {
				return err
			}
			return c.answer(&v1.GetProofResponse{Proof: proof}, func(w io.Writer) error {
				_, err := io.WriteString(w, proof)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for a checkpoint that covers the leaf")
	return cmd
}

// checkProof sees that a proof is one, and of the right leaf. Whether it holds is
// for whoever trusts the journal's key to check.
func checkProof(proof string, leaf uint64) error {
	p, err := receipt.ParseProof([]byte(proof))
	if err == nil && p.Index != leaf {
		err = fmt.Errorf("it is of leaf %d, not of leaf %d", p.Index, leaf)
	}
	if err != nil {
		return problems{fmt.Sprintf("the daemon's proof cannot be used: %v", err)}
	}
	return nil
}
