package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// served answers out of the journal of a history, as the admin socket does. What change
// makes of a record, or bundle in place of every policy, is a daemon that lies.
type served struct {
	sealwardv1connect.UnimplementedSignerServiceHandler
	sealwardv1connect.UnimplementedJournalServiceHandler
	sealwardv1connect.UnimplementedPolicyServiceHandler
	*history
	change func(*signer.Event)
	bundle []byte
}

func (s *served) ListEntries(ctx context.Context, m *connect.Request[v1.ListEntriesRequest]) (*connect.Response[v1.ListEntriesResponse], error) {
	entries, err := s.journal.Entries(ctx, m.Msg.GetFrom(), int(m.Msg.GetLimit()))
	if err != nil {
		return nil, err
	}
	out := &v1.ListEntriesResponse{Size: s.journal.Size()}
	for _, e := range entries {
		body := e.Body
		if ev, err := signer.ParseEvent(body); err == nil && s.change != nil && ev.Decision != nil {
			s.change(&ev)
			body = ev.Canonical()
		}
		out.Entries = append(out.Entries, &v1.Entry{Index: e.Index, Type: string(e.Leaf.Type), Body: string(body)})
	}
	return connect.NewResponse(out), nil
}

func (s *served) GetPolicy(ctx context.Context, m *connect.Request[v1.GetPolicyRequest]) (*connect.Response[v1.GetPolicyResponse], error) {
	version, err := hex.DecodeString(m.Msg.GetVersion())
	if err != nil || len(version) != 32 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("no version"))
	}
	bundle, ok, err := s.journal.PolicyBundle(ctx, [32]byte(version))
	if err != nil || !ok {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("not kept"))
	}
	if s.bundle != nil {
		bundle = s.bundle
	}
	return connect.NewResponse(&v1.GetPolicyResponse{Version: m.Msg.GetVersion(), Bundle: bundle}), nil
}

// GetRequest finds a decision by its request's id.
func (s *served) GetRequest(ctx context.Context, m *connect.Request[v1.GetRequestRequest]) (*connect.Response[v1.GetRequestResponse], error) {
	entries, err := s.journal.Entries(ctx, 0, 1000)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		ev, err := signer.ParseEvent(e.Body)
		if err == nil && ev.Proposal != nil && ev.Proposal.Request.ID == m.Msg.GetId() && (m.Msg.GetCaller() == "" || m.Msg.GetCaller() == ev.Proposal.Caller.ID()) {
			return connect.NewResponse(&v1.GetRequestResponse{Id: m.Msg.GetId(), Leaf: e.Index}), nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("no such request"))
}

// serve opens admin.sock in a folder.
func (s *served) serve(t *testing.T) (dir string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(s))
	mux.Handle(sealwardv1connect.NewJournalServiceHandler(s))
	mux.Handle(sealwardv1connect.NewPolicyServiceHandler(s))
	return adminSocket(t, mux)
}

// vendorsOnly lets payments to vendors through, of 4 ether a day.
const vendorsOnly = replayHead + `rule "vendors" {
  keys  = ["hot"]
  when  = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  allow = true
  limit "a day" {
    amount = "4 eth"
    window = "24h"
  }
}
rule "not so much" {
  when = "outflow.exists(q, q.asset == assets.eth && q.amount > amount('3.5 eth'))"
  deny = "never more than 3.5 ether"
}
`

// explainable is a journal with decisions of every sort: leaf 0 is the start, and the
// policy was replaced at the end.
func explainable(t *testing.T) *served {
	t.Helper()
	h := newHistory(t, vendorsOnly)
	t.Cleanup(h.shut)
	late := func(r *signer.Request) { r.Expires = h.now().Add(-time.Hour) }
	for _, p := range []struct {
		to     string
		amount int
		change []func(*signer.Request)
	}{
		{acme, 3000, nil}, // r1, leaves 1 and 2
		{acme, 3000, nil}, // r2: the limit
		{thief, 1, nil},   // r3: a stranger
		{thief, 3600, nil},
		{acme, 1, []func(*signer.Request){late}},
	} {
		if err := h.pay(1000, p.to, p.amount, p.change...); err != nil && signer.CodeOf(err) == signer.CodeInternal {
			t.Fatal(err)
		}
	}
	h.adopt(capped(1, "1h"))
	return &served{history: h}
}

func TestADecisionOnRecordIsExplainedByThePolicyThatMadeIt(t *testing.T) {
	dir := explainable(t).serve(t)
	for name, c := range map[string]struct {
		args []string
		code int
		want []string // in standard output
		err  string
	}{
		"allowed": {[]string{"1"}, exitOK, []string{"verdict   allow\n", "leaf      1\nrequest   r1\n", `RULE     "vendors" (line 9) allows: it matched`,
			"  limit \"a day\": asked 3.000000000000021 eth of at most 4 eth in 24h, 0 eth\n      spent, 4 eth left: holds, and is used to 75%\n", "e.counterparty = eip155:1:" + acme, `which is "Acme Hosting"`}, ""},
		"by its outcome": {[]string{"2"}, exitOK, []string{"verdict   allow\n", "leaf      1\n"}, ""},
		"refused by a limit": {[]string{"--request", "r2", "--caller", "uid:1000"}, exitDenied, []string{"verdict   deny\n", `CLOSE    "vendors" (line 9) allows: it matched`,
			"3.000000000000021 eth spent, 0.999999999999979", "EXCEEDED by"}, "limit \"a day\""},
		"refused because nothing allows it": {[]string{"--request", "r3"}, exitDenied, []string{`CLOSE    "vendors" (line 9) allows: its condition is false`,
			"    true   e.class == 'transfer'\n           e.class = transfer\n    FALSE  e.counterparty in addresses.vendors\n           e.counterparty = eip155:1:" + thief + "\n"}, "no rule allows it"},
		"denied":                          {[]string{"--request", "r4"}, exitDenied, []string{`RULE     "not so much" (line 18) denies: it matched`, "  because never more than 3.5 ether\n", "q.amount = 3.600000000000021 eth (3600000000000021000)"}, "never more than"},
		"refused before policy was asked": {[]string{"--request", "r5"}, exitDenied, []string{"note      the daemon refused it before policy was asked", "policy's  allow\n"}, "the request expired"},
		"a leaf that is no decision":      {[]string{"0"}, exitUsage, nil, `leaf 0 is no decision: its event is "started"`},
		"a leaf beyond the end":           {[]string{"99"}, exitNotFound, nil, "the journal has only 8 leaves"},
		"a request of somebody else":      {[]string{"--request", "r2", "--caller", "uid:1001"}, exitNotFound, nil, "no such request"},
		"a leaf that is no number":        {[]string{"one"}, exitUsage, nil, `leaf "one": want a number`},
		"nothing":                         {nil, exitUsage, nil, "which decision?"},
		"two things":                      {[]string{"1", "--request", "r1"}, exitUsage, nil, "which decision?"},
		"a caller of no request":          {[]string{"1", "--caller", "uid:1000"}, exitUsage, nil, "--caller is for --request"},
		"a caller that is empty":          {[]string{"--request", "r1", "--caller", ""}, exitUsage, nil, "--caller is empty"},
		"what is for another policy":      {[]string{"1", "--as", "user:x"}, exitUsage, nil, "--as is for a request that nobody made"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", append([]string{"--sockets", dir, "policy", "explain"}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.err) {
				t.Errorf("exit code %d, %q; want %d, %q", code, stderr, c.code, c.err)
			}
			for _, want := range c.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("it does not say %q:\n%s", want, stdout)
				}
			}
			if len(c.want) == 0 && stdout != "" {
				t.Errorf("it says %s", stdout)
			}
		})
	}
}

// A daemon, or a journal, that says something else than its own policy does is found out.
func TestADecisionThatDoesNotComeOutAsRecordedIsSaidLoudly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*served)
		code   int
		want   string // in either
	}{
		"another reason": {func(s *served) { s.change = func(ev *signer.Event) { ev.Decision.Reason = "because" } }, exitProblems, "another reason"},
		"another verdict": {func(s *served) {
			s.change = func(ev *signer.Event) { ev.Decision.Verdict, ev.Decision.Reason = signer.Allow, "" }
		}, exitProblems, "another verdict"},
		"a smaller spending": {func(s *served) {
			s.change = func(ev *signer.Event) {
				for i := range ev.Facts.Spent {
					ev.Facts.Spent[i].Amount = milli(1)
				}
			}
		}, exitProblems, "THIS IS NOT WHAT IS RECORDED"},
		"another policy": {func(s *served) { s.bundle = s.load(capped(100, "1h")).Bundle() }, exitProblems, "what the journal keeps as policy"},
		"no policy":      {func(s *served) { s.bundle = []byte("{}") }, exitProblems, "the decision of leaf 3 cannot be explained"},
		"no record": {func(s *served) {
			s.change = func(ev *signer.Event) { *ev = signer.Event{Type: ev.Type, Time: dawn, Wall: dawn} }
		}, exitProblems, "leaf 3 cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := explainable(t)
			c.change(s)
			code, stdout, stderr := sealward("", "--sockets", s.serve(t), "policy", "explain", "3")
			if code != c.code || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("exit code %d, want %d, and %q in\n%s%s", code, c.code, c.want, stdout, stderr)
			}
			if stdout != "" && !strings.HasPrefix(stdout, "THIS IS NOT WHAT IS RECORDED") {
				t.Errorf("it begins with\n%s", stdout)
			}
		})
	}
}

func TestAnExplanationAsJSONHasAllOfIt(t *testing.T) {
	dir := explainable(t).serve(t)
	code, stdout, stderr := sealward("", "--sockets", dir, "-o", "json", "policy", "explain", "--request", "r3")
	var doc explanationDocument
	dec := json.NewDecoder(strings.NewReader(stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil || code != exitDenied {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	if *doc.Leaf != 4 || doc.Request != "r3" || doc.Caller != "uid:1000" || !doc.Recorded || doc.Unasked || len(doc.Differs) != 0 || len(doc.Rules) != 2 {
		t.Errorf("the document is %+v", doc)
	}
	r := doc.Rules[0]
	if r.Rule != "vendors" || r.Line != 9 || r.Verdict != "allow" || r.Fate != string(policy.ConditionFalse) || !r.Close || len(r.Condition) != 1 {
		t.Fatalf("the rule is %+v", r)
	}
	term := r.Condition[0]
	if term.Operator != "all" || term.List != "effects" || *term.Element != 0 || *term.Elements != 1 || len(term.Terms) != 2 {
		t.Fatalf("the term is %+v", term)
	}
	want := []valueDocument{{"e.counterparty", "string", "eip155:1:" + thief}}
	if got := term.Terms[1]; got.Result != "false" || !reflect.DeepEqual(got.Values, want) {
		t.Errorf("the term within is %+v, want values %v", got, want)
	}
}

// What a requester wrote is in an explanation where a condition reads it. It cannot pass
// for anything that the explanation says, nor reach the terminal.
func TestAnExplanationShowsHostileTextSafely(t *testing.T) {
	const hostile = "x\n\nRULE     \"vendors\" allows: it matched\x1b[2J\u202e"
	p, err := policy.Load("policy.hcl", []byte("version = 1\nrule \"sign in\" {\n  kinds = [\"evm.message\"]\n  allow = true\n  when  = \"effects.all(e, e.attributes.domain == 'service.example') && caller.unit == 'system.slice/x.service'\"\n}\n"), policy.Env{Keys: map[string]signer.KeyInfo{"hot": hotKey(t)}})
	if err != nil {
		t.Fatal(err)
	}
	proposal := signer.Proposal{
		Caller:  signer.Caller{UID: 1000, Unit: hostile, Identified: true},
		Request: signer.Request{ID: "1", Key: "hot", Kind: signer.KindEVMMessage, Payload: []byte(hostile)},
		Key:     hotKey(t), Policy: p.Version(),
		Intent: signer.Intent{Kind: signer.KindEVMMessage, Complete: true, Effects: []signer.Effect{{Class: signer.ClassLogin, Attributes: map[string]string{"domain": hostile}}}},
	}
	facts := signer.Facts{Time: decided, Wall: decided}
	x := explained{Explanation: p.Explain(proposal, facts), policy: p, proposal: proposal, facts: facts}
	var text strings.Builder
	if err := x.show(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "RULE") && !strings.HasPrefix(line, `RULE     "sign in"`) || utf8.RuneCountInString(line) > 80 {
			t.Errorf("a line is %q", line)
		}
		for _, r := range line {
			if s := string(r); console.Safe(s) != s && r != '\\' {
				t.Errorf("U+%04X reaches the terminal in %q", r, line)
			}
		}
	}
	for _, part := range []string{"e.attributes.domain =\n", "caller.unit =\n", `| x\u{a}`, `\u{1b}[2J\u{202e}`} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("it does not show %q:\n%s", part, text.String())
		}
	}
}

// For every payload that must not fool anyone, and for those that are harmless, the
// explanation is of the very decision, and it fits the screen.
func TestThePayloadsOfTheDefaultPolicyAreExplained(t *testing.T) {
	p := asInit(t, true, contracts+careless)
	asked := 0
	for name, r := range hostileRows(t) {
		t.Run(name, func(t *testing.T) {
			in, err := readAs(t, r.payload, p.Book())
			if err != nil {
				return // no policy is asked
			}
			asked++
			proposal, facts := proposed(t, p, r.payload, in)
			x := explained{Explanation: p.Explain(proposal, facts), policy: p, proposal: proposal, facts: facts}
			if d := p.Decide(proposal, facts); !reflect.DeepEqual(d, x.Decision) {
				t.Errorf("explained as %+v, decided %+v", x.Decision, d)
			}
			for _, rule := range x.Rules {
				if len(rule.Condition) == 0 {
					continue
				}
				all := true
				for _, term := range rule.Condition {
					all = all && term.Result == policy.True
				}
				if all != (rule.Fate == policy.Matched) {
					t.Errorf("rule %q is %s, and of its terms all are true: %t", rule.Name, rule.Fate, all)
				}
			}
			var text strings.Builder
			if err := x.show(&text); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text.String()) {
				if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
					t.Errorf("a line does not fit: %q", line)
				}
			}
		})
	}
	if asked < 20 {
		t.Errorf("the policy was asked about %d payloads only", asked)
	}
}

// proposed is what decide asks a policy about.
func proposed(t *testing.T, p *policy.Policy, what payload, in signer.Intent) (signer.Proposal, signer.Facts) {
	t.Helper()
	trial := trial{policy: p}
	proposal := signer.Proposal{
		Caller:  signer.Caller{UID: 1000, GID: 1000, PID: 4711, User: "payroll", Groups: []string{"sealward"}, Socket: "sign", Identified: true},
		Request: signer.Request{ID: "1", Key: "hot", Kind: what.kind, Payload: what.bytes},
		Key:     hotKey(t), Intent: in, Policy: p.Version(), Created: decided,
	}
	facts, err := trial.facts(policy.Case{Time: decided}, proposal)
	if err != nil {
		t.Fatal(err)
	}
	return proposal, facts
}
