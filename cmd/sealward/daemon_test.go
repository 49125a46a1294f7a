package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
)

const (
	coin  = "eip155:1/slip44:60"
	payer = "eip155:1:0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
	payee = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
)

var noon = timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

// fake answers as a daemon would, and keeps what it was asked.
type fake struct {
	sealwardv1connect.UnimplementedSignerServiceHandler
	sealwardv1connect.UnimplementedJournalServiceHandler
	fakeDevices

	mu      sync.Mutex
	signed  []*v1.SignRequest // owned by mu
	refusal *v1.ErrorDetail
	why     string
	status  *v1.GetStatusResponse
	verify  *v1.VerifyResponse
	verdict string
	// result is that of an administrative act, and passport that of the key "hot".
	result   string
	passport *v1.GetKeyResponse
	// states are what a request waits for, one after the other; Sign answers when they
	// are through.
	states []string
	seen   chan struct{} // closed by the last; made by the test that sets states
}

func payment() *v1.Intent {
	return &v1.Intent{
		Version: 1, Kind: "evm.transaction", Class: "transfer", Complete: true,
		Effects: []*v1.Effect{{
			Class: "transfer", Actor: payer, Counterparty: payee, Quantity: &v1.Quantity{Kind: "exact", Asset: coin, Amount: "1500000000000000000"},
		}},
		Outflow: []*v1.Quantity{{Kind: "exact", Asset: coin, Amount: "1500000000000000000"}},
	}
}

func hot() *v1.Key {
	return &v1.Key{
		Name: "hot", Algorithm: "secp256k1", Public: []byte{4, 1}, Fingerprint: "sha256:ab", Protection: "resident",
		Kinds: []string{"evm.transaction"}, Chains: []string{"eip155:1"}, EthereumAddress: payer[len("eip155:1:"):],
	}
}

func (f *fake) refuse() error {
	if f.refusal == nil {
		return nil
	}
	err := connect.NewError(connect.CodeUnknown, errors.New(f.why))
	d, derr := connect.NewErrorDetail(f.refusal)
	if derr != nil {
		return derr
	}
	err.AddDetail(d)
	return err
}

func (f *fake) Sign(_ context.Context, m *connect.Request[v1.SignRequest]) (*connect.Response[v1.SignResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signed = append(f.signed, m.Msg)
	if f.seen != nil {
		<-f.seen
	}
	if err := f.refuse(); err != nil {
		return nil, err
	}
	if m.Msg.GetRequest().GetKind() == "sealward.admin" {
		return connect.NewResponse(&v1.SignResponse{Id: m.Msg.GetRequest().GetId(), Artifact: []byte(f.result), Leaf: 12, OutcomeLeaf: 13}), nil
	}
	return connect.NewResponse(&v1.SignResponse{
		Id: m.Msg.GetRequest().GetId(), Signatures: [][]byte{{1, 2}}, Artifact: []byte{0x02, 0xf8}, Intent: payment(), Key: hot(), Leaf: 12, OutcomeLeaf: 13,
		Proof: "c2sp.org/tlog-proof@v1\nindex 12\n\nnote\n",
	}), nil
}

func (f *fake) CheckPolicy(context.Context, *connect.Request[v1.CheckPolicyRequest]) (*connect.Response[v1.CheckPolicyResponse], error) {
	d := &v1.Decision{Verdict: f.verdict, Rules: []string{"small payouts"}, Limits: []*v1.LimitUse{{
		Rule: "small payouts", Limit: "a day", Asset: coin, Window: durationpb.New(24 * time.Hour), Max: "2000000000000000000", Spent: "0", Amount: "1500000000000000000",
	}}}
	if f.verdict == "deny" {
		d.Reason = "limit \"a day\" has\x1b 0 left"
	}
	return connect.NewResponse(&v1.CheckPolicyResponse{Decision: d, Intent: payment()}), nil
}

func (f *fake) GetRequest(_ context.Context, m *connect.Request[v1.GetRequestRequest]) (*connect.Response[v1.GetRequestResponse], error) {
	if err := f.refuse(); err != nil {
		return nil, err
	}
	return connect.NewResponse(&v1.GetRequestResponse{
		Id: m.Msg.GetId(), Caller: "uid:1000", State: "outcome_unknown", Kind: "evm.transaction", Key: "hot", Intent: payment(),
		Decision: &v1.Decision{Verdict: "allow"}, Claim: "hosting\nSENDS nothing", Leaf: 12, Time: noon,
	}), nil
}

func (f *fake) ListKeys(context.Context, *connect.Request[v1.ListKeysRequest]) (*connect.Response[v1.ListKeysResponse], error) {
	k := hot()
	if f.passport != nil {
		k = f.passport.GetKey()
	}
	return connect.NewResponse(&v1.ListKeysResponse{Keys: []*v1.Key{k}}), nil
}

func (f *fake) GetKey(context.Context, *connect.Request[v1.GetKeyRequest]) (*connect.Response[v1.GetKeyResponse], error) {
	if f.passport != nil {
		return connect.NewResponse(f.passport), nil
	}
	return connect.NewResponse(&v1.GetKeyResponse{Key: hot()}), nil
}

func (f *fake) ListLimits(context.Context, *connect.Request[v1.ListLimitsRequest]) (*connect.Response[v1.ListLimitsResponse], error) {
	return connect.NewResponse(&v1.ListLimitsResponse{Limits: []*v1.LimitState{
		{Key: "hot", Rule: "small payouts", Limit: "each", Asset: coin, AssetName: "eth", Decimals: 18, Max: "500000000000000000"},
		{Key: "hot", Rule: "small payouts", Limit: "a day", Asset: coin, AssetName: "eth", Decimals: 18, Window: durationpb.New(24 * time.Hour), Max: "2000000000000000000", Spent: "1500000000000000000", Left: "500000000000000000", Frees: noon},
		{Key: "hot", Rule: "small payouts", Limit: "count", Asset: "requests", Window: durationpb.New(90 * time.Minute), Max: "10", Spent: "1", Left: "9"},
	}}), nil
}

func (f *fake) GetStatus(context.Context, *connect.Request[v1.GetStatusRequest]) (*connect.Response[v1.GetStatusResponse], error) {
	s := proto.Clone(f.status).(*v1.GetStatusResponse)
	if f.token != nil {
		s.Tokens = []*v1.TokenHealth{health(f.token)}
	}
	return connect.NewResponse(s), nil
}

func (f *fake) ListEntries(_ context.Context, m *connect.Request[v1.ListEntriesRequest]) (*connect.Response[v1.ListEntriesResponse], error) {
	const size = 250
	res := &v1.ListEntriesResponse{Size: size}
	body := signer.Event{Type: signer.EventMalformed, Time: noon.AsTime(), Wall: noon.AsTime(), Detail: "bad\u202e"}.Canonical()
	for i := m.Msg.GetFrom(); i < size && len(res.Entries) < int(m.Msg.GetLimit()); i++ {
		res.Entries = append(res.Entries, &v1.Entry{Index: i, Time: noon, Type: "malformed", Body: string(body)})
	}
	return connect.NewResponse(res), nil
}

func (f *fake) GetCheckpoint(context.Context, *connect.Request[v1.GetCheckpointRequest]) (*connect.Response[v1.GetCheckpointResponse], error) {
	return connect.NewResponse(&v1.GetCheckpointResponse{Checkpoint: "garbage", VerifierKey: "nonsense"}), nil
}

func (f *fake) GetProof(context.Context, *connect.Request[v1.GetProofRequest]) (*connect.Response[v1.GetProofResponse], error) {
	return connect.NewResponse(&v1.GetProofResponse{Proof: "c2sp.org/tlog-proof@v1\nindex 12\n\nnote\n"}), nil
}

func (f *fake) Verify(context.Context, *connect.Request[v1.VerifyRequest]) (*connect.Response[v1.VerifyResponse], error) {
	return connect.NewResponse(f.verify), nil
}

// serve opens sign.sock and admin.sock in a folder.
func (f *fake) serve(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"sign", "admin"} {
		stop, err := f.listen(filepath.Join(dir, name+".sock"), name == "admin")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	return dir
}

// listen serves one socket; an admin socket with the journal and the devices.
func (f *fake) listen(path string, admin bool) (stop func(), err error) {
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(f))
	if admin {
		mux.Handle(sealwardv1connect.NewJournalServiceHandler(f))
		mux.Handle(sealwardv1connect.NewDeviceServiceHandler(f))
	}
	return listen(path, mux)
}

// listen serves on a socket until it is told to stop.
func listen(path string, h http.Handler) (stop func(), err error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	return func() { _ = srv.Close(); <-done }, nil
}

// adminSocket serves on an admin socket in a folder.
func adminSocket(t testing.TB, h http.Handler) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sw") // a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	stop, err := listen(filepath.Join(dir, "admin.sock"), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return dir
}

// sealward runs the program.
func sealward(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func sound() *v1.GetStatusResponse {
	return &v1.GetStatusResponse{
		Version: "0.1.0", Instance: "i1", Started: noon, Policy: "ab12", PolicyLoaded: noon, JournalSize: 9, CheckpointSize: 8, Private: true,
		Keys: []*v1.KeyHealth{{Key: "hot", Device: "hsm", Available: true}}, Notices: []string{"this is a private set-up"},
	}
}

func TestCommandsAgainstADaemon(t *testing.T) {
	stopped, pulled, stale := sound(), sound(), sound()
	stopped.JournalError = "disk full"
	pulled.Keys[0].Available, pulled.Keys[0].Reason = false, "the token is gone"
	stale.PolicyError = "policy.hcl:3,1"
	denied := &v1.ErrorDetail{Code: "denied", RequestId: "r1"}
	sign := []string{"sign", "--key", "hot", "--kind", "evm.transaction", "--id", "r1", "-"}

	for name, c := range map[string]struct {
		fake   *fake
		args   []string
		code   int
		stdout []string // regular expressions
		stderr []string
	}{
		"a signature is alone on standard output": {
			&fake{}, sign, exitOK, []string{`\A0x02f8\n\z`}, []string{`signed with key hot, leaf 12`, `SENDS    1\.5 ether`}},
		"a refusal says why": {
			&fake{refusal: denied, why: "no rule matches"}, sign, exitDenied, []string{`\A\z`}, []string{`\Asealward: denied: no rule matches\n\z`}},
		"a refusal that quotes hostile text is escaped": {
			&fake{refusal: denied, why: "no\x1b[2J\nsealward: allowed"}, sign, exitDenied, []string{`\A\z`}, []string{`\Asealward: denied: no\\u\{1b\}\[2J\\u\{a\}sealward: allowed\n\z`}},
		"a refusal as JSON": {
			&fake{refusal: denied, why: "no rule matches"}, append([]string{"-o", "json"}, sign...), exitDenied, []string{`\A\z`},
			[]string{`\A\{"code":"denied","message":"no rule matches","request_id":"r1"\}\n\z`}},
		"invalid_request is 4":      {&fake{refusal: &v1.ErrorDetail{Code: "invalid_request"}, why: "x"}, sign, exitInvalid, nil, []string{`invalid_request: x`}},
		"conflict is 4":             {&fake{refusal: &v1.ErrorDetail{Code: "conflict"}, why: "x"}, sign, exitInvalid, nil, []string{`conflict: x`}},
		"expired is 4":              {&fake{refusal: &v1.ErrorDetail{Code: "expired"}, why: "x"}, sign, exitInvalid, nil, []string{`expired: x`}},
		"pending is 5":              {&fake{refusal: &v1.ErrorDetail{Code: "pending"}, why: "x"}, sign, exitUnavailable, nil, []string{`pending: x`}},
		"overloaded is 5":           {&fake{refusal: &v1.ErrorDetail{Code: "overloaded"}, why: "x"}, sign, exitUnavailable, nil, []string{`overloaded: x`}},
		"unavailable is 5":          {&fake{refusal: &v1.ErrorDetail{Code: "unavailable"}, why: "x"}, sign, exitUnavailable, nil, []string{`unavailable: x`}},
		"not_found is 6":            {&fake{refusal: &v1.ErrorDetail{Code: "not_found"}, why: "x"}, sign, exitNotFound, nil, []string{`not_found: x`}},
		"unauthenticated is 3":      {&fake{refusal: &v1.ErrorDetail{Code: "unauthenticated"}, why: "x"}, sign, exitDenied, nil, []string{`unauthenticated: x`}},
		"internal is 1":             {&fake{refusal: &v1.ErrorDetail{Code: "internal"}, why: "x"}, sign, exitGeneral, nil, []string{`internal: x`}},
		"a code of the future is 1": {&fake{refusal: &v1.ErrorDetail{Code: "tomorrow"}, why: "x"}, sign, exitGeneral, nil, []string{`tomorrow: x`}},
		"waiting is 8":              {&fake{refusal: &v1.ErrorDetail{Code: "waiting"}, why: "x"}, sign, exitWaiting, []string{`\A\z`}, []string{`waiting: x`}},
		"frozen is 5":               {&fake{refusal: &v1.ErrorDetail{Code: "frozen"}, why: "x"}, sign, exitUnavailable, nil, []string{`frozen: x`}},

		"keys list":               {&fake{}, []string{"keys", "list"}, exitOK, []string{`(?m)^hot  secp256k1  resident +evm\.transaction  eip155:1  0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf$`}, nil},
		"keys show":               {&fake{}, []string{"keys", "show", "hot"}, exitOK, []string{`(?m)^ethereum address +0x7E5F`, `(?m)^public key +0x0401$`}, nil},
		"completion of key names": {&fake{}, []string{"__complete", "sign", "--key", "h"}, exitOK, []string{`(?m)^hot\tsecp256k1 0x7E5F`}, nil},
		"limits": {&fake{}, []string{"limits"}, exitOK, []string{
			`(?m)^hot  small payouts  each   0\.5 eth per request$`,
			`(?m)^hot  small payouts  a day  2 eth in 24h +1\.5 eth +0\.5 eth +2026-11-23T12:00:00Z$`,
			`(?m)^hot  small payouts  count  10 requests in 1h30m +1 requests +9 requests$`}, nil},
		"request show": {&fake{}, []string{"request", "show", "r1"}, exitOK, []string{
			`(?m)^state +outcome unknown: .* ask again with the same id$`, `(?m)^    \| hosting\\u\{a\}$`, `SENDS    1\.5 ether`}, nil},
		"a request that is not there": {&fake{refusal: &v1.ErrorDetail{Code: "not_found"}, why: "no request"}, []string{"request", "show", "r1"}, exitNotFound, []string{`\A\z`}, []string{`not_found: no request`}},
		"policy allows": {&fake{verdict: "allow"}, []string{"policy", "check", "--key", "hot", "--kind", "evm.transaction", "-"}, exitOK, []string{
			`(?m)^verdict  allow$`, `(?m)^small payouts  a day  2 ether in 24h`}, []string{`\A\z`}},
		"policy denies": {&fake{verdict: "deny"}, []string{"policy", "check", "--key", "hot", "--kind", "evm.transaction", "-"}, exitDenied, []string{
			`(?m)^verdict  deny$`, `(?m)^reason   limit "a day" has\\u\{1b\} 0 left$`}, []string{`\Asealward: denied: limit "a day" has\\u\{1b\} 0 left\n\z`}},
		"policy asks": {&fake{verdict: "ask"}, []string{"policy", "check", "--key", "hot", "--kind", "evm.transaction", "-"}, exitDenied, []string{`(?m)^verdict  ask$`}, nil},

		"status":                        {&fake{status: sound()}, []string{"status"}, exitOK, []string{`(?m)^journal +9 leaves, a checkpoint covers 8$`, `(?m)^hot  hsm     available$`, `(?m)^note: this is a private`, `nothing separates`}, nil},
		"status with a stopped journal": {&fake{status: stopped}, []string{"status"}, exitProblems, []string{`disk full`}, []string{`nothing is signed until the daemon is restarted`}},
		"status with a pulled token":    {&fake{status: pulled}, []string{"status"}, exitProblems, []string{`NOT AVAILABLE  the token is gone`}, []string{`key hot is not available`}},
		"status with a refused policy":  {&fake{status: stale}, []string{"status"}, exitProblems, []string{`policy\.hcl:3,1`}, []string{`an older one is in force`}},

		"journal show has the last ones": {&fake{}, []string{"journal", "show"}, exitOK, []string{`\ALEAF .*\n230 `, `(?m)^249 +2026-11-23T12:00:00Z  malformed +bad\\u\{202e\}$`}, nil},
		"journal show pages":             {&fake{}, []string{"journal", "show", "--from", "5", "--limit", "205"}, exitOK, []string{`\ALEAF .*\n5 `, `(?m)^209 [^\n]*\n\z`}, nil},
		"journal show ends with the log": {&fake{}, []string{"journal", "show", "--from", "240", "--limit", "100"}, exitOK, []string{`(?m)^249 [^\n]*\n\z`}, nil},
		"a sound journal":                {&fake{verify: &v1.VerifyResponse{Records: 3, Authorized: 1, Signed: 1, Checkpoints: 2}}, []string{"journal", "verify"}, exitOK, []string{`3 records: 1 authorized, 0 denied, 0 malformed, 1 signed, 0 acted, 0 failed, 0 outcome unknown; 2 checkpoints\nintact\n`}, nil},
		"a journal that was rewritten":   {&fake{verify: &v1.VerifyResponse{Records: 3, Problems: []string{"leaf 1: altered"}}}, []string{"journal", "verify"}, exitProblems, []string{`(?m)^PROBLEM  leaf 1: altered$`}, []string{`the journal is not intact`}},
		"a rewritten journal as JSON":    {&fake{verify: &v1.VerifyResponse{Records: 3, Problems: []string{"leaf 1: altered"}}}, []string{"-o", "json", "journal", "verify"}, exitProblems, []string{`"leaf 1: altered"`}, []string{`"message":"the journal is not intact"`}},
		"a checkpoint that is no such":   {&fake{}, []string{"journal", "checkpoint"}, exitProblems, []string{`\A\z`}, []string{`does not verify under its own key`}},
		"a proof":                        {&fake{}, []string{"journal", "proof", "12"}, exitOK, []string{`\Ac2sp\.org/tlog-proof@v1\nindex 12\n\nnote\n\z`}, nil},
		"a proof of another leaf":        {&fake{}, []string{"journal", "proof", "13"}, exitProblems, []string{`\A\z`}, []string{`it is of leaf 12, not of leaf 13`}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("{}", append([]string{"--sockets", c.fake.serve(t)}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code = %d, want %d", code, c.code)
			}
			for _, want := range c.stdout {
				if !regexp.MustCompile(want).MatchString(stdout) {
					t.Errorf("standard output does not match %s", want)
				}
			}
			for _, want := range c.stderr {
				if !regexp.MustCompile(want).MatchString(stderr) {
					t.Errorf("standard error does not match %s", want)
				}
			}
			if t.Failed() {
				t.Logf("standard output:\n%s\nstandard error:\n%s", stdout, stderr)
			}
		})
	}
}

func TestSignSendsWhatTheFlagsSay(t *testing.T) {
	f := &fake{}
	dir := f.serve(t)
	proof := filepath.Join(t.TempDir(), "proof")
	code, _, stderr := sealward(" {\"nonce\":\"0x1\"}\n", "--sockets", dir, "sign", "--key", "hot", "--kind", "evm.transaction",
		"--claim", "hosting", "--expires", "2030-01-31T12:00:00Z", "--wait", "5s", "--proof", proof, "-")
	if code != exitOK {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	got := f.signed[0]
	if !got.GetProof() || got.GetWait().AsDuration() != 5*time.Second {
		t.Errorf("proof = %v, wait = %v; want true, 5s", got.GetProof(), got.GetWait().AsDuration())
	}
	r := got.GetRequest()
	if r.GetKey() != "hot" || r.GetKind() != "evm.transaction" || r.GetClaim() != "hosting" || string(r.GetPayload()) != `{"nonce":"0x1"}` {
		t.Errorf("the request is %v", r)
	}
	if want := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC); !r.GetExpires().AsTime().Equal(want) {
		t.Errorf("expires = %v, want %v", r.GetExpires().AsTime(), want)
	}
	if id := regexp.MustCompile(`^request (cli-[0-9a-f]{32}) `).FindStringSubmatch(stderr); id == nil || id[1] != r.GetId() {
		t.Errorf("the id sent is %q, printed was %q", r.GetId(), stderr)
	}
	if text, err := os.ReadFile(proof); err != nil || !strings.HasPrefix(string(text), "c2sp.org/tlog-proof@v1\n") {
		t.Errorf("the proof file holds %q, %v", text, err)
	}
}

// The hint must lead to the very same request, or a retry would be a conflict.
func TestTheHintToAskAgainGivesTheSameRequest(t *testing.T) {
	f := &fake{refusal: &v1.ErrorDetail{Code: "pending"}, why: "still at it"}
	dir := f.serve(t)
	args := []string{"--sockets", dir, "sign", "--key", "hot", "--kind", "evm.transaction"}
	_, _, stderr := sealward("{}", append(args, "--expires", "10m", "-")...)
	hint := regexp.MustCompile(`\(to ask again: (.*)\)`).FindStringSubmatch(stderr)
	if hint == nil {
		t.Fatalf("no hint in %q", stderr)
	}
	sealward("{}", append(append(args, strings.Fields(hint[1])...), "-")...)
	if len(f.signed) != 2 || f.signed[0].String() != f.signed[1].String() {
		t.Errorf("asked %v, want the same twice", f.signed)
	}
}

func TestAMessageIsSentByteForByte(t *testing.T) {
	f := &fake{}
	const text = " {hello}\n\n"
	if code, _, stderr := sealward(text, "--sockets", f.serve(t), "sign", "--key", "hot", "--kind", "evm.message", "-"); code != exitOK {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	if got := string(f.signed[0].GetRequest().GetPayload()); got != text {
		t.Errorf("payload = %q, want %q", got, text)
	}
}

func TestJSONIsTheAnswerOfTheAPI(t *testing.T) {
	f := &fake{}
	code, stdout, _ := sealward("{}", "-o", "json", "--sockets", f.serve(t), "sign", "--key", "hot", "--kind", "evm.transaction", "--id", "r1", "-")
	var res v1.SignResponse
	if err := protojson.Unmarshal([]byte(stdout), &res); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v:\n%s", code, err, stdout)
	}
	if res.GetId() != "r1" || res.GetLeaf() != 12 || len(res.GetArtifact()) != 2 {
		t.Errorf("the answer is %v", &res)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(stdout), &fields); err != nil {
		t.Fatal(err)
	}
	if _, ok := fields["outcome_leaf"]; !ok {
		t.Errorf("no field outcome_leaf in %s", stdout)
	}
	if _, again, _ := sealward("{}", "-o", "json", "--sockets", f.serve(t), "sign", "--key", "hot", "--kind", "evm.transaction", "--id", "r1", "-"); again != stdout {
		t.Errorf("a second time it is\n%s", again)
	}
}

func TestStatusFallsBackToTheSignSocket(t *testing.T) {
	f := &fake{status: sound()}
	dir := f.serve(t)
	if err := os.Remove(filepath.Join(dir, "admin.sock")); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := sealward("", "--sockets", dir, "status"); code != exitOK || !strings.Contains(stdout, "0.1.0") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	// The journal has no such stand-in.
	if code, _, stderr := sealward("", "--sockets", dir, "journal", "verify"); code != exitUnavailable || !strings.Contains(stderr, "admin.sock") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestAProofThatIsNotOneLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proof")
	out, err := createFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkProof("garbage", 12); err == nil {
		t.Error("garbage was taken for a proof")
	}
	out.abandon()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat = %v, want that the file is gone", err)
	}
}
