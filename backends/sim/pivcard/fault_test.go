package pivcard

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultsHappenToTheCommandsThatTheyAreFor(t *testing.T) {
	verify := append([]byte{0, insVerify, 0, refPIN, 8}, defaultPIN...)
	tests := map[string]struct {
		fault    Fault
		apdu     []byte
		good     func(answer []byte) bool
		verified bool // was the command carried out?
	}{
		"a wrong status word": {Fault{Kind: WrongStatus, INS: insVerify, Status: 0x6f00}, verify, func(b []byte) bool { return bytes.Equal(b, []byte{0x6f, 0}) }, false},
		"nothing but 9000":    {Fault{Kind: Empty}, verify, func(b []byte) bool { return bytes.Equal(b, []byte{0x90, 0}) }, false},
		"garbage":             {Fault{Kind: Garbage}, verify, func(b []byte) bool { return len(b) == 66 }, false},
		"no answer":           {Fault{Kind: Mute}, verify, func(b []byte) bool { return b != nil && len(b) == 0 }, false},
		"another command":     {Fault{Kind: Empty, INS: insReset}, verify, func(b []byte) bool { return bytes.Equal(b, []byte{0x90, 0}) }, true},
		"half of the data": {Fault{Kind: Truncated}, []byte{0, insMetadata, 0, refPIN, 0}, func(b []byte) bool {
			return bytes.Equal(b, append(unhex("0101ff05"), 0x01, 0x90, 0))
		}, false},
		"more for ever": {Fault{Kind: Endless}, verify, func(b []byte) bool { return len(b) == 257 && b[255] == 0x61 }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cl := connect(t, Config{})
			cl.card.Fault(tt.fault)
			if answer := cl.card.Transmit(t.Context(), tt.apdu); !tt.good(answer) {
				t.Errorf("the answer is %x", answer)
			}
			cl.card.ClearFaults()
			want := status(swTriesLeft | 3)
			if tt.verified {
				want = swOK
			}
			cl.want(want, insVerify, 0, refPIN)
		})
	}
}

func TestFaultsHappenAsOftenAsTheyAreSaidTo(t *testing.T) {
	cl := connect(t, Config{})
	cl.card.Fault(Fault{Kind: WrongStatus, INS: insVersion, After: 1, Times: 2, Status: 0x6581})
	for i, want := range []status{swOK, swMemoryFailure, swMemoryFailure, swOK} {
		if _, sw := cl.send(insVersion, 0, 0); sw != want {
			t.Errorf("answer %d is %04x; want %04x", i, sw, want)
		}
	}
}

func TestEndlessAnswersEndAtReset(t *testing.T) {
	cl := connect(t, Config{})
	cl.card.Fault(Fault{Kind: Endless, INS: insVersion, Times: 1})
	if answer, sw := cl.send(insVersion, 0, 0); sw != swMoreData|0xff || len(answer) < 100*255 {
		t.Errorf("after %d bytes the card says %04x; want that there is more", len(answer), sw)
	}
	cl.card.Reset()
	cl.must(insSelect, 4, 0, unhex("a000000308")...)
}

func TestASignatureCanBeOfSomethingElse(t *testing.T) {
	cl := connect(t, Config{})
	for _, alg := range []byte{algP256, algP384, algEd25519, algRSA2048} {
		public := cl.generate(slotCard, alg, pinNever, touchNever)
		for _, kind := range []Kind{OtherMessage, OtherKey} {
			cl.card.Fault(Fault{Kind: kind, INS: insAuthenticate, Times: 1})
			if signature, sw := cl.sign(slotCard); sw != swOK || len(signature) < 64 || valid(public, signature) {
				t.Errorf("algorithm %x, fault %d: %04x and %d bytes; want a signature that is not valid", alg, kind, sw, len(signature))
			}
			if signature, sw := cl.sign(slotCard); sw != swOK || !valid(public, signature) {
				t.Errorf("algorithm %x, after fault %d: %04x; want a valid signature", alg, kind, sw)
			}
		}
	}
}

func TestKeysCanBeSwapped(t *testing.T) {
	cl := connect(t, Config{})
	first, second := cl.generate(slotCard, algP256, pinNever, touchNever), cl.generate(0x82, algP256, pinNever, touchNever)
	if err := cl.card.Swap(slotCard, 0x82); err != nil {
		t.Fatal(err)
	}
	if signature, _ := cl.sign(slotCard); valid(first, signature) || !valid(second, signature) {
		t.Error("the slot does not have the other slot's key")
	}
	if err := cl.card.Swap(slotCard, 0x83); err == nil {
		t.Error("a key is swapped with none; want an error")
	}
}

func TestACardThatHangsAnswersWhenItIsReleased(t *testing.T) {
	for name, tt := range map[string]struct {
		kind Kind
		left int // tries, while it hangs
	}{
		"before the command": {Hang, 3},
		"after the command":  {HangAfter, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := connect(t, Config{})
				cl.card.Fault(Fault{Kind: tt.kind, INS: insVerify, Times: 1})
				answer := make(chan []byte, 1)
				go func() {
					answer <- cl.card.Transmit(t.Context(), append([]byte{0, insVerify, 0, refPIN, 8}, pair("000000", "")[:8]...))
				}()
				synctest.Wait()
				if pin, _ := cl.card.Tries(); pin != tt.left || len(answer) != 0 {
					t.Errorf("%d tries left, %d answers; want %d and none", pin, len(answer), tt.left)
				}
				cl.card.ClearFaults()
				if got := <-answer; !bytes.Equal(got, []byte{0x63, 0xc2}) {
					t.Errorf("released, the card answers %x; want 63c2", got)
				}
			})
		})
	}
}

// vpcd sends a message as the virtual reader does and returns the answer.
func vpcd(t *testing.T, conn net.Conn, message ...byte) []byte {
	t.Helper()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		t.Fatal(err)
	}
	if len(message) == 1 && message[0] != vpcdATR {
		return nil
	}
	var head [2]byte
	if _, err := conn.Read(head[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	if n := binary.BigEndian.Uint16(head[:]); n == 0 {
		return nil
	}
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// serve puts a card into a reader of the test's.
func serve(t *testing.T, card *Card) (reader net.Conn, seen chan struct{}, done chan error) {
	t.Helper()
	reader, end := net.Pipe()
	seen, done = make(chan struct{}, 100), make(chan error, 1)
	go func() { done <- card.Serve(t.Context(), end, func() { seen <- struct{}{} }) }()
	return reader, seen, done
}

func TestServeSpeaksWithTheVirtualReader(t *testing.T) {
	cl := connect(t, Config{})
	cl.must(insVerify, 0, refPIN, defaultPIN...)
	reader, seen, done := serve(t, cl.card)
	if got := vpcd(t, reader, vpcdATR); !bytes.Equal(got, atr) {
		t.Errorf("the answer to reset is %x", got)
	}
	vpcd(t, reader, vpcdOn)
	vpcd(t, reader, vpcdATR)
	<-seen
	if len(seen) != 0 {
		t.Error("the card was seen before it had power")
	}
	vpcd(t, reader, append([]byte{0, insSelect, 4, 0, 5}, unhex("a000000308")...)...)
	if got := vpcd(t, reader, 0, insVerify, 0, refPIN); !bytes.Equal(got, []byte{0x63, 0xc3}) {
		t.Errorf("after power on the card answers VERIFY with %x; want 63c3", got)
	}
	vpcd(t, reader, append([]byte{0, insVerify, 0, refPIN, 8}, defaultPIN...)...)
	vpcd(t, reader, vpcdReset)
	vpcd(t, reader, append([]byte{0, insSelect, 4, 0, 5}, unhex("a000000308")...)...)
	if got := vpcd(t, reader, 0, insVerify, 0, refPIN); !bytes.Equal(got, []byte{0x63, 0xc3}) {
		t.Errorf("after a reset the card answers VERIFY with %x; want 63c3", got)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve = %v; want nil when the reader is gone", err)
	}
}

func TestServeEndsWhenTheReaderGoesWhileTheCardHangs(t *testing.T) {
	cl := connect(t, Config{})
	cl.card.Fault(Fault{Kind: Hang})
	reader, _, done := serve(t, cl.card)
	if _, err := reader.Write([]byte{0, 5, 0, insVersion, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Serve does not return")
	}
}

func TestServeRefusesWhatNoReaderSends(t *testing.T) {
	cl := connect(t, Config{})
	reader, _, done := serve(t, cl.card)
	if _, err := reader.Write([]byte{0, 1, 77}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("Serve = nil; want an error")
	}
}

// FuzzTransmit sends any commands, each with its length before it, to a card with
// keys whose PIN was not verified. Whatever comes, the card gives an answer that is
// not longer than allowed, tries go down only, and no key is used.
func FuzzTransmit(f *testing.F) {
	one := func(apdus ...[]byte) []byte {
		var b []byte
		for _, a := range apdus {
			b = append(append(b, byte(len(a))), a...)
		}
		return b
	}
	selectPIV := append([]byte{0, insSelect, 4, 0, 5}, unhex("a000000308")...)
	f.Add(one(selectPIV, []byte{0, insVerify, 0, refPIN}, []byte{0, insMetadata, 0, slotAuthentication, 0}))
	f.Add(one(selectPIV, []byte{0, insAuthenticate, algP256, slotAuthentication, 8, 0x7c, 6, 0x82, 0, 0x81, 2, 1, 2}))
	f.Add(one(selectPIV, []byte{0, insGetData, 0x3f, 0xff, 0, 0, 5, 0x5c, 3, 0x5f, 0xff, 1, 0, 0}, []byte{0, insGetResponse, 0, 0, 9}))
	f.Add(one([]byte{0x10, insPutData, 0x3f, 0xff, 2, 0x5c, 1}, []byte{0, insPutData, 0x3f, 0xff, 4, 0x7e, 0x53, 1, 0}))
	card, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	keys := map[byte]*slotKey{}
	for slot, pin := range map[byte]pinPolicy{slotAuthentication: pinOnce, slotSignature: pinAlways} {
		private, err := newPrivate(algP256)
		if err != nil {
			f.Fatal(err)
		}
		keys[slot] = &slotKey{algP256, pin, touchNever, originGenerated, private}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		card := &Card{config: card.config, root: card.root, touch: make(chan struct{}, 1)}
		card.state = card.factoryState()
		card.state.PIN.Value = random(8) // not to be guessed
		card.state.PUK.Value = random(8)
		card.state.Management.Key = random(24)
		card.state.Keys = keys
		left := 3
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			apdu := in[1 : 1+n]
			in = in[1+n:]
			answer := card.Transmit(context.Background(), apdu)
			if len(answer) < 2 || len(answer) > 65538 {
				t.Fatalf("%x is answered with %d bytes", apdu, len(answer))
			}
			pin, _ := card.Tries()
			if pin > left {
				t.Fatalf("after %x there are %d tries; there were %d", apdu, pin, left)
			}
			left = pin
		}
		if n := card.Counts().Signatures; n != 0 {
			t.Fatalf("the card made %d signatures without a PIN", n)
		}
	})
}
