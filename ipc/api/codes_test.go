package api

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/sealward/sealward/signer"
)

// The table of codes in docs/api.md is what the daemon answers.
func TestTheTableOfCodesIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `([a-z_]+)` \\| [0-9]").FindAllStringSubmatch(string(text), -1)
	all := []signer.Code{
		signer.CodeInvalid, signer.CodeUnauthenticated, signer.CodeNotFound, signer.CodeDenied, signer.CodeConflict, signer.CodeExpired,
		signer.CodePending, signer.CodeWaiting, signer.CodeOverloaded, signer.CodeUnavailable, signer.CodeFrozen, signer.CodeInternal,
	}
	if len(rows) != len(all) {
		t.Errorf("the table has %d codes, there are %d", len(rows), len(all))
	}
	for _, row := range rows {
		if got := connectCode(signer.Code(row[1])).String(); got != row[2] {
			t.Errorf("code %q is answered as %q, the table says %q", row[1], got, row[2])
		}
	}
	for _, c := range all {
		if !strings.Contains(string(text), "| `"+string(c)+"` |") {
			t.Errorf("code %q is not in the table", c)
		}
		// What the client makes of a Connect code without a detail must not be worse than
		// what the daemon meant: never that a new request should be made.
		if back := codes[connectCode(c)]; back == signer.CodeExpired && c != signer.CodeExpired {
			t.Errorf("code %q is taken for %q", c, back)
		}
	}
	if connectCode("of tomorrow") != connect.CodeInternal {
		t.Error("an unknown code is not internal")
	}
}
