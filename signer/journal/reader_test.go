package journal

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/receipt"
)

func TestAReaderReadsWhatTheJournalHas(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	for _, id := range []string{"a", "b", "c"} {
		record(t, j, proposal(j, id, "hot", wei(1)), allow)
	}
	want, err := j.Entries(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), "a running daemon has it open") {
		t.Errorf("OpenReader beside a daemon = %v, %v; want it refused", r, err)
	}
	shut(t, j)

	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(newHost().config(path)); err == nil {
		t.Error("a daemon opened what is being read")
	}
	got, err := r.Entries(t.Context(), 0, 10)
	same := func(a, b receipt.Entry) bool {
		return a.Index == b.Index && a.Leaf == b.Leaf && string(a.Body) == string(b.Body)
	}
	if err != nil || r.Size() != 3 || !slices.EqualFunc(got, want, same) {
		t.Errorf("Entries = %v, %v of %d; want %v", got, err, r.Size(), want)
	}
	if got, err := r.Entries(t.Context(), 2, 1); err != nil || len(got) != 1 || got[0].Index != 2 {
		t.Errorf("Entries from leaf 2 = %v, %v", got, err)
	}
	if got, err := r.Entries(t.Context(), 3, 1); err != nil || len(got) != 0 {
		t.Errorf("Entries from the end = %v, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if r, err := OpenReader(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("OpenReader of no file = %v", r)
	}
}
