package pivcard

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// client sends commands to a card as a program does that knows the standard.
type client struct {
	t    *testing.T
	card *Card
}

// connect makes a card and selects its PIV application.
func connect(t *testing.T, c Config) *client {
	t.Helper()
	card, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	cl := &client{t, card}
	cl.must(insSelect, 0x04, 0x00, unhex("a000000308")...)
	return cl
}

// send carries out a command, chained where it is long, and fetches the whole answer.
func (cl *client) send(ins, p1, p2 byte, data ...byte) ([]byte, status) {
	cl.t.Helper()
	for ; len(data) > 255; data = data[255:] {
		if _, sw := cl.raw(append([]byte{0x10, ins, p1, p2, 255}, data[:255]...)); sw != swOK {
			return nil, sw
		}
	}
	apdu := []byte{0x00, ins, p1, p2}
	if len(data) > 0 {
		apdu = append(append(apdu, byte(len(data))), data...)
	}
	answer, sw := cl.raw(append(apdu, 0))
	for i := 0; sw&0xff00 == swMoreData; i++ {
		var more []byte
		more, sw = cl.raw([]byte{0, insGetResponse, 0, 0, 0})
		answer = append(answer, more...)
		if i > 100 {
			return answer, sw
		}
	}
	return answer, sw
}

func (cl *client) raw(apdu []byte) ([]byte, status) {
	cl.t.Helper()
	answer := cl.card.Transmit(cl.t.Context(), apdu)
	if len(answer) < 2 {
		cl.t.Fatalf("the answer to %x is %x; want a status word at least", apdu, answer)
	}
	n := len(answer) - 2
	return answer[:n], status(binary.BigEndian.Uint16(answer[n:]))
}

func (cl *client) must(ins, p1, p2 byte, data ...byte) []byte {
	cl.t.Helper()
	answer, sw := cl.send(ins, p1, p2, data...)
	if sw != swOK {
		cl.t.Fatalf("instruction %02x %02x %02x answers %04x; want 9000", ins, p1, p2, sw)
	}
	return answer
}

// want checks the status word of a command.
func (cl *client) want(sw status, ins, p1, p2 byte, data ...byte) {
	cl.t.Helper()
	if answer, got := cl.send(ins, p1, p2, data...); got != sw || sw != swOK && len(answer) != 0 {
		cl.t.Errorf("instruction %02x %02x %02x %x answers %x %04x; want %04x", ins, p1, p2, data, answer, got, sw)
	}
}

// manage proves the default management key, with both sides authenticated.
func (cl *client) manage() {
	cl.t.Helper()
	block, err := cl.card.state.Management.cipher()
	if err != nil {
		cl.t.Fatal(err)
	}
	n, alg := block.BlockSize(), cl.card.state.Management.Algorithm
	witness := cl.must(insAuthenticate, alg, slotManagement, 0x7c, 2, 0x80, 0)[4:]
	block.Decrypt(witness, witness)
	challenge := random(n)
	inner := appendTLV(appendTLV(nil, 0x80, witness...), 0x81, challenge...)
	answer := cl.must(insAuthenticate, alg, slotManagement, appendTLV(nil, 0x7c, inner...)...)
	block.Encrypt(challenge, challenge)
	if want := appendTLV(nil, 0x7c, appendTLV(nil, 0x82, challenge...)...); !bytes.Equal(answer, want) {
		cl.t.Fatalf("the card proves its management key by %x; want %x", answer, want)
	}
}

// generate makes a key and returns its public part.
func (cl *client) generate(slot, alg byte, pin pinPolicy, touch touchPolicy) crypto.PublicKey {
	cl.t.Helper()
	cl.manage()
	cl.must(insGenerate, 0, slot, 0xac, 9, 0x80, 1, alg, 0xaa, 1, byte(pin), 0xab, 1, byte(touch))
	return cl.card.state.Keys[slot].public()
}

// message is what sign is asked for.
var message = sha256.Sum256([]byte("a message"))

// sign asks for a signature of message.
func (cl *client) sign(slot byte) ([]byte, status) {
	cl.t.Helper()
	key := cl.card.state.Keys[slot]
	block := message[:]
	if bits := rsaBits(key.Algorithm); bits != 0 {
		block = append(bytes.Repeat([]byte{0xff}, bits/8-len(rsaPrefix)-len(message)), rsaPrefix...)
		block = append(block, message[:]...)
		block[0], block[1], block[bits/8-len(rsaPrefix)-len(message)-1] = 0, 1, 0
	}
	template := appendTLV(nil, 0x7c, appendTLV([]byte{0x82, 0}, 0x81, block...)...)
	answer, sw := cl.send(insAuthenticate, key.Algorithm, slot, template...)
	if sw != swOK {
		return nil, sw
	}
	outer, ok := parseTLV(answer)
	if !ok || len(outer) != 1 {
		return answer, sw
	}
	inner, _ := parseTLV(outer[0].value)
	signature, _ := find(inner, 0x82)
	return signature, sw
}

// rsaPrefix is what PKCS #1 puts before a SHA-256 digest: RFC 8017, 9.2, note 1.
var rsaPrefix = unhex("3031300d060960864801650304020105000420")

// valid reports whether a signature of message is valid.
func valid(public crypto.PublicKey, signature []byte) bool {
	switch pub := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, message[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, message[:], signature) == nil
	}
	return false
}
