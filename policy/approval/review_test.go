package approval_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
	"github.com/sealward/sealward/signer/intent/evm"
)

var decoders = map[signer.Kind]signer.Decoder{signer.KindEVMTransaction: evm.Transaction{}, signer.KindAdmin: admin.Decoder{}}

// book is the approver's own: it has a token, and names nobody.
var book = signer.NewBook(map[string]signer.Asset{usdc: {ID: usdc, Name: "usdc", Decimals: 6}}, nil, nil)

const usdc = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"

func decode(r signer.Request, k signer.KeyInfo) (signer.Intent, error) {
	return signer.Read(r, k, decoders, book)
}

// treasury is a key on the chain's own curve: the point is that of the private key 1.
func treasury() signer.KeyInfo {
	point := common.FromHex("0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: point}
	return signer.KeyInfo{
		Name: "treasury", Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident,
		Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"},
	}
}

// transfer is an unsigned transaction (EIP-1559) that pays out tokens.
func transfer(t testing.TB, to byte, amount int64) []byte {
	t.Helper()
	data := append(common.FromHex("a9059cbb"), common.LeftPadBytes(bytes.Repeat([]byte{to}, 20), 32)...)
	data = append(data, common.LeftPadBytes(big.NewInt(amount).Bytes(), 32)...)
	token := common.HexToAddress("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
	body := must[[]byte](t)(rlp.EncodeToBytes([]any{uint64(1), uint64(7), uint64(1e9), uint64(30e9), uint64(90_000), token, uint64(0), data, []any{}}))
	return append([]byte{2}, body...)
}

// payout is a proposal as a daemon makes it, with its own book and labels.
func payout(t testing.TB) signer.Proposal {
	t.Helper()
	p := signer.Proposal{
		Instance: "0123456789abcdef0123456789abcdef", Policy: sha256.Sum256([]byte("policy")), Decoder: evm.Transaction{}.Version(),
		Caller:  signer.Caller{UID: 1000, GID: 1000, PID: 4321, User: "payments", Groups: []string{"payments"}, Socket: "sign", Identified: true},
		Request: signer.Request{ID: "payout-7", Key: "treasury", Kind: signer.KindEVMTransaction, Payload: transfer(t, 0x11, 250_000_000_000), Claim: "invoice 7", Expires: noon.Add(24 * time.Hour)},
		Key:     treasury(), Created: noon, Nonce: sha256.Sum256([]byte("nonce")),
	}
	in, err := decode(p.Request, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	p.Intent = in
	return p
}

func told(p signer.Proposal) approval.Told {
	return approval.Told{Digest: p.Digest(), Canonical: p.Canonical(), Payload: p.Request.Payload, Claim: p.Request.Claim, Intent: p.Intent}
}

func TestAnHonestProposalIsTheOneThatWasTold(t *testing.T) {
	p := payout(t)
	x := told(p)
	// Whose names and warnings are shown makes no difference.
	x.Intent.Fields = []signer.Field{{Name: "to", Value: "our exchange"}}
	x.Intent.Warnings = nil
	x.Claim = "anything"
	got, ds, err := approval.Review(x, treasury(), decode)
	if err != nil || len(ds) > 0 || got.Digest() != p.Digest() || !bytes.Equal(got.Canonical(), p.Canonical()) {
		t.Fatalf("Review = %v, %v; want no difference", ds, err)
	}
	if len(got.Intent.Effects) != len(p.Intent.Effects) || got.Request.ID != "payout-7" || got.Caller.User != "payments" || len(got.Intent.Fields) == 1 {
		t.Errorf("Review shows %+v", got)
	}
}

func TestALyingDaemonIsFound(t *testing.T) {
	other := payout(t)
	other.Request.Payload = transfer(t, 0x11, 1)
	other.Intent = must[signer.Intent](t)(decode(other.Request, other.Key))
	for name, c := range map[string]struct {
		lie  func(x *approval.Told)
		want string // of a difference, or of the error
	}{
		"about the payload": {func(x *approval.Told) { x.Payload = other.Request.Payload }, "it is about a payload with SHA-256"},
		"about the payload and its hash": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Request.Payload = other.Request.Payload }))
		}, "message 1 of the proposal"},
		"in what it will have signed": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Intent.Messages = other.Intent.Messages }))
		}, "message 1 of the proposal"},
		"in a second thing to sign": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Intent.Messages = append(p.Intent.Messages, other.Intent.Messages...) }))
		}, "message 2 of the proposal: (not there) here"},
		"in signing nothing": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Intent.Messages = nil }))
		}, "message 1 of the proposal"},
		"in how it is signed": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) {
				p.Intent.Messages = []signer.Message{{Scheme: signer.SchemeP256, Bytes: p.Intent.Messages[0].Bytes}}
			}))
		}, "message 1 of the proposal"},
		"with the key of another": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Key.Fingerprint = "sha256:" + strings.Repeat("0", 64) }))
		}, "and the key beside it is"},
		"in the digest":                       {func(x *approval.Told) { x.Digest = other.Digest() }, "digest of the proposal"},
		"in a rendering that says less":       {func(x *approval.Told) { x.Intent = other.Intent }, "effect 1, quantity: exact 250000000000"},
		"in a proposal that is not canonical": {func(x *approval.Told) { x.Canonical = append([]byte(" "), x.Canonical...) }, "not in canonical form"},
		"in a proposal with a second one":     {func(x *approval.Told) { x.Canonical = append(bytes.Clone(x.Canonical), x.Canonical...) }, "not in canonical form"},
		"in a field that is there twice": {func(x *approval.Told) {
			x.Canonical = bytes.Replace(x.Canonical, []byte(`"nonce"`), []byte(`"nonce":"00","nonce"`), 1)
		}, "not in canonical form"},
		"in a field that we do not know": {func(x *approval.Told) { x.Canonical = bytes.Replace(x.Canonical, []byte(`{`), []byte(`{"also":1,`), 1) }, "unknown field"},
		"in the version": {func(x *approval.Told) {
			x.Canonical = bytes.Replace(x.Canonical, []byte(`"version":1`), []byte(`"version":2`), 1)
		}, "version 2"},
		"in a nonce that is too short": {func(x *approval.Told) {
			x.Canonical = bytes.Replace(x.Canonical, []byte(`"nonce":"`), []byte(`"nonce":"00`), 1)
		}, "want 32 bytes"},
		"in what the payload is": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Request.Kind = signer.KindDigest }))
		}, "cannot be read here"},
		"about a payload that nobody understands": {func(x *approval.Told) {
			*x = told(changed(payout(t), func(p *signer.Proposal) { p.Request.Payload = []byte("x") }))
		}, "cannot be read here"},
		"with nothing": {func(x *approval.Told) { *x = approval.Told{} }, "no proposal"},
	} {
		t.Run(name, func(t *testing.T) {
			x := told(payout(t))
			c.lie(&x)
			_, ds, err := approval.Review(x, treasury(), decode)
			if got := fmt.Sprint(ds, err); len(ds) == 0 && err == nil || !strings.Contains(got, c.want) {
				t.Errorf("Review = %s; want %q", got, c.want)
			}
		})
	}
	t.Run("about which key a name stands for", func(t *testing.T) {
		k := treasury()
		k.Public.Bytes = append(bytes.Clone(k.Public.Bytes[:64]), 0xb9)
		if _, ds, err := approval.Review(told(payout(t)), k, decode); err == nil {
			t.Errorf("Review = %v; want an error: the key is not that of its fingerprint", ds)
		}
	})
}

// changed is a proposal in which a daemon lies consistently.
func changed(p signer.Proposal, f func(*signer.Proposal)) signer.Proposal { f(&p); return p }

func TestAnAdministrativeRequestIsReviewedToo(t *testing.T) {
	payload := []byte(`{"act":"keys.disable","key":"treasury","reason":"lost"}`)
	p := signer.Proposal{
		Instance: "i", Caller: signer.Caller{UID: 1, Socket: "admin", Identified: true}, Created: noon, Policy: [32]byte{1}, Nonce: [32]byte{2},
		Key:     signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}},
		Request: signer.Request{ID: "r", Key: signer.AdminKey, Kind: signer.KindAdmin, Payload: payload},
	}
	named := func(k signer.KeyInfo) func(signer.Request, signer.KeyInfo) (signer.Intent, error) {
		return func(r signer.Request, admin signer.KeyInfo) (signer.Intent, error) {
			in, err := decode(r, admin)
			if err != nil {
				return in, err
			}
			return in, in.Identify(admin, func(name string) (signer.KeyInfo, bool) { return k, name == "treasury" })
		}
	}
	p.Intent = must[signer.Intent](t)(named(treasury())(p.Request, p.Key))
	if _, ds, err := approval.Review(told(p), p.Key, named(treasury())); err != nil || len(ds) > 0 {
		t.Errorf("Review = %v, %v; want no difference", ds, err)
	}
	another := treasury()
	another.Fingerprint = "sha256:00"
	_, ds, err := approval.Review(told(p), p.Key, named(another))
	if err != nil || len(ds) != 1 || ds[0].What != `effect 1, attribute "fingerprint"` {
		t.Errorf("Review = %v, %v; want the fingerprint of the key to differ", ds, err)
	}
}

// rich is an intent with every field set.
func rich() signer.Intent {
	q := func(n int64) signer.Quantity { return signer.AtMost(usdc, big.NewInt(n)) }
	return signer.Intent{
		Kind: "k", Complete: true, Fee: q(1), Outflow: []signer.Quantity{q(2)},
		Effects: []signer.Effect{{Class: signer.ClassTransfer, Actor: "a", Counterparty: "b", Quantity: q(3), Until: noon, Attributes: map[string]string{"x": "1"}}},
		Fields:  []signer.Field{{Name: "n", Value: "v"}}, Warnings: []signer.Warning{{Code: "w"}},
		Digests: []signer.Digest{{Name: "d", Value: [32]byte{1}}}, Messages: []signer.Message{{Scheme: signer.SchemeP256, Bytes: []byte{1}}},
	}
}

// TestEveryFactIsCompared changes one thing at a time. Each field of the types is
// changed by a case, so that one that is added later has to be decided on.
func TestEveryFactIsCompared(t *testing.T) {
	touched := map[string]bool{"Intent.Fields": true, "Intent.Warnings": true}
	for _, c := range []struct {
		field  string
		change func(in *signer.Intent)
		want   []string // what differs
	}{
		{"Intent.Kind", func(in *signer.Intent) { in.Kind = "other" }, []string{"kind"}},
		{"Intent.Complete", func(in *signer.Intent) { in.Complete = false }, []string{"completely read"}},
		{"Intent.Effects", func(in *signer.Intent) { in.Effects = append(in.Effects, signer.Effect{}) }, []string{"effect 2, class", "effect 2, actor", "effect 2, counterparty", "effect 2, quantity", "effect 2, until"}},
		{"Intent.Outflow", func(in *signer.Intent) { in.Outflow = nil }, []string{"outflow 1"}},
		{"Intent.Fee", func(in *signer.Intent) { in.Fee = signer.Quantity{} }, []string{"fee"}},
		{"Intent.Digests", func(in *signer.Intent) { in.Digests[0].Value[0]++ }, []string{"digest 1"}},
		{"Intent.Digests", func(in *signer.Intent) { in.Digests[0].Name = "e" }, []string{"digest 1"}},
		{"Intent.Messages", func(in *signer.Intent) { in.Messages[0].Bytes = []byte{2} }, []string{"message 1"}},
		{"Intent.Messages", func(in *signer.Intent) { in.Messages[0].Scheme = signer.SchemeEd25519 }, []string{"message 1"}},
		{"Effect.Class", func(in *signer.Intent) { in.Effects[0].Class = signer.ClassLogin }, []string{"effect 1, class"}},
		{"Effect.Actor", func(in *signer.Intent) { in.Effects[0].Actor = "b" }, []string{"effect 1, actor"}},
		{"Effect.Counterparty", func(in *signer.Intent) { in.Effects[0].Counterparty = "" }, []string{"effect 1, counterparty"}},
		{"Effect.Quantity", func(in *signer.Intent) { in.Effects[0].Quantity.N = big.NewInt(4) }, []string{"effect 1, quantity"}},
		{"Effect.Until", func(in *signer.Intent) { in.Effects[0].Until = noon.Add(1) }, []string{"effect 1, until"}},
		{"Effect.Until", func(in *signer.Intent) { in.Effects[0].Until = time.Time{} }, []string{"effect 1, until"}},
		{"Effect.Attributes", func(in *signer.Intent) { in.Effects[0].Attributes = map[string]string{"x": "2"} }, []string{`effect 1, attribute "x"`}},
		{"Effect.Attributes", func(in *signer.Intent) { in.Effects[0].Attributes = map[string]string{"x": "1", "y": ""} }, []string{`effect 1, attribute "y"`}},
		{"Effect.Attributes", func(in *signer.Intent) { in.Effects[0].Attributes = nil }, []string{`effect 1, attribute "x"`}},
		{"Quantity.Kind", func(in *signer.Intent) { in.Fee.Kind = signer.QuantityExact }, []string{"fee"}},
		{"Quantity.Kind", func(in *signer.Intent) { in.Fee.Kind = 77 }, []string{"fee"}},
		{"Quantity.Asset", func(in *signer.Intent) { in.Outflow[0].Asset += "0" }, []string{"outflow 1"}},
		{"Quantity.N", func(in *signer.Intent) { in.Fee.N = nil }, []string{"fee"}},
	} {
		touched[c.field] = true
		theirs := rich()
		c.change(&theirs)
		for side, ds := range map[string][]approval.Difference{"theirs": approval.Compare(rich(), theirs), "mine": approval.Compare(theirs, rich())} {
			var got []string
			for _, d := range ds {
				got = append(got, d.What)
				if d.Mine == d.Theirs || d.Mine == "" || d.Theirs == "" {
					t.Errorf("%s: %+v tells nothing", c.field, d)
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: Compare = %v; want %q", c.field, side, ds, c.want)
			}
		}
	}
	for _, v := range []any{signer.Intent{}, signer.Effect{}, signer.Quantity{}} {
		for f := range reflect.TypeOf(v).Fields() {
			if name := reflect.TypeOf(v).Name() + "." + f.Name; !touched[name] {
				t.Errorf("%s is neither compared nor left out on purpose", name)
			}
		}
	}
	if ds := approval.Compare(rich(), rich()); len(ds) > 0 {
		t.Errorf("Compare of the same = %v", ds)
	}
}
