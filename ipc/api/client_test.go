package api_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
)

// daemon answers as a test wants it to.
type daemon struct {
	sealwardv1connect.UnimplementedSignerServiceHandler
	sign   func(context.Context, *connect.Request[v1.SignRequest]) (*v1.SignResponse, error)
	key    *v1.Key
	header http.Header // of the last call
}

func (d *daemon) Sign(ctx context.Context, m *connect.Request[v1.SignRequest]) (*connect.Response[v1.SignResponse], error) {
	d.header = m.Header().Clone()
	res, err := d.sign(ctx, m)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(res), nil
}

func (d *daemon) GetKey(context.Context, *connect.Request[v1.GetKeyRequest]) (*connect.Response[v1.GetKeyResponse], error) {
	return connect.NewResponse(&v1.GetKeyResponse{Key: d.key}), nil
}

// listen serves a handler on a Unix socket until the test ends.
func listen(t *testing.T, h http.Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sign.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return path
}

func dial(t *testing.T, path string) *api.Client {
	t.Helper()
	c := api.Dial(path)
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, d *daemon) *api.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(d))
	return dial(t, listen(t, mux))
}

func answer(id string) func(context.Context, *connect.Request[v1.SignRequest]) (*v1.SignResponse, error) {
	return func(context.Context, *connect.Request[v1.SignRequest]) (*v1.SignResponse, error) {
		return &v1.SignResponse{Id: id, Artifact: []byte{2}}, nil
	}
}

func refuse(code connect.Code, details ...*v1.ErrorDetail) func(context.Context, *connect.Request[v1.SignRequest]) (*v1.SignResponse, error) {
	return func(context.Context, *connect.Request[v1.SignRequest]) (*v1.SignResponse, error) {
		err := connect.NewError(code, errors.New("no rule matches"))
		for _, m := range details {
			d, derr := connect.NewErrorDetail(m)
			if derr != nil {
				return nil, derr
			}
			err.AddDetail(d)
		}
		return nil, err
	}
}

func request(id string) *v1.SignRequest { return &v1.SignRequest{Request: &v1.Request{Id: id}} }

func TestSignReturnsTheAnswer(t *testing.T) {
	d := &daemon{sign: answer("r1")}
	res, err := client(t, d).Sign(t.Context(), request("r1"))
	if err != nil || string(res.GetArtifact()) != "\x02" {
		t.Fatalf("Sign = %v, %v", res, err)
	}
	if got := d.header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("the client accepts encoding %q, want identity: compression is off", got)
	}
	if got := d.header.Get("Content-Type"); got != "application/proto" {
		t.Errorf("the client sends %q, want application/proto", got)
	}
}

func TestErrorsCarryTheCodeThatTheDaemonGave(t *testing.T) {
	for name, c := range map[string]struct {
		sign        func(context.Context, *connect.Request[v1.SignRequest]) (*v1.SignResponse, error)
		want        signer.Code
		wantMessage string
		wantID      string
	}{
		"the detail's code wins over Connect's": {refuse(connect.CodeUnknown, &v1.ErrorDetail{Code: "denied", RequestId: "r1"}), signer.CodeDenied, "no rule matches", "r1"},
		"a code of a newer daemon is kept":      {refuse(connect.CodeUnknown, &v1.ErrorDetail{Code: "melted"}), "melted", "no rule matches", ""},
		"waiting is told from pending":          {refuse(connect.CodeDeadlineExceeded, &v1.ErrorDetail{Code: "waiting"}), signer.CodeWaiting, "no rule matches", ""},
		"frozen is told from unavailable":       {refuse(connect.CodeUnavailable, &v1.ErrorDetail{Code: "frozen"}), signer.CodeFrozen, "no rule matches", ""},
		"without detail, invalid argument":      {refuse(connect.CodeInvalidArgument), signer.CodeInvalid, "no rule matches", ""},
		"without detail, unauthenticated":       {refuse(connect.CodeUnauthenticated), signer.CodeUnauthenticated, "no rule matches", ""},
		"without detail, not found":             {refuse(connect.CodeNotFound), signer.CodeNotFound, "no rule matches", ""},
		"without detail, permission denied":     {refuse(connect.CodePermissionDenied), signer.CodeDenied, "no rule matches", ""},
		"without detail, already exists":        {refuse(connect.CodeAlreadyExists), signer.CodeConflict, "no rule matches", ""},
		"without detail, failed precondition":   {refuse(connect.CodeFailedPrecondition), signer.CodeExpired, "no rule matches", ""},
		"without detail, deadline exceeded":     {refuse(connect.CodeDeadlineExceeded), signer.CodePending, "no rule matches", ""},
		"without detail, resource exhausted":    {refuse(connect.CodeResourceExhausted), signer.CodeOverloaded, "no rule matches", ""},
		"without detail, unavailable":           {refuse(connect.CodeUnavailable), signer.CodeUnavailable, "no rule matches", ""},
		"without detail, an unknown one":        {refuse(connect.CodeDataLoss), signer.CodeInternal, "does not speak this API", ""},
		"an answer for another request":         {answer("r2"), signer.CodeInternal, `got an answer for "r2"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := client(t, &daemon{sign: c.sign}).Sign(t.Context(), request("r1"))
			var e *api.Error
			if !errors.As(err, &e) {
				t.Fatalf("Sign error = %T %v, want *api.Error", err, err)
			}
			if e.Code != c.want || !strings.Contains(e.Message, c.wantMessage) || e.RequestID != c.wantID {
				t.Errorf("Sign error = %+v, want code %q, message with %q, request %q", e, c.want, c.wantMessage, c.wantID)
			}
			if res != nil {
				t.Errorf("Sign returned %v beside an error", res)
			}
		})
	}
}

func TestAnotherKeyThanTheOneAskedForIsRefused(t *testing.T) {
	_, err := client(t, &daemon{key: &v1.Key{Name: "cold"}}).Key(t.Context(), "hot")
	if codeOf(err) != signer.CodeInternal {
		t.Errorf("Key error = %v, want code %q", err, signer.CodeInternal)
	}
}

func codeOf(err error) signer.Code {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestADaemonThatCannotBeReachedSaysWhatToCheck(t *testing.T) {
	dir := t.TempDir()
	silent := filepath.Join(dir, "silent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: silent, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path  string
		want  string
		cause error
	}{
		"no socket":           {filepath.Join(dir, "none.sock"), "is the daemon running", fs.ErrNotExist},
		"nobody listens":      {silent, "nobody listens", syscall.ECONNREFUSED},
		"a path too long":     {"/" + strings.Repeat("x", 200), "107 bytes", syscall.EINVAL},
		"not a socket at all": {os.Args[0], "nobody listens", syscall.ECONNREFUSED},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, c.path).Status(t.Context())
			if codeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.cause) {
				t.Errorf("Status error = %v, want code %q, %q, cause %v", err, signer.CodeUnavailable, c.want, c.cause)
			}
		})
	}
}

func TestOnlyTheDialSaysThatNothingWasAsked(t *testing.T) {
	path := listen(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	_, err := dial(t, path).Sign(t.Context(), request("r1"))
	if codeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "may still be done") {
		t.Errorf("Sign error = %v, want %q and that it may still be done", err, signer.CodeUnavailable)
	}
}

// hijack answers a request with raw bytes and then hangs up, abruptly or not.
func hijack(answer string, abrupt bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !abrupt {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, answer)
		_ = c.Close() // with the body unread, the kernel resets the connection
	}
}

func TestAConnectionThatBreaksIsWorthAskingAgain(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"before the answer":          hijack("", false),
		"with the request unread":    hijack("", true),
		"in the header of an answer": hijack("HTTP/1.1 200 OK\r\nContent-Ty", false),
		"in the body of an answer":   hijack("HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 100\r\n\r\nabc", false),
	} {
		t.Run(name, func(t *testing.T) {
			m := request("r1")
			m.Request.Payload = make([]byte, 64<<10) // more than the server reads ahead
			_, err := dial(t, listen(t, h)).Sign(t.Context(), m)
			if codeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "may still be done") {
				t.Errorf("Sign error = %v, want %q and that it may still be done", err, signer.CodeUnavailable)
			}
		})
	}
}

func TestWhoeverStopsWaitingIsToldThatItMayGoOn(t *testing.T) {
	entered := make(chan struct{})
	d := &daemon{sign: func(ctx context.Context, _ *connect.Request[v1.SignRequest]) (*v1.SignResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := client(t, d).Sign(ctx, request("r1"))
	if codeOf(err) != signer.CodePending || !errors.Is(err, context.Canceled) {
		t.Errorf("Sign error = %v, want code %q and context.Canceled", err, signer.CodePending)
	}
}

func TestASocketWithoutTheCallSaysSo(t *testing.T) {
	_, err := client(t, &daemon{}).Verify(t.Context())
	if codeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "does not serve this call") {
		t.Errorf("Verify error = %v, want code %q", err, signer.CodeInvalid)
	}
}

func TestSomethingElseThatListensIsNotBelieved(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a web page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello")) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.org/", http.StatusFound)
		},
		"a bare 200":      func(http.ResponseWriter, *http.Request) {},
		"a server error":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"endless garbage": func(w http.ResponseWriter, _ *http.Request) { garbage(w) },
	} {
		t.Run(name, func(t *testing.T) {
			res, err := dial(t, listen(t, h)).Sign(t.Context(), request("r1"))
			if err == nil || res != nil || codeOf(err) == "" {
				t.Errorf("Sign = %v, %v; want an *api.Error", res, err)
			}
		})
	}
}

// garbage sends more than the client is ready to take, with a right content type.
func garbage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/proto")
	chunk := make([]byte, 1<<20)
	for range 65 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}
