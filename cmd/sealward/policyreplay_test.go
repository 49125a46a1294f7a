package main

import (
	"context"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// changes are what a replay found, as "request: change", in order.
func changes(out replayed) (list []string) {
	for _, c := range out.Changes {
		list = append(list, c.Request+" "+c.Change)
	}
	return list
}

func TestReplayUnderACandidate(t *testing.T) {
	h := newHistory(t, capped(10, "24h"))
	for _, p := range []struct {
		after  time.Duration
		uid    uint32
		to     string
		amount int
	}{
		{0, 1000, acme, 3000}, {time.Hour, 1001, thief, 3000}, {time.Hour, 1000, acme, 3000},
		{time.Hour, 1000, acme, 3000}, // refused
		{22 * time.Hour, 1000, acme, 3000},
	} {
		h.pass(p.after)
		if err := h.pay(p.uid, p.to, p.amount); err != nil && signer.CodeOf(err) != signer.CodeDenied {
			t.Fatal(err)
		}
	}
	h.shut()
	const (
		refused = " would be refused"
		allowed = " would be allowed"
	)
	for name, c := range map[string]struct {
		candidate string
		args      []string
		want      []string
		why       string // in the reason of the last change
	}{
		"the same policy changes nothing":                  {candidate: capped(10, "24h")},
		"a smaller limit, with what it would have spent":   {capped(4, "24h"), nil, []string{"r2" + refused, "r3" + refused}, `spent 3.000000000000021 eth`},
		"a smaller limit, with what was spent":             {capped(4, "24h"), []string{"--as-it-was"}, []string{"r2" + refused, "r3" + refused, "r5" + refused}, `spent 3.000000000000021 eth`},
		"a longer window is measured from the journal":     {capped(10, "48h"), nil, []string{"r5" + refused}, `spent 9.000000000000063 eth (9000000000000063000) in 48h`},
		"a longer window, with what was spent":             {capped(10, "48h"), []string{"--as-it-was"}, []string{"r5" + refused}, `spent 9.000000000000063 eth (9000000000000063000) in 48h`},
		"a longer window reaches back before the span":     {capped(10, "48h"), []string{"--since", "1h"}, []string{"r5" + refused}, `spent 9.000000000000063 eth (9000000000000063000) in 48h`},
		"a span that ends before it leaves out the end":    {capped(10, "48h"), []string{"--until", "2026-11-23T20:00:00Z"}, nil, ""},
		"before the span it is as it was":                  {capped(4, "24h"), []string{"--since", "2026-11-23T07:30:00Z"}, []string{"r3" + refused}, `spent 6.000000000000042 eth`},
		"a larger limit lets more through":                 {capped(20, "24h"), nil, []string{"r4" + allowed}, ""},
		"what it lets through counts":                      {capped(12, "48h"), nil, []string{"r5" + refused}, ""},
		"a rule by address, whose book is the candidate's": {capped(10, "24h") + "rule \"vendors\" {\n  when = \"effects.exists(e, !(e.counterparty in addresses.vendors))\"\n  deny = \"no vendor\"\n}\n", nil, []string{"r2" + refused, "r4" + allowed}, ""},
		"by caller":                    {capped(10, "24h") + "rule \"night\" {\n  when = \"caller.uid == 1001\"\n  deny = \"not at night\"\n}\n", []string{"--as-it-was"}, []string{"r2" + refused}, "not at night"},
		"nothing is allowed to nobody": {strings.Replace(capped(10, "24h"), "allow", "callers = [\"user:nobody\"]\n  allow", 1), nil, []string{"r1" + refused, "r2" + refused, "r3" + refused, "r5" + refused}, "no rule allows it"},
	} {
		t.Run(name, func(t *testing.T) {
			h.tb = t
			code, out, text := h.replay(c.candidate, c.args...)
			if got := changes(out); !slices.Equal(got, c.want) {
				t.Fatalf("changes = %q, want %q\n%s", got, c.want, text)
			}
			if want := map[bool]int{true: exitOK, false: exitProblems}[len(c.want) == 0]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if out.Same+len(out.Changes) != out.Decisions || out.Refused+out.Allowed+out.Asked != len(out.Changes) {
				t.Errorf("the counts do not add up: %+v", out)
			}
			if n := len(out.Changes); n > 0 && !strings.Contains(out.Changes[n-1].Now.Reason, c.why) {
				t.Errorf("reason %q lacks %q", out.Changes[n-1].Now.Reason, c.why)
			}
		})
	}
}

// asking is a request of a history.
type asking struct {
	after  time.Duration
	uid    uint32
	to     string
	amount int
	expiry time.Duration // zero: it has none
}

func drawAskings(rt *rapid.T) []asking {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) asking {
		a := asking{
			after: time.Duration(rapid.IntRange(1, 40_000).Draw(rt, "seconds")) * time.Second, uid: rapid.SampledFrom([]uint32{1000, 1001}).Draw(rt, "uid"),
			to: rapid.SampledFrom([]string{acme, exchange, thief}).Draw(rt, "to"), amount: rapid.IntRange(0, 3000).Draw(rt, "amount"),
		}
		if rapid.IntRange(0, 5).Draw(rt, "late") == 0 {
			a.expiry = rapid.SampledFrom([]time.Duration{-time.Hour, time.Hour}).Draw(rt, "expiry")
		}
		return a
	}), 1, 25).Draw(rt, "requests")
}

// ask asks, and says whether it was signed. Nobody waits here: what has to is taken back.
func (h *history) ask(a asking) bool {
	h.tb.Helper()
	h.pass(a.after)
	err := h.pay(a.uid, a.to, a.amount, func(r *signer.Request) {
		if a.expiry != 0 {
			r.Expires = h.now().Add(a.expiry)
		}
	})
	switch code := signer.CodeOf(err); {
	case err == nil || code == signer.CodeDenied:
	case code == signer.CodeWaiting:
		caller := signer.Caller{UID: a.uid, GID: 1000, User: fmt.Sprint("u", a.uid), Socket: "sign", Identified: true}
		h.must(h.engine.Cancel(context.Background(), caller, fmt.Sprintf("r%d", h.asked), "nobody is there to approve"))
	default:
		h.tb.Fatal(err)
	}
	return err == nil
}

// The decisions of a history come out as they were recorded, whatever it is.
func TestAHistoryExplainsItself(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, drawRules(rt))
		for _, a := range drawAskings(rt) {
			if rapid.IntRange(0, 7).Draw(rt, "reload") == 0 {
				h.adopt(drawRules(rt))
			}
			h.ask(a)
		}
		h.shut()
		for _, since := range []string{"365d", "20h"} {
			code, out, text := h.replay("", "--since", since)
			if code != exitOK || !strings.Contains(text, "decisions, all the same") || out.Same != out.Decisions || out.Decisions == 0 {
				rt.Fatalf("exit code %d\n%s", code, text)
			}
		}
	})
}

// What a replay says of a candidate is what happens when the same is asked of a daemon
// that has the candidate in force, from the beginning of the span on.
func TestAReplayForetells(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before, after, all := drawRules(rt), drawRules(rt), drawAskings(rt)
		change := rapid.IntRange(0, len(all)-1).Draw(rt, "change")
		past, truth := newHistory(t, before), newHistory(t, before)
		var was, really []bool
		var since time.Time
		for i, a := range all {
			if i == change {
				since = past.now().Add(a.after)
				truth.adopt(after)
			}
			was, really = append(was, past.ask(a)), append(really, truth.ask(a))
		}
		past.shut()
		truth.shut()
		_, out, text := past.replay(after, "--since", since.Format(time.RFC3339))
		foretold := slices.Clone(was)
		for _, c := range out.Changes {
			var n int
			if _, err := fmt.Sscanf(c.Request, "r%d", &n); err != nil {
				rt.Fatal(err)
			}
			foretold[n-1] = c.Now.Verdict == signer.Allow.String()
		}
		if !slices.Equal(foretold, really) || out.Decisions != len(all)-change {
			rt.Fatalf("foretold %v, really %v, was %v; from %d on\n%s", foretold, really, was, change, text)
		}
		if change == 0 { // under its own rules nothing changes, whatever counts as spent
			for _, mode := range [][]string{nil, {"--as-it-was"}, {"--since", "20h"}} {
				if code, _, text := past.replay(before, mode...); code != exitOK {
					rt.Fatalf("exit code %d\n%s", code, text)
				}
			}
		}
	})
}

// drawRules are limits of every sort that there is.
func drawRules(rt *rapid.T) string {
	window := func(label string) string {
		return rapid.SampledFrom([]string{"1h", "24h", "36h"}).Draw(rt, label)
	}
	eth := rapid.IntRange(1, 5)
	text := capped(eth.Draw(rt, "eth"), window("window"))
	text = strings.TrimSuffix(text, "}\n")
	for _, per := range []string{"caller", "recipient"} {
		if rapid.Bool().Draw(rt, per) {
			text += fmt.Sprintf("  limit \"per %s\" {\n    amount = \"%d eth\"\n    window = %q\n    per = %q\n  }\n", per, eth.Draw(rt, per+" eth"), window(per+" window"), per)
		}
	}
	if rapid.Bool().Draw(rt, "count") {
		per := rapid.SampledFrom([]string{"key", "caller", "recipient", "asset"}).Draw(rt, "count per")
		text += fmt.Sprintf("  limit \"count\" {\n    count = %d\n    window = %q\n    per = %q\n  }\n", eth.Draw(rt, "count of"), window("count window"), per)
	}
	text += "}\n"
	if rapid.Bool().Draw(rt, "over") {
		text = strings.Replace(text, "  limit \"a while\" {\n", "  limit \"a while\" {\n    over = \"require:treasury:1\"\n", 1) + treasury
	}
	if rapid.Bool().Draw(rt, "new") {
		text += "rule \"new\" {\n  when = \"size(new_recipients) > 0 && caller.uid == 1001\"\n  deny = \"first payments are for somebody else\"\n}\n"
	}
	return text
}

func TestReplayMeasuresWhatOnlyTheCandidateAsksFor(t *testing.T) {
	h := newHistory(t, capped(100, "24h"))
	for _, p := range []struct {
		uid    uint32
		to     string
		amount int
	}{{1000, acme, 3000}, {1000, thief, 2000}, {1001, acme, 2000}, {1001, exchange, 1000}, {1000, thief, 1000}} {
		h.pass(time.Hour)
		h.must(h.pay(p.uid, p.to, p.amount))
	}
	h.shut()
	limit := func(body string) string {
		return strings.TrimSuffix(capped(100, "24h"), "}\n") + "  limit \"more\" {\n" + body + "\n  }\n}\n"
	}
	for name, c := range map[string]struct {
		candidate string
		args      []string
		want      []string
		why       string
	}{
		"an amount per recipient": {
			limit("amount = \"4 eth\"\nwindow = \"12h\"\nper = \"recipient\""), nil, []string{"r3 would be refused"}, "4 eth"},
		"an amount per recipient, from before the span": {
			limit("amount = \"4 eth\"\nwindow = \"12h\"\nper = \"recipient\""), []string{"--since", "2026-11-23T08:30:00Z"}, []string{"r3 would be refused"}, "4 eth"},
		"a count per caller": {
			limit("count = 1\nwindow = \"12h\"\nper = \"caller\""), nil, []string{"r2 would be refused", "r4 would be refused", "r5 would be refused"}, ""},
		"a count per asset": {
			limit("count = 4\nwindow = \"12h\"\nper = \"asset\""), nil, []string{"r5 would be refused"}, ""},
		"new recipients, with what it would have allowed": {
			capped(100, "24h") + "rule \"new\" {\n  when = \"size(new_recipients) > 0 && caller.uid == 1000\"\n  deny = \"ask first\"\n}\n", nil,
			[]string{"r1 would be refused", "r2 would be refused", "r5 would be refused"}, "ask first"},
		"new recipients, with what was allowed": {
			capped(100, "24h") + "rule \"new\" {\n  when = \"size(new_recipients) > 0 && caller.uid == 1000\"\n  deny = \"ask first\"\n}\n", []string{"--as-it-was"},
			[]string{"r1 would be refused", "r2 would be refused"}, "ask first"},
		"new recipients are known from the whole journal": {
			capped(100, "24h") + "rule \"new\" {\n  when = \"size(new_recipients) > 0\"\n  deny = \"ask first\"\n}\n", []string{"--since", "2026-11-23T08:30:00Z"},
			[]string{"r4 would be refused"}, "ask first"},
		"approvals": {
			strings.Replace(capped(100, "24h"), "allow = true", "require {\n    group = \"treasury\"\n    approvals = 1\n  }", 1) + treasury, []string{"--since", "2026-11-23T10:30:00Z"},
			[]string{"r5 would ask for approvals"}, "needs 1 approval of \"treasury\""},
	} {
		t.Run(name, func(t *testing.T) {
			h.tb = t
			code, out, text := h.replay(c.candidate, c.args...)
			if got := changes(out); code != exitProblems || !slices.Equal(got, c.want) {
				t.Fatalf("changes = %q, want %q\n%s", got, c.want, text)
			}
			if last := out.Changes[len(out.Changes)-1]; !strings.Contains(last.Now.Reason, c.why) {
				t.Errorf("reason %q lacks %q", last.Now.Reason, c.why)
			}
		})
	}
}

// What waited, was approved, rejected, taken back, or made anew by another policy, is
// explained by its records, too.
func TestAHistoryOfPeopleExplainsItself(t *testing.T) {
	over := func(eth int) string {
		return strings.Replace(capped(eth, "24h"), "  limit \"a while\" {\n", "  limit \"a while\" {\n    over = \"require:treasury:1\"\n", 1) + treasury
	}
	h := newHistory(t, over(1))
	waits := func(amount int) {
		t.Helper()
		h.pass(time.Minute)
		if err := h.pay(1000, acme, amount); signer.CodeOf(err) != signer.CodeWaiting {
			t.Fatalf("Sign error = %v, want it to wait", err)
		}
	}
	h.must(h.pay(1000, acme, 500)) // r1
	waits(2000)                    // r2
	h.says(signer.WordApprove)
	waits(3000) // r3
	h.says(signer.WordReject)
	if h.ask(asking{time.Minute, 1000, acme, 2000, 0}) { // r4
		t.Fatal("signed what was taken back")
	}
	waits(2500) // r5
	h.adopt(over(2))
	h.says(signer.WordApprove)
	h.shut()
	for name, c := range map[string]struct {
		candidate string
		args      []string
		want      []string
	}{
		"by their own policies":                       {},
		"from when one waits already":                 {args: []string{"--since", "2026-11-23T06:02:30Z"}},
		"by the first policy, and nothing is changed": {candidate: over(1)},
		"by a policy that asks nobody":                {candidate: capped(100, "24h"), want: []string{"r2 would be allowed", "r3 would be allowed", "r4 would be allowed", "r5 would be allowed"}},
		"by a policy that refuses":                    {candidate: capped(1, "24h"), want: []string{"r2 would be refused", "r3 would be refused", "r4 would be refused", "r5 would be refused"}},
		"what was approved counts":                    {candidate: over(3), args: []string{"--as-it-was"}, want: []string{"r2 would be allowed"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.tb = t
			code, out, text := h.replay(c.candidate, c.args...)
			if got := changes(out); !slices.Equal(got, c.want) || code != map[bool]int{true: exitOK, false: exitProblems}[len(c.want) == 0] || out.Decisions == 0 {
				t.Errorf("exit code %d, changes = %q, want %q\n%s", code, got, c.want, text)
			}
		})
	}
}

// liar is a policy that decides otherwise than its files say.
type liar struct{ *policy.Policy }

func (l liar) Decide(p signer.Proposal, f signer.Facts) signer.Decision {
	d := l.Policy.Decide(p, f)
	d.Verdict, d.Reason = signer.Allow, ""
	return d
}

func TestTheCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(h *history)
		want  string // in the text
	}{
		"a decision that the policy would not make": {func(h *history) {
			h.must(h.engine.SetPolicy(context.Background(), liar{h.load(capped(1, "1h"))}))
			h.must(h.pay(1000, acme, 2000))
		}, `another verdict: recorded {"verdict":"allow"}, now {"verdict":"deny"}`},
		"facts that the journal does not bear out": {func(h *history) {
			h.must(h.engine.SetPolicy(context.Background(), h.load(capped(9, "1h"))))
			h.must(h.pay(1000, acme, 1))
			h.record(func(p *signer.Proposal) {}, func(f *signer.Facts) { f.Spent[0].Amount = new(big.Int) })
		}, "the decision was told: 0 of eip155:1/slip44:60 in 1h0m0s"},
		"a payload that reads otherwise": {func(h *history) {
			h.record(func(p *signer.Proposal) { p.Intent.Effects[0].Counterparty = "eip155:1:" + thief }, nil)
		}, "the payload reads otherwise now"},
		"a payload that is none": {func(h *history) {
			h.record(func(p *signer.Proposal) { p.Request.Payload = []byte("x") }, nil)
		}, "the payload is refused now"},
		"a policy that is not kept": {func(h *history) {
			h.record(func(p *signer.Proposal) { p.Policy[0] ^= 1 }, nil)
		}, "the journal does not keep policy"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t, capped(9, "1h"))
			h.must(h.pay(1000, acme, 1))
			c.spoil(h)
			h.shut()
			code, out, text := h.replay("")
			if code != exitProblems || !strings.Contains(text, c.want) || out.Same == 0 || out.Differ+out.Unchecked != 1 {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, exitProblems, c.want, text)
			}
		})
	}
}

// record writes another decision into the journal, like the last one but for what is
// changed.
func (h *history) record(change func(*signer.Proposal), facts func(*signer.Facts)) {
	h.tb.Helper()
	rec, ok, err := h.journal.Lookup(context.Background(), "uid:1000", fmt.Sprintf("r%d", h.asked))
	if err != nil || !ok {
		h.tb.Fatal(err, ok)
	}
	p := h.load(capped(9, "1h"))
	h.asked++
	rec.Proposal.Request.ID = fmt.Sprintf("r%d", h.asked)
	change(&rec.Proposal)
	_, err = h.journal.Record(context.Background(), rec.Proposal, p.Needs(), func(f signer.Facts) signer.Decision {
		if facts != nil {
			facts(&f)
		}
		return p.Decide(rec.Proposal, f)
	})
	h.must(err)
}

func TestReplayCountsWhatPolicyWasNotAsked(t *testing.T) {
	h := newHistory(t, capped(9, "1h"))
	h.must(h.pay(1000, acme, 1))
	for name, change := range map[string]func(*signer.Request){
		"expired":       func(r *signer.Request) { r.Expires = h.now().Add(-time.Hour) },
		"not valid yet": func(r *signer.Request) { r.NotBefore = h.now().Add(time.Hour) },
	} {
		if err := h.pay(1000, acme, 1, change); signer.CodeOf(err) != signer.CodeDenied {
			t.Fatalf("%s: error = %v", name, err)
		}
	}
	if err := h.pay(1000, acme, 1, func(r *signer.Request) { r.Payload = []byte("x") }); signer.CodeOf(err) != signer.CodeInvalid {
		t.Fatalf("error = %v", err)
	}
	h.shut()
	for _, candidate := range []string{"", capped(9, "1h")} {
		code, out, text := h.replay(candidate)
		if code != exitOK || out.Decisions != 3 || out.ByDaemon != 2 || out.NotProposals != 1 || !strings.Contains(text, "2 refused before policy was asked") {
			t.Errorf("exit code %d\n%s", code, text)
		}
	}
}

func TestReplayKnowsKeysByTheirPublicHalf(t *testing.T) {
	h := newHistory(t, capped(9, "1h"))
	h.must(h.pay(1000, acme, 1))
	h.shut()
	h.write("sealward.hcl", strings.Replace(replayConfig, `key "hot"`, `key "hot2"`, 1))
	code, out, text := h.replay(strings.Replace(capped(9, "1h"), `"hot"`, `"hot2"`, 1))
	if code != exitProblems || out.Refused != 1 || !strings.Contains(text, "is gone: the configuration has none of that name") {
		t.Errorf("exit code %d\n%s", code, text)
	}
}

func TestReplayEscapesWhatCallersSay(t *testing.T) {
	h := newHistory(t, capped(9, "1h"))
	caller := signer.Caller{UID: 7, User: "eve\x1b[2J\u202e", Socket: "sign", Identified: true}
	payload := fmt.Appendf(nil, `{"type":"0x2","chainId":"0x1","nonce":"0x1","to":%q,"value":"0x1","gas":"0x5208","maxFeePerGas":"0x1","maxPriorityFeePerGas":"0x1"}`, acme)
	_, err := h.engine.Sign(context.Background(), caller, signer.Request{ID: "r1", Key: "hot", Kind: signer.KindEVMTransaction, Payload: payload})
	h.must(err)
	h.shut()
	code, _, text := h.replay(replayHead + "rule \"none\" {\n  keys = [\"hot\"]\n  callers = [\"user:nobody\"]\n  allow = true\n}\n")
	want := `
  request   r1 of uid:7 (eve\u{1b}[2J\u{202e}), evm.transaction with key hot
  does      transfer: 0.000000000000000001 eth to eip155:1:` + acme + ` (Acme Hosting); fee at most 0.000000000000021 eth
  was       allow by "pay"
  would be  deny: no rule allows it: none lets uid:7 use key "hot"
`
	if code != exitProblems || !strings.Contains(text, want) {
		t.Errorf("exit code %d, text\n%s\nlacks%s", code, text, want)
	}
}

func TestReplayRefusesFlagsThatMakeNoSense(t *testing.T) {
	h := newHistory(t, capped(9, "1h"))
	h.shut()
	candidate := h.write("candidate.hcl", capped(1, "1h"))
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a time that is none":                 {[]string{"--since", "yesterday"}, exitUsage, `--since "yesterday": want a duration`},
		"a duration into the future":          {[]string{"--since", "-1h"}, exitUsage, `--since "-1h"`},
		"an empty beginning":                  {[]string{"--since", ""}, exitUsage, "--since is empty"},
		"an end before the beginning":         {[]string{"--since", "2026-11-23T06:00:00Z", "--until", "2026-11-22T06:00:00Z"}, exitUsage, "is not before"},
		"a mode of a candidate, without one":  {[]string{"--as-it-was"}, exitUsage, "are for a CANDIDATE"},
		"two candidates":                      {[]string{candidate, candidate}, exitUsage, "one CANDIDATE at most"},
		"a candidate that is not valid":       {[]string{h.write("bad.hcl", "version = 2\n")}, exitGeneral, "bad.hcl:1"},
		"a candidate without a configuration": {[]string{filepath.Join(t.TempDir(), "candidate.hcl")}, exitGeneral, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", append([]string{"policy", "replay", "--file", h.file()}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
				t.Errorf("exit code %d, want %d; %q lacks %q", code, c.code, stderr, c.want)
			}
		})
	}
}
