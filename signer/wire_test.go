package signer_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/sealward/sealward/signer"
)

// everything is an event with each field set.
func everything() signer.Event {
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: bytes.Repeat([]byte{4}, 65)}
	q := signer.AtMost("eip155:1/slip44:60", new(big.Int).Lsh(big.NewInt(1), 200))
	caller := signer.Caller{UID: 1, GID: 2, PID: 3, User: "u", Groups: []string{"g"}, Socket: "sign", Unit: "system.slice/a.service", Identified: true}
	return signer.Event{
		Type: signer.EventAuthorized, Time: noon, Wall: noon.Add(1), Code: "c", Detail: "d\u2028 <&> \\u2028 \u0001\u007f", Policy: [32]byte{7}, Caller: &caller,
		Proposal: &signer.Proposal{
			Instance: "i", Caller: caller, Policy: [32]byte{1}, Decoder: "d/1", Created: noon, Nonce: [32]byte{2},
			Request: signer.Request{ID: "r", Key: "hot", Kind: "k", Payload: []byte("p"), NotBefore: noon, Expires: noon.Add(time.Hour), Claim: "claim \u2029"},
			Key:     signer.KeyInfo{Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident, Origin: signer.OriginGenerated, Padding: signer.PaddingPSS, Kinds: []signer.Kind{"k"}, Chains: []string{"eip155:1"}},
			Intent: signer.Intent{
				Kind: "k", Complete: true, Fee: q, Outflow: []signer.Quantity{q, {Kind: signer.QuantityUnknown}},
				Effects: []signer.Effect{{signer.ClassTransfer, "a", "b", q, noon, map[string]string{"z": "1", "a": "2"}}},
				Fields:  []signer.Field{{"n", "v"}}, Warnings: []signer.Warning{{"w", signer.SeverityWarn, "t"}},
				Digests: []signer.Digest{{"d", [32]byte{3}}}, Messages: []signer.Message{{signer.SchemeSecp256k1, []byte{4}}},
			},
		},
		Facts: &signer.Facts{Time: noon, Wall: noon, Spent: []signer.Spent{{"a", time.Hour, big.NewInt(5), noon, signer.PerCaller, "uid:1"}}, Recipients: true, NewRecipients: []string{"b"}, Pending: 3},
		Decision: &signer.Decision{Verdict: signer.Allow, Rules: []string{"r"}, Reason: "why", Dropped: 4, Limits: []signer.LimitUse{{"r", "l", "a", time.Hour, big.NewInt(1), big.NewInt(2), big.NewInt(3), noon, signer.PerRecipient, "b"}},
			Quorums: []signer.Quorum{{"r", "l", "g", 2, true, "h", 2}}, Delay: time.Minute, Expires: time.Hour, Approvals: []uint64{7, 8}},
		Waited: 6, Override: 5, TrustsFile: "no",
		Heard:   &signer.Heard{Approver: "ann", Device: "token", Signed: []byte("s"), Approval: signer.Approval{Word: signer.WordReject, Instance: "i", Proposal: [32]byte{8}, Device: "d", Reason: "r \u2028", Time: noon, Expires: noon.Add(1), Nonce: [16]byte{9}}},
		Outcome: &signer.Outcome{Authorization: 9, Signatures: [][]byte{{1}}, Result: []byte("{\"a\":\"\u2028\\\\n<\"}"), Code: "x", Detail: "y"},
	}
}

func TestAnEventSurvivesItsJSON(t *testing.T) {
	for name, e := range map[string]signer.Event{
		"with everything": everything(),
		"with nothing":    {Type: signer.EventStarted, Time: noon, Wall: noon},
		"not UTF-8":       {Type: signer.EventMalformed, Time: noon, Wall: noon, Detail: "a\xff\\ufffd\uFFFD"},
		"an act":          {Type: signer.EventActed, Time: noon, Wall: noon, Outcome: &signer.Outcome{Authorization: 1, Result: []byte("{}")}},
		"malformed":       {Type: signer.EventMalformed, Time: noon, Wall: noon, Caller: &alice, Detail: "x", Dropped: 3},
	} {
		t.Run(name, func(t *testing.T) {
			data := e.Canonical()
			back, err := signer.ParseEvent(data)
			if err != nil {
				t.Fatal(err)
			}
			if again := back.Canonical(); !bytes.Equal(again, data) {
				t.Errorf("became\n%s\nfrom\n%s", again, data)
			}
			if e.Proposal != nil && back.Proposal.Digest() != e.Proposal.Digest() {
				t.Error("the proposal's digest changed")
			}
		})
	}
}

// TestWireIsCanonical writes the same values by the letter of RFC 8785, from a
// generic tree, and compares.
func TestWireIsCanonical(t *testing.T) {
	for name, data := range map[string][]byte{"event": everything().Canonical(), "proposal": everything().Proposal.Canonical(), "approval": everything().Heard.Approval.Canonical()} {
		var tree any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		jcs(&want, tree)
		if want.String() != string(data) {
			t.Errorf("%s is\n%s\ncanonical is\n%s", name, data, want.String())
		}
	}
}

// jcs is RFC 8785, 3.2, for integers, strings and what holds them.
func jcs(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		var names []string
		for n := range v {
			names = append(names, n)
		}
		slices.SortFunc(names, func(a, c string) int { return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(c))) })
		b.WriteByte('{')
		for i, n := range names {
			if i > 0 {
				b.WriteByte(',')
			}
			jcs(b, n)
			b.WriteByte(':')
			jcs(b, v[n])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			jcs(b, e)
		}
		b.WriteByte(']')
	case string:
		b.WriteByte('"')
		for _, r := range v {
			switch short := strings.IndexRune("\b\t\n\f\r\"\\", r); {
			case short >= 0:
				b.WriteString([]string{`\b`, `\t`, `\n`, `\f`, `\r`, `\"`, `\\`}[short])
			case r < 0x20:
				b.WriteString(`\u00` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15]))
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	case bool:
		b.WriteString(map[bool]string{true: "true", false: "false"}[v])
	case json.Number:
		b.WriteString(v.String())
	}
}

func TestParseEventRefuses(t *testing.T) {
	good := string(everything().Canonical())
	for name, data := range map[string]string{
		"an unknown field":     strings.Replace(good, `"code":`, `"cod":`, 1),
		"another version":      strings.Replace(good, `"version":4,"waited":6,"wall"`, `"version":5,"waited":6,"wall"`, 1),
		"no version":           strings.Replace(good, `"version":4,"waited":6,"wall"`, `"version":0,"waited":6,"wall"`, 1),
		"too early a version":  strings.Replace(good, `"version":4,"waited":6,"wall"`, `"version":3,"waited":6,"wall"`, 1),
		"too late a version":   `{"time":"2026-11-23T12:00:00Z","type":"started","version":2,"wall":"2026-11-23T12:00:00Z"}`,
		"white space":          good + " ",
		"a second value":       good + "{}",
		"fields out of order":  `{"type":"started","time":"2026-11-23T12:00:00Z","version":1,"wall":"2026-11-23T12:00:00Z"}`,
		"a case twin":          strings.Replace(good, `"detail":`, `"Detail":"x","detail":`, 1),
		"a number with a sign": strings.Replace(good, `"dropped":4`, `"dropped":4.0`, 1),
		"a proposal alone":     strings.Replace(good, `"intent":`, `"intenx":`, 1),
		"nothing":              "",
	} {
		t.Run(name, func(t *testing.T) {
			if data == good {
				t.Fatal("the case changes nothing")
			}
			if e, err := signer.ParseEvent([]byte(data)); err == nil {
				t.Errorf("accepted as %+v", e)
			}
		})
	}
}

// TestEventsOfVersion1ReadAsBefore has what was written before there was version 2.
func TestEventsOfVersion1ReadAsBefore(t *testing.T) {
	for name, data := range map[string]string{
		"started": `{"detail":"config","time":"2026-11-23T12:00:00Z","type":"started","version":1,"wall":"2026-11-23T12:00:00Z"}`,
		"signed":  `{"outcome":{"authorization":9,"signatures":["01"]},"time":"2026-11-23T12:00:00Z","type":"signed","version":1,"wall":"2026-11-23T12:00:00Z"}`,
		"a decision": `{"decision":{"reason":"no","verdict":"deny"},"facts":{"time":"2026-11-23T12:00:00Z","wall":"2026-11-23T12:00:00Z"},` +
			`"intent":{"complete":true,"effects":[{"class":"message","quantity":{"kind":"none"}}],"fee":{"kind":"none"},"kind":"evm.message","messages":[{"bytes":"04","scheme":"ed25519"}]},` +
			`"key":{"algorithm":"ed25519","kinds":["evm.message"],"name":"hot","protection":"resident","public":"` + strings.Repeat("00", 32) + `"},"payload":"70",` +
			`"proposal":{"caller":{"gid":2,"pid":3,"socket":"sign","uid":1},"created":"2026-11-23T12:00:00Z","decoder":"d/1","instance":"i","key":"` + (&key{}).Public().Fingerprint() + `","kind":"evm.message",` +
			`"messages":[{"bytes":"04","scheme":"ed25519"}],"nonce":"` + strings.Repeat("02", 32) + `","payload_sha256":"148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940","policy":"` + strings.Repeat("01", 32) + `","request_id":"r","version":1},` +
			`"request_digest":"REQUEST","time":"2026-11-23T12:00:00Z","type":"denied","version":1,"wall":"2026-11-23T12:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			digest := signer.Request{ID: "r", Key: "hot", Kind: "evm.message", Payload: []byte("p")}.Digest()
			data := strings.Replace(data, "REQUEST", hex.EncodeToString(digest[:]), 1)
			e, err := signer.ParseEvent([]byte(data))
			if err != nil {
				t.Fatal(err)
			}
			if again := e.Canonical(); string(again) != data {
				t.Errorf("became\n%s\nfrom\n%s", again, data)
			}
		})
	}
}

// FuzzParseEvent checks that an event has one encoding.
func FuzzParseEvent(f *testing.F) {
	f.Add(everything().Canonical())
	f.Add(signer.Event{Type: signer.EventStarted, Time: noon, Wall: noon}.Canonical())
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := signer.ParseEvent(in)
		if err != nil {
			return
		}
		if out := e.Canonical(); !bytes.Equal(in, out) {
			t.Errorf("accepted %q but it encodes as %q", in, out)
		}
	})
}

func TestADigestCoversEveryField(t *testing.T) {
	base := *everything().Proposal
	for name, change := range map[string]func(*signer.Proposal){
		"instance":   func(p *signer.Proposal) { p.Instance += "x" },
		"key":        func(p *signer.Proposal) { p.Key.Fingerprint += "x" },
		"kind":       func(p *signer.Proposal) { p.Request.Kind += "x" },
		"payload":    func(p *signer.Proposal) { p.Request.Payload = []byte("q") },
		"message":    func(p *signer.Proposal) { p.Intent.Messages = []signer.Message{{signer.SchemeSecp256k1, []byte{5}}} },
		"scheme":     func(p *signer.Proposal) { p.Intent.Messages = []signer.Message{{signer.SchemeP256, []byte{4}}} },
		"not before": func(p *signer.Proposal) { p.Request.NotBefore = noon.Add(1) },
		"expiry":     func(p *signer.Proposal) { p.Request.Expires = noon.Add(2) },
		"request id": func(p *signer.Proposal) { p.Request.ID += "x" },
		"caller":     func(p *signer.Proposal) { p.Caller.UID++ },
		"policy":     func(p *signer.Proposal) { p.Policy[31]++ },
		"decoder":    func(p *signer.Proposal) { p.Decoder += "x" },
		"creation":   func(p *signer.Proposal) { p.Created = noon.Add(1) },
		"nonce":      func(p *signer.Proposal) { p.Nonce[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			p := base
			change(&p)
			if p.Digest() == base.Digest() {
				t.Error("the proposal's digest does not depend on it")
			}
		})
	}
}
