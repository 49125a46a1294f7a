package signer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

func TestAnActIsDecidedRecordedAndDone(t *testing.T) {
	o := openOffice(t)
	res := o.must("a1", create)
	if string(res.Artifact) != `{"done":true}` || res.Signatures != nil || len(o.clerk.asked) != 1 || o.clerk.asked[0] != res.Leaf {
		t.Errorf("result = %+v, the administrator was asked %v", res, o.clerk.asked)
	}
	again := o.must("a1", create)
	if string(again.Artifact) != string(res.Artifact) || again.Leaf != res.Leaf || again.OutcomeLeaf != res.OutcomeLeaf || len(o.clerk.asked) != 1 {
		t.Errorf("asked again: %+v, the administrator was asked %v", again, o.clerk.asked)
	}
	o.restart()
	if again = o.must("a1", create); string(again.Artifact) != `{"done":true}` || len(o.clerk.asked) != 1 {
		t.Errorf("asked again after a restart: %+v, the administrator was asked %v", again, o.clerk.asked)
	}
	other := create
	other.Name = "other"
	if _, err := o.act("a1", other); signer.CodeOf(err) != signer.CodeConflict {
		t.Errorf("the same id for something else: %v", err)
	}
	if rec, found, err := o.engine.Lookup(t.Context(), root.ID(), "a1"); err != nil || found == nil || string(found.Artifact) != `{"done":true}` || !rec.Done() {
		t.Errorf("Lookup = %+v, %+v, %v", rec, found, err)
	}
	if got := o.types(); !slices.Equal(got, []string{"authorized", "acted", "malformed"}) {
		t.Errorf("journal holds %v", got)
	}
	for _, k := range append(o.engine.Keys(root), o.engine.AllKeys()...) {
		if k.Name == signer.AdminKey {
			t.Error("Sealward itself is listed as a key")
		}
	}
	if r := o.audit(); r.Authorized != 1 || r.Acted != 1 || r.Unknown != 0 {
		t.Errorf("report = %+v", r)
	}
}

func TestActsThatAreRefused(t *testing.T) {
	rotate := func(key, next string) admin.Order {
		return admin.Order{Act: admin.ActRotate, Key: key, Successor: next}
	}
	for name, c := range map[string]struct {
		change func(*office)
		req    signer.Request
		want   signer.Code
		text   string
	}{
		"policy denies":                    {func(o *office) { o.policy.decide = verdict(signer.Deny) }, order("a", create), signer.CodeDenied, "because"},
		"policy shows no such key":         {func(o *office) { o.policy.hidden = true }, order("a", create), signer.CodeNotFound, "there is no key"},
		"an act for a key":                 {nil, signer.Request{ID: "a", Key: "hot", Kind: signer.KindAdmin, Payload: order("a", create).Payload}, signer.CodeInvalid, `does not sign kind "sealward.admin"`},
		"another kind for Sealward itself": {nil, signer.Request{ID: "a", Key: signer.AdminKey, Kind: signer.KindEVMMessage, Payload: []byte("x")}, signer.CodeInvalid, "does not sign kind"},
		"a payload that is not canonical":  {nil, signer.Request{ID: "a", Key: signer.AdminKey, Kind: signer.KindAdmin, Payload: append([]byte(" "), order("a", create).Payload...)}, signer.CodeInvalid, "canonical"},
		"a key that is not there":          {nil, order("a", admin.Order{Act: admin.ActDisable, Key: "warm", Reason: "x"}), signer.CodeInvalid, `no key "warm"`},
		"Sealward itself is no such key":   {nil, order("a", admin.Order{Act: admin.ActDisable, Key: signer.AdminKey, Reason: "x"}), signer.CodeInvalid, "no key"},
		"a successor that is not there":    {nil, order("a", rotate("hot", "warm")), signer.CodeInvalid, `no key "warm"`},
		"its own successor":                {nil, order("a", rotate("hot", "hot")), signer.CodeInvalid, "its own successor"},
		"the administrator fails":          {func(o *office) { o.clerk.err = errors.New("C_Login: CKR_PIN_INCORRECT") }, order("a", create), signer.CodeInternal, "failed"},
		"the administrator cannot reach it": {func(o *office) {
			o.clerk.err = &signer.Error{Code: signer.CodeUnavailable, Detail: "the card is away"}
		}, order("a", create), signer.CodeUnavailable, "the card is away"},
		"a result that is no JSON":   {func(o *office) { o.clerk.result = "{" }, order("a", create), signer.CodeInternal, "no JSON"},
		"a result that is too long":  {func(o *office) { o.clerk.result = `"` + strings.Repeat("x", signer.MaxResult) + `"` }, order("a", create), signer.CodeInternal, "too long"},
		"a result that is not UTF-8": {func(o *office) { o.clerk.result = "\"\xff\"" }, order("a", create), signer.CodeInternal, "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			if c.change != nil {
				c.change(o)
				o.restart()
			}
			res, err := o.engine.Sign(t.Context(), root, c.req)
			if signer.CodeOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Sign error = %v, want code %q and %q", err, c.want, c.text)
			}
			if e, ok := errors.AsType[*signer.Error](err); ok && strings.Contains(e.Detail, "CKR_") {
				t.Errorf("the cause is in the caller's text: %s", e.Detail)
			}
			if res.Artifact != nil {
				t.Errorf("a refusal came with %s", res.Artifact)
			}
			if len(o.types()) == 0 {
				t.Error("it left no record")
			}
		})
	}
}

func TestAFailedActCanBeAskedForAgain(t *testing.T) {
	o := openOffice(t)
	o.clerk.err = errors.New("away")
	if _, err := o.act("a1", create); err == nil {
		t.Fatal("it did not fail")
	}
	o.clerk.err = nil
	if res := o.must("a1", create); string(res.Artifact) != `{"done":true}` || len(o.clerk.asked) != 2 || o.clerk.asked[0] != o.clerk.asked[1] {
		t.Errorf("result = %+v after %v; want the act done again under one leaf", res, o.clerk.asked)
	}
	if r := o.audit(); r.Authorized != 1 || r.Failed != 1 || r.Acted != 1 {
		t.Errorf("report = %+v", r)
	}
}

// losing forgets outcomes, as a crash before they are written does.
type losing struct {
	signer.Journal
	lost *bool
}

func (j losing) Finish(ctx context.Context, out signer.Outcome) (uint64, error) {
	if *j.lost {
		return 0, errors.New("power went off")
	}
	return j.Journal.Finish(ctx, out)
}

func TestACrashBetweenActAndOutcome(t *testing.T) {
	o := openOffice(t)
	lost := true
	o.pause = func(j signer.Journal) signer.Journal { return losing{j, &lost} }
	o.restart()
	for _, c := range []struct {
		id   string
		what admin.Order
	}{{"c", create}, {"d", disableHot}} {
		if _, err := o.act(c.id, c.what); signer.CodeOf(err) != signer.CodeUnavailable {
			t.Fatalf("%s: %v", c.what.Act, err)
		}
		if rec, _, err := o.engine.Lookup(t.Context(), root.ID(), c.id); err != nil || rec.Done() || rec.Decision.Verdict != signer.Allow {
			t.Fatalf("Lookup = %+v, %v; want an outcome that is unknown", rec, err)
		}
	}
	lost = false
	o.restart()
	// A disable holds by its authorisation.
	if _, err := o.sign("s1", "hot"); signer.CodeOf(err) != signer.CodeDenied {
		t.Errorf("Sign with a key whose disable has no outcome: %v", err)
	}
	if res := o.must("c", create); string(res.Artifact) != `{"done":true}` || len(o.clerk.asked) != 2 {
		t.Errorf("asked again: %s, the administrator was asked %v", res.Artifact, o.clerk.asked)
	}
	o.must("d", disableHot)

	// An enable holds by its outcome.
	lost = true
	if _, err := o.act("e", enableHot); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := o.sign("s2", "hot"); signer.CodeOf(err) != signer.CodeDenied {
			t.Errorf("Sign with a key whose enable has no outcome: %v", err)
		}
		lost = false
		o.restart()
	}
	o.must("e", enableHot)
	if _, err := o.sign("s3", "hot"); err != nil {
		t.Errorf("Sign with the key enabled: %v", err)
	}
	o.audit()
}

// An act is not done to another key than the one that was decided on, because the name
// means another one by now.
func TestAnActIsForThePublicKeyThatWasDecidedOn(t *testing.T) {
	o := openOffice(t)
	lost := true
	o.pause = func(j signer.Journal) signer.Journal { return losing{j, &lost} }
	o.restart()
	attest := admin.Order{Act: admin.ActAttest, Key: "hot"}
	if _, err := o.act("a", attest); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Fatal(err)
	}
	lost = false
	o.names = [2]string{"cold", "hot"}
	o.restart()
	if _, err := o.act("a", attest); signer.CodeOf(err) != signer.CodeConflict || len(o.clerk.asked) != 1 {
		t.Errorf("after the names were swapped: %v, the administrator was asked %d times", err, len(o.clerk.asked))
	}
}

// configOf is an engine's, on a journal in memory, without an administrator.
func configOf(p *parts, v signer.Verifier, keys ...signer.ManagedKey) signer.Config {
	return signer.Config{
		Instance: "test", Keys: keys, Policy: p.policy, Journal: p.journal, Verifier: v,
		Decoders: map[signer.Kind]signer.Decoder{
			signer.KindEVMMessage: p.decoder, signer.KindEVMTransaction: p.decoder, signer.KindDigest: p.decoder, signer.KindAdmin: admin.Decoder{},
		},
		Now: func() time.Time { return noon }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
}

func TestReservedNames(t *testing.T) {
	k := newSoftKey("hot")
	with := func(info signer.KeyInfo) error {
		p := allowed()
		_, err := signer.New(configOf(p, p.verifier, signer.ManagedKey{Info: info, Key: k}))
		return err
	}
	admins := infoOf("boss", k)
	admins.Kinds = []signer.Kind{signer.KindAdmin}
	for name, info := range map[string]signer.KeyInfo{"the name": infoOf(signer.AdminKey, k), "the kind": admins} {
		if err := with(info); err == nil || !strings.Contains(err.Error(), "Sealward itself") {
			t.Errorf("New with %s of Sealward itself: %v", name, err)
		}
	}
	if err := with(infoOf("hot", k)); err != nil {
		t.Errorf("New: %v", err)
	}
}

// Without the decoder there are no administrative requests, and without an
// administrator none that need one.
func TestAnEngineWithoutAdministrator(t *testing.T) {
	p := allowed()
	if _, err := p.engine(t).Sign(t.Context(), root, order("a", create)); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("without the decoder: %v", err)
	}
	k := newSoftKey("hot")
	e := engineOfKeys(t, p, p.verifier, signer.ManagedKey{Info: infoOf("hot", k), Key: k})
	if _, err := e.Sign(t.Context(), root, order("a", create)); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("without an administrator: %v", err)
	}
	if _, err := e.Sign(t.Context(), root, order("b", disableHot)); err != nil {
		t.Errorf("disabling needs no administrator: %v", err)
	}
}

func TestTheIntentSaysHowTheKeyIsKept(t *testing.T) {
	o := openOffice(t)
	o.hot.prot = signer.ProtectionWrapped
	o.restart()
	warned := func(in signer.Intent) bool {
		return slices.ContainsFunc(in.Warnings, func(w signer.Warning) bool {
			return w.Code == signer.WarnKeyWrapped && w.Severity == signer.SeverityInfo
		})
	}
	for name, want := range map[string]bool{"hot": true, "cold": false} {
		r := signer.Request{Key: name, Kind: signer.KindEVMMessage, Payload: []byte("x")}
		p, err := o.engine.Inspect(alice, r)
		if err != nil || warned(p.Intent) != want {
			t.Errorf("Inspect of %s: warnings %v, %v; want key_wrapped %t", name, p.Intent.Warnings, err, want)
		}
		res, err := o.sign("s-"+name, name)
		if err != nil || warned(res.Intent) != want {
			t.Errorf("Sign with %s: warnings %v, %v; want key_wrapped %t", name, res.Intent.Warnings, err, want)
		}
	}
	p, err := o.engine.Inspect(root, order("", admin.Order{Act: admin.ActAttest, Key: "hot"}))
	want := map[string]string{"key": "hot", "fingerprint": o.hot.Public().Fingerprint(), "algorithm": "ed25519", "protection": "wrapped", "origin": "generated"}
	if got, _ := json.Marshal(p.Intent.Effects[0].Attributes); err != nil || !bytes.Equal(got, marshal(t, want)) {
		t.Errorf("attributes = %s, %v; want %v", got, err, want)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheZeroActRefuses(t *testing.T) {
	if _, ok := (signer.Act{}).Payload(); ok {
		t.Error("the zero Act has a payload")
	}
	if _, ok := (signer.Act{}).Effect(); ok {
		t.Error("the zero Act has an effect")
	}
}
