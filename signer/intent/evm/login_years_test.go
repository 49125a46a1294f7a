package evm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// A time within four digits may be one of five in UTC. A record of it could not be read
// again, and an end at the first moment of all would be none.
func TestTimesOfASignInCanBeRecorded(t *testing.T) {
	for _, end := range []string{
		"9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
		"0001-01-01T01:00:00+01:00", "0001-01-01T00:00:01Z", "9999-12-31T23:59:59.999999999Z",
	} {
		text := strings.Replace(signIn, "2021-09-30T18:25:24.5+02:00", end, 1)
		key := keyFor(t, "eip155:1")
		in, err := evm.Message{}.Decode([]byte(text), key, book())
		if err != nil {
			if signer.CodeOf(err) != signer.CodeInvalid || strings.HasPrefix(end, "9999") && strings.HasSuffix(end, "Z") {
				t.Errorf("%s: Decode error = %v", end, err)
			}
			continue
		}
		if in.Effects[0].Until.IsZero() {
			t.Errorf("%s: a sign-in that ends is shown as one without an end", end)
		}
		event := signer.Event{
			Type: signer.EventDenied, Time: time.Unix(0, 0), Wall: time.Unix(0, 0),
			Facts: &signer.Facts{Time: time.Unix(0, 0), Wall: time.Unix(0, 0)}, Decision: &signer.Decision{Reason: "no rule matches"},
			Proposal: &signer.Proposal{Key: key, Intent: in, Request: signer.Request{ID: "1", Key: key.Name, Kind: in.Kind, Payload: []byte(text)}},
		}
		if _, err := signer.ParseEvent(event.Canonical()); err != nil {
			t.Errorf("%s: what is recorded cannot be read again: %v", end, err)
		}
	}
}
