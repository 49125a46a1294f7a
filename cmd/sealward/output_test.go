package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sealward/sealward/ipc/console"
)

// What a payload says is the same text in JSON, and commands no terminal there either.
func TestJSONShowsTextsSafelyAndLosesNothing(t *testing.T) {
	text := "a\x1b[2J \u009b2J \u202e \u0301 \x7f \u2028 \u05d0 \U000e0041 \u4e2d \U0001f600 \\u0041 b"
	var out bytes.Buffer
	c := &cli{stdin: strings.NewReader(text), stdout: &out, stderr: &out, now: time.Now}
	if code := c.run([]string{"inspect", "-o", "json", "--kind", "evm.message", "-"}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
	for _, r := range out.String() {
		if r >= utf8.RuneSelf && console.Safe(string(r)) != string(r) || r == 0x7f || r < ' ' && r != '\n' {
			t.Errorf("U+%04X reaches the terminal", r)
		}
	}
	var document struct {
		Fields []struct{ Name, Value string }
	}
	if err := json.Unmarshal(out.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	for _, f := range document.Fields {
		if f.Name == "text" && f.Value == text {
			return
		}
	}
	t.Errorf("fields = %q, want the text %q among them", document.Fields, text)
}
