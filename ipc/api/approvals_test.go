package api_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os/user"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
)

// full is a journal without room for anything.
type full struct{ journal }

var errFull = errors.New("write /var/lib/sealward/journal.db-wal: no space left on device")

func (full) Note(context.Context, signer.Event) (uint64, error) { return 0, errFull }

// What cannot be recorded holds in memory, and whoever froze is told so, without the cause.
func TestAFreezeThatCannotBeRecordedSaysSo(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := signer.New(signer.Config{
		Instance: "i1", Decoders: map[signer.Kind]signer.Decoder{signer.KindDigest: decoder{}}, Policy: policy{}, Journal: full{}, Verifier: verifier{},
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), FreezeUsers: []string{me.Username},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := new(strings.Builder)
	client, _ := servedBy(t, engine, &devices{}, log, true)
	res, err := client.Freeze(t.Context(), "a strange payment", nil)
	if err != nil || res.GetLeaf() != 0 || !strings.Contains(res.GetUnrecorded(), "holds as long as this process runs") {
		t.Fatalf("Freeze = %v, %v", res, err)
	}
	if strings.Contains(res.GetUnrecorded(), "no space") || !strings.Contains(log.String(), "no space left") {
		t.Errorf("the answer is %q, the log %q; the cause belongs to the log alone", res.GetUnrecorded(), log)
	}
	if !strings.Contains(engine.Frozen(), "a strange payment") {
		t.Errorf("it is frozen: %q", engine.Frozen())
	}
}

// approvals answer as a test wants it, and keep what they were asked.
type approvals struct {
	sealwardv1connect.UnimplementedApprovalServiceHandler
	sealwardv1connect.UnimplementedSignerServiceHandler
	proposal string
	asked    any
}

func (a *approvals) GetPending(context.Context, *connect.Request[v1.GetPendingRequest]) (*connect.Response[v1.GetPendingResponse], error) {
	return connect.NewResponse(&v1.GetPendingResponse{Pending: &v1.Pending{Proposal: a.proposal}}), nil
}

func (a *approvals) ListPending(_ context.Context, m *connect.Request[v1.ListPendingRequest]) (*connect.Response[v1.ListPendingResponse], error) {
	a.asked = m.Msg
	return connect.NewResponse(&v1.ListPendingResponse{Position: 7}), nil
}

func (a *approvals) PostApproval(_ context.Context, m *connect.Request[v1.PostApprovalRequest]) (*connect.Response[v1.PostApprovalResponse], error) {
	a.asked = m.Msg
	return connect.NewResponse(&v1.PostApprovalResponse{Approver: "alice"}), nil
}

func (a *approvals) WatchPending(_ context.Context, m *connect.Request[v1.WatchPendingRequest]) (*connect.Response[v1.WatchPendingResponse], error) {
	a.asked = m.Msg
	return connect.NewResponse(&v1.WatchPendingResponse{Position: 8}), nil
}

func (a *approvals) CancelRequest(_ context.Context, m *connect.Request[v1.CancelRequestRequest]) (*connect.Response[v1.CancelRequestResponse], error) {
	a.asked = m.Msg
	return connect.NewResponse(&v1.CancelRequestResponse{}), nil
}

func TestTheClientAsksWhatItIsTold(t *testing.T) {
	a := &approvals{proposal: strings.Repeat("ab", 32)}
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewApprovalServiceHandler(a))
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(a))
	c := dial(t, listen(t, mux))

	if res, err := c.Pending(t.Context(), a.proposal); err != nil || res.GetPending().GetProposal() != a.proposal {
		t.Errorf("Pending = %v, %v", res, err)
	}
	if res, err := c.Pending(t.Context(), strings.Repeat("cd", 32)); codeOf(err) != signer.CodeInternal || res != nil {
		t.Errorf("an answer about another proposal: %v, %v; want code %q and nothing", res, err, signer.CodeInternal)
	}
	for name, call := range map[string]func() (bool, error){
		"ListPending": func() (bool, error) {
			res, err := c.ListPending(t.Context(), 5, 3)
			m, ok := a.asked.(*v1.ListPendingRequest)
			return ok && m.GetAfter() == 5 && m.GetLimit() == 3 && res.GetPosition() == 7, err
		},
		"PostApproval": func() (bool, error) {
			res, err := c.PostApproval(t.Context(), []byte("signed"))
			m, ok := a.asked.(*v1.PostApprovalRequest)
			return ok && string(m.GetSigned()) == "signed" && res.GetApprover() == "alice", err
		},
		"WatchPending": func() (bool, error) {
			res, err := c.WatchPending(t.Context(), 7, time.Minute)
			m, ok := a.asked.(*v1.WatchPendingRequest)
			return ok && m.GetAfter() == 7 && m.GetWait().AsDuration() == time.Minute && res.GetPosition() == 8, err
		},
		"Cancel": func() (bool, error) {
			err := c.Cancel(t.Context(), "r1", "paid")
			m, ok := a.asked.(*v1.CancelRequestRequest)
			return ok && m.GetId() == "r1" && m.GetReason() == "paid", err
		},
	} {
		if ok, err := call(); err != nil || !ok {
			t.Errorf("%s: it asked for %v, %v", name, a.asked, err)
		}
	}
}

// Every method of the service is in docs/api.md and on the client.
func TestApprovalServiceHasNoOtherMethod(t *testing.T) {
	methods := v1.File_sealward_v1_sealward_proto.Services().ByName("ApprovalService").Methods()
	var got []string
	for i := range methods.Len() {
		got = append(got, string(methods.Get(i).Name()))
	}
	if want := "ListPending GetPending PostApproval WatchPending Freeze"; strings.Join(got, " ") != want {
		t.Errorf("its methods are %q, want %q", got, want)
	}
}
