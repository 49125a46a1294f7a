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
	if s.GetFrozen() != "" {
		pairs = append(pairs, [2]string{"FROZEN", s.GetFrozen() + "; nothing is signed until a thaw"})
	}
	if s.GetPending() > 0 {
		pairs = append(pairs, [2]string{"requests that wait", strconv.FormatUint(s.GetPending(), 10)})
	}
	if s.GetOverridden() > 0 {
		pairs = append(pairs, [2]string{"policy overridden", fmt.Sprintf("by root, at leaf %d; nobody approved it", s.GetOverridden())})
	}
	if s.GetTrustsPolicyFile() {
		pairs = append(pairs, [2]string{"policy file", "is put in force at a start and a reload without being asked for"})
	}
	if s.GetPolicyFile() != "" {
		pairs = append(pairs, [2]string{"policy on disk", strings.ReplaceAll(s.GetPolicyFile(), "\n", "; ")})
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
	if s.GetFrozen() != "" {
		return problems{"it is frozen: nothing is signed until a thaw (sealward thaw)"}
	}
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
