package main

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sealward/sealward/backends"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
)

// fakeDevices are the devices of a fake daemon. The token "hsm" is a real one where
// the test has it; else what is typed for it is opened here.
type fakeDevices struct {
	sealwardv1connect.UnimplementedDeviceServiceHandler

	token *backends.Token
	key   hpke.PrivateKey // that PINs are sealed to, without a token
	// while runs as long as a sealed PIN is on its way.
	while  func(sealed []byte)
	target *v1.GetTargetResponse

	at       sync.Mutex
	asked    int               // how often for the key to seal to; owned by at
	pins     []string          // that were opened; owned by at
	resealed *v1.ResealRequest // owned by at
}

func newKey() hpke.PrivateKey {
	key, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		panic(err) // the kernel has no random numbers
	}
	return key
}

// open opens what backends.SealPIN sealed, by RFC 9180 alone.
func open(key hpke.PrivateKey, token string, sealed []byte) (string, error) {
	pin, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("sealward unlock v1\x00"+token), sealed)
	return string(pin), err
}

// fails turns an error into one of the API's, as the daemon does.
func fails(err error) error {
	f := fake{refusal: &v1.ErrorDetail{Code: string(signer.CodeOf(err))}, why: err.Error()}
	if e, ok := errors.AsType[*signer.Error](err); ok {
		f.why = e.Detail
	}
	return f.refuse()
}

func (f *fakeDevices) GetUnlockKey(_ context.Context, m *connect.Request[v1.GetUnlockKeyRequest]) (*connect.Response[v1.GetUnlockKeyResponse], error) {
	f.at.Lock()
	f.asked++
	f.at.Unlock()
	switch {
	case m.Msg.GetToken() != "hsm":
		return nil, fails(&signer.Error{Code: signer.CodeNotFound, Detail: "there is no such token"})
	case f.token != nil:
		key, err := f.token.UnlockKey()
		if err != nil {
			return nil, fails(err)
		}
		return connect.NewResponse(&v1.GetUnlockKeyResponse{UnlockKey: key}), nil
	}
	return connect.NewResponse(&v1.GetUnlockKeyResponse{UnlockKey: f.key.PublicKey().Bytes()}), nil
}

func (f *fakeDevices) Unlock(ctx context.Context, m *connect.Request[v1.UnlockRequest]) (*connect.Response[v1.UnlockResponse], error) {
	if f.while != nil {
		f.while(m.Msg.GetSealedPin())
	}
	if f.token != nil {
		if err := f.token.Unlock(ctx, m.Msg.GetSealedPin()); err != nil {
			return nil, fails(err)
		}
		return connect.NewResponse(&v1.UnlockResponse{Token: health(f.token)}), nil
	}
	pin, err := open(f.key, m.Msg.GetToken(), m.Msg.GetSealedPin())
	if err != nil {
		return nil, fails(err)
	}
	f.at.Lock()
	f.pins = append(f.pins, pin)
	f.at.Unlock()
	return connect.NewResponse(&v1.UnlockResponse{Token: &v1.TokenHealth{Name: "hsm", Kind: "pkcs11", State: "up", Device: "a device"}}), nil
}

func (f *fakeDevices) Retry(context.Context, *connect.Request[v1.RetryRequest]) (*connect.Response[v1.RetryResponse], error) {
	f.token.Retry()
	return connect.NewResponse(&v1.RetryResponse{Token: health(f.token)}), nil
}

func (f *fakeDevices) GetTarget(_ context.Context, m *connect.Request[v1.GetTargetRequest]) (*connect.Response[v1.GetTargetResponse], error) {
	if f.target == nil {
		return nil, fails(signer.Invalid("token %q is of kind pkcs11; only a TPM does this", m.Msg.GetToken()))
	}
	return connect.NewResponse(f.target), nil
}

func (f *fakeDevices) PlanReseal(_ context.Context, m *connect.Request[v1.PlanResealRequest]) (*connect.Response[v1.PlanResealResponse], error) {
	pcrs := map[string]string{"0": "aa", "10": "cc", "7": "bb"}
	for n, value := range m.Msg.GetPcrs() {
		pcrs[n] = value
	}
	return connect.NewResponse(&v1.PlanResealResponse{Pcrs: pcrs, Statement: []byte("statement\x00of PCRs")}), nil
}

func (f *fakeDevices) Reseal(_ context.Context, m *connect.Request[v1.ResealRequest]) (*connect.Response[v1.ResealResponse], error) {
	f.at.Lock()
	defer f.at.Unlock()
	f.resealed = m.Msg
	return connect.NewResponse(&v1.ResealResponse{KeyFile: keyFile}), nil
}

// health is how a real token is, in the form of the API.
func health(t *backends.Token) *v1.TokenHealth {
	h := t.Health()
	out := &v1.TokenHealth{Name: "hsm", Kind: "pkcs11", State: "down", Reason: h.Reason, Since: timestamppb.New(h.Since), Device: h.State.Device, Notes: h.State.Notes, WorkerPid: int32(h.WorkerPID)}
	switch {
	case h.Up:
		out.State = "up"
	case h.Locked:
		out.State = "locked"
	}
	if left := h.State.TriesLeft; left >= 0 {
		n := uint32(left)
		out.TriesLeft = &n
	}
	for _, fact := range h.State.Facts {
		out.Facts = append(out.Facts, &v1.Field{Name: fact.Name, Value: fact.Value})
	}
	return out
}

// WatchRequest answers with the states that the test wants, one after the other, and
// then waits for ever.
func (f *fake) WatchRequest(ctx context.Context, _ *connect.Request[v1.WatchRequestRequest]) (*connect.Response[v1.WatchRequestResponse], error) {
	f.at.Lock()
	if len(f.states) == 0 {
		f.at.Unlock()
		if f.seen != nil {
			<-ctx.Done()
		}
		return connect.NewResponse(&v1.WatchRequestResponse{State: "done"}), nil
	}
	next := f.states[0]
	f.states = f.states[1:]
	f.at.Unlock()
	if next == "answer" {
		close(f.seen)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return connect.NewResponse(&v1.WatchRequestResponse{State: next}), nil
}

const keyFile = "-----BEGIN TSS2 PRIVATE KEY-----\nMDE=\n-----END TSS2 PRIVATE KEY-----\n"

// operated is a daemon with a token of each kind, for the scripts.
func operated() *fake {
	two := uint32(2)
	s := sound()
	s.Tokens = []*v1.TokenHealth{
		{Name: "card", Kind: "piv", State: "locked", Reason: "locked: a PIN is needed; run: sealward unlock card", Device: "PIV card 7654321, firmware 5.7.1", TriesLeft: &two, Facts: []*v1.Field{{Name: "reader", Value: "Yubico YubiKey CCID"}}},
		{Name: "hsm", Kind: "pkcs11", State: "up", Device: "SoftHSM"},
		{Name: "tpm0", Kind: "tpm", State: "down", Reason: "the device is out of reach", Retry: noon, Restarts: 3},
	}
	return &fake{
		status: s, fakeDevices: fakeDevices{key: newKey(), target: &v1.GetTargetResponse{Target: []byte("{\n  \"version\": 1\n}\n"), Fingerprint: "sha256:4be1"}},
		result: `{"key":"hot-2","token":"tpm0","algorithm":"p256","protection":"resident","origin":"generated","fingerprint":"sha256:77","public":"BAE=",` +
			`"configuration":"key \"hot-2\" {\n  token = \"tpm0\"\n  file  = \"keys/hot-2.tpm\"\n}\n","key_file":"-----BEGIN TSS2 PRIVATE KEY-----\nMDE=\n-----END TSS2 PRIVATE KEY-----\n"}`,
		passport: &v1.GetKeyResponse{
			Key: &v1.Key{
				Name: "hot", Algorithm: "secp256k1", Public: []byte{4, 1}, Fingerprint: "sha256:ab", Protection: "wrapped", Origin: "imported", Token: "tpm0", Touch: true,
				Disabled: "laptop lost", Kinds: []string{"evm.transaction"}, Chains: []string{"eip155:1"}, EthereumAddress: payer[len("eip155:1:"):],
			},
			Evidence: &v1.Evidence{Format: "tpm2-certify", Proven: []*v1.Field{{Name: "fixed to its TPM", Value: "no"}}, Claimed: []*v1.Field{{Name: "firmware", Value: "7.2"}}},
			Facts:    []*v1.Field{{Name: "PCRs", Value: "0,7"}},
		},
	}
}
