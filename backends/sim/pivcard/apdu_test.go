package pivcard

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
)

func TestCommandsAreReadInEveryForm(t *testing.T) {
	long := strings.Repeat("ab", 300)
	tests := map[string]struct {
		apdu string
		data int
		want int
		ok   bool
	}{
		"case 1, header only":                        {"00fd0000", 0, 256, true},
		"case 2, any length":                         {"00fd000000", 0, 256, true},
		"case 2, a length":                           {"00fd000010", 0, 16, true},
		"case 2, extended":                           {"00fd0000000100", 0, 256, true},
		"case 2, extended, any length":               {"00fd0000000000", 0, 65536, true},
		"case 3":                                     {"0020008002abcd", 2, 256, true},
		"case 3, extended":                           {"00200080" + "00012c" + long, 300, 65536, true},
		"case 4":                                     {"0020008002abcd00", 2, 256, true},
		"case 4, extended":                           {"00200080" + "00012c" + long + "0102", 300, 258, true},
		"nothing":                                    {"", 0, 0, false},
		"half a header":                              {"0020", 0, 0, false},
		"less data than announced":                   {"0020008003abcd", 0, 0, false},
		"more data than announced":                   {"0020008001abcdef", 0, 0, false},
		"extended, less data than announced":         {"00200080000003abcd", 0, 0, false},
		"extended, half a length of the response":    {"00200080000001ab00", 0, 0, false},
		"a zero that is neither length nor extended": {"002000800001", 0, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := parseCommand(unhex(tt.apdu))
			if (err == nil) != tt.ok || len(c.data) != tt.data || tt.ok && c.want != tt.want {
				t.Errorf("parseCommand = %d bytes of data, %d wanted, %v; want %d, %d, ok %t", len(c.data), c.want, err, tt.data, tt.want, tt.ok)
			}
		})
	}
}

func TestClassesOfCommandsThatTheCardDoesNotHaveAreRefused(t *testing.T) {
	cl := connect(t, Config{})
	for cla, want := range map[byte]status{0x0c: swNoSecureMessage, 0x01: swNoLogicalChan, 0x80: swUnknownCLA, 0xff: swUnknownCLA} {
		if _, sw := cl.raw([]byte{cla, insVersion, 0, 0, 0}); sw != want {
			t.Errorf("class %02x answers %04x; want %04x", cla, sw, want)
		}
	}
}

func TestALongAnswerComesInPieces(t *testing.T) {
	cl := connect(t, Config{})
	ask := append([]byte{0, insGetData, 0x3f, 0xff, 5, 0x5c, 3}, 0x5f, 0xff, 0x01)
	whole, sw := cl.raw(append([]byte{0, insGetData, 0x3f, 0xff, 0, 0, 5, 0x5c, 3}, 0x5f, 0xff, 0x01, 0, 0))
	if sw != swOK || len(whole) < 300 {
		t.Fatalf("an extended command answers %d bytes, %04x; want the certificate at once", len(whole), sw)
	}
	first, sw := cl.raw(append(ask, 100))
	if len(first) != 100 || sw != swMoreData {
		t.Fatalf("the first piece is %d bytes, %04x; want 100 and 6100", len(first), sw)
	}
	second, sw := cl.raw([]byte{0, insGetResponse, 0, 0, 0})
	if left := status(len(whole) - 356); len(second) != 256 || sw != swMoreData|left {
		t.Fatalf("the second piece is %d bytes, %04x; want 256 and 61%02x", len(second), sw, left)
	}
	third, sw := cl.raw([]byte{0, insGetResponse, 0, 0, 0})
	if sw != swOK || !bytes.Equal(whole, append(append(first, second...), third...)) {
		t.Errorf("the pieces do not make the whole (%04x)", sw)
	}
	if _, sw := cl.raw([]byte{0, insGetResponse, 0, 0, 0}); sw != swConditions {
		t.Errorf("GET RESPONSE after the last piece answers %04x; want 6985", sw)
	}
}

func TestAChainThatIsBrokenOffIsForgotten(t *testing.T) {
	cl := connect(t, Config{})
	if _, sw := cl.raw([]byte{0x10, insVerify, 0, refPIN, 2, '1', '2'}); sw != swOK {
		t.Fatalf("the first link answers %04x", sw)
	}
	cl.must(insVersion, 0, 0)
	cl.want(swWrongData, insVerify, 0, refPIN, []byte("3456\xff\xff")...)
	if _, sw := cl.raw([]byte{0x10, insVerify, 0, refPIN, 2, '1', '2'}); sw != swOK {
		t.Fatalf("the first link answers %04x", sw)
	}
	cl.must(insVerify, 0, refPIN, []byte("3456\xff\xff")...)
}

func TestAChainIsBounded(t *testing.T) {
	cl := connect(t, Config{})
	link := append([]byte{0x10, insPutData, 0x3f, 0xff, 255}, make([]byte, 255)...)
	for i := range maxCommand/255 + 1 {
		if _, sw := cl.raw(link); sw != swOK {
			if i != maxCommand/255 || sw != swWrongLength {
				t.Errorf("link %d answers %04x; want 6700 for link %d", i, sw, maxCommand/255)
			}
			return
		}
	}
	t.Error("the chain has no end")
}

func TestApplicationsAreSelectedByTheirNames(t *testing.T) {
	cl := connect(t, Config{Serial: 0x01020304})
	property := unhex("61114f0600001000010079074f05a000000308")
	for _, aid := range []string{"a000000308", "a00000030800001000", "a000000308000010000100"} {
		if got := cl.must(insSelect, 4, 0, unhex(aid)...); !bytes.Equal(got, property) {
			t.Errorf("SELECT %s answers %x; want %x", aid, got, property)
		}
	}
	if got := cl.must(insSerial, 0, 0); !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("the serial number is %x", got)
	}
	cl.want(swNotFound, insSelect, 4, 0, unhex("a0000003")...)
	cl.want(swNotFound, insSelect, 4, 0, unhex("d2760001240102")...)
	cl.want(swOK, insVersion, 0, 0) // what was selected stays
	cl.must(insSelect, 4, 0, unhex("a0000005272001")...)
	if got := cl.must(0x01, 0x10, 0); !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("the serial number in the OTP application is %x", got)
	}
	cl.must(insSelect, 4, 0, unhex("a000000527471117")...)
	if got := cl.must(0x1d, 0, 0); int(got[0]) != len(got)-1 || !bytes.Contains(got, []byte{4, 1, 1, 5, 3, 5, 7, 1}) {
		t.Errorf("the device information is %x; want form factor 1 and version 5.7.1", got)
	}
	cl.want(swUnknownINS, insVerify, 0, refPIN)
}

func TestAnOlderFirmwareDoesNotHaveWhatIsNew(t *testing.T) {
	cl := connect(t, Config{Firmware: Version{4, 3, 5}})
	cl.want(swUnknownINS, insSerial, 0, 0)
	cl.want(swUnknownINS, insMetadata, 0, refPIN)
	cl.want(swUnknownINS, insMoveKey, 0x82, 0x9a)
	cl.manage() // by 3DES
	cl.want(swWrongData, insGenerate, 0, slotAuthentication, 0xac, 3, 0x80, 1, algEd25519)
	cl.want(swWrongData, insSetManagement, 0xff, 0xff, append([]byte{algAES128, slotManagement, 16}, make([]byte, 16)...)...)
}

func TestObjectsAreKeptAndSomeNeedThePIN(t *testing.T) {
	cl := connect(t, Config{})
	put := append([]byte{0x5c, 3, 0x5f, 0xc1, 0x09}, appendTLV(nil, 0x53, 1, 2, 3)...)
	get := put[:5]
	cl.want(swNotSatisfied, insPutData, 0x3f, 0xff, put...)
	cl.manage()
	cl.must(insPutData, 0x3f, 0xff, put...)
	cl.want(swNotSatisfied, insGetData, 0x3f, 0xff, get...)
	cl.must(insVerify, 0, refPIN, defaultPIN...)
	if got := cl.must(insGetData, 0x3f, 0xff, get...); !bytes.Equal(got, put[5:]) {
		t.Errorf("the object is %x; want %x", got, put[5:])
	}
	cl.must(insPutData, 0x3f, 0xff, append(get[:5:5], 0x53, 0)...)
	cl.want(swNotFound, insGetData, 0x3f, 0xff, get...)
	cl.want(swNotFound, insGetData, 0x3f, 0xff, 0x5c, 3, 0x5f, 0xc2, 0x01)
	cl.want(swNotFound, insGetData, 0x3f, 0xff, 0x5c, 9, 0x5f)
	cl.want(swWrongData, insPutData, 0x3f, 0xff, 0x5c, 1, 0x7e, 0x53, 1, 0)
	cl.want(swNoSpace, insPutData, 0x3f, 0xff, append(get[:5:5], appendTLV(nil, 0x53, make([]byte, maxObject+1)...)...)...)
	cl.must(insPutData, 0x3f, 0xff, append(get[:5:5], appendTLV(nil, 0x53, make([]byte, maxObject)...)...)...)
	if got := cl.must(insGetData, 0x3f, 0xff, 0x5c, 1, 0x7e); !bytes.Equal(got, unhex("7e124f0ba0000003080000100001005f2f024000")) {
		t.Errorf("the discovery object is %x", got)
	}
}

func TestAttestationSaysWhatTheKeyIs(t *testing.T) {
	cl := connect(t, Config{Serial: 77})
	cl.want(swWrongData, insAttest, slotAuthentication, 0) // no key
	cl.generate(slotAuthentication, algP384, pinAlways, touchCached)
	cert, err := x509.ParseCertificate(cl.must(insAttest, slotAuthentication, 0))
	if err != nil {
		t.Fatal(err)
	}
	object, _ := parseTLV(cl.card.state.Objects[objectAttestation])
	intermediate, err := x509.ParseCertificate(object[0].value)
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(cl.card.Root())
	between.AddCert(intermediate)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		t.Errorf("the attestation does not lead to the root: %v", err)
	}
	got := map[string][]byte{}
	for _, e := range cert.Extensions {
		got[e.Id.String()] = e.Value
	}
	for oid, want := range map[string][]byte{
		oidFirmware.String(): {5, 7, 1}, oidSerial.String(): {2, 1, 77}, oidPolicy.String(): {3, 3}, oidFormFactor.String(): {1},
	} {
		if !bytes.Equal(got[oid], want) {
			t.Errorf("extension %s is %x; want %x", oid, got[oid], want)
		}
	}
	// A certificate that is not the attestation key's cannot be used with it.
	cl.manage()
	cl.must(insGenerate, 0, slotAttestation, 0xac, 3, 0x80, 1, algP256)
	cl.want(swConditions, insAttest, slotAuthentication, 0)
}
