package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
)

const (
	exportUSDC = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	exportDai  = "eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F" // no policy knows it
)

// exportPolicy has labels that do harm where they are taken for more than a text.
const exportPolicy = `version = 1
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "` + exportUSDC + `"
  decimals = 6
}
addresses "vendors" {
  entries = { "` + payee + `" = "=HYPERLINK(\"http://example.com\"), \"Acme\";=1+1" }
}
rule "pay" {
  keys  = ["hot"]
  allow = true
}
`

// exported is a journal that was written by hand, an hour for each leaf.
type exported struct {
	t    *testing.T
	dir  string
	j    *journal.Journal
	wall time.Time
}

func newExported(t *testing.T) *exported {
	x := &exported{t: t, dir: t.TempDir(), wall: dawn}
	for name, text := range map[string]string{"sealward.hcl": replayConfig, "policy.hcl": exportPolicy} {
		if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(x.dir, "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	x.j, err = journal.Open(journal.Config{Path: x.file(), Now: func() time.Time { return x.wall }, Boot: func() (string, time.Duration, error) {
		return "boot", x.wall.Sub(dawn) + time.Hour, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *exported) file() string { return filepath.Join(x.dir, "journal", "journal.db") }

// decide records a decision about effects and a fee.
func (x *exported) decide(id, claim string, d signer.Decision, fee signer.Quantity, rest []signer.Quantity, effects ...signer.Effect) uint64 {
	x.t.Helper()
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: append([]byte{4}, bytes.Repeat([]byte{7}, 64)...)}
	hash := sha256.Sum256([]byte(id))
	all := append([]signer.Quantity{fee}, rest...)
	for i := range effects {
		effects[i].Actor = payer
		all = append(all, effects[i].Quantity)
	}
	rec, err := x.j.Record(context.Background(), signer.Proposal{
		Instance: x.j.Instance(), Caller: signer.Caller{UID: 1000, GID: 1000, PID: 7, User: "+payroll", Socket: "sign", Identified: true},
		Request: signer.Request{ID: id, Key: "hot", Kind: signer.KindEVMTransaction, Payload: []byte(id), Claim: claim},
		Key:     signer.KeyInfo{Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMTransaction}},
		Intent: signer.Intent{
			Kind: signer.KindEVMTransaction, Complete: true, Effects: effects, Fee: fee, Outflow: signer.Outflow(all...),
			Digests:  []signer.Digest{{Name: "transaction signing hash", Value: hash}},
			Messages: []signer.Message{{Scheme: signer.SchemeEd25519, Bytes: hash[:]}},
		},
		Policy: [32]byte{0xab}, Decoder: "test/1", Created: x.wall,
	}, signer.Needs{}, func(signer.Facts) signer.Decision { return d })
	if err != nil {
		x.t.Fatal(err)
	}
	x.wall = x.wall.Add(time.Hour)
	return rec.Leaf
}

func (x *exported) finish(o signer.Outcome) {
	x.t.Helper()
	if _, err := x.j.Finish(context.Background(), o); err != nil {
		x.t.Fatal(err)
	}
	x.wall = x.wall.Add(time.Hour)
}

func (x *exported) close() {
	x.t.Helper()
	if err := x.j.Close(); err != nil {
		x.t.Fatal(err)
	}
}

// fill records a decision of every sort.
func (x *exported) fill() {
	n := func(text string) *big.Int {
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			x.t.Fatalf("%q is no number", text)
		}
		return n
	}
	sends := func(q signer.Quantity) signer.Effect {
		return signer.Effect{Class: signer.ClassTransfer, Counterparty: payee, Quantity: q}
	}
	fee := signer.AtMost(coin, n("2100000000000000"))
	none := signer.Quantity{}
	allowed := signer.Decision{Verdict: signer.Allow, Rules: []string{"pay", "=pay; too"}}

	paid := x.decide("invoice-1", "hosting, \"May\"", allowed, fee, nil, sends(signer.Exact(coin, n("1500000000000000000"))))
	x.finish(signer.Outcome{Authorization: paid, Signatures: [][]byte{{1}}})
	x.decide("-2+3", "@SUM(A1)\r\n=1;=cmd|' /C calc'!A0\u202e", signer.Decision{Reason: "=1+1\t\x1b[2J, \"no\";-1\n\u200b"}, fee, nil, sends(signer.Exact(coin, n("1"))))
	batch := x.decide("batch", "=1+1", allowed, fee, nil,
		sends(signer.Exact(coin, n("1"))), sends(signer.Exact(exportUSDC, n("2500001"))), sends(signer.Exact(exportUSDC, n("115792089237316195423570985008687907853269984665640564039457584007913129639935"))),
		sends(signer.Exact(exportDai, n("7"))), signer.Effect{Class: signer.ClassLogin}, sends(signer.AtMost(exportUSDC, n("1000000"))))
	x.finish(signer.Outcome{Authorization: batch, Code: signer.CodeUnavailable, Detail: "pulled"})
	open := x.decide("open", "", allowed, none, nil, signer.Effect{Class: signer.ClassAllowance, Counterparty: payee, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: exportUSDC}})
	x.decide("asked", "", signer.Decision{Verdict: signer.Ask, Reason: "needs 2 approvals of \"treasury\"", Quorums: []signer.Quorum{{Rule: "large", Group: "treasury", Approvals: 2}}}, none, nil, sends(signer.Exact(coin, n("0"))))
	x.finish(signer.Outcome{Authorization: batch, Signatures: [][]byte{{2}}}) // a failure is not final
	x.finish(signer.Outcome{Authorization: batch, Code: signer.CodeUnavailable, Detail: "pulled"})
	x.decide("more", "", allowed, fee, []signer.Quantity{signer.Exact(coin, n("40")), {Kind: signer.QuantityUnknown}}, signer.Effect{Class: signer.ClassUnknownCall, Counterparty: payer})
	x.finish(signer.Outcome{Authorization: open, Code: signer.CodeUnavailable, Detail: "pulled"})
	if _, err := x.j.Note(context.Background(), signer.Event{Type: signer.EventStopped}); err != nil {
		x.t.Fatal(err)
	}
}

// csv runs the export and reads what it wrote.
func (x *exported) csv(args ...string) (text string, rows [][]string) {
	x.t.Helper()
	code, text, stderr := sealward("", append([]string{"journal", "decisions", "--csv", "--file", x.file(), "--policy", filepath.Join(x.dir, "policy.hcl")}, args...)...)
	if code != exitOK || stderr != "" {
		x.t.Fatalf("exit code %d: %s", code, stderr)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		x.t.Fatalf("it is no CSV: %v\n%s", err, text)
	}
	return text, rows
}

func TestTheExportIsAsItWas(t *testing.T) {
	x := newExported(t)
	x.fill()
	x.close()
	const golden = "testdata/decisions.csv"
	got, _ := x.csv()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the export is\n%s\nwant\n%s", got, want)
	}
}

func TestACellIsATextAndNothingElse(t *testing.T) {
	x := newExported(t)
	x.fill()
	x.close()
	text, rows := x.csv()
	if strings.Count(text, "\r\n") != len(rows) || strings.Count(text, "\n") != len(rows) || strings.Count(text, "\r") != len(rows) {
		t.Error("a line ends otherwise than in CR LF, or within a cell")
	}
	formula := regexp.MustCompile(`^[=+\-@\t\r]|[;,|]["']*[=+\-@]`)
	for _, row := range rows {
		for i, cell := range row {
			if formula.MatchString(cell) {
				t.Errorf("column %s: %q is a formula to a spreadsheet", columns[i].name, cell)
			}
			if strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("column %s: %q has what does not print", columns[i].name, cell)
			}
		}
	}
	for cell, want := range map[string]string{
		"=1+1": "'=1+1", "-1": "'-1", "+1": "'+1", "@x": "'@x", "'=1": "''=1", "a;=1": `a;\u{3d}1`, "\t=1": `\u{9}=1`, "\r=1": `\u{d}=1`,
		"＝1": "'＝1", "": "", "0x12": "0x12", "a-b": "a-b", "a; -b": "a; -b", `x,"=1"`: `x,"\u{3d}1"`,
	} {
		if got := defused(cell); got != want {
			t.Errorf("defused(%q) = %q, want %q", cell, got, want)
		}
	}
}

// TestTheRowsOfAnAssetAddUp adds up what the export says, and compares with the outflow
// that the journal has.
func TestTheRowsOfAnAssetAddUp(t *testing.T) {
	x := newExported(t)
	x.fill()
	want := map[string]*big.Int{} // by leaf and asset; nil: without bound
	entries, err := x.j.Entries(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		ev, err := signer.ParseEvent(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		if ev.Proposal == nil {
			continue
		}
		for _, q := range ev.Proposal.Intent.Outflow {
			n, _ := q.Bound()
			want[fmt.Sprint(e.Index, " ", q.Asset)] = n
		}
	}
	x.close()

	_, rows := x.csv()
	got := map[string]*big.Int{}
	for _, r := range rows[1:] {
		r := cells(r)
		at := r.cell("leaf") + " " + r.cell("asset")
		if r.cell("bound") == "none" {
			continue
		}
		sum, seen := got[at]
		n, ok := new(big.Int).SetString(r.cell("base_units"), 10)
		switch {
		case !ok || seen && sum == nil:
			got[at] = nil
		case !seen:
			got[at] = n
		default:
			got[at] = new(big.Int).Add(sum, n)
		}
		if decimals := map[string]int{"eth": 18, "usdc": 6}[r.cell("asset_name")]; decimals > 0 && ok {
			amount, _ := new(big.Rat).SetString(r.cell("amount"))
			if amount == nil || amount.Mul(amount, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil))).Cmp(new(big.Rat).SetInt(n)) != 0 {
				t.Errorf("leaf %s: %s %s is not %s base units", r.cell("leaf"), r.cell("amount"), r.cell("asset_name"), n)
			}
		}
	}
	if len(got) != len(want) || len(want) < 8 {
		t.Errorf("sums for %d leaves and assets, want %d", len(got), len(want))
	}
	for at, n := range want {
		if sum := got[at]; (n == nil) != (sum == nil) || n != nil && n.Cmp(sum) != 0 {
			t.Errorf("%s: the rows add up to %v, want %v", at, sum, n)
		}
	}
}

func TestTheExportIsOfATime(t *testing.T) {
	x := newExported(t)
	x.fill()
	x.close()
	leaves := func(args ...string) (out []string) {
		_, rows := x.csv(args...)
		for _, r := range rows[1:] {
			if !slices.Contains(out, r[0]+r[2]) {
				out = append(out, r[0]+r[2])
			}
		}
		return out
	}
	all := []string{"0signed", "2denied", "3signed", "5failed", "6asked", "9outcome_unknown"}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"everything":                        {nil, all},
		"since a time":                      {[]string{"--since", "2026-11-23T08:00:00Z"}, all[1:]},
		"since a time in between":           {[]string{"--since", "2026-11-23T08:00:01Z"}, all[2:]},
		"until a time, which is not in it":  {[]string{"--until", "2026-11-23T09:00:00Z"}, all[:2]},
		"what becomes of it later is in it": {[]string{"--since", "2026-11-23T09:00:00Z", "--until", "2026-11-23T10:00:00Z"}, all[2:3]},
		"a day":                             {[]string{"--since", "2026-11-23", "--until", "2026-11-24"}, all},
		"the day after":                     {[]string{"--since", "2026-11-24"}, nil},
		"before the beginning":              {[]string{"--until", "2026-11-22"}, nil},
		"a span that counts back from now":  {[]string{"--since", "20000d"}, all},
	} {
		if got := leaves(c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		args []string
		text string
	}{
		"a time that is none":          {[]string{"--since", "yesterday"}, `--since "yesterday"`},
		"the end before the beginning": {[]string{"--since", "2026-11-24", "--until", "2026-11-23"}, "is not before"},
		"two formats":                  {[]string{"--csv", "-o", "json"}, "two formats"},
		"a configuration by itself":    {[]string{"--config", "sealward.hcl"}, "--config is for --policy"},
	} {
		code, stdout, stderr := sealward("", append([]string{"journal", "decisions", "--file", x.file()}, c.args...)...)
		if !strings.Contains(stderr, c.text) || code != exitUsage || stdout != "" {
			t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
		}
	}
}

// openBooks answers as a daemon with a journal.
type openBooks struct {
	sealwardv1connect.UnimplementedJournalServiceHandler
	sealwardv1connect.UnimplementedPolicyServiceHandler
	*exported
	lie func(*v1.ListEntriesResponse)
}

func (o *openBooks) ListEntries(ctx context.Context, m *connect.Request[v1.ListEntriesRequest]) (*connect.Response[v1.ListEntriesResponse], error) {
	entries, err := o.j.Entries(ctx, m.Msg.GetFrom(), int(m.Msg.GetLimit()))
	out := &v1.ListEntriesResponse{Size: o.j.Size()}
	for _, e := range entries {
		out.Entries = append(out.Entries, &v1.Entry{Index: e.Index, Time: timestamppb.New(e.Leaf.Time), Type: string(e.Leaf.Type), Body: string(e.Body)})
	}
	if o.lie != nil {
		o.lie(out)
	}
	return connect.NewResponse(out), err
}

func (o *openBooks) GetPolicy(context.Context, *connect.Request[v1.GetPolicyRequest]) (*connect.Response[v1.GetPolicyResponse], error) {
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: []byte{4, 1}}
	p, err := policy.Load("policy.hcl", []byte(exportPolicy), policy.Env{Keys: map[string]signer.KeyInfo{"hot": {Name: "hot", Public: pub, Fingerprint: pub.Fingerprint()}}})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&v1.GetPolicyResponse{Version: fmt.Sprintf("%x", p.Version()), Bundle: p.Bundle()}), nil
}

func (o *openBooks) serve() (dir string) {
	o.t.Helper()
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewJournalServiceHandler(o))
	mux.Handle(sealwardv1connect.NewPolicyServiceHandler(o))
	return adminSocket(o.t, mux)
}

func TestTheDaemonsJournalGivesTheSameExport(t *testing.T) {
	x := newExported(t)
	x.fill()
	for i := range 2 * page { // more than a page
		x.decide(fmt.Sprint("r", i), "", signer.Decision{Reason: "no"}, signer.Quantity{}, nil, signer.Effect{Class: signer.ClassTransfer, Counterparty: payee, Quantity: signer.Exact(coin, big.NewInt(int64(i)))})
	}
	daemon := &openBooks{exported: x}
	dir := daemon.serve()
	code, text, stderr := sealward("", "--sockets", dir, "journal", "decisions", "--csv")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	_, objects, _ := sealward("", "--sockets", dir, "-o", "json", "journal", "decisions")
	_, table, _ := sealward("", "--sockets", dir, "journal", "decisions")

	daemon.lie = func(r *v1.ListEntriesResponse) { // it has lost the end
		r.Entries = slices.DeleteFunc(r.Entries, func(e *v1.Entry) bool { return e.GetIndex() > 20 })
	}
	if code, _, stderr := sealward("", "--sockets", dir, "journal", "decisions", "--csv"); code != exitProblems || !strings.Contains(stderr, "of the journal is missing") {
		t.Errorf("of a journal without its end: exit code %d: %s", code, stderr)
	}
	daemon.lie = func(r *v1.ListEntriesResponse) {
		for _, e := range r.Entries {
			e.Body = strings.Replace(e.GetBody(), `"kind":"exact"`, `"kind":"Exact"`, 1)
		}
	}
	if code, _, stderr := sealward("", "--sockets", dir, "journal", "decisions", "--csv"); code != exitProblems || !strings.Contains(stderr, "leaf 0 cannot be read") {
		t.Errorf("of a journal that cannot be read: exit code %d: %s", code, stderr)
	}

	x.close()
	want, rows := x.csv()
	if text != want {
		t.Errorf("the daemon's is\n%s\nand that of the file\n%s", text, want)
	}
	lines := strings.Split(strings.TrimSuffix(objects, "\n"), "\n")
	if len(lines) != len(rows)-1 {
		t.Fatalf("%d objects for %d rows", len(lines), len(rows)-1)
	}
	for i, line := range lines {
		var o map[string]string
		if err := json.Unmarshal([]byte(line), &o); err != nil || len(o) != len(columns) {
			t.Fatalf("line %d has %d members: %v", i, len(o), err)
		}
		for j, col := range columns {
			if defused(o[col.name]) != rows[i+1][j] {
				t.Errorf("line %d: %s is %q, and %q in the CSV", i, col.name, o[col.name], rows[i+1][j])
			}
		}
	}
	for _, want := range []string{
		`(?m)^0 +2026-11-23T06:00:00Z  signed +uid:1000  invoice-1  hot  transfer +1\.5 eth +=HYPERLINK\(`, `(?m)^0 .* fee +at most 0\.0021 eth$`,
		`(?m)^3 .* 7 base units of eip155:1/erc20:0x6B17`, `(?m)^5 .* allowance +unlimited usdc`, `(?m)^9 .* rest +unknown$`,
	} {
		if !regexp.MustCompile(want).MatchString(table) {
			t.Errorf("the table does not match %s:\n%.3000s", want, table)
		}
	}
}

func TestTheColumnsAreThoseOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Decisions for the books\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range strings.Split(m[1], ", ") {
			documented = append(documented, strings.Trim(name, "`"))
		}
	}
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	if !slices.Equal(documented, names) {
		t.Errorf("documented are %q, there are %q", documented, names)
	}
}
