package pivcard

import (
	"bytes"
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

func pair(a, b string) []byte {
	pad := func(s string) []byte {
		return append([]byte(s), []byte("\xff\xff\xff\xff\xff\xff\xff\xff")[len(s):]...)
	}
	return append(pad(a), pad(b)...)
}

func TestPINAndPUKAreCountedAndBlock(t *testing.T) {
	cl := connect(t, Config{})
	wrong := pair("000000", "")[:8]
	cl.want(0x63c3, insVerify, 0, refPIN)
	cl.want(0x63c2, insVerify, 0, refPIN, wrong...)
	cl.want(swOK, insVerify, 0, refPIN, defaultPIN...)
	cl.want(swOK, insVerify, 0, refPIN) // verified: no tries told
	cl.want(0x63c2, insVerify, 0, refPIN, wrong...)
	cl.want(0x63c2, insVerify, 0, refPIN) // a wrong PIN ends the verified state
	cl.want(swWrongData, insVerify, 0, refPIN, '1', '2')
	cl.want(0x63c1, insChange, 0, refPIN, pair("000000", "654321")...)
	cl.want(swWrongData, insChange, 0, refPIN, pair("123456", "12345")...) // too short, not counted
	cl.want(0x63c0, insVerify, 0, refPIN, wrong...)
	cl.want(swBlocked, insVerify, 0, refPIN)
	cl.want(swBlocked, insVerify, 0, refPIN, defaultPIN...)
	cl.want(swConditions, insReset, 0, 0) // the PUK is not blocked
	cl.want(0x63c2, insResetRetry, 0, refPIN, pair("00000000", "654321")...)
	cl.want(swOK, insResetRetry, 0, refPIN, pair("12345678", "654321")...)
	cl.want(swOK, insVerify, 0, refPIN, pair("654321", "")[:8]...)
	if pin, puk := cl.card.Tries(); pin != 3 || puk != 3 {
		t.Errorf("tries left are %d and %d; want all", pin, puk)
	}
	cl.want(swOK, insVerify, 0xff, refPIN) // forget it
	cl.want(0x63c3, insVerify, 0, refPIN)
	if n := cl.card.Counts().Verify; n != 6 {
		t.Errorf("%d PINs were tried; want 6", n)
	}
	for range 3 {
		cl.send(insVerify, 0, refPIN, wrong...)
		cl.send(insChange, 0, refPUK, pair("00000000", "11111111")...)
	}
	cl.want(swBlocked, insResetRetry, 0, refPIN, pair("12345678", "654321")...)
	cl.want(swOK, insReset, 0, 0)
	cl.want(swOK, insVerify, 0, refPIN, defaultPIN...)
	cl.must(insGetData, 0x3f, 0xff, 0x5c, 3, 0x5f, 0xff, 0x01) // the attestation certificate stays
}

func TestRetriesAreSetWithBothKeys(t *testing.T) {
	cl := connect(t, Config{})
	cl.want(swNotSatisfied, insSetRetries, 5, 6)
	cl.manage()
	cl.want(swNotSatisfied, insSetRetries, 5, 6)
	cl.must(insChange, 0, refPIN, pair("123456", "654321")...)
	cl.want(swWrongP1P2, insSetRetries, 0, 6)
	cl.must(insSetRetries, 5, 200)
	if pin, puk := cl.card.Tries(); pin != 5 || puk != 200 {
		t.Errorf("tries are %d and %d; want 5 and 200", pin, puk)
	}
	cl.want(swOK, insVerify, 0, refPIN, defaultPIN...)
	cl.want(0x63cf, insChange, 0, refPUK, pair("00000000", "11111111")...)
}

func TestManagementKeyIsProvedAndChanged(t *testing.T) {
	cl := connect(t, Config{})
	answer := func(alg byte) []byte { // single authentication
		c := cl.must(insAuthenticate, alg, slotManagement, 0x7c, 2, 0x81, 0)[4:]
		block, err := cl.card.state.Management.cipher()
		if err != nil {
			t.Fatal(err)
		}
		block.Encrypt(c, c)
		return appendTLV(nil, 0x7c, appendTLV(nil, 0x82, c...)...)
	}
	right := answer(algAES192)
	wrong := append([]byte(nil), right...)
	wrong[7] ^= 1
	cl.want(swNotSatisfied, insAuthenticate, algAES192, slotManagement, wrong...)
	cl.want(swNotSatisfied, insAuthenticate, algAES192, slotManagement, right...) // one challenge, one answer
	cl.want(swNotSatisfied, insSetManagement, 0xff, 0xff, append([]byte{algAES192, slotManagement, 24}, make([]byte, 24)...)...)
	cl.want(swWrongP1P2, insAuthenticate, alg3DES, slotManagement, 0x7c, 2, 0x81, 0)
	for alg, size := range map[byte]byte{alg3DES: 24, algAES128: 16, algAES256: 32} {
		now := cl.card.state.Management.Algorithm
		cl.must(insAuthenticate, now, slotManagement, answer(now)...)
		cl.want(swWrongData, insSetManagement, 0xff, 0xff, append([]byte{alg, slotManagement, size - 1}, make([]byte, size-1)...)...)
		cl.must(insSetManagement, 0xff, 0xff, append([]byte{alg, slotManagement, size}, random(int(size))...)...)
		cl.card.Reset()
		cl.must(insSelect, 4, 0, unhex("a000000308")...)
		cl.manage()
		if got := cl.must(insMetadata, 0, slotManagement); got[2] != alg || got[len(got)-1] != 0 {
			t.Errorf("the management key's metadata are %x; want algorithm %x and not the default", got, alg)
		}
	}
}

func TestKeysAskForWhatTheirPolicySays(t *testing.T) {
	type step struct {
		do   string
		want status
	}
	tests := map[string]struct {
		pin   pinPolicy
		steps []step
	}{
		"never: no PIN":                         {pinNever, []step{{"sign", swOK}}},
		"once: the PIN, then more":              {pinOnce, []step{{"sign", swNotSatisfied}, {"verify", swOK}, {"sign", swOK}, {"look", swOK}, {"sign", swOK}}},
		"once: gone at reset":                   {pinOnce, []step{{"verify", swOK}, {"reset", swOK}, {"sign", swNotSatisfied}}},
		"once: gone with another application":   {pinOnce, []step{{"verify", swOK}, {"away", swOK}, {"sign", swNotSatisfied}}},
		"once: stays when selected again":       {pinOnce, []step{{"verify", swOK}, {"again", swOK}, {"sign", swOK}}},
		"always: the PIN each time":             {pinAlways, []step{{"verify", swOK}, {"sign", swOK}, {"sign", swNotSatisfied}}},
		"always: the PIN directly before":       {pinAlways, []step{{"verify", swOK}, {"look", swOK}, {"sign", swNotSatisfied}}},
		"always: a wrong PIN is none":           {pinAlways, []step{{"verify", swOK}, {"wrong", 0x63c2}, {"sign", swNotSatisfied}}},
		"always: asking for tries is not a PIN": {pinAlways, []step{{"verify", swOK}, {"tries", swOK}, {"sign", swNotSatisfied}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cl := connect(t, Config{})
			public := cl.generate(slotKeyManagement, algP256, tt.pin, touchNever)
			signed := 0
			for i, s := range tt.steps {
				sw := swOK
				switch s.do {
				case "sign":
					var signature []byte
					if signature, sw = cl.sign(slotKeyManagement); sw == swOK {
						signed++
						if !valid(public, signature) {
							t.Error("the signature is not valid")
						}
					}
				case "verify":
					_, sw = cl.send(insVerify, 0, refPIN, defaultPIN...)
				case "wrong":
					_, sw = cl.send(insVerify, 0, refPIN, pair("000000", "")[:8]...)
				case "tries":
					_, sw = cl.send(insVerify, 0, refPIN)
				case "look":
					cl.must(insVersion, 0, 0)
				case "reset":
					cl.card.Reset()
					cl.must(insSelect, 4, 0, unhex("a000000308")...)
				case "away":
					cl.must(insSelect, 4, 0, unhex("a000000527471117")...)
					cl.must(insSelect, 4, 0, unhex("a000000308")...)
				case "again":
					cl.must(insSelect, 4, 0, unhex("a000000308")...)
				}
				if sw != s.want {
					t.Errorf("step %d, %s, answers %04x; want %04x", i, s.do, sw, s.want)
				}
			}
			if n := cl.card.Counts().Signatures; n != signed {
				t.Errorf("the card counts %d signatures; want %d", n, signed)
			}
		})
	}
}

func TestPoliciesThatAreNotGivenAreTheSlots(t *testing.T) {
	cl := connect(t, Config{})
	for slot, want := range map[byte]pinPolicy{slotAuthentication: pinOnce, slotSignature: pinAlways, slotKeyManagement: pinOnce, slotCard: pinNever, 0x82: pinOnce} {
		cl.manage()
		cl.must(insGenerate, 0, slot, 0xac, 3, 0x80, 1, algP256)
		if got := cl.must(insMetadata, 0, slot); pinPolicy(got[5]) != want || touchPolicy(got[6]) != touchNever {
			t.Errorf("slot %x has the policies %x; want %x and never", slot, got[5:7], want)
		}
	}
	cl.want(swWrongData, insGenerate, 0, slotCard, 0xac, 6, 0x80, 1, algP256, 0xaa, 1, 9)
	cl.want(swWrongP1P2, insGenerate, 0, 0x9f, 0xac, 3, 0x80, 1, algP256)
}

func TestATouchMustBeGiven(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cl := connect(t, Config{TouchTimeout: 20 * time.Millisecond, Now: func() time.Time { return now }})
	always := cl.generate(slotAuthentication, algP256, pinNever, touchAlways)
	cl.generate(slotCard, algP256, pinNever, touchCached)

	if _, sw := cl.sign(slotAuthentication); sw != swNotSatisfied {
		t.Errorf("without a touch the card answers %04x; want 6982", sw)
	}
	cl.card.Touch() // nobody asked: no effect later
	if _, sw := cl.sign(slotAuthentication); sw != swNotSatisfied {
		t.Errorf("with a touch that came before the card answers %04x; want 6982", sw)
	}
	asked := 0
	cl.card.OnTouch(func() {
		asked++
		if !cl.card.Waiting() {
			t.Error("the card does not say that it waits")
		}
		cl.card.Touch()
	})
	for range 2 {
		if signature, sw := cl.sign(slotAuthentication); sw != swOK || !valid(always, signature) {
			t.Errorf("touched, the card answers %04x; want a valid signature", sw)
		}
	}
	if asked != 2 || cl.card.Waiting() {
		t.Errorf("the card asked %d times; want 2, and that it no longer waits", asked)
	}
	for i, after := range []time.Duration{0, 14 * time.Second, time.Second, 14 * time.Second} {
		now = now.Add(after)
		if _, sw := cl.sign(slotCard); sw != swOK {
			t.Errorf("cached signature %d answers %04x", i, sw)
		}
	}
	if asked != 3 { // the touch for slot 9a serves, until 15 s have passed
		t.Errorf("the card asked %d times; want 3", asked)
	}
	if n := cl.card.Counts().Touches; n != asked {
		t.Errorf("the card counts %d touches; want %d", n, asked)
	}
}

func TestNobodyWaitsForATouchAfterTheReaderIsGone(t *testing.T) {
	cl := connect(t, Config{})
	cl.generate(slotAuthentication, algP256, pinNever, touchAlways)
	ctx, cancel := context.WithCancel(t.Context())
	cl.card.OnTouch(cancel)
	apdu := []byte{0, insAuthenticate, algP256, slotAuthentication, 8, 0x7c, 6, 0x82, 0, 0x81, 2, 1, 2}
	if answer := cl.card.Transmit(ctx, apdu); answer != nil {
		t.Errorf("the card answers %x; want nothing", answer)
	}
	if n := cl.card.Counts().Signatures; n != 0 {
		t.Errorf("the card made %d signatures; want none", n)
	}
}

// TestRandomCommandsNeverSignWithoutThePIN sends random commands, most of them well
// formed, and holds the card to a model of what permits a signature: the PIN was
// verified since the last reset, and directly before where the policy is always.
func TestRandomCommandsNeverSignWithoutThePIN(t *testing.T) {
	verify := append([]byte{0, insVerify, 0, refPIN, 8}, defaultPIN...)
	signed := map[byte]int{}
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		cl := connect(t, Config{})
		cl.generate(slotAuthentication, algP256, pinOnce, touchNever)
		cl.generate(slotSignature, algP256, pinAlways, touchNever)
		cl.card.Reset()
		verified, fresh := false, false
		for range 200 {
			before := cl.card.Counts().Signatures
			apdu := randomCommand(rnd)
			answer := cl.card.Transmit(t.Context(), apdu)
			if len(answer) < 2 {
				t.Fatalf("seed %d: %x is answered with %x", seed, apdu, answer)
			}
			if cl.card.Counts().Signatures != before {
				signed[apdu[3]]++
				if !verified || apdu[3] == slotSignature && !fresh {
					t.Fatalf("seed %d: %x made a signature; PIN verified %t, directly before %t", seed, apdu, verified, fresh)
				}
			}
			fresh = bytes.Equal(apdu, verify) && answer[0] == 0x90
			away := apdu[1] == insSelect && len(answer) > 2 && answer[0] != 0x61
			wrong := apdu[1] == insVerify && answer[0] == 0x63
			verified = fresh || verified && !away && !wrong
			if rnd.IntN(30) == 0 {
				cl.card.Reset()
				verified, fresh = false, false
			}
		}
	}
	if signed[slotAuthentication] < 100 || signed[slotSignature] < 100 {
		t.Errorf("signatures made, by slot: %v; want more, or the test tests nothing", signed)
	}
}

// randomCommand makes a command, of the kinds that matter more often.
func randomCommand(rnd *rand.Rand) []byte {
	sign := func(slot byte) []byte {
		return []byte{0, insAuthenticate, algP256, slot, 8, 0x7c, 6, 0x82, 0, 0x81, 2, byte(rnd.Uint32()), 7}
	}
	switch rnd.IntN(12) {
	case 0, 1, 2:
		return append([]byte{0, insVerify, 0, refPIN, 8}, defaultPIN...)
	case 3:
		if rnd.IntN(8) > 0 {
			return []byte{0, insVerify, 0, refPIN, 0}
		}
		return append([]byte{0, insVerify, 0, refPIN, 8}, pair("000000", "")[:8]...)
	case 4, 5:
		return sign(slotAuthentication)
	case 6, 7:
		return sign(slotSignature)
	case 8, 9:
		aid := applets[rnd.IntN(len(applets))].aid
		return append([]byte{0, insSelect, 4, 0, byte(len(aid))}, aid...)
	case 10:
		return append([]byte{0, insResetRetry, 0, refPIN, 16}, pair("12345678", "123456")...)
	}
	b := make([]byte, 4+rnd.IntN(20))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	b[0] &= 0x10
	return b
}

func TestTheStateOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card.json")
	cl := connect(t, Config{Serial: 9, File: path})
	public := map[byte]any{}
	for slot, alg := range map[byte]byte{0x82: algP256, 0x83: algP384, 0x84: algEd25519, 0x85: algRSA1024} {
		public[slot] = cl.generate(slot, alg, pinNever, touchNever)
	}
	cl.generate(0x86, algX25519, pinNever, touchNever)
	cl.must(insPutData, 0x3f, 0xff, 0x5c, 3, 0x5f, 0xc1, 0x02, 0x53, 2, 1, 2)
	cl.send(insVerify, 0, refPIN, pair("000000", "")[:8]...)

	again := connect(t, Config{Serial: 9, File: path})
	again.want(0x63c2, insVerify, 0, refPIN)
	again.must(insGetData, 0x3f, 0xff, 0x5c, 3, 0x5f, 0xc1, 0x02)
	for slot, pub := range public {
		if signature, sw := again.sign(slot); sw != swOK || !valid(pub, signature) {
			t.Errorf("the key in slot %x answers %04x; want a valid signature", slot, sw)
		}
	}
	if !again.card.Root().Equal(cl.card.Root()) {
		t.Error("the root is another one")
	}
	if _, err := New(Config{Serial: 10, File: path}); err == nil {
		t.Error("another card reads the state; want an error")
	}
}
