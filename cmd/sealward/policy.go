package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
	"github.com/sealward/sealward/signer/trustfile"
)

func (c *cli) policyCommand() *cobra.Command {
	return group("policy", "what policy would decide, and whether one is valid", c.policyCheckCommand(), c.policyValidateCommand(), c.policyExplainCommand(), c.policyTestCommand(), c.policyExamplesCommand(), c.policyReplayCommand(), c.policyDiffCommand(), c.policyHistoryCommand(), c.policyShowCommand(), c.policyApplyCommand(), c.policyTrustCommand())
}

func (c *cli) policyCheckCommand() *cobra.Command {
	var a asked
	cmd := &cobra.Command{
		Use:   "check --key NAME --kind KIND FILE",
		Short: "ask what policy would decide now",
		Long: `Ask the daemon what it would decide now about a request with what is in FILE, or
in standard input if FILE is "-". Nothing is signed, recorded or reserved. The exit
code is 0 if the request would be allowed and 3 if not.`,
		Args: arguments(1, 1, "one FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.request(c, cmd, args[0])
			if err != nil {
				return err
			}
			names, err := a.names.read(c.now())
			if err != nil {
				return err
			}
			res, err := on(c, "sign", func(client *api.Client) (*v1.CheckPolicyResponse, error) {
				return client.CheckPolicy(cmd.Context(), &v1.CheckPolicyRequest{Request: r})
			})
			if err != nil {
				return err
			}
			if err := c.answer(res, func(w io.Writer) error { return showDecision(w, res.GetDecision(), res.GetIntent(), names) }); err != nil {
				return err
			}
			if d := res.GetDecision(); d.GetVerdict() != signer.Allow.String() {
				return verdict{d.GetReason()}
			}
			return nil
		},
	}
	a.flags(c, cmd)
	return cmd
}

// showDecision writes a verdict, what led to it, and the intent that it is about.
func showDecision(w io.Writer, d *v1.Decision, in *v1.Intent, names console.Names) error {
	intent, err := api.ReadIntent(in)
	if err != nil {
		return err
	}
	pairs := [][2]string{{"verdict", d.GetVerdict()}, {"reason", d.GetReason()}}
	for _, rule := range d.GetRules() {
		pairs = append(pairs, [2]string{"rule", rule})
	}
	if err := sheet(w, pairs...); err != nil {
		return err
	}
	var rows [][]string
	for _, l := range d.GetLimits() {
		rows = append(rows, []string{
			l.GetRule(), l.GetLimit(), amount(l.GetMax(), l.GetAsset(), names) + " " + window(l.GetWindow()),
			amount(l.GetSpent(), l.GetAsset(), names), amount(l.GetAmount(), l.GetAsset(), names), when(l.GetFrees()),
		})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		if err := table(w, []string{"RULE", "LIMIT", "MOST", "SPENT", "THIS REQUEST", "FREES"}, rows); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "\n%s", console.Intent(intent, nil, names))
	return err
}

func (c *cli) policyValidateCommand() *cobra.Command {
	var configPath string
	cmd := &cobra.Command{
		Use:   "validate [--config sealward.hcl] [FILE]",
		Short: "check a policy file, without a daemon",
		Long: `Check the policy in FILE as the daemon would when it loads it. The names of keys
and sockets come from the configuration: the one given, or sealward.hcl beside FILE;
where there is none, from the cases beside FILE. Without FILE it is the
configuration's own policy. No device is opened.`,
		Args: arguments(0, 1, "one FILE at most"),
		RunE: func(_ *cobra.Command, args []string) error {
			f := namesFlags{config: configPath}
			if len(args) == 1 {
				f.policy = args[0]
			}
			return c.validate(f)
		},
	}
	cmd.Flags().StringVar(&configPath, "config", "", "the daemon's configuration `file`")
	return cmd
}

func (c *cli) validate(f namesFlags) error {
	path, p, err := f.load()
	if err != nil {
		return asProblem(err)
	}
	if _, err := descriptorsOf(path, p); err != nil {
		return problems{err.Error()}
	}
	report := struct {
		Policy  string   `json:"policy"`
		Valid   bool     `json:"valid"`
		Assets  int      `json:"assets"`
		Windows []string `json:"windows"`
		Notes   []string `json:"notes"`
	}{path, true, len(p.Book().Assets), []string{}, []string{}}
	for _, m := range p.Needs().Measures {
		if w := m.Window.String(); !slices.Contains(report.Windows, w) {
			report.Windows = append(report.Windows, w)
		}
	}
	return c.record(report, func(w io.Writer) error {
		for _, n := range report.Notes {
			fmt.Fprintf(w, "note: %s\n", console.Safe(n))
		}
		_, err := fmt.Fprintf(w, "%s is valid: assets: %d, windows of limits: %d\n", console.Safe(path), report.Assets, len(report.Windows))
		return err
	})
}

// namesFlags say where names of assets and accounts come from.
type namesFlags struct{ policy, config string }

func (f *namesFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.policy, "policy", "", "the policy `file` to take names of assets and accounts from")
	cmd.Flags().StringVar(&f.config, "config", "", "the configuration `file` that belongs to --policy; sealward.hcl beside it by default")
}

// read returns the names; none without a policy.
func (f *namesFlags) read(now time.Time) (console.Names, error) {
	if f.policy == "" {
		if f.config != "" {
			return console.Names{}, usage("--config is for --policy, which is missing")
		}
		return console.Names{Canonical: canonical, Now: now}, nil
	}
	_, p, err := f.load()
	if err != nil {
		return console.Names{}, err
	}
	book := p.Book()
	return console.Names{Assets: book.Assets, Accounts: book.Accounts, Contracts: book.Contracts, Canonical: canonical, Now: now}, nil
}

// defects are what is wrong inside a policy or configuration file.
type defects struct{ err error }

func (e defects) Error() string { return e.err.Error() }
func (e defects) Unwrap() error { return e.err }

// asProblem is for commands that say whether a file has defects.
func asProblem(err error) error {
	if _, invalid := errors.AsType[defects](err); invalid {
		return problems{err.Error()}
	}
	return err
}

// load reads a policy as the daemon would, but for the keys themselves: only the
// device knows those. In their place stand made-up ones, which tell the names that
// exist from those that do not; nothing that is derived from them is used.
func (f *namesFlags) load() (path string, p *policy.Policy, err error) {
	path, env, err := f.env()
	if err != nil {
		return "", nil, err
	}
	p, err = loadPolicy(path, env)
	return path, p, err
}

// unconfigured says that there is nothing that says what a policy may name.
type unconfigured struct{ config, cases string }

func (e unconfigured) Error() string {
	return fmt.Sprintf("there is neither %s nor %s: a policy names keys and sockets of a configuration; say which with --config", e.config, e.cases)
}

// env is what a policy may name: the keys and sockets of its configuration or, where it
// has none, of the cases beside it.
func (f *namesFlags) env() (path string, env policy.Env, err error) {
	cfg, err := f.configuration()
	if err != nil {
		return "", policy.Env{}, err
	}
	if cfg != nil {
		env, err = caseEnv(cfg, &policy.CaseFile{})
		return cmp.Or(f.policy, cfg.Policy), env, err
	}
	cases := casesBeside(f.policy)
	text, err := readRegular(cases)
	if errors.Is(err, fs.ErrNotExist) {
		err = unconfigured{configBeside(f.policy), cases}
	}
	if err != nil {
		return "", policy.Env{}, err
	}
	file, err := policy.ReadCaseFile(cases, text)
	if err == nil {
		env, err = caseEnv(nil, file)
	}
	if err != nil {
		return "", policy.Env{}, defects{err}
	}
	return f.policy, env, nil
}

// configuration is the one that the policy belongs to; nil if there is none.
func (f *namesFlags) configuration() (*config.Config, error) {
	path := f.config
	switch {
	case path == "" && f.policy == "":
		return nil, usage("which policy? name its file, or a configuration with --config")
	case path == "":
		path = configBeside(f.policy)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	src, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) && f.config == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cfg, err := config.Parse(path, src)
	if err != nil {
		return nil, defects{err}
	}
	return cfg, nil
}

// loadPolicy loads a policy that may name what is in env.
func loadPolicy(path string, env policy.Env) (*policy.Policy, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, err
	}
	env.Files = filesBeside(path)
	p, err := policy.Load(path, src, env)
	if err != nil {
		return nil, defects{err}
	}
	return p, nil
}

// configBeside is the file of the configuration of a policy, if none is named.
func configBeside(policyPath string) string {
	return filepath.Join(filepath.Dir(policyPath), "sealward.hcl")
}

// casesBeside is the file of the cases of a policy.
func casesBeside(policyPath string) string {
	return strings.TrimSuffix(policyPath, ".hcl") + ".test.hcl"
}

// filesBeside reads the files that a policy names, below its own folder. The policy may be
// somebody else's.
func filesBeside(path string) func(name string) ([]byte, error) {
	folder := filepath.Dir(path)
	return func(name string) ([]byte, error) { return readRegular(filepath.Join(folder, name)) }
}

// readRegular reads a regular file that is no longer than what the daemon would read.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path) // to open a device can be to do something with it
	if err != nil {
		return nil, err
	}
	notRegular := fmt.Errorf("read %s: it is not a regular file; put a copy there", path)
	if !info.Mode().IsRegular() {
		return nil, notRegular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // nor wait for a pipe that is there by now
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(notRegular, err)
	}
	return bounded(f)
}

// readFile reads a file, or what is in its place, such as a pipe: no more than that.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(f)
}

func bounded(f *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, trustfile.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > trustfile.MaxSize {
		return nil, fmt.Errorf("read %s: it has more than %d bytes, which is the most for a file of this sort", f.Name(), trustfile.MaxSize)
	}
	return data, nil
}

// descriptorsOf reads the descriptors that a policy names, as the daemon will; nil if it
// names none.
func descriptorsOf(path string, p *policy.Policy) (*erc7730.Set, error) {
	folder, manifest, ok := p.Descriptors()
	if !ok {
		return nil, nil
	}
	folder = filepath.Join(filepath.Dir(path), folder)
	set, err := erc7730.Load(os.DirFS(folder))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", folder, err)
	}
	if set.Digest() != manifest {
		return nil, fmt.Errorf("read %s: its manifest is not the one that the policy pins", folder)
	}
	return set, nil
}

func environment(cfg *config.Config) policy.Env {
	env := policy.Env{Keys: map[string]signer.KeyInfo{}}
	for _, k := range cfg.Keys {
		if k.Statements {
			continue
		}
		madeUp := sha256.Sum256([]byte("sealward: no key, but the name of one\x00" + k.Name))
		pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: madeUp[:]}
		env.Keys[k.Name] = signer.KeyInfo{Name: k.Name, Public: pub, Fingerprint: pub.Fingerprint(), Kinds: k.Kinds, Chains: k.Chains}
	}
	for _, s := range cfg.Sockets {
		env.Sockets = append(env.Sockets, s.Name)
	}
	return env
}
