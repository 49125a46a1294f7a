package journal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// putInForce adopts a policy of which the version begins with a byte.
func putInForce(t testing.TB, j *Journal, kind signer.EventType, version byte, bundle string) uint64 {
	t.Helper()
	leaf, err := j.Adopt(t.Context(), signer.Event{Type: kind, Policy: [32]byte{version}}, []byte(bundle))
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// policies says what was in force, the latest first.
func policies(t testing.TB, j *Journal, before uint64, limit int) string {
	t.Helper()
	ps, err := j.Policies(t.Context(), before, limit)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range ps {
		kept := "kept"
		switch {
		case !p.Kept:
			kept = "lost"
		case p.Bundle == [32]byte{}:
			kept = "of no digest"
		}
		if p.Time.IsZero() {
			kept += ", at no time"
		}
		out = append(out, fmt.Sprintf("%d %s %d %s", p.Leaf, p.Type, p.Version[0], kept))
	}
	return strings.Join(out, "; ")
}

func TestPoliciesAreListedAndTheirBundlesReadBack(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	if got := policies(t, j, 0, 10); got != "" {
		t.Errorf("a new journal has policies %q", got)
	}
	putInForce(t, j, signer.EventStarted, 1, "one")
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	putInForce(t, j, signer.EventPolicy, 2, "two")
	for _, e := range []signer.Event{
		{Type: signer.EventPolicy, Policy: [32]byte{2}, Code: signer.CodeInvalid, Detail: "a reload was refused"},
		{Type: signer.EventStarted, Policy: [32]byte{3}}, // as before bundles were kept
		{Type: signer.EventStopped},
	} {
		if _, err := j.Note(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	putInForce(t, j, signer.EventStarted, 1, "one")
	putInForce(t, j, signer.EventPolicy, 2, "two, with other keys")
	shut(t, j)
	j = open(t, h.config(path))
	const all = "7 policy 2 kept; 6 started 1 kept; 4 started 3 lost; 2 policy 2 kept; 0 started 1 kept"
	for _, c := range []struct {
		before uint64
		limit  int
		want   string
	}{
		{0, 10, all}, {1 << 63, 10, all}, {8, 10, all}, {7, 10, strings.SplitN(all, "; ", 2)[1]}, {0, 1, "7 policy 2 kept"},
		{6, 2, "4 started 3 lost; 2 policy 2 kept"}, {1, 5, "0 started 1 kept"}, {0, 0, ""}, {0, -1, ""},
	} {
		if got := policies(t, j, c.before, c.limit); got != c.want {
			t.Errorf("Policies(%d, %d) are %q, want %q", c.before, c.limit, got, c.want)
		}
	}
	for version, want := range []string{"", "one", "two, with other keys", "", ""} {
		got, ok, err := j.PolicyBundle(t.Context(), [32]byte{byte(version)})
		if err != nil || ok != (want != "") || string(got) != want {
			t.Errorf("PolicyBundle(%d) = %q, %v, %v; want %q", version, got, ok, err, want)
		}
	}
	if n, err := j.db.integer(sqlCountBundles); err != nil || n != 3 {
		t.Errorf("%d bundles are kept (%v), want each once: 3", n, err)
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	r := verify(t, trusting(t, path, j.Instance()))
	intact(t, r)
	if r.Other != 7 {
		t.Errorf("report = %+v", r)
	}
	if _, err := j.Policies(t.Context(), 0, 1); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Policies of a closed journal: %v", err)
	}
	if _, _, err := j.PolicyBundle(t.Context(), [32]byte{1}); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("PolicyBundle of a closed journal: %v", err)
	}
}

func TestTheLeafOfAPolicyNamesItsBundle(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	bundle := bytes.Repeat([]byte("large "), 1<<18)
	leaf, err := j.Adopt(t.Context(), signer.Event{Type: signer.EventPolicy, Policy: [32]byte{1}, Bundle: [32]byte{9}}, bundle)
	if err != nil {
		t.Fatal(err)
	}
	es, err := j.Entries(t.Context(), leaf, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ev, err := es[0].Event(); err != nil || ev.Bundle != sha256.Sum256(bundle) || len(es[0].Body) > 1<<10 {
		t.Errorf("event = %+v, %v; want the digest of the bundle and not the bundle", ev, err)
	}
	if got, ok, err := j.PolicyBundle(t.Context(), [32]byte{1}); err != nil || !ok || !bytes.Equal(got, bundle) {
		t.Errorf("%d bytes are read back (%v, %v), want %d", len(got), ok, err, len(bundle))
	}
}

func TestWhatPutsNoPolicyInForce(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	adopt := func(e signer.Event, bundle string) error { return second(j.Adopt(t.Context(), e, []byte(bundle))) }
	for name, err := range map[string]error{
		"a refusal":                  adopt(signer.Event{Type: signer.EventPolicy, Code: signer.CodeInvalid, Policy: [32]byte{1}}, "x"),
		"a stop":                     adopt(signer.Event{Type: signer.EventStopped, Policy: [32]byte{1}}, "x"),
		"a decision":                 adopt(signer.Event{Type: signer.EventAuthorized, Policy: [32]byte{1}}, "x"),
		"a policy without a bundle":  adopt(signer.Event{Type: signer.EventPolicy, Policy: [32]byte{1}}, ""),
		"a bundle that nobody keeps": second(j.Note(t.Context(), signer.Event{Type: signer.EventPolicy, Policy: [32]byte{1}, Bundle: [32]byte{1}})),
	} {
		if signer.CodeOf(err) != signer.CodeInternal {
			t.Errorf("%s: error = %v, want code %q", name, err, signer.CodeInternal)
		}
	}
	if got := types(t, j); got != nil {
		t.Errorf("leaves = %v, want none", got)
	}
}

func TestABundleThatWasChangedIsNotReadBack(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	putInForce(t, j, signer.EventStarted, 1, "one")
	shut(t, j)
	edit(t, path, "UPDATE bundles SET body = x'00'")
	j = open(t, h.config(path))
	got, ok, err := j.PolicyBundle(t.Context(), [32]byte{1})
	if signer.CodeOf(err) != signer.CodeInternal || ok || got != nil || j.Stopped() != nil {
		t.Errorf("PolicyBundle = %q, %v, %v; want it refused", got, ok, err)
	}
}
