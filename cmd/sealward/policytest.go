package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// testFlags are those of `policy test`.
type testFlags struct {
	policy, config, cases string
	allRules              bool
}

func (c *cli) policyTestCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test [POLICY] [--cases FILE] [--config sealward.hcl] [--all-rules]",
		Short: "try a policy on cases, without a daemon",
		Long: `Run the cases in the file beside POLICY: of policy.hcl that is policy.test.hcl. Each
case is a request, what was before it, and what is expected. Payloads are read by the
decoders that the daemon has, and the policy decides as it would there. No daemon is
needed, nothing is signed or recorded, and no device is opened.

Keys and sockets come from the configuration: the one given, or sealward.hcl beside
POLICY; without one, from the case file. Public keys, which only devices know, are made
up from the names, unless the case file gives them. Without POLICY it is the
configuration's own.

Rules that no case matches are listed, and so are rules that matched but decided
nothing. docs/cli.md describes the case file; "sealward policy examples" has some.

Exit code 7 says that a case failed, that a file has a mistake, or with --all-rules that
a rule was matched by no case.`,
		Example: `  sealward policy examples hot-wallet mine
  sealward policy test mine/policy.hcl --all-rules`,
		Args: arguments(0, 1, "one POLICY at most"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.policy = args[0]
			}
			return c.policyTest(f)
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "", "the daemon's configuration `file`")
	cmd.Flags().StringVar(&f.cases, "cases", "", "the `file` of cases; beside POLICY by default")
	cmd.Flags().BoolVar(&f.allRules, "all-rules", false, "a rule that no case matches is a failure")
	return cmd
}

func (c *cli) policyTest(f testFlags) error {
	report, err := f.run()
	if err != nil {
		return asProblem(err)
	}
	if err := c.record(report, report.show); err != nil {
		return err
	}
	return report.verdict(f.allRules)
}

// run tries all cases.
func (f *testFlags) run() (testReport, error) {
	names := namesFlags{f.policy, f.config}
	cfg, err := names.configuration()
	if err != nil {
		return testReport{}, err
	}
	path := f.policy
	if path == "" {
		path = cfg.Policy
	}
	casesPath, text, err := f.caseText(path)
	if err != nil {
		return testReport{}, err
	}
	file, err := policy.ReadCaseFile(casesPath, text)
	if err != nil {
		return testReport{}, defects{err}
	}
	env, err := caseEnv(cfg, file)
	if err != nil {
		return testReport{}, defects{err}
	}
	p, err := loadPolicy(path, env)
	if err != nil {
		return testReport{}, err
	}
	cases, err := file.Cases(p, env.Sockets)
	if err != nil {
		return testReport{}, defects{err}
	}
	report := testReport{Policy: path, File: casesPath, Version: fmt.Sprintf("%x", p.Version())}
	t := trial{policy: p, keys: env.Keys, folder: filepath.Dir(casesPath)}
	for _, rule := range p.Rules() {
		report.Rules = append(report.Rules, testedRule{Rule: rule.Title, denies: rule.Denies})
	}
	for _, c := range cases {
		report.add(c, &t)
	}
	return report, nil
}

// caseText reads the case file.
func (f *testFlags) caseText(policyPath string) (path string, text []byte, err error) {
	path = f.cases
	if path == "" {
		path = casesBeside(policyPath)
	}
	text, err = readRegular(path)
	if errors.Is(err, fs.ErrNotExist) && f.cases == "" {
		return "", nil, fmt.Errorf("there are no cases for %s: write them to %s, or say with --cases where they are; \"sealward policy examples\" shows how", policyPath, path)
	}
	return path, text, err
}

// testReport is what came of all cases.
type testReport struct {
	Policy  string       `json:"policy"`
	File    string       `json:"cases_file"`
	Version string       `json:"version"`
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	Cases   []testedCase `json:"cases"`
	Rules   []testedRule `json:"rules"`
}

// testedCase is what came of one.
type testedCase struct {
	Case     string   `json:"case"`
	Place    string   `json:"place"`
	Passed   bool     `json:"passed"`
	Expected string   `json:"expected"`
	Verdict  string   `json:"verdict"`
	Reason   string   `json:"reason"`
	Rules    []string `json:"rules"`
	Asks     []string `json:"asks"`
	Wrong    []string `json:"wrong"`
}

// testedRule is how often a rule had a say in a case.
type testedRule struct {
	Rule    string `json:"rule"`
	Matched int    `json:"matched"`
	Decided int    `json:"decided"` // the case was decided as the rule would have it

	denies bool
}

// add tries a case.
func (r *testReport) add(c policy.Case, t *trial) {
	o, err := t.run(c)
	done := testedCase{Case: c.Name, Place: c.Place, Expected: c.Expect.Verdict, Verdict: o.verdict, Reason: o.reason, Rules: []string{}, Asks: o.asks()}
	done.Rules = append(done.Rules, o.Rules...)
	if err != nil {
		done.Wrong = []string{fmt.Sprintf("it cannot be tried: %s", message(err))}
	} else {
		done.Wrong = append([]string{}, o.mismatches(c.Expect)...)
	}
	if done.Passed = len(done.Wrong) == 0; done.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
	r.Cases = append(r.Cases, done)
	for _, name := range o.Rules {
		for i := range r.Rules {
			if rule := &r.Rules[i]; rule.Rule == name {
				rule.Matched++
				if rule.denies == (o.Verdict == signer.Deny) {
					rule.Decided++
				}
			}
		}
	}
}

// show writes the report for people: a line for each case, more where one failed.
func (r testReport) show(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Cases {
		if c.Passed {
			fmt.Fprintf(&b, "ok      %s: %s\n", console.Safe(c.Case), c.Verdict)
			continue
		}
		fmt.Fprintf(&b, "FAILED  %s\n        %s\n", console.Safe(c.Case), console.Safe(c.Place))
		for _, wrong := range c.Wrong {
			fmt.Fprintf(&b, "        %s\n", console.Safe(wrong))
		}
		if c.Reason != "" {
			fmt.Fprintf(&b, "        the reason was: %s\n", console.Safe(c.Reason))
		}
		if len(c.Rules) > 0 {
			fmt.Fprintf(&b, "        rules that matched: %s\n", console.Safe(listed(c.Rules)))
		}
	}
	fmt.Fprintf(&b, "\ncases: %d, failed: %d; rules: %d, matched: %d\n", len(r.Cases), r.Failed, len(r.Rules), len(r.Rules)-r.unmatched())
	for _, rule := range r.Rules {
		switch {
		case rule.Matched == 0:
			fmt.Fprintln(&b, console.Safe(fmt.Sprintf("no case matches rule %q", rule.Rule)))
		case rule.Decided == 0:
			fmt.Fprintln(&b, console.Safe(fmt.Sprintf("rule %q matched, and no case was decided by it", rule.Rule)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// unmatched counts the rules that no case matches.
func (r testReport) unmatched() (n int) {
	for _, rule := range r.Rules {
		if rule.Matched == 0 {
			n++
		}
	}
	return n
}

// verdict is nil if all is as it should be.
func (r testReport) verdict(allRules bool) error {
	unmatched := r.unmatched()
	switch {
	case r.Failed > 0:
		return problems{fmt.Sprintf("%s: of %d cases, %d failed", r.File, len(r.Cases), r.Failed)}
	case allRules && unmatched > 0:
		return problems{fmt.Sprintf("%s: of %d rules, %d are matched by no case", r.File, len(r.Rules), unmatched)}
	}
	return nil
}
