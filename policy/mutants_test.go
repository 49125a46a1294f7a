//go:build mutants

package policy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dangerousChanges are those of one place by which this engine would lose money and still
// look whole, and the test that each of them breaks:
//
//	a rule that denies, loses                                TestDenyWins
//	a rule that cannot be evaluated is skipped               TestAConditionThatFailsDenies
//	an expression that fails is false                        TestAConditionThatFailsDenies
//	what is asked for does not count                         TestTheSample
//	one base unit above a limit passes                       TestTheSample
//	an outflow that no limit covers passes                   TestLimitsCover
//	an outflow without a bound passes                        TestLimitsCover
//	what was spent is not known, and taken for nothing       TestLimitsCover
//	a fee may be missing from the outflow                    TestAFeeThatIsNotInTheOutflowIsRefused
//	a fee that is too high passes                            TestFees
//	what went to another recipient is not told apart         TestLimitsPerRecipient
//	an exhausted limit asks nobody                           TestExhaustedLimitsAskForApprovals
//	a limit that asks covers up one that refuses             TestExhaustedLimitsAskForApprovals
//	an approval that is needed is not asked for              TestApprovalsAreAskedFor
//	a change of policy passes by a rule that allows          TestWhoDecidesIsDecidedByPeople
//	a limit that may ask is taken for people who are asked   TestWhoDecidesIsDecidedByPeople
//	any act is a recovery                                    TestWhoDecidesIsDecidedByPeople
//	a recovery is allowed, and asks nobody                   TestARecoveryAsksItsQuorumAlone
//	a policy that denies its change is taken for changeable  TestAPolicyThatNobodyCouldChangeIsRefused
//	one key is two devices                                   TestOneKeyInTwoFormsIsOneDevice
//	one token is two devices                                 TestATokenCountsOnce
//	an attestation of another key is taken for one           TestAttestedKeys
//	an attestation that the token did not sign               TestAttestedKeys
//	a token that nobody vouches for                          TestAttestedKeys
//	an attested key vouches for others                       TestAttestedKeys
//	a rule for one caller is for all                         TestCallers
//	what nobody could read needs no word of the owner's      TestBlind
//	a window ends too early                                  TestAWindowEndsAtItsMoment
//	what has no bound leaves no trace                        TestWhatAnAuthorisationCountsFor
//
// `make mutants` makes each of them, and runs the test.
var dangerousChanges = []struct{ file, old, new, test string }{
	{"decide.go", "	refusals = append(refusals, rules.failures()...)\n", "	refusals = rules.failures()\n", "TestDenyWins"},
	{"decide.go", "	refusals = append(refusals, rules.failures()...)\n", "", "TestAConditionThatFailsDenies"},
	{"decide.go", `return met{r, hasFailed, fmt.Errorf("its condition cannot be evaluated: %s", clip(err.Error()))}`, "return met{rule: r, how: isFalse}", "TestAConditionThatFailsDenies"},
	{"../signer/decision.go", "new(big.Int).Add(l.Spent, l.Amount).Cmp(l.Max) > 0", "l.Spent.Cmp(l.Max) > 0", "TestTheSample"},
	{"../signer/decision.go", "Cmp(l.Max) > 0", "Cmp(new(big.Int).Add(l.Max, big.NewInt(1))) > 0", "TestTheSample"},
	{"cover.go", "case !covered && !empty(q):", "case !covered && empty(q):", "TestLimitsCover"},
	{"cover.go", "		case !known:\n			boundless = true\n", "		case !known && covered:\n			boundless = true\n", "TestLimitsCover"},
	{"apply.go", "	if !ok || spent.Amount == nil || spent.Amount.Sign() < 0 {\n		return signer.LimitUse{}, false\n", "	if !ok || spent.Amount == nil || spent.Amount.Sign() < 0 {\n		return u, true\n", "TestLimitsCover"},
	{"decide.go", "case !includesFee(in):", "case !includesFee(in) && len(in.Outflow) > 0:", "TestAFeeThatIsNotInTheOutflowIsRefused"},
	{"fee.go", "			if uses = append(uses, u); u.Exceeded() {\n				refusals = append(refusals, q.tooMuch(u, \"at most\"))\n			}\n", "			uses = append(uses, u)\n", "TestFees"},
	{"apply.go", "return l.perRecipient(q)", `return l.sum("", q.in.Outflow), nil`, "TestLimitsPerRecipient"},
	{"apply.go", "			demands = append(demands, demand{Quorum: *l.over, why: shorten(exceeded, explain)})\n", "", "TestExhaustedLimitsAskForApprovals"},
	{"decide.go", "		demands = append(demands, exceeding...)\n", "		demands = append(demands, exceeding...)\n		if len(exceeding) > 0 {\n			errs = nil\n		}\n", "TestExhaustedLimitsAskForApprovals"},
	{"decide.go", "		demands = append(demands, r.demands()...)\n", "", "TestApprovalsAreAskedFor"},
	{"change.go", "|| slices.ContainsFunc(letting, requires) {", "|| len(letting) > 0 {", "TestWhoDecidesIsDecidedByPeople"},
	{"change.go", "func requires(r *rule) bool { return len(r.require) > 0 }", "func requires(r *rule) bool { return len(r.require) > 0 || len(r.limits) > 0 }", "TestWhoDecidesIsDecidedByPeople"},
	{"change.go", "len(in.Effects) == 1 && guards(in) &&", "len(in.Effects) == 1 &&", "TestWhoDecidesIsDecidedByPeople"},
	{"change.go", "return signer.Decision{Verdict: signer.Ask, Reason: w.String(), Quorums: w.quorums()}", "return signer.Decision{Verdict: signer.Allow}", "TestARecoveryAsksItsQuorumAlone"},
	{"change.go", `case c == surely && r.deny != "":`, `case c == surely && r.deny == "never":`, "TestAPolicyThatNobodyCouldChangeIsRefused"},
	{"device.go", "	l.enroll(o, spki, a.Expr.Range())\n	l.keep(name, src, a.Expr.Range())\n	return d, true\n", "	l.enroll(o, append(spki, key.Type()...), a.Expr.Range())\n	l.keep(name, src, a.Expr.Range())\n	return d, true\n", "TestOneKeyInTwoFormsIsOneDevice"},
	{"attestation.go", "		l.cards[serial] = o\n", "", "TestATokenCountsOnce"},
	{"attestation.go", "if !bytes.Equal(slot.RawSubjectPublicKeyInfo, of.RawSubjectPublicKeyInfo) {", "if bytes.Equal(of.RawSubjectPublicKeyInfo, nil) {", "TestAttestedKeys"},
	{"attestation.go", "slot.Signature); err != nil {", "slot.Signature); err != nil && t.pin != \"\" {", "TestAttestedKeys"},
	{"attestation.go", "return token.CheckSignatureFrom(root) == nil }", "return token.CheckSignatureFrom(root) == nil || true }", "TestAttestedKeys"},
	{"attestation.go", "	case extension(token, extensionPolicy) != nil:\n", "	case extension(token, extensionPolicy) != nil && policy == nil:\n", "TestAttestedKeys"},
	{"rule.go", "slices.ContainsFunc(r.callers, func(s selector) bool { return s.matches(c) })", "true", "TestCallers"},
	{"decide.go", "if err := sighted(&proposal.Intent, letting); err != nil {", "if err := sighted(&proposal.Intent, letting); err != nil && proposal.Intent.Complete {", "TestBlind"},
	{"../signer/ledger/series.go", "q.all[w.first].time <= begin", "q.all[w.first].time <= begin+1", "TestAWindowEndsAtItsMoment"},
	{"../signer/ledger/series.go", "	case e.amount == nil:\n		w.boundless += sign\n", "	case e.amount == nil:\n", "TestWhatAnAuthorisationCountsFor"},
}

func TestEachDangerousChangeBreaksItsTest(t *testing.T) {
	for _, m := range dangerousChanges {
		t.Run(m.file+" "+m.test, func(t *testing.T) {
			path, err := filepath.Abs(m.file)
			if err != nil {
				t.Fatal(err)
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(src), m.old); n != 1 {
				t.Fatalf("%s has %q %d times, want once: what is to be changed has moved", m.file, m.old, n)
			}
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
			text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, changed, strings.Replace(string(src), m.old, m.new, 1))
			write(t, overlay, string(text))
			out, err := exec.Command("go", "test", "-count=1", "-overlay", overlay, "-run", "^"+m.test+"$", ".", "../signer/ledger").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+m.test) {
				t.Errorf("with %q in place of %q, %s does not fail: %v\n%s", m.new, m.old, m.test, err, out)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
