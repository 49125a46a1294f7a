package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
)

// baseURL only fills in the Host header; where a call goes is the socket's path.
const baseURL = "http://localhost"

// maxResponse bounds an answer. The largest is a page of the journal, whose
// entries hold payloads.
const maxResponse = 64 << 20

// Client talks to sealwardd over one of its Unix sockets. It is safe for
// concurrent use and keeps connections open between calls. Every error that its
// methods return is an [*Error].
type Client struct {
	path    string
	http    *http.Client
	signer  sealwardv1connect.SignerServiceClient
	journal sealwardv1connect.JournalServiceClient
	device  sealwardv1connect.DeviceServiceClient
	policy  sealwardv1connect.PolicyServiceClient

	approval sealwardv1connect.ApprovalServiceClient
}

// Dial returns a client for the daemon that listens at a socket. It does not
// connect: the first call does, and says what to check when it cannot.
func Dial(socketPath string) *Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	hc := &http.Client{
		Transport: &http.Transport{
			// No proxy: what a proxy variable says is not for a local socket.
			Proxy: nil,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "unix", socketPath)
				if err != nil {
					return nil, &dialError{socketPath, err}
				}
				return conn, nil
			},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
			Protocols:           protocols,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	opts := []connect.ClientOption{
		// Compression costs more than the bytes it saves on a socket of this host.
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxResponse),
	}
	return &Client{
		path:    socketPath,
		http:    hc,
		signer:  sealwardv1connect.NewSignerServiceClient(hc, baseURL, opts...),
		journal: sealwardv1connect.NewJournalServiceClient(hc, baseURL, opts...),
		device:  sealwardv1connect.NewDeviceServiceClient(hc, baseURL, opts...),
		policy:  sealwardv1connect.NewPolicyServiceClient(hc, baseURL, opts...),

		approval: sealwardv1connect.NewApprovalServiceClient(hc, baseURL, opts...),
	}
}

// Close closes the connections that are idle. The client stays usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Sign asks for a signature and waits for it. The request needs an id: after any
// error but "denied", "invalid_request" and "conflict", asking again with the same
// id and the same content is safe, and the way to learn what became of it.
func (c *Client) Sign(ctx context.Context, m *v1.SignRequest) (*v1.SignResponse, error) {
	res, err := call(ctx, c, c.signer.Sign, m)
	if err != nil {
		return nil, err
	}
	if id := m.GetRequest().GetId(); res.GetId() != id {
		return nil, &Error{Code: codeOfNonsense, Message: fmt.Sprintf("asked for request %q and got an answer for %q; nothing of it is used", id, res.GetId())}
	}
	return res, nil
}

// Inspect decodes a payload and signs nothing.
func (c *Client) Inspect(ctx context.Context, m *v1.InspectRequest) (*v1.InspectResponse, error) {
	return call(ctx, c, c.signer.Inspect, m)
}

// CheckPolicy tells what policy would decide now. Nothing is recorded or reserved.
func (c *Client) CheckPolicy(ctx context.Context, m *v1.CheckPolicyRequest) (*v1.CheckPolicyResponse, error) {
	return call(ctx, c, c.signer.CheckPolicy, m)
}

// Request looks up what became of a request. caller is whose it is, such as
// "uid:1000"; it is for the admin socket and empty elsewhere.
func (c *Client) Request(ctx context.Context, id, caller string) (*v1.GetRequestResponse, error) {
	return call(ctx, c, c.signer.GetRequest, &v1.GetRequestRequest{Id: id, Caller: caller})
}

// Keys lists the keys that some rule gives to the caller; all keys on the admin
// socket.
func (c *Client) Keys(ctx context.Context) ([]*v1.Key, error) {
	res, err := call(ctx, c, c.signer.ListKeys, &v1.ListKeysRequest{})
	return res.GetKeys(), err
}

// Watch returns the state of a request as soon as it is another than known, which
// may be empty, or known again when the time is up. caller is as for Request.
func (c *Client) Watch(ctx context.Context, id, caller, known string) (string, error) {
	res, err := call(ctx, c, c.signer.WatchRequest, &v1.WatchRequestRequest{Id: id, Caller: caller, Known: known})
	return res.GetState(), err
}

// UnlockKey returns the public key of a token's worker, to seal a PIN to with
// backends.SealPIN. The admin socket serves it.
func (c *Client) UnlockKey(ctx context.Context, token string) ([]byte, error) {
	res, err := call(ctx, c, c.device.GetUnlockKey, &v1.GetUnlockKeyRequest{Token: token})
	return res.GetUnlockKey(), err
}

// Unlock hands a sealed PIN to a token's worker, and returns how the token is then.
// The admin socket serves it.
func (c *Client) Unlock(ctx context.Context, token string, sealed []byte) (*v1.TokenHealth, error) {
	res, err := call(ctx, c, c.device.Unlock, &v1.UnlockRequest{Token: token, SealedPin: sealed})
	return res.GetToken(), err
}

// Retry has a token's credential tried once more. The admin socket serves it.
func (c *Client) Retry(ctx context.Context, token string) (*v1.TokenHealth, error) {
	res, err := call(ctx, c, c.device.Retry, &v1.RetryRequest{Token: token})
	return res.GetToken(), err
}

// Target returns what a TPM presents itself with. The admin socket serves it.
func (c *Client) Target(ctx context.Context, token, name string) (*v1.GetTargetResponse, error) {
	return call(ctx, c, c.device.GetTarget, &v1.GetTargetRequest{Token: token, Name: name})
}

// PlanReseal tells what the PCR authority of a key has to sign. The admin socket
// serves it.
func (c *Client) PlanReseal(ctx context.Context, key string, pcrs map[string]string) (*v1.PlanResealResponse, error) {
	return call(ctx, c, c.device.PlanReseal, &v1.PlanResealRequest{Key: key, Pcrs: pcrs})
}

// Reseal returns a key's file with the authority's approval in it. The admin socket
// serves it.
func (c *Client) Reseal(ctx context.Context, key string, pcrs map[string]string, signature []byte) (string, error) {
	res, err := call(ctx, c, c.device.Reseal, &v1.ResealRequest{Key: key, Pcrs: pcrs, Signature: signature})
	return res.GetKeyFile(), err
}

// Passport shows one key, with what its device proves of it: on the admin socket.
func (c *Client) Passport(ctx context.Context, name string) (*v1.GetKeyResponse, error) {
	res, err := call(ctx, c, c.signer.GetKey, &v1.GetKeyRequest{Name: name})
	if err != nil {
		return nil, err
	}
	if res.GetKey().GetName() != name {
		return nil, &Error{Code: codeOfNonsense, Message: fmt.Sprintf("asked for key %q and got %q", name, res.GetKey().GetName())}
	}
	return res, nil
}

// Key shows one key.
func (c *Client) Key(ctx context.Context, name string) (*v1.Key, error) {
	res, err := c.Passport(ctx, name)
	return res.GetKey(), err
}

// Limits tells for each limit what is spent, what is left and when it frees: of
// one key, or of all of the caller's keys when key is empty.
func (c *Client) Limits(ctx context.Context, key string) ([]*v1.LimitState, error) {
	res, err := call(ctx, c, c.signer.ListLimits, &v1.ListLimitsRequest{Key: key})
	return res.GetLimits(), err
}

// Status tells how the daemon is.
func (c *Client) Status(ctx context.Context) (*v1.GetStatusResponse, error) {
	return call(ctx, c, c.signer.GetStatus, &v1.GetStatusRequest{})
}

// Entries reads a page of the journal, from a leaf on; limit 0 is the daemon's
// default. The admin socket serves it.
func (c *Client) Entries(ctx context.Context, from uint64, limit uint32) (*v1.ListEntriesResponse, error) {
	return call(ctx, c, c.journal.ListEntries, &v1.ListEntriesRequest{From: from, Limit: limit})
}

// Checkpoint returns the journal's latest signed checkpoint, or signs one now. The
// admin socket serves it.
func (c *Client) Checkpoint(ctx context.Context, now bool) (*v1.GetCheckpointResponse, error) {
	return call(ctx, c, c.journal.GetCheckpoint, &v1.GetCheckpointRequest{Now: now})
}

// Proof returns the proof that a leaf is in the journal; with wait it waits for a
// checkpoint that covers the leaf. The admin socket serves it.
func (c *Client) Proof(ctx context.Context, leaf uint64, wait bool) (string, error) {
	res, err := call(ctx, c, c.journal.GetProof, &v1.GetProofRequest{Leaf: leaf, Wait: wait})
	return res.GetProof(), err
}

// Verify recomputes the whole journal. The admin socket serves it.
func (c *Client) Verify(ctx context.Context) (*v1.VerifyResponse, error) {
	return call(ctx, c, c.journal.Verify, &v1.VerifyRequest{})
}

// Policies lists when which policy came into force, the latest first: those before a
// leaf, or the latest ones with 0; limit 0 is the daemon's default. The admin socket
// serves it.
func (c *Client) Policies(ctx context.Context, before uint64, limit uint32) (*v1.ListPoliciesResponse, error) {
	return call(ctx, c, c.policy.ListPolicies, &v1.ListPoliciesRequest{Before: before, Limit: limit})
}

// Policy returns a version of the policy, in hexadecimal, or the one in force when it is
// empty. Whether the bundle is of that version, only loading it tells. The admin socket
// serves it.
func (c *Client) Policy(ctx context.Context, version string) (*v1.GetPolicyResponse, error) {
	res, err := call(ctx, c, c.policy.GetPolicy, &v1.GetPolicyRequest{Version: version})
	if err != nil {
		return nil, err
	}
	if version != "" && res.GetVersion() != version {
		return nil, &Error{Code: codeOfNonsense, Message: fmt.Sprintf("asked for policy %s and got %q", version, res.GetVersion())}
	}
	return res, nil
}

func call[Q, A any](ctx context.Context, c *Client, f func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), m *Q) (*A, error) {
	res, err := f(ctx, connect.NewRequest(m))
	if err != nil {
		return nil, c.read(ctx, err)
	}
	return res.Msg, nil
}

// dialError tells a socket that cannot be reached from a call that went wrong
// later, when the daemon may have acted on it.
type dialError struct {
	path string
	err  error
}

func (e *dialError) Error() string { return fmt.Sprintf("connect to %s: %v", e.path, e.err) }
func (e *dialError) Unwrap() error { return e.err }

func asDialError(err error) (*dialError, bool) {
	var e *dialError
	return e, errors.As(err, &e)
}
