package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/cmd/version"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

func (c *cli) limitsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "limits [KEY]", Short: "what is spent, what is left, and when it frees",
		Args:              arguments(0, 1, "at most the name of one KEY"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			key := ""
			if len(args) == 1 {
				key = args[0]
			}
			limits, err := on(c, "sign", func(client *api.Client) ([]*v1.LimitState, error) { return client.Limits(cmd.Context(), key) })
			if err != nil {
				return err
			}
			return c.answer(&v1.ListLimitsResponse{Limits: limits}, func(w io.Writer) error { return showLimits(w, limits) })
		},
	}
}

func showLimits(w io.Writer, limits []*v1.LimitState) error {
	if len(limits) == 0 {
		_, err := fmt.Fprintln(w, "no limit of the policy is about your keys")
		return err
	}
	var rows [][]string
	for _, l := range limits {
		names := assetName(l.GetAsset(), l.GetAssetName(), l.GetDecimals())
		row := []string{l.GetKey(), l.GetRule(), l.GetLimit(), amount(l.GetMax(), l.GetAsset(), names) + " " + window(l.GetWindow()), l.GetPer(), "", "", ""}
		if l.GetWindow() != nil { // by recipient and asset there is no one sum, and these are empty
			row[5], row[6], row[7] = amount(l.GetSpent(), l.GetAsset(), names), amount(l.GetLeft(), l.GetAsset(), names), when(l.GetFrees())
		}
		rows = append(rows, row)
	}
	return table(w, []string{"KEY", "RULE", "LIMIT", "MOST", "PER", "SPENT", "LEFT", "NEXT FREES"}, rows)
}

func (c *cli) requestCommand() *cobra.Command {
	var caller string
	var names namesFlags
	show := &cobra.Command{
		Use: "show ID", Short: "what became of a request",
		Long: `Show what became of one of your requests. With --caller it is a request of somebody
else, which only the admin socket shows.`,
		Args: arguments(1, 1, "the ID of a request"),
		RunE: func(cmd *cobra.Command, args []string) error {
			book, err := names.read(c.now())
			if err != nil {
				return err
			}
			res, err := on(c, whose(caller), func(client *api.Client) (*v1.GetRequestResponse, error) {
				return client.Request(cmd.Context(), args[0], caller)
			})
			if err != nil {
				return err
			}
			return c.answer(res, func(w io.Writer) error { return showRequest(w, res, book) })
		},
	}
	watch := &cobra.Command{
		Use: "watch ID", Short: "see what a request waits for, until it is done",
		Long: `Show what a request waits for, each time that it is something else, until it is done:
"touch" when somebody has to touch the device now.`,
		Args: arguments(1, 1, "the ID of a request"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.watch(cmd.Context(), whose(caller), args[0], caller, func(id, state string) {
				_ = c.record(struct {
					ID    string `json:"id"`
					State string `json:"state"`
				}{id, state}, func(w io.Writer) error { _, err := fmt.Fprintln(w, console.Safe(state)); return err })
			})
		},
	}
	for _, cmd := range []*cobra.Command{show, watch} {
		cmd.Flags().StringVar(&caller, "caller", "", "whose request it is, such as `uid:1000`")
	}
	names.flags(show)
	return group("request", "what becomes of requests", show, watch)
}

// whose is the socket that shows requests of a caller; of one's own, when it is empty.
func whose(caller string) string {
	if caller != "" {
		return "admin"
	}
	return "sign"
}

// states are what the states of a request mean.
var states = map[string]string{
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
	if r.GetClaim() != "" {
		fmt.Fprintf(w, "\n%s", console.Claim(r.GetClaim()))
	}
	fmt.Fprintln(w)
	return showDecision(w, r.GetDecision(), r.GetIntent(), names)
}

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "how the daemon is",
		Long: `Show how the daemon is, as the admin socket tells it or, where that is not for you,
the sign socket. The exit code is 7 if something keeps it from signing or a policy
was refused.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := onEither(c, func(client *api.Client) (*v1.GetStatusResponse, error) { return client.Status(cmd.Context()) })
			if err != nil {
				return err
			}
			if err := c.answer(s, func(w io.Writer) error { return showStatus(w, s) }); err != nil {
				return err
			}
			return unwell(s)
		},
	}
}

func showStatus(w io.Writer, s *v1.GetStatusResponse) error {
	pairs := [][2]string{
		{"version", s.GetVersion()}, {"instance", s.GetInstance()}, {"started", when(s.GetStarted())},
		{"policy", s.GetPolicy()}, {"policy loaded", when(s.GetPolicyLoaded())}, {"policy refused", strings.ReplaceAll(s.GetPolicyError(), "\n", "; ")},
		{"journal", fmt.Sprintf("%d leaves, a checkpoint covers %d", s.GetJournalSize(), s.GetCheckpointSize())},
		{"journal time", when(s.GetJournalTime())}, {"journal stopped", s.GetJournalError()},
	}
	if s.GetJournalTimeHeld() != nil {
		pairs = append(pairs, [2]string{"journal time held", s.GetJournalTimeHeld().AsDuration().String() + " behind the wall clock"})
	}
	if s.GetPrivate() {
		pairs = append(pairs, [2]string{"set-up", "private: nothing separates the daemon from its callers"})
	}
	if s.GetUnitsUnprovable() != "" {
		pairs = append(pairs, [2]string{"units", "cannot be proven: " + s.GetUnitsUnprovable()})
	}
	if err := sheet(w, pairs...); err != nil {
		return err
	}
	if len(s.GetKeys()) > 0 {
		fmt.Fprintln(w)
		var rows [][]string
		for _, k := range s.GetKeys() {
			health := "available"
			if !k.GetAvailable() {
				health = "NOT AVAILABLE"
			}
			rows = append(rows, []string{k.GetKey(), k.GetDevice(), health, k.GetReason()})
		}
		if err := table(w, []string{"KEY", "DEVICE", "HEALTH", "REASON"}, rows); err != nil {
			return err
		}
	}
	if len(s.GetTokens()) > 0 {
		fmt.Fprintln(w)
		if err := showTokens(w, s.GetTokens()); err != nil {
			return err
		}
	}
	for i, n := range s.GetNotices() {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "note: %s\n", console.Safe(n))
	}
	return nil
}

// unwell says what an operator has to do something about.
func unwell(s *v1.GetStatusResponse) error {
	if s.GetJournalError() != "" {
		return problems{"the journal has stopped; nothing is signed until the daemon is restarted"}
	}
	for _, k := range s.GetKeys() {
		if !k.GetAvailable() {
			return problems{fmt.Sprintf("key %s is not available", k.GetKey())}
		}
	}
	if s.GetPolicyError() != "" {
		return problems{"the policy on disk was refused; an older one is in force"}
	}
	return nil
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "which build of sealward this is",
		Args: arguments(0, 0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string            `json:"version"`
				Module   string            `json:"module"`
				Revision string            `json:"module_version"`
				Build    map[string]string `json:"build"`
			}{Version: version.Full(), Build: map[string]string{}}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Module, v.Revision = info.Main.Path, info.Main.Version
				for _, s := range info.Settings {
					v.Build[s.Key] = s.Value
				}
			}
			return c.record(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "sealward %s\n%s %s\n", v.Version, v.Module, v.Revision)
				return err
			})
		},
	}
}
