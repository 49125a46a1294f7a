package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
)

// keeper returns one policy, whatever it is asked for.
type keeper struct {
	sealwardv1connect.UnimplementedPolicyServiceHandler
	version string
	asked   *v1.ListPoliciesRequest
}

func (k *keeper) GetPolicy(context.Context, *connect.Request[v1.GetPolicyRequest]) (*connect.Response[v1.GetPolicyResponse], error) {
	return connect.NewResponse(&v1.GetPolicyResponse{Version: k.version, Bundle: []byte("{}")}), nil
}

func (k *keeper) ListPolicies(_ context.Context, m *connect.Request[v1.ListPoliciesRequest]) (*connect.Response[v1.ListPoliciesResponse], error) {
	k.asked = m.Msg
	return connect.NewResponse(&v1.ListPoliciesResponse{Policies: []*v1.PolicyRecord{{Version: k.version, Leaf: 7}}}), nil
}

func TestAnotherPolicyThanTheOneAskedForIsRefused(t *testing.T) {
	k := &keeper{version: strings.Repeat("ab", 32)}
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewPolicyServiceHandler(k))
	c := dial(t, listen(t, mux))

	for name, version := range map[string]string{"the one in force": "", "the version": k.version} {
		if res, err := c.Policy(t.Context(), version); err != nil || res.GetVersion() != k.version || string(res.GetBundle()) != "{}" {
			t.Errorf("%s: Policy = %v, %v", name, res, err)
		}
	}
	if res, err := c.Policy(t.Context(), strings.Repeat("cd", 32)); codeOf(err) != signer.CodeInternal || res != nil {
		t.Errorf("another version: Policy = %v, %v; want code %q and nothing", res, err, signer.CodeInternal)
	}
	res, err := c.Policies(t.Context(), 12, 3)
	if err != nil || len(res.GetPolicies()) != 1 || k.asked.GetBefore() != 12 || k.asked.GetLimit() != 3 {
		t.Errorf("Policies = %v, %v; it was asked for %v", res, err, k.asked)
	}
}
