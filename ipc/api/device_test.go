package api_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sealward/sealward/ipc"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
)

// devices keep what they were asked, and fail as a test wants it.
type devices struct {
	api.Devices
	fail error

	mu    sync.Mutex
	asked []string // owned by mu
}

func (d *devices) ask(what string, c signer.Caller) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Identified {
		what += " by " + c.ID()[:4] // "uid:", whatever the number is
	}
	d.asked = append(d.asked, what)
	return d.fail
}

func (d *devices) UnlockKey(_ context.Context, token string) ([]byte, error) {
	return []byte("key of " + token), d.ask("unlock key "+token, signer.Caller{})
}

func (d *devices) Unlock(_ context.Context, c signer.Caller, token string, sealed []byte) error {
	return d.ask("unlock "+token+" with "+string(sealed), c)
}

func (d *devices) Retry(_ context.Context, c signer.Caller, token string) error {
	return d.ask("retry "+token, c)
}

func (d *devices) Health(_ context.Context, token string) (*v1.TokenHealth, error) {
	return &v1.TokenHealth{Name: token, State: "up"}, nil
}

func (d *devices) Target(_ context.Context, token, name string) (*v1.GetTargetResponse, error) {
	return &v1.GetTargetResponse{Target: []byte(token + name)}, d.ask("target "+token, signer.Caller{})
}

func (d *devices) PlanReseal(_ context.Context, key string, pcrs map[string]string) (*v1.PlanResealResponse, error) {
	return &v1.PlanResealResponse{Pcrs: pcrs, Statement: []byte("statement")}, d.ask("plan "+key, signer.Caller{})
}

func (d *devices) Reseal(_ context.Context, c signer.Caller, key string, pcrs map[string]string, signature []byte) (*v1.ResealResponse, error) {
	return &v1.ResealResponse{KeyFile: "file " + pcrs["7"]}, d.ask("reseal "+key+" with "+string(signature), c)
}

// journal has nothing, and keeps nothing.
type journal struct{ signer.Journal }

func (journal) Note(context.Context, signer.Event) (uint64, error)               { return 0, nil }
func (journal) Adopt(context.Context, signer.Event, []byte) (uint64, error)      { return 0, nil }
func (journal) Acts(context.Context, ...signer.Class) ([]signer.Recorded, error) { return nil, nil }
func (journal) AllWaiting(context.Context) ([]signer.Waiting, error)             { return nil, nil }
func (journal) Last(context.Context, signer.EventType) (signer.Event, uint64, bool, error) {
	return signer.Event{}, 0, false, nil
}
func (journal) Lookup(context.Context, string, string) (signer.Recorded, bool, error) {
	return signer.Recorded{}, false, nil
}

// The rest of an engine, of which nothing is asked.
type (
	policy   struct{ signer.Policy }
	decoder  struct{ signer.Decoder }
	verifier struct{ signer.Verifier }
)

// served has the handlers on a socket of their own, with callers that the kernel
// identifies.
func served(t *testing.T, d *devices, log *strings.Builder, admin bool) (*api.Client, string) {
	t.Helper()
	engine, err := signer.New(signer.Config{
		Instance: "i1", Decoders: map[signer.Kind]signer.Decoder{signer.KindDigest: decoder{}}, Policy: policy{}, Journal: journal{}, Verifier: verifier{},
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return servedBy(t, engine, d, log, admin)
}

// servedBy has the handlers of an engine on a socket of their own.
func servedBy(t *testing.T, engine *signer.Engine, d *devices, log *strings.Builder, admin bool) (*api.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listeners, err := ipc.Listen([]ipc.Socket{{Name: "admin", Path: path, Mode: 0o600}})
	if err != nil {
		t.Fatal(err)
	}
	h := api.Handler(api.Config{Engine: engine, Devices: d, Observe: func(string, string, time.Duration) {}, Log: slog.New(slog.NewTextHandler(log, nil))}, admin)
	s, err := ipc.NewServer(ipc.Config{
		Listeners: listeners, Handler: func(string) http.Handler { return h }, Identifier: ipc.NewIdentifier(true), Limits: ipc.DefaultLimits(),
		Silent: func(signer.Caller) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = s.Run(context.Background()) }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()); <-over })
	return dial(t, path), path
}

// calls are all of DeviceService, and what they ask the devices.
var calls = map[string]struct {
	call func(context.Context, *api.Client) (string, error)
	asks string
	want string
}{
	"GetUnlockKey": {func(ctx context.Context, c *api.Client) (string, error) {
		key, err := c.UnlockKey(ctx, "hsm")
		return string(key), err
	}, "unlock key hsm", "key of hsm"},
	"Unlock": {func(ctx context.Context, c *api.Client) (string, error) {
		h, err := c.Unlock(ctx, "hsm", []byte("sealed"))
		return h.GetState(), err
	}, "unlock hsm with sealed by uid:", "up"},
	"Retry": {func(ctx context.Context, c *api.Client) (string, error) {
		h, err := c.Retry(ctx, "hsm")
		return h.GetState(), err
	}, "retry hsm by uid:", "up"},
	"GetTarget": {func(ctx context.Context, c *api.Client) (string, error) {
		res, err := c.Target(ctx, "tpm0", "vault-2")
		return string(res.GetTarget()), err
	}, "target tpm0", "tpm0vault-2"},
	"PlanReseal": {func(ctx context.Context, c *api.Client) (string, error) {
		res, err := c.PlanReseal(ctx, "hot", map[string]string{"7": "aa"})
		return res.GetPcrs()["7"], err
	}, "plan hot", "aa"},
	"Reseal": {func(ctx context.Context, c *api.Client) (string, error) {
		return c.Reseal(ctx, "hot", map[string]string{"7": "aa"}, []byte("signature"))
	}, "reseal hot with signature by uid:", "file aa"},
}

func TestDevicesAreAskedOnTheAdminSocket(t *testing.T) {
	if n := len(methodsOfDevices()); n != len(calls) {
		t.Fatalf("DeviceService has %d methods, the table %d", n, len(calls))
	}
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			d := &devices{}
			client, _ := served(t, d, new(strings.Builder), true)
			got, err := c.call(t.Context(), client)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			if len(d.asked) != 1 || d.asked[0] != c.asks {
				t.Errorf("asked %q, want %q", d.asked, c.asks)
			}
		})
	}
}

func methodsOfDevices() []string {
	var out []string
	services := v1.File_sealward_v1_sealward_proto.Services()
	methods := services.ByName("DeviceService").Methods()
	for i := range methods.Len() {
		out = append(out, string(methods.Get(i).Name()))
	}
	return out
}

// Who asks for signatures can do nothing to a device.
func TestDevicesAreOutOfReachOfCallers(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			d := &devices{}
			client, _ := served(t, d, new(strings.Builder), false)
			if got, err := c.call(t.Context(), client); err == nil {
				t.Errorf("a caller got %q", got)
			}
			if len(d.asked) != 0 {
				t.Errorf("asked %q", d.asked)
			}
		})
	}
}

// What a device says is for the log, unless it was put into words for the caller.
func TestErrorsOfDevicesHideTheirCauses(t *testing.T) {
	secret := errors.New("C_Login: CKR_PIN_INCORRECT slot 3")
	for name, c := range calls {
		for kind, fail := range map[string]error{
			"classified":   &signer.Error{Code: signer.CodeUnavailable, Detail: "token \"hsm\" is out of reach", Err: secret},
			"unclassified": secret,
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				log := new(strings.Builder)
				client, _ := served(t, &devices{fail: fail}, log, true)
				got, err := c.call(t.Context(), client)
				var e *api.Error
				if !errors.As(err, &e) || e.Code != signer.CodeOf(fail) || got != "" && got != "down" {
					t.Fatalf("got %q, %v", got, err)
				}
				if strings.Contains(e.Message, "CKR_") {
					t.Errorf("the answer leaks the cause: %q", e.Message)
				}
				if !strings.Contains(log.String(), "CKR_PIN_INCORRECT") {
					t.Errorf("the log lacks the cause: %s", log)
				}
			})
		}
	}
}

func TestWatchRequestIsBoundedAndForOnesOwn(t *testing.T) {
	for name, c := range map[string]struct {
		admin bool
		m     *v1.WatchRequestRequest
		state string
		want  string // in the error
	}{
		"a request that is not there":            {false, &v1.WatchRequestRequest{Id: "r1"}, "unknown", ""},
		"somebody's, for an operator":            {true, &v1.WatchRequestRequest{Id: "r1", Caller: "uid:1"}, "unknown", ""},
		"somebody's, for a caller":               {false, &v1.WatchRequestRequest{Id: "r1", Caller: "uid:1"}, "", "caller is for the admin socket"},
		"no news, and the wait is over":          {false, &v1.WatchRequestRequest{Id: "r1", Known: "unknown", Wait: durationpb.New(time.Millisecond)}, "unknown", ""},
		"another state than the one it is in":    {false, &v1.WatchRequestRequest{Id: "r1", Known: "running"}, "unknown", ""},
		"a wait that is longer than anybody has": {false, &v1.WatchRequestRequest{Id: "r1", Wait: durationpb.New(time.Hour)}, "", "up to 2m0s"},
		"a wait of less than nothing":            {false, &v1.WatchRequestRequest{Id: "r1", Wait: durationpb.New(-time.Second)}, "", "above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, path := served(t, &devices{}, new(strings.Builder), c.admin)
			state, err := watch(t, path, c.m)
			if state != c.state || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("WatchRequest = %q, %v; want %q, %q", state, err, c.state, c.want)
			}
		})
	}
}

// watch is WatchRequest with a wait of one's own, which the client has not.
func watch(t *testing.T, path string, m *v1.WatchRequestRequest) (string, error) {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer hc.CloseIdleConnections()
	res, err := sealwardv1connect.NewSignerServiceClient(hc, "http://localhost").WatchRequest(t.Context(), connect.NewRequest(m))
	if err != nil {
		return "", err
	}
	return res.Msg.GetState(), nil
}
