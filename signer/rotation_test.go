package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
	"github.com/sealward/sealward/signer/intent/digest"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/scheme"
)

// stdKey signs statements with a private key of another library.
type stdKey struct {
	pub  signer.PublicKey
	sign func(m signer.Message) ([]byte, error)
}

func (k stdKey) Public() signer.PublicKey    { return k.pub }
func (stdKey) Protection() signer.Protection { return signer.ProtectionResident }
func (stdKey) Sign(context.Context, signer.Authorized) ([]byte, error) {
	return nil, errors.New("for statements only")
}
func (k stdKey) SignStatement(_ context.Context, s signer.Statement) ([]byte, error) {
	m, ok := s.Message()
	if !ok {
		return nil, errors.New("no statement")
	}
	return k.sign(m)
}

func curveKey(t *testing.T, a signer.Algorithm, c elliptic.Curve) stdKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	size := (c.Params().BitSize + 7) / 8
	return stdKey{signer.PublicKey{Algorithm: a, Bytes: point}, func(m signer.Message) ([]byte, error) {
		r, s, err := ecdsa.Sign(rand.Reader, k, m.Bytes)
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}}
}

func koblitzKey() stdKey {
	k := secp256k1.PrivKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	return stdKey{signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: k.PubKey().SerializeUncompressed()}, func(m signer.Message) ([]byte, error) {
		return secpecdsa.SignCompact(k, m.Bytes, false)[1:], nil
	}}
}

func rsaKey(t *testing.T) stdKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return stdKey{signer.PublicKey{Algorithm: signer.AlgorithmRSA, Bytes: x509.MarshalPKCS1PublicKey(&k.PublicKey)}, func(m signer.Message) ([]byte, error) {
		if m.Scheme == signer.SchemePKCS1SHA256 {
			return rsa.SignPKCS1v15(nil, k, crypto.SHA256, m.Bytes)
		}
		return rsa.SignPSS(rand.Reader, k, crypto.SHA256, m.Bytes, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}}
}

// rotated is the result of keys.rotate.
type rotated struct {
	Note, Statement, Signature string
	Scheme                     signer.Scheme
}

func (r rotated) sig(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString(r.Signature)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var rotateHot = admin.Order{Act: admin.ActRotate, Key: "hot", Successor: "cold"}

func TestAKeyOfEachAlgorithmNamesItsSuccessor(t *testing.T) {
	for name, c := range map[string]struct {
		key     stdKey
		padding signer.Padding
		want    signer.Scheme
	}{
		"Ed25519":           {edKey("old"), "", signer.SchemeEd25519},
		"secp256k1":         {koblitzKey(), "", signer.SchemeSecp256k1},
		"P-256":             {curveKey(t, signer.AlgorithmP256, elliptic.P256()), "", signer.SchemeP256},
		"P-384":             {curveKey(t, signer.AlgorithmP384, elliptic.P384()), "", signer.SchemeP384},
		"P-521":             {curveKey(t, signer.AlgorithmP521, elliptic.P521()), "", signer.SchemeP521},
		"RSA with PSS":      {rsaKey(t), signer.PaddingPSS, signer.SchemePSSSHA256},
		"RSA with PKCS #1":  {rsaKey(t), signer.PaddingPKCS1, signer.SchemePKCS1SHA256},
		"RSA of no padding": {rsaKey(t), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := allowed()
			info, next := infoOf("hot", c.key), infoOf("cold", edKey("new"))
			info.Padding = c.padding
			e := engineOfKeys(t, p, &scheme.Verifier{}, signer.ManagedKey{Info: info, Key: c.key}, signer.ManagedKey{Info: next, Key: edKey("new")})
			res, err := e.Sign(t.Context(), root, order("r1", rotateHot))
			if c.want == "" {
				if signer.CodeOf(err) != signer.CodeInvalid {
					t.Errorf("Sign = %v, want it refused", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got rotated
			if err := json.Unmarshal(res.Artifact, &got); err != nil {
				t.Fatal(err)
			}
			if got.Scheme != c.want || !strings.Contains(got.Note, "still signs") {
				t.Errorf("result = %+v", got)
			}
			r, err := signer.VerifyRotation(c.key.pub, []byte(got.Statement), got.Scheme, got.sig(t), scheme.Verify)
			if err != nil {
				t.Fatal(err)
			}
			spki, err := next.Public.SPKI()
			if err != nil || !bytes.Equal(r.New, spki) || r.Instance != "test" || r.RequestID != "r1" || r.Authorization != res.Leaf || !r.Time.Equal(noon) {
				t.Errorf("it says %+v", r)
			}
			again, err := e.Sign(t.Context(), root, order("r1", rotateHot))
			if err != nil || !bytes.Equal(again.Artifact, res.Artifact) {
				t.Errorf("asked again: %s, %v", again.Artifact, err)
			}
			if why := e.Disabled(info.Fingerprint); why != "" {
				t.Errorf("the old key is %s; a rotation leaves both keys in use", why)
			}
		})
	}
}

func edKey(name string) stdKey {
	k := newSoftKey(name)
	return stdKey{k.Public(), func(m signer.Message) ([]byte, error) { return k.private.Sign(nil, m.Bytes, crypto.Hash(0)) }}
}

func engineOfKeys(t *testing.T, p *parts, v signer.Verifier, keys ...signer.ManagedKey) *signer.Engine {
	t.Helper()
	e, err := signer.New(configOf(p, v, keys...))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRotationsThatProveNothingAreRefused(t *testing.T) {
	digests := func(i *signer.KeyInfo) { i.Kinds = []signer.Kind{signer.KindDigest} }
	for name, c := range map[string]struct {
		old, next func(*signer.KeyInfo)
		want      string // empty: it is done
	}{
		"two keys alike":                     {},
		"an old key for digests":             {digests, digests, "proves nothing"},
		"a successor that signs less":        {nil, func(i *signer.KeyInfo) { i.Kinds = []signer.Kind{signer.KindEVMTransaction} }, "cannot take over"},
		"a successor that signs more":        {nil, func(i *signer.KeyInfo) { i.Kinds = append(i.Kinds, signer.KindEVMTransaction) }, ""},
		"a successor without a chain":        {func(i *signer.KeyInfo) { i.Chains = []string{"eip155:1", "eip155:10"} }, func(i *signer.KeyInfo) { i.Chains = []string{"eip155:1"} }, "cannot take over"},
		"a successor with one chain on top":  {func(i *signer.KeyInfo) { i.Chains = []string{"eip155:1"} }, func(i *signer.KeyInfo) { i.Chains = []string{"eip155:10", "eip155:1"} }, ""},
		"a successor that takes digests too": {nil, digests, "cannot take over"},
	} {
		t.Run(name, func(t *testing.T) {
			p := allowed()
			old, next := curveKey(t, signer.AlgorithmP256, elliptic.P256()), edKey("new")
			a, b := infoOf("hot", old), infoOf("cold", next)
			if c.old != nil {
				c.old(&a)
			}
			if c.next != nil {
				c.next(&b)
			}
			e := engineOfKeys(t, p, &scheme.Verifier{}, signer.ManagedKey{Info: a, Key: old}, signer.ManagedKey{Info: b, Key: next})
			_, err := e.Sign(t.Context(), root, order("r1", rotateHot))
			if c.want == "" && err != nil || c.want != "" && (signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Sign = %v, want %q", err, c.want)
			}
		})
	}
}

func TestARotationThatDoesNotVerifyIsNotReleased(t *testing.T) {
	liar := edKey("old")
	liar.sign = func(signer.Message) ([]byte, error) { return make([]byte, 64), nil }
	away := edKey("old")
	away.sign = func(signer.Message) ([]byte, error) {
		return nil, &signer.Error{Code: signer.CodeUnavailable, Detail: "the card is away"}
	}
	for name, c := range map[string]struct {
		key  stdKey
		want signer.Code
		text string
	}{
		"a device that lies":    {liar, signer.CodeInternal, "does not verify"},
		"a device that is away": {away, signer.CodeUnavailable, "the card is away"},
	} {
		t.Run(name, func(t *testing.T) {
			p := allowed()
			e := engineOfKeys(t, p, &scheme.Verifier{}, signer.ManagedKey{Info: infoOf("hot", c.key), Key: c.key}, signer.ManagedKey{Info: infoOf("cold", edKey("new")), Key: edKey("new")})
			res, err := e.Sign(t.Context(), root, order("r1", rotateHot))
			if signer.CodeOf(err) != c.want || !strings.Contains(err.Error(), c.text) || res.Artifact != nil {
				t.Errorf("Sign = %s, %v; want code %q and %q", res.Artifact, err, c.want, c.text)
			}
			if got := p.journal.types(); got != "authorized failed" {
				t.Errorf("journal holds %q", got)
			}
		})
	}
}

func TestVerifyRotationRefuses(t *testing.T) {
	old, next := edKey("old"), edKey("new")
	oldSPKI, err1 := old.pub.SPKI()
	newSPKI, err2 := next.pub.SPKI()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	good := signer.Rotation{Instance: "i", Authorization: 7, RequestID: "r", Time: noon, Old: oldSPKI, New: newSPKI}.Text()
	sign := func(text []byte) []byte {
		sig, err := old.sign(signer.Message{Bytes: text})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	if _, err := signer.VerifyRotation(old.pub, good, signer.SchemeEd25519, sign(good), scheme.Verify); err != nil {
		t.Fatal(err)
	}
	swap := func(a, b string) []byte {
		out := bytes.Replace(good, []byte(a), []byte(b), 1)
		if bytes.Equal(out, good) {
			t.Fatalf("%q changes nothing", a)
		}
		return out
	}
	for name, c := range map[string]struct {
		pub    signer.PublicKey
		text   []byte
		scheme signer.Scheme
		sig    []byte
		want   string
	}{
		"another key":                 {next.pub, good, signer.SchemeEd25519, sign(good), "you trust"},
		"another text":                {old.pub, swap(`"r"`, `"s"`), signer.SchemeEd25519, sign(good), "does not verify"},
		"no signature":                {old.pub, good, signer.SchemeEd25519, nil, "0 bytes"},
		"another scheme":              {old.pub, good, signer.SchemeP256, sign(good), "does not sign one with scheme"},
		"a scheme that is not":        {old.pub, good, "none", sign(good), "does not sign one with scheme"},
		"no domain":                   {old.pub, good[1:], signer.SchemeEd25519, sign(good[1:]), "does not begin"},
		"another domain":              {old.pub, swap("rotation/v1", "rotation/v2"), signer.SchemeEd25519, sign(swap("rotation/v1", "rotation/v2")), "does not begin"},
		"white space":                 {old.pub, swap(`,"new"`, `, "new"`), signer.SchemeEd25519, sign(swap(`,"new"`, `, "new"`)), "canonical"},
		"a second value":              {old.pub, append(bytes.Clone(good), "{}"...), signer.SchemeEd25519, sign(append(bytes.Clone(good), "{}"...)), "canonical"},
		"a field more":                {old.pub, swap(`{"auth`, `{"a":1,"auth`), signer.SchemeEd25519, sign(swap(`{"auth`, `{"a":1,"auth`)), "unknown field"},
		"a fingerprint of another":    {old.pub, swap(next.pub.Fingerprint(), old.pub.Fingerprint()), signer.SchemeEd25519, sign(swap(next.pub.Fingerprint(), old.pub.Fingerprint())), "fingerprint"},
		"a key that is no hex":        {old.pub, swap(hex.EncodeToString(newSPKI), "zz"), signer.SchemeEd25519, sign(swap(hex.EncodeToString(newSPKI), "zz")), "hexadecimal"},
		"nothing":                     {old.pub, nil, signer.SchemeEd25519, nil, "does not begin"},
		"a public key of no standard": {signer.PublicKey{Algorithm: "none"}, good, signer.SchemeEd25519, sign(good), "unknown algorithm"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := signer.VerifyRotation(c.pub, c.text, c.scheme, c.sig, scheme.Verify)
			if err == nil || !strings.Contains(err.Error(), c.want) || r.New != nil {
				t.Errorf("VerifyRotation = %+v, %v; want %q", r, err, c.want)
			}
		})
	}
}

// FuzzVerifyRotation checks that a statement has one text.
func FuzzVerifyRotation(f *testing.F) {
	old, next := edKey("old"), edKey("new")
	oldSPKI, err1 := old.pub.SPKI()
	newSPKI, err2 := next.pub.SPKI()
	if err := errors.Join(err1, err2); err != nil {
		f.Fatal(err)
	}
	f.Add(signer.Rotation{Instance: "i", Authorization: 7, RequestID: "r", Time: noon, Old: oldSPKI, New: newSPKI}.Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := signer.VerifyRotation(old.pub, text, signer.SchemeEd25519, nil, func(signer.PublicKey, signer.Message, []byte) error { return nil })
		if err != nil {
			return
		}
		if again := r.Text(); !bytes.Equal(again, text) {
			t.Errorf("accepted %q but it is written %q", text, again)
		}
	})
}

// No payload that a decoder of ours accepts makes a key sign what a rotation statement
// makes it sign, be it the statement given as a payload, its hash, or either in
// hexadecimal.
func TestARotationStatementIsNoPayload(t *testing.T) {
	old, next := koblitzKey(), edKey("new")
	oldSPKI, err1 := old.pub.SPKI()
	newSPKI, err2 := next.pub.SPKI()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	say := func(spki []byte) []byte {
		return signer.Rotation{Instance: strings.Repeat("a", 32), Authorization: 7, RequestID: "r", Time: noon, Old: spki, New: newSPKI}.Text()
	}
	text := say(oldSPKI)
	var signed []signer.Message // what keys of three sorts sign for this text
	for _, k := range []stdKey{koblitzKey(), curveKey(t, signer.AlgorithmP256, elliptic.P256()), edKey("old")} {
		_, err := signer.VerifyRotation(k.pub, say(mustSPKI(t, k.pub)), schemeOfKey[k.pub.Algorithm], nil, func(_ signer.PublicKey, m signer.Message, _ []byte) error {
			signed = append(signed, m)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	hash := signed[0].Bytes
	payloads := [][]byte{text, hash, []byte(hex.EncodeToString(text)), []byte("0x" + hex.EncodeToString(hash)), []byte("0x" + hex.EncodeToString(text))}
	keys := map[signer.Kind]signer.KeyInfo{}
	for _, kind := range []signer.Kind{signer.KindEVMMessage, signer.KindEVMTransaction} {
		info := infoOf("hot", old)
		info.Kinds, info.Chains = []signer.Kind{kind}, []string{"eip155:1"}
		keys[kind] = info
	}
	tried := 0
	for kind, d := range map[signer.Kind]signer.Decoder{signer.KindEVMMessage: evm.Message{}, signer.KindEVMTransaction: evm.Transaction{}} {
		for _, payload := range payloads {
			tried++
			in, err := d.Decode(payload, keys[kind], signer.Book{})
			if err != nil {
				continue
			}
			for _, m := range in.Messages {
				if slices.ContainsFunc(signed, func(s signer.Message) bool { return bytes.Equal(s.Bytes, m.Bytes) }) || bytes.HasPrefix(m.Bytes, text[:20]) {
					t.Errorf("%s: payload %q makes the key sign what a rotation statement does", kind, payload)
				}
			}
		}
	}
	if tried != 10 {
		t.Errorf("tried %d payloads", tried)
	}
	// A digest can be the hash of anything, so a key for digests makes no statements:
	// TestRotationsThatProveNothingAreRefused.
	info := infoOf("hot", old)
	info.Kinds = []signer.Kind{signer.KindDigest}
	in, err := digest.Decoder{}.Decode(signed[0].Bytes, info, signer.Book{})
	if err != nil || !bytes.Equal(in.Messages[0].Bytes, signed[0].Bytes) {
		t.Errorf("a digest key does not sign the hash of a statement: %v; then it could make one", err)
	}
	// An administrative payload is signed by no key at all.
	if in, err := (admin.Decoder{}).Decode(order("a", rotateHot).Payload, signer.KeyInfo{Name: signer.AdminKey}, signer.Book{}); err != nil || len(in.Messages) != 0 {
		t.Errorf("an administrative request has messages: %v, %v", in.Messages, err)
	}
}

var schemeOfKey = map[signer.Algorithm]signer.Scheme{
	signer.AlgorithmSecp256k1: signer.SchemeSecp256k1, signer.AlgorithmP256: signer.SchemeP256, signer.AlgorithmEd25519: signer.SchemeEd25519,
}

func mustSPKI(t *testing.T, k signer.PublicKey) []byte {
	t.Helper()
	der, err := k.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// touchy is a key that waits for a touch before it signs a statement.
type touchy struct {
	*softKey
	waits, touched chan struct{}
}

func (k touchy) SignStatement(ctx context.Context, s signer.Statement) ([]byte, error) {
	s.Notify(signer.NoticeTouch)
	close(k.waits)
	<-k.touched
	return k.softKey.SignStatement(ctx, s)
}

func TestWhoWatchesARotationIsToldToTouchTheDevice(t *testing.T) {
	o := openOffice(t)
	k := touchy{o.hot, make(chan struct{}), make(chan struct{})}
	e, err := signer.New(signer.Config{
		Instance: o.journal.Instance(),
		Keys:     []signer.ManagedKey{{Info: infoOf("hot", k), Key: k}, {Info: infoOf("cold", o.cold), Key: o.cold}},
		Decoders: map[signer.Kind]signer.Decoder{signer.KindEVMMessage: texts{}, signer.KindAdmin: admin.Decoder{}},
		Policy:   o.policy, Journal: o.journal, Verifier: &scheme.Verifier{},
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := e.Sign(t.Context(), root, order("r1", admin.Order{Act: admin.ActRotate, Key: "hot", Successor: "cold"}))
		done <- err
	}()
	<-k.waits
	if got, err := e.Watch(t.Context(), root.ID(), "r1", ""); err != nil || got != signer.ProgressTouch {
		t.Errorf("Watch = %q, %v; want %q", got, err, signer.ProgressTouch)
	}
	close(k.touched)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
