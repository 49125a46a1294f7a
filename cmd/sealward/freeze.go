package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

func (c *cli) freezeCommand() *cobra.Command {
	s := speech{word: signer.WordFreeze}
	var sign bool
	cmd := &cobra.Command{
		Use: "freeze --reason TEXT [--sign [--out SIGNED]]", Short: "stop all signing until approvers thaw it (admin socket)",
		Long: `Stop all signing, at once and over restarts, until an act of class thaw is approved. The
daemon takes it from a user whom sealward.hcl lists in freeze_users or, with --sign, from
any approver, whose own token signs it. It does not ask, and one word of one person is
enough. What is inside a device at that moment is listed: its signature may exist.

With --out the signed word goes to a file, for "approval import" elsewhere.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			if s.out != "" && !sign {
				return usage("--out is for --sign")
			}
			return c.freeze(cmd.Context(), &s, sign)
		},
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&s.reason, "reason", "", "why, for the record: `text`")
	cmd.Flags().BoolVar(&sign, "sign", false, "sign it with your own token, as an approver")
	cmd.Flags().StringVar(&s.out, "out", "", "a new `file` for the signed word, in place of handing it in")
	return cmd
}

func (c *cli) freeze(ctx context.Context, s *speech, sign bool) error {
	a, err := c.bareApprover(s.approverFlags)
	switch {
	case !sign && err != nil && s.config == "": // then it is the socket where sockets are
		return c.postFreeze(ctx, c.adminPath(&approver{}), s.reason, nil)
	case err != nil:
		return err
	case !sign:
		return c.postFreeze(ctx, c.adminPath(a), s.reason, nil)
	}
	out, err := createFile(s.out, false)
	if err != nil {
		return err
	}
	defer out.abandon()
	statement, err := a.statement(signer.WordFreeze, [32]byte{}, s.reason, s.validFor)
	if err != nil {
		return err
	}
	signed, err := a.sign(ctx, statement)
	if err != nil {
		return err
	}
	if out != nil {
		return out.finish(string(signed) + "\n")
	}
	return c.postFreeze(ctx, c.adminPath(a), "", signed)
}

func (c *cli) postFreeze(ctx context.Context, socket, reason string, signed []byte) error {
	client := api.Dial(socket)
	defer client.Close()
	res, err := client.Freeze(ctx, reason, signed)
	if err != nil {
		return err
	}
	if err := c.answer(res, func(w io.Writer) error { return showFrozen(w, res) }); err != nil {
		return err
	}
	if why := res.GetUnrecorded(); why != "" {
		return problems{why}
	}
	return nil
}

func showFrozen(w io.Writer, res *v1.FreezeResponse) error {
	leaf := fmt.Sprintf(", leaf %d of the journal", res.GetLeaf())
	if res.GetUnrecorded() != "" {
		leaf = "; it is not on record"
	}
	if _, err := fmt.Fprintf(w, "frozen%s: nothing is signed until a thaw (sealward thaw)\n", leaf); err != nil {
		return err
	}
	if len(res.GetInDevice()) == 0 {
		_, err := fmt.Fprintln(w, "nothing was inside a device")
		return err
	}
	fmt.Fprintln(w, "inside a device at that moment; what it signs is not released, but exists:")
	var rows [][]string
	for _, d := range res.GetInDevice() {
		rows = append(rows, []string{d.GetCaller(), d.GetId(), d.GetKey(), strconv.FormatUint(d.GetLeaf(), 10)})
	}
	return table(w, []string{"CALLER", "REQUEST", "KEY", "LEAF"}, rows)
}

func (c *cli) thawCommand() *cobra.Command {
	return c.reasonedCommand(admin.ActThaw, "thaw", "ask that signing goes on after a freeze (admin socket)",
		`Ask that signing goes on. It takes the approvals that the policy names for an act of
class thaw: without them it waits, and the exit code is 8. With --recovery it takes those
of the policy's recovery quorum instead.`)
}

func (c *cli) policyTrustCommand() *cobra.Command {
	return c.reasonedCommand(admin.ActTrustFile, "trust-file", "ask that this host may trust the policy on disk (admin socket)",
		`Ask that the daemon may, from its next start on, put the policy on disk in force without
being asked, if sealward.hcl says trust_policy_file = true. Until that is approved, the
setting stays without effect.`)
}

// reasonedCommand asks for an act that is made of its reason alone.
func (c *cli) reasonedCommand(what, name, short, long string) *cobra.Command {
	a := act{Order: admin.Order{Act: what}}
	cmd := &cobra.Command{
		Use: name + " --reason TEXT [--recovery]", Short: short, Long: long,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	reasonAndRecovery(cmd, &a.Order)
	return cmd
}

// reasonAndRecovery are the flags of the acts that decide who decides.
func reasonAndRecovery(cmd *cobra.Command, o *admin.Order) {
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why, for the record and for whoever decides: `text`")
	cmd.Flags().BoolVar(&o.Recovery, "recovery", false, "have the recovery quorum asked, in place of those whom the rules name")
}
