package signer_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// agreed is an approval with every field set.
func agreed() signer.Approval {
	return signer.Approval{
		Word: signer.WordApprove, Instance: "i", Proposal: [32]byte{1}, Device: "sha256:d", Reason: "ok \u2028 <&> \\u2029 \u0001 é \"",
		Time: noon.Add(7), Expires: noon.Add(time.Hour), Nonce: [16]byte{2},
	}
}

func TestAnApprovalSurvivesItsJSON(t *testing.T) {
	bare, reject, freeze := agreed(), agreed(), agreed()
	bare.Reason, bare.Expires = "", time.Time{}
	reject.Word = signer.WordReject
	freeze.Word, freeze.Proposal = signer.WordFreeze, [32]byte{}
	ids := map[[32]byte]string{}
	for name, a := range map[string]signer.Approval{"with everything": agreed(), "with the least": bare, "a rejection": reject, "a freeze": freeze} {
		t.Run(name, func(t *testing.T) {
			data := a.Canonical()
			back, err := signer.ParseApproval(data)
			if err != nil || back != a {
				t.Errorf("ParseApproval = %+v, %v; want %+v", back, err, a)
			}
			if a.ID() != sha256.Sum256(data) {
				t.Error("the id is not the hash of what is signed")
			}
			if other := ids[a.ID()]; other != "" {
				t.Errorf("it has the id of %q", other)
			}
			ids[a.ID()] = name
			var tree any
			dec := json.NewDecoder(bytes.NewReader(data))
			dec.UseNumber()
			if err := dec.Decode(&tree); err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			if jcs(&want, tree); want.String() != string(data) {
				t.Errorf("it is\n%s\ncanonical is\n%s", data, want.String())
			}
		})
	}
}

func TestWhatIsNoApproval(t *testing.T) {
	good := string(agreed().Canonical())
	swap := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("there is no %q in %s", old, good)
		}
		return strings.Replace(good, old, with, 1)
	}
	of := func(f func(*signer.Approval)) string {
		a := agreed()
		f(&a)
		return string(a.Canonical())
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                           {"", "EOF"},
		"an empty object":                   {"{}", "its type is"},
		"another type":                      {swap("approval/v1", "approval/v2"), "its type is"},
		"a word that is none":               {of(func(a *signer.Approval) { a.Word = "pay" }), "its word is"},
		"no word":                           {of(func(a *signer.Approval) { a.Word = "" }), "its word is"},
		"a freeze of a proposal":            {of(func(a *signer.Approval) { a.Word = signer.WordFreeze }), "about no proposal"},
		"an approval of no proposal":        {of(func(a *signer.Approval) { a.Proposal = [32]byte{} }), "about no proposal"},
		"an approval of the zero digest":    {swap(`"proposal":"01`, `"proposal":"00`), "about no proposal"},
		"a digest that is too short":        {swap(`"proposal":"01`, `"proposal":"`), "want 32 bytes"},
		"a digest in capital letters":       {swap(`"proposal":"01`, `"proposal":"0A`), "not in canonical form"},
		"no instance":                       {of(func(a *signer.Approval) { a.Instance = "" }), "must be there"},
		"no device":                         {of(func(a *signer.Approval) { a.Device = "" }), "must be there"},
		"no time":                           {of(func(a *signer.Approval) { a.Time = time.Time{} }), "must be there"},
		"a time elsewhere":                  {swap(`00.000000007Z`, `00.000000007+00:00`), "not in canonical form"},
		"a time with zeros":                 {swap(`00.000000007Z`, `00.0000000070Z`), "not in canonical form"},
		"a time that is none":               {swap(`00.000000007Z`, `61Z`), "want RFC 3339"},
		"a rejection without a reason":      {of(func(a *signer.Approval) { a.Word, a.Reason = signer.WordReject, "" }), "takes a reason"},
		"a freeze without a reason":         {of(func(a *signer.Approval) { a.Word, a.Proposal, a.Reason = signer.WordFreeze, [32]byte{}, "" }), "takes a reason"},
		"a reason that is too long":         {of(func(a *signer.Approval) { a.Reason = strings.Repeat("x", signer.MaxReason+1) }), "at most 500"},
		"an empty reason that is there":     {swap(`"reason":"ok`, `"reason":"","reason":"ok`), "not in canonical form"},
		"a nonce that is too short":         {swap(`"nonce":"02`, `"nonce":"`), "its nonce has 15 bytes"},
		"a nonce that is too long":          {swap(`"nonce":"02`, `"nonce":"0202`), "its nonce has 17 bytes"},
		"a nonce that is no hexadecimal":    {swap(`"nonce":"02`, `"nonce":"zz`), "want hexadecimal"},
		"a field more":                      {swap(`{`, `{"a":1,`), "unknown field"},
		"a field twice":                     {swap(`"word":`, `"word":"reject","word":`), "not in canonical form"},
		"a field in capital letters":        {swap(`"word":`, `"WORD":`), "not in canonical form"},
		"fields in another order":           {swap(`"device":"sha256:d",`, ``)[:len(good)-len(`"device":"sha256:d",`)-1] + `,"device":"sha256:d"}`, "not in canonical form"},
		"white space":                       {swap(`,"word"`, `, "word"`), "not in canonical form"},
		"a line feed at the end":            {good + "\n", "not in canonical form"},
		"a second value":                    {good + "{}", "not in canonical form"},
		"an escape that is not needed":      {swap(`approve"`, `\u0061pprove"`), "not in canonical form"},
		"invalid UTF-8":                     {swap("ok ", "\xff "), "not in canonical form"},
		"a lone surrogate":                  {swap("ok ", `\ud800 `), "not in canonical form"},
		"a number for a text":               {swap(`"approve"`, `1`), "cannot unmarshal"},
		"null for a text":                   {swap(`"instance":"i"`, `"instance":null`), "must be there"},
		"an expiry that is empty and there": {swap(`"expires":"2026-11-23T13:00:00Z"`, `"expires":""`), "not in canonical form"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := signer.ParseApproval([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || a != (signer.Approval{}) {
				t.Errorf("ParseApproval = %+v, %v; want an error with %q", a, err, c.want)
			}
		})
	}
}

// FuzzParseApproval checks that what is signed is all there is: what is accepted is
// written as it was read.
func FuzzParseApproval(f *testing.F) {
	f.Add(agreed().Canonical())
	freeze := agreed()
	freeze.Word, freeze.Proposal = signer.WordFreeze, [32]byte{}
	f.Add(freeze.Canonical())
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := signer.ParseApproval(text)
		if err != nil {
			return
		}
		if !bytes.Equal(a.Canonical(), text) || a.ID() != sha256.Sum256(text) {
			t.Errorf("accepted %s, which is %s", text, a.Canonical())
		}
	})
}

func TestAKeySignsAnApprovalOfItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		key     signer.Key
		padding signer.Padding
		alg     string
	}{
		"P-256":           {curveKey(t, signer.AlgorithmP256, elliptic.P256()), "", "ES256"},
		"P-384":           {curveKey(t, signer.AlgorithmP384, elliptic.P384()), "", "ES384"},
		"P-521":           {curveKey(t, signer.AlgorithmP521, elliptic.P521()), "", "ES512"},
		"Ed25519":         {newSoftKey("approver"), "", "EdDSA"},
		"RSA with PKCS#1": {rsaKey(t), signer.PaddingPKCS1, "RS256"},
		"RSA with PSS":    {rsaKey(t), signer.PaddingPSS, "PS256"},
	} {
		t.Run(name, func(t *testing.T) {
			a := agreed()
			a.Device = c.key.Public().Fingerprint()
			jws, err := signer.SignApproval(t.Context(), c.key, c.padding, &scheme.Verifier{}, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(jws, ".")
			header, err1 := base64.RawURLEncoding.DecodeString(parts[0])
			payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
			want := `{"alg":"` + c.alg + `","kid":"` + a.Device + `","typ":"sealward-approval+jws"}`
			if err := errors.Join(err1, err2); err != nil || len(parts) != 3 || string(header) != want || !bytes.Equal(payload, a.Canonical()) {
				t.Errorf("SignApproval = %s . %s, %v; want %s . %s", header, payload, err, want, a.Canonical())
			}
		})
	}
}

// liar returns the signature of another message.
type liar struct{ *softKey }

func (k liar) SignStatement(ctx context.Context, s signer.Statement) ([]byte, error) {
	sig, err := k.softKey.SignStatement(ctx, s)
	if err == nil {
		sig[0] ^= 1
	}
	return sig, err
}

func TestWhatIsNotSigned(t *testing.T) {
	good, away := newSoftKey("approver"), newSoftKey("away")
	away.err = errors.New("no token")
	for name, c := range map[string]struct {
		key    signer.Key
		change func(*signer.Approval)
		want   string
	}{
		"for another key":                  {good, func(a *signer.Approval) { a.Device = "sha256:d" }, "the key in the token is"},
		"for no word":                      {good, func(a *signer.Approval) { a.Word = "" }, "its word is"},
		"a text that nobody could read":    {good, func(a *signer.Approval) { a.Reason = "\xff" }, "want UTF-8"},
		"a time that nobody could read":    {good, func(a *signer.Approval) { a.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "want RFC 3339"},
		"with a key that has no algorithm": {koblitzKey(), func(*signer.Approval) {}, "secp256k1"},
		"with RSA and no padding":          {rsaKey(t), func(*signer.Approval) {}, "no scheme"},
		"with a token that is away":        {away, func(*signer.Approval) {}, "no token"},
		"with a token that lies":           {liar{good}, func(*signer.Approval) {}, "sign approval"},
	} {
		t.Run(name, func(t *testing.T) {
			a := agreed()
			a.Device = c.key.Public().Fingerprint()
			c.change(&a)
			jws, err := signer.SignApproval(t.Context(), c.key, "", &scheme.Verifier{}, a, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || jws != "" {
				t.Errorf("SignApproval = %q, %v; want an error with %q", jws, err, c.want)
			}
		})
	}
}

func TestAProposalIsReadFromWhatItCommitsTo(t *testing.T) {
	p := *everything().Proposal
	good := p.Canonical()
	back, err := signer.ReadProposal(good, p.Key, p.Request.Payload, p.Request.Claim)
	if err != nil || !bytes.Equal(back.Canonical(), good) || back.Digest() != p.Digest() {
		t.Fatalf("ReadProposal = %+v, %v", back, err)
	}
	if back.Request.Claim != p.Request.Claim || back.Request.Key != "hot" || back.Caller.User != "u" || back.Nonce != p.Nonce || !back.Request.Expires.Equal(p.Request.Expires) || len(back.Intent.Messages) != 1 || len(back.Intent.Effects) != 0 {
		t.Errorf("ReadProposal = %+v; want %+v without its effects", back, p)
	}
	swap := func(old, with string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("there is no %q in %s", old, good)
		}
		return bytes.Replace(good, []byte(old), []byte(with), 1)
	}
	other := newSoftKey("other").Public()
	renamed, foreign, mixed := p.Key, p.Key, p.Key
	renamed.Name = "cold"
	foreign.Public, foreign.Fingerprint = other, other.Fingerprint()
	mixed.Public = other
	for name, c := range map[string]struct {
		canonical []byte
		key       signer.KeyInfo
		payload   string
		want      string
	}{
		"nothing":                         {nil, p.Key, "p", "EOF"},
		"another version":                 {swap(`"version":1`, `"version":2`), p.Key, "p", "version 2"},
		"a field more":                    {swap(`{`, `{"a":1,`), p.Key, "p", "unknown field"},
		"a field twice":                   {swap(`"nonce":`, `"nonce":"00","nonce":`), p.Key, "p", "not in canonical form"},
		"a field in capital letters":      {swap(`"nonce":`, `"Nonce":`), p.Key, "p", "not in canonical form"},
		"white space":                     {swap(`,"nonce"`, `, "nonce"`), p.Key, "p", "not in canonical form"},
		"a second value":                  {append(bytes.Clone(good), "{}"...), p.Key, "p", "not in canonical form"},
		"another payload":                 {good, p.Key, "q", "it is about a payload with SHA-256"},
		"another key":                     {good, foreign, "p", "and the key beside it is"},
		"a key under another's name":      {good, mixed, "p", "and the key beside it is"},
		"a nonce that is too short":       {swap(`"nonce":"02`, `"nonce":"`), p.Key, "p", "want 32 bytes"},
		"messages that are not there":     {swap(`"messages":[{"bytes":"04","scheme":"ecdsa-secp256k1-recoverable"}]`, `"messages":null`), p.Key, "p", "not in canonical form"},
		"a time that is none":             {swap(`"created":"2026`, `"created":"x`), p.Key, "p", "want RFC 3339"},
		"a caller that says who it is":    {swap(`"uid":1`, `"identified":true,"uid":1`), p.Key, "p", "unknown field"},
		"an empty field that is optional": {swap(`"unit":"system.slice/a.service"`, `"unit":""`), p.Key, "p", "not in canonical form"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := signer.ReadProposal(c.canonical, c.key, []byte(c.payload), ""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ReadProposal = %+v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
	// What a key is called nothing commits to, but the request's own digest.
	if got, err := signer.ReadProposal(good, renamed, p.Request.Payload, ""); err != nil || got.Digest() != p.Digest() || got.Request.Key != "cold" {
		t.Errorf("ReadProposal with the approver's own name for the key = %+v, %v", got.Request, err)
	}
}
