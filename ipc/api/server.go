// Package api is the Connect API of sealwardd, both ends: the handlers and the Go
// client. docs/api.md is its manual; sealward/v1/sealward.proto its definition.
//
// A handler turns a message into a call of the engine with the caller as an
// argument, and the answer back into a message. It decides nothing: what a
// caller may do is decided by the socket it came through and by policy.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sealward/sealward/ipc"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
)

// Config is what the handlers serve. Every field but Stopping must be set.
type Config struct {
	Engine  *signer.Engine
	Journal *journal.Journal
	// Checkpoint signs a checkpoint of the journal now.
	Checkpoint func(context.Context) error
	// VerifierKey is the note key that checkpoints verify under.
	VerifierKey string
	// Verify checks the whole journal.
	Verify func(context.Context) (*v1.VerifyResponse, error)
	// Status tells how the daemon is: to an operator, or to a caller what takes no time
	// to find out.
	Status func(ctx context.Context, operator bool) *v1.GetStatusResponse
	// Limits lists the limits of the policy in force that bear on a key and, unless it
	// is nil, a caller: other rules are no business of the caller's.
	Limits  func(signer.KeyInfo, *signer.Caller) []Limit
	Devices Devices
	// Address is the Ethereum address of a key, or empty.
	Address func(signer.KeyInfo) string
	// Describe returns what the owner's descriptors call the parts of a payload, or nil.
	Describe func(signer.Proposal) *signer.ClearSigning
	// Observe is told of every request that was answered: its method, the code of
	// the answer ("ok" for success) and how long it took.
	Observe func(method, code string, took time.Duration)
	// Stopping is closed when the daemon begins to stop: whoever waits for something to
	// happen is answered then. Nil: never.
	Stopping <-chan struct{}
	Log      *slog.Logger
}

// Limit is a limit of the policy, for ListLimits.
type Limit struct {
	Rule, Name string
	Asset      signer.Asset // of id signer.AssetRequests for a limit by count
	Window     time.Duration
	Per        signer.Per
	Max        *big.Int
}

// Waits, in docs/api.md.
const (
	defaultWait = 30 * time.Second
	maxWait     = 120 * time.Second
)

// Handler returns the API as it is on a socket. On an admin socket it shows
// everyone's requests and keys, serves the journal, and does not sign.
func Handler(c Config, admin bool) http.Handler {
	d := &door{c: c, admin: admin}
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(d, handlerOptions()...))
	if admin {
		mux.Handle(sealwardv1connect.NewJournalServiceHandler(d, handlerOptions()...))
		mux.Handle(sealwardv1connect.NewDeviceServiceHandler(d, handlerOptions()...))
		mux.Handle(sealwardv1connect.NewPolicyServiceHandler(d, handlerOptions()...))
		mux.Handle(sealwardv1connect.NewApprovalServiceHandler(d, handlerOptions()...))
	}
	return &gate{mux, c}
}

// gate records what never reached a handler: requests that are no message of this
// API, too large, cut off, or for a method that is not there.
type gate struct {
	mux http.Handler
	c   Config
}

// statusLeft is Connect's answer to a message whose sender hung up in the middle of it.
const statusLeft = 499

type visitKey struct{}

// visit is one request on its way through net/http, which has no other place for
// what belongs to it than its context. A handler takes the caller out of it with
// its first line and passes it on as an argument.
type visit struct {
	caller signer.Caller
	read   bool        // a handler got the message
	code   signer.Code // of a refusal
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, ok := ipc.CallerOf(r.Context())
	if !ok {
		http.Error(w, "the kernel does not say who is asking", http.StatusForbidden)
		return
	}
	began := time.Now()
	v := &visit{caller: caller}
	o := &observer{ResponseWriter: w, visit: v}
	ctx := r.Context()
	if r.URL.Path == sealwardv1connect.SignerServiceSignProcedure {
		// Connect drops a message whose sender hung up before it was looked at, or
		// not, as that race goes. What was asked in full is done, and on record; its
		// wait is bounded.
		ctx = context.WithoutCancel(ctx)
	}
	g.mux.ServeHTTP(o, r.WithContext(context.WithValue(ctx, visitKey{}, v)))
	if !v.read && o.status >= http.StatusBadRequest && len(o.body) == 0 { // Connect says 405 and 415 in no more words
		fmt.Fprintf(o, "%s: POST a message as application/json or application/proto, as docs/api.md shows\n", http.StatusText(o.status))
	}
	switch {
	case !v.read && o.status == statusLeft && r.URL.Path != sealwardv1connect.SignerServiceSignProcedure:
		// Whoever stops waiting for a request that it watches may do so before its
		// question is whole. Nothing was asked, so nothing is on record; only half a
		// request for a signature always is.
		g.c.Observe("none", string(signer.CodeInvalid), time.Since(began))
	case !v.read:
		// The path is the sender's; only those of this API may become a label.
		g.c.Engine.Malformed(r.Context(), caller, fmt.Sprintf("%.20q %.100q: %s", r.Method, r.URL.Path, o))
		g.c.Observe("none", string(signer.CodeInvalid), time.Since(began))
	case v.code != "":
		g.c.Observe(path.Base(r.URL.Path), string(v.code), time.Since(began))
	default:
		g.c.Observe(path.Base(r.URL.Path), "ok", time.Since(began))
	}
}

// observer keeps the beginning of an answer to what no handler got.
type observer struct {
	http.ResponseWriter
	visit  *visit
	status int
	body   []byte
}

func (o *observer) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observer) Write(p []byte) (int, error) {
	if room := 400 - len(o.body); room > 0 && !o.visit.read {
		o.body = append(o.body, p[:min(room, len(p))]...)
	}
	return o.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the writer's other abilities.
func (o *observer) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// String is what was answered: the message of one of Connect's errors, which is
// JSON in JSON otherwise, or the text.
func (o *observer) String() string {
	text := strings.TrimSpace(string(o.body))
	var answer struct{ Message string }
	if json.Unmarshal(o.body, &answer) == nil && answer.Message != "" {
		text = answer.Message
	}
	return fmt.Sprintf("%d %s", o.status, text)
}

// door serves one kind of socket.
type door struct {
	c     Config
	admin bool
}

func caller(ctx context.Context) signer.Caller {
	v, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		return signer.Caller{}
	}
	v.read = true
	return v.caller
}

func (d *door) Sign(ctx context.Context, m *connect.Request[v1.SignRequest]) (*connect.Response[v1.SignResponse], error) {
	c := caller(ctx)
	req, err := request(m.Msg.GetRequest())
	if err != nil {
		d.c.Engine.Malformed(ctx, c, detailOf(err))
		return nil, d.fail(ctx, c, m.Msg.GetRequest().GetId(), err)
	}
	if err := d.serves(req.Kind); err != nil {
		d.c.Engine.Malformed(ctx, c, err.Detail)
		return nil, d.fail(ctx, c, req.ID, err)
	}
	wait, err := waitOf(m.Msg.GetWait())
	if err != nil {
		d.c.Engine.Malformed(ctx, c, detailOf(err))
		return nil, d.fail(ctx, c, req.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	sign := d.c.Engine.Sign
	if m.Msg.GetWaitForApprovals() {
		sign = d.patiently
	}
	res, err := sign(ctx, c, req)
	if err != nil {
		return nil, d.fail(ctx, c, req.ID, err)
	}
	out := &v1.SignResponse{
		Id: res.RequestID, Signatures: res.Signatures, Artifact: res.Artifact, Intent: toIntent(res.Intent), Key: d.key(res.Key),
		Leaf: res.Leaf, OutcomeLeaf: res.OutcomeLeaf, Authorized: toTime(res.Time),
	}
	if m.Msg.GetProof() {
		if out.Proof, err = d.proof(ctx, res.Leaf, true); err != nil {
			return nil, d.fail(ctx, c, req.ID, err)
		}
	}
	return connect.NewResponse(out), nil
}

// serves refuses what belongs to the other sort of socket.
func (d *door) serves(k signer.Kind) *signer.Error {
	switch {
	case d.admin && k != signer.KindAdmin:
		return &signer.Error{Code: signer.CodeDenied, Detail: fmt.Sprintf("the admin socket takes kind %q only and does not sign; ask on the sign socket", signer.KindAdmin)}
	case !d.admin && k == signer.KindAdmin:
		return &signer.Error{Code: signer.CodeDenied, Detail: fmt.Sprintf("kind %q is for the admin socket", signer.KindAdmin)}
	}
	return nil
}

// looked reads a request that is to be looked into. To find out whether an administrative
// one can be done takes files that are not for callers.
func (d *door) looked(m *v1.Request) (signer.Request, error) {
	r, err := request(m)
	if err == nil && !d.admin && r.Kind == signer.KindAdmin {
		err = d.serves(r.Kind)
	}
	return r, err
}

func (d *door) Inspect(ctx context.Context, m *connect.Request[v1.InspectRequest]) (*connect.Response[v1.InspectResponse], error) {
	c := caller(ctx)
	req, err := d.looked(&v1.Request{Id: "inspect", Key: m.Msg.GetKey(), Kind: m.Msg.GetKind(), Payload: m.Msg.GetPayload(), PayloadText: m.Msg.GetPayloadText()})
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	p, err := d.c.Engine.Inspect(c, req)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(&v1.InspectResponse{Intent: Document(p.Intent, d.c.Describe(p), time.Now())}), nil
}

func (d *door) CheckPolicy(ctx context.Context, m *connect.Request[v1.CheckPolicyRequest]) (*connect.Response[v1.CheckPolicyResponse], error) {
	c := caller(ctx)
	req, err := d.looked(m.Msg.GetRequest())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	p, dec, err := d.c.Engine.Check(ctx, c, req)
	if err != nil {
		return nil, d.fail(ctx, c, req.ID, err)
	}
	return connect.NewResponse(&v1.CheckPolicyResponse{Decision: toDecision(dec), Intent: toIntent(p.Intent)}), nil
}

func (d *door) GetRequest(ctx context.Context, m *connect.Request[v1.GetRequestRequest]) (*connect.Response[v1.GetRequestResponse], error) {
	c := caller(ctx)
	scope, err := d.scope(c, m.Msg.GetCaller())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	rec, res, err := d.c.Engine.Lookup(ctx, scope, m.Msg.GetId())
	if err != nil {
		return nil, d.fail(ctx, c, m.Msg.GetId(), err)
	}
	return connect.NewResponse(d.record(scope, rec, res)), nil
}

func (d *door) ListKeys(ctx context.Context, _ *connect.Request[v1.ListKeysRequest]) (*connect.Response[v1.ListKeysResponse], error) {
	out := &v1.ListKeysResponse{}
	for _, k := range d.keys(caller(ctx)) {
		out.Keys = append(out.Keys, d.key(k))
	}
	return connect.NewResponse(out), nil
}

func (d *door) GetKey(ctx context.Context, m *connect.Request[v1.GetKeyRequest]) (*connect.Response[v1.GetKeyResponse], error) {
	c := caller(ctx)
	for _, k := range d.keys(c) {
		if k.Name == m.Msg.GetName() {
			res := &v1.GetKeyResponse{Key: d.key(k)}
			if d.admin {
				res.Evidence, res.Facts = d.c.Devices.Passport(ctx, k.Name)
			}
			return connect.NewResponse(res), nil
		}
	}
	return nil, d.fail(ctx, c, "", noKey(m.Msg.GetName()))
}

func (d *door) keys(c signer.Caller) []signer.KeyInfo {
	if d.admin && c.Identified {
		return d.c.Engine.AllKeys()
	}
	return d.c.Engine.Keys(c)
}

func (d *door) ListLimits(ctx context.Context, m *connect.Request[v1.ListLimitsRequest]) (*connect.Response[v1.ListLimitsResponse], error) {
	c := caller(ctx)
	out := &v1.ListLimitsResponse{}
	found, whose := false, &c
	if d.admin {
		whose = nil
	}
	for _, k := range d.keys(c) {
		if m.Msg.GetKey() != "" && m.Msg.GetKey() != k.Name {
			continue
		}
		found = true
		for _, l := range d.c.Limits(k, whose) {
			state, err := d.limit(ctx, c, k, l)
			if err != nil {
				return nil, d.fail(ctx, c, "", err)
			}
			out.Limits = append(out.Limits, state)
		}
	}
	if !found && m.Msg.GetKey() != "" {
		return nil, d.fail(ctx, c, "", noKey(m.Msg.GetKey()))
	}
	return connect.NewResponse(out), nil
}

func (d *door) GetStatus(ctx context.Context, _ *connect.Request[v1.GetStatusRequest]) (*connect.Response[v1.GetStatusResponse], error) {
	c := caller(ctx)
	s := d.c.Status(ctx, d.admin)
	if !d.admin {
		// Health of keys that the caller may not know of is not for it to see, nor
		// is the operator's text about files, and about rules of others.
		mine := map[string]bool{}
		for _, k := range d.c.Engine.Keys(c) {
			mine[k.Name] = true
		}
		kept := s.Keys[:0]
		for _, k := range s.Keys {
			if !mine[k.Key] {
				continue
			}
			if !k.Available {
				k.Reason = "the admin socket says why"
			}
			kept = append(kept, k)
		}
		s.Keys, s.Tokens, s.Notices, s.Pending, s.PolicyFile = kept, nil, nil, 0, ""
		if s.Frozen != "" {
			s.Frozen = "nothing is signed until approvers thaw it; the admin socket says why"
		}
		if s.PolicyError != "" {
			s.PolicyError = "the last reload was refused; the admin socket says why"
		}
		if s.JournalError != "" {
			s.JournalError = "the journal stopped, so nothing is signed; the admin socket says why"
		}
	}
	return connect.NewResponse(s), nil
}

// fail is the one place where an error becomes bytes. What is not classified is
// told to the log and not to the caller.
func (d *door) fail(ctx context.Context, c signer.Caller, id string, err error) error {
	code, detail := signer.CodeOf(err), detailOf(err)
	var cause error
	if e, ok := errors.AsType[*signer.Error](err); ok {
		cause = e.Err
	} else {
		cause = err
	}
	if code == signer.CodeInternal || cause != nil && code != signer.CodePending {
		d.c.Log.ErrorContext(ctx, "a request failed", "code", code, "caller", c.ID(), "request", id, "error", err)
	}
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.code = code
	}
	return toWire(code, detail, id)
}

func detailOf(err error) string {
	if e, ok := errors.AsType[*signer.Error](err); ok {
		return e.Detail
	}
	return "something went wrong inside sealward; its operator finds the cause in the log"
}

func toWire(code signer.Code, detail, id string) error {
	out := connect.NewError(connectCode(code), errors.New(detail))
	if d, err := connect.NewErrorDetail(&v1.ErrorDetail{Code: string(code), RequestId: id}); err == nil {
		out.AddDetail(d)
	}
	return out
}

// connectCode is the table in docs/api.md.
func connectCode(c signer.Code) connect.Code {
	switch c {
	case signer.CodeInvalid:
		return connect.CodeInvalidArgument
	case signer.CodeUnauthenticated:
		return connect.CodeUnauthenticated
	case signer.CodeNotFound:
		return connect.CodeNotFound
	case signer.CodeDenied:
		return connect.CodePermissionDenied
	case signer.CodeConflict:
		return connect.CodeAlreadyExists
	case signer.CodeExpired:
		return connect.CodeFailedPrecondition
	case signer.CodePending, signer.CodeWaiting:
		// Whoever knows of no waiting does what is right: it looks the request up, or asks
		// again with the same id. After failed_precondition it would make a new request.
		return connect.CodeDeadlineExceeded
	case signer.CodeOverloaded:
		return connect.CodeResourceExhausted
	case signer.CodeUnavailable, signer.CodeFrozen:
		return connect.CodeUnavailable
	default:
		return connect.CodeInternal
	}
}
