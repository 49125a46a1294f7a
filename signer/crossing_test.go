package signer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// recogniser knows one payload, and counts what it was shown.
type recogniser struct {
	decoder
	known []byte
	asked int
	bytes int
}

func (r *recogniser) Recognises(payload []byte) bool {
	r.asked++
	r.bytes += len(payload)
	return bytes.Equal(payload, r.known)
}

func TestCrossingOffersEveryFormOfAPayload(t *testing.T) {
	known := bytes.Repeat([]byte{0xab, 0xfb, 0xff, 0x01}, 20) // both alphabets of base64 differ on it
	digits := hex.EncodeToString(known)
	for name, test := range map[string]struct {
		payload string
		crosses bool
	}{
		"the bytes":                          {string(known), true},
		"hexadecimal text":                   {digits, true},
		"with 0x":                            {"0x" + digits, true},
		"with 0X, in upper case":             {"0X" + strings.ToUpper(digits), true},
		"between white space":                {"\n\t 0x" + digits + " \r\n", true},
		"between quotes":                     {"\"0x" + digits + "\"\n", true},
		"between back quotes":                {"`" + digits + "`", true},
		"of several lines":                   {digits[:70] + "\r\n" + digits[70:], true},
		"base64":                             {base64.StdEncoding.EncodeToString(known), true},
		"base64 of URLs":                     {base64.URLEncoding.EncodeToString(known), true},
		"base64 without padding":             {base64.RawStdEncoding.EncodeToString(known), true},
		"base64 of several lines":            {base64.StdEncoding.EncodeToString(known)[:64] + "\n" + base64.StdEncoding.EncodeToString(known)[64:], true},
		"in a text":                          {"please sign " + digits + ", thanks", true},
		"in a text with 0x":                  {"tx=0x" + digits + "&x=1", true},
		"in JSON":                            {`{"data":"0x` + digits + `"}`, true},
		"in a text, behind another number":   {strings.Repeat("1", 120) + " " + digits, true},
		"in a text, a digit too many before": {"x1" + digits + "!", true},
		"in a text, a digit too many behind": {"x" + digits + "1!", true},
		"in bytes":                           {"\xff\x00" + digits + "\x00", true},
		"two numbers of one line each":       {digits + "\n" + digits, true},
		"a part of it":                       {digits[2:], false},
		"a text about it":                    {"please sign what I showed you", false},
		"one nibble off":                     {"0x" + strings.Replace(digits, "ab", "ac", 1), false},
		"nothing but white space":            {" \n", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recogniser{known: known}
			err := signer.Crossing("a", []byte(test.payload), map[signer.Kind]signer.Decoder{"b": r, "a": &recogniser{known: []byte(test.payload)}})
			if crosses := signer.CodeOf(err) == signer.CodeInvalid && strings.Contains(err.Error(), `kind "b"`); crosses != test.crosses || !crosses && err != nil {
				t.Errorf("Crossing = %v, want it refused: %v", err, test.crosses)
			}
		})
	}
}

// The kind that a payload is given as may of course recognise it.
func TestCrossingDoesNotAskTheKindItself(t *testing.T) {
	own := &recogniser{known: []byte("x")}
	if err := signer.Crossing("a", []byte("x"), map[signer.Kind]signer.Decoder{"a": own}); err != nil || own.asked != 0 {
		t.Errorf("Crossing = %v, asked %d times; want neither an error nor a question", err, own.asked)
	}
}

// However a payload is made, what is looked at stays a few times as long as it is, each
// form once.
func TestCrossingIsBounded(t *testing.T) {
	run := strings.Repeat("a", 101) + " "
	for name, payload := range map[string]string{
		"one number":             strings.Repeat("ab", signer.MaxPayload/2),
		"many numbers":           strings.Repeat(run, signer.MaxPayload/len(run)),
		"many short numbers":     strings.Repeat(strings.Repeat("a", 51)+" ", signer.MaxPayload/52),
		"one number, many times": strings.Repeat(strings.Repeat("ab", 50)+"\n", signer.MaxPayload/101),
		"white space":            strings.Repeat(" ", signer.MaxPayload-1) + "x",
		"base64":                 strings.Repeat("Zm9v", signer.MaxPayload/4),
		"zero bytes":             strings.Repeat("\x00", signer.MaxPayload),
	} {
		t.Run(name, func(t *testing.T) {
			r := &recogniser{}
			start := time.Now()
			if err := signer.Crossing("a", []byte(payload), map[signer.Kind]signer.Decoder{"b": r}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); r.bytes > 5*signer.MaxPayload || took > 500*time.Millisecond {
				t.Errorf("%d bytes looked at in %s; want at most five times %d in 50 ms", r.bytes, took, signer.MaxPayload)
			}
		})
	}
	same := &recogniser{}
	if err := signer.Crossing("a", []byte(strings.Repeat(strings.Repeat("0", 100)+" ", 100)), map[signer.Kind]signer.Decoder{"b": same}); err != nil || same.asked > 6 {
		t.Errorf("Crossing = %v; one number a hundred times was asked about %d times", err, same.asked)
	}
}
