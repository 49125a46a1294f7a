package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// application is a change of policy as a command line asks for it.
type application struct {
	act
	config   string
	reviewed string // the version that is to come into force; empty: what is on disk
	earlier  string // the version of a policy that the journal keeps, in place of what is on disk
	dry      bool   // ask for nothing
}

func (c *cli) policyApplyCommand() *cobra.Command {
	a := application{act: act{Order: admin.Order{Act: admin.ActPolicy}}}
	cmd := &cobra.Command{
		Use: "apply --reason TEXT [--to VERSION] [--config FILE] | apply --reason TEXT --version VERSION", Short: "ask that another policy comes into force (admin socket)",
		Long: `Ask the daemon to put the policy on disk in force, if the policy that is in force lets
you. What changes is shown first. The daemon reads the policy file and all that it names
for itself, and refuses if that is not, to the bit, what this program has read and shown.
Where the policy in force has people approve that, it waits for them, and the exit code
is 8; it comes into force once they did.

With --to the policy on disk has to be that version, the one that was reviewed. Asking
again with the same --id is safe. With --version it is not the one on disk but one that
was in force before, as the journal keeps it; "policy history" lists them. With
--recovery the policy's recovery quorum is asked, in place of those whom the rules name.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.dry {
				if err := required(cmd, "reason"); err != nil {
					return err
				}
			}
			if a.earlier != "" && (a.reviewed != "" || cmd.Flags().Changed("config")) {
				return usage("--version takes the policy from the journal; --to and --config are for the one on disk")
			}
			if cmd.Flags().Changed("to") && !versionWhole.MatchString(a.reviewed) {
				return usage("--to %q: want all 64 hexadecimal digits of a version, as others could be made that begin like it", a.reviewed)
			}
			if a.dry {
				change, err := c.compare(cmd, &a)
				if err != nil {
					return err
				}
				return c.record(change, change.show)
			}
			return c.apply(cmd, &a)
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	reasonAndRecovery(cmd, &a.Order)
	f.StringVar(&a.earlier, "version", "", "the `version` of a policy that was in force before, to go back to it")
	f.StringVar(&a.reviewed, "to", "", "the `version` that was reviewed; another one on disk is refused")
	f.BoolVar(&a.dry, "dry-run", false, "show what would change, and ask for nothing")
	f.StringVar(&a.config, "config", "/etc/sealward/sealward.hcl", "the daemon's configuration `file`, which names the policy")
	return cmd
}

func (c *cli) apply(cmd *cobra.Command, a *application) error {
	asked, err := c.askedBefore(cmd, a)
	if err != nil {
		return err
	}
	if !asked {
		change, err := c.compare(cmd, a)
		if err != nil {
			return err
		}
		if c.output == outputText {
			if err := change.show(c.stderr); err != nil {
				return err
			}
		}
	}
	err = c.act(cmd, &a.act)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == signer.CodeNotFound {
		told := *e
		told.Message = "no rule of the policy in force lets you ask for another one; whoever may reload the daemon can put it in force (systemctl reload sealwardd)"
		return &told
	}
	return err
}

// askedBefore takes from the record what a request asked for that has the same id. The
// policy that it was for may be in force by now, and then nothing on disk tells from
// which one it came.
func (c *cli) askedBefore(cmd *cobra.Command, a *application) (bool, error) {
	if a.id == "" {
		return false, nil
	}
	client := api.Dial(c.path("admin"))
	defer client.Close()
	res, err := client.Request(cmd.Context(), a.id, "")
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == signer.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	effects := res.GetIntent().GetEffects()
	if len(effects) != 1 || effects[0].GetClass() != string(signer.ClassPolicyChange) {
		return false, &signer.Error{Code: signer.CodeConflict, Detail: fmt.Sprintf("request %q was for something else; use another id", a.id)}
	}
	a.From, a.To = effects[0].GetAttributes()[signer.AttributePolicyFrom], effects[0].GetAttributes()[signer.AttributePolicyTo]
	return true, a.fits()
}

// fits holds the version that is asked for to the one that was reviewed.
func (a *application) fits() error {
	if a.reviewed != "" && a.To != a.reviewed {
		return problems{fmt.Sprintf("the policy is version %s, not %s, which was reviewed; nothing was asked for", a.To, a.reviewed)}
	}
	return nil
}

// replacement is a change of policy as it is shown.
type replacement struct {
	Policy string `json:"policy"` // the file
	From   string `json:"from"`
	To     string `json:"to"`
	// Changes are what it decides otherwise; none: it decides alike.
	Changes []consequence `json:"changes"`
}

// consequence is one difference between the two policies.
type consequence struct {
	Kind  policy.ChangeKind `json:"kind"`
	Where string            `json:"where"`
	Text  string            `json:"text"`
	Old   string            `json:"old,omitempty"`
	New   string            `json:"new,omitempty"`
}

func consequences(old, new *policy.Policy) []consequence {
	out := []consequence{}
	for _, ch := range policy.Diff(old, new) {
		out = append(out, consequence(ch))
	}
	return out
}

func (r replacement) show(w io.Writer) error {
	if err := sheet(w, [2]string{"policy", r.Policy}, [2]string{"in force", r.From}, [2]string{"to be", r.To}); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := showChanges(w, r.Changes); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// compare reads the policy on disk with the keys and sockets of the one in force, and
// says what would change.
func (c *cli) compare(cmd *cobra.Command, a *application) (replacement, error) {
	client := api.Dial(c.path("admin"))
	defer client.Close()
	res, err := client.Policy(cmd.Context(), "")
	if err != nil {
		return replacement{}, err
	}
	inForce, old, err := c.bundleOf(res)
	if err != nil {
		return replacement{}, err
	}
	if old == nil {
		return replacement{}, errors.New("the policy in force cannot be loaded here, so what would change cannot be shown, and nothing was asked for; is this program as old as the daemon?")
	}
	path, candidate, err := c.candidate(cmd, client, a, inForce)
	if err != nil {
		return replacement{}, err
	}
	a.From, a.To = res.GetVersion(), fmt.Sprintf("%x", candidate.Version())
	if err := a.fits(); err != nil {
		return replacement{}, err
	}
	if a.From == a.To {
		return replacement{}, &signer.Error{Code: signer.CodeInvalid, Detail: fmt.Sprintf("%s is the policy in force, version %s; there is nothing to change", path, a.To)}
	}
	return replacement{path, a.From, a.To, consequences(old, candidate)}, nil
}

// candidate is the policy that is to come into force: the one on disk, or one out of the
// journal.
func (c *cli) candidate(cmd *cobra.Command, client *api.Client, a *application, inForce policy.Bundle) (name string, p *policy.Policy, err error) {
	if a.earlier == "" {
		return candidateOf(a.config, inForce)
	}
	version, err := policyVersion(cmd.Context(), client, a.earlier)
	if err != nil {
		return "", nil, err
	}
	res, err := client.Policy(cmd.Context(), version)
	if err != nil {
		return "", nil, err
	}
	name = "as the journal keeps it"
	if _, p, err = c.bundleOf(res); err == nil && p == nil {
		err = fmt.Errorf("policy %s cannot be loaded here, so what would change cannot be shown, and nothing was asked for", version)
	}
	return name, p, err
}

// candidateOf loads the policy that a configuration names.
func candidateOf(configPath string, inForce policy.Bundle) (path string, p *policy.Policy, err error) {
	if configPath, err = filepath.Abs(configPath); err != nil {
		return "", nil, err
	}
	src, err := readFile(configPath)
	if err != nil {
		return "", nil, err
	}
	cfg, err := config.Parse(configPath, src)
	if err != nil {
		return "", nil, err
	}
	p, err = candidateIn(cfg.Policy, inForce)
	return cfg.Policy, p, err
}

// candidateIn loads a policy as the daemon would that has another one in force now. It
// has opened its devices and its sockets, and they stay.
func candidateIn(path string, inForce policy.Bundle) (*policy.Policy, error) {
	p, err := loadPolicy(path, policy.Env{Keys: inForce.Keys, Sockets: inForce.Sockets})
	if err != nil {
		return nil, asProblem(err)
	}
	if _, err := descriptorsOf(path, p); err != nil {
		return nil, problems{err.Error()}
	}
	return p, nil
}
