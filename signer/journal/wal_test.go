package journal

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

func walFileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// grownLog waits until the log has its full size, which happens in the background.
func grownLog(t testing.TB, path string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); walFileSize(t, path) < walSize; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has %d bytes, want %d", walFileSize(t, path), walSize)
		}
	}
}

func TestTheLogHasItsSizeBeforeItIsNeededAndKeepsIt(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	grownLog(t, path)
	j.takeTurn(func() {}) // a chunk is written in a turn, and the file's size is seen to grow with it
	before := walFileSize(t, path)
	detail := strings.Repeat("x", 200<<10)
	for range 3 * walSize / len(detail) {
		if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted, Detail: detail}); err != nil {
			t.Fatal(err)
		}
	}
	if after := walFileSize(t, path); after != before {
		t.Errorf("the log had %d bytes and has %d after three times as much was written", before, after)
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	intact(t, verify(t, trusting(t, path, j.Instance())))
}

func TestZerosInTheLogAreNoRecords(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	grownLog(t, path)
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	// The files as a power cut would leave them.
	copied := privateFile(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newHost().config(copied)
	k := open(t, c)
	if got := types(t, k); len(got) != 1 || got[0] != signer.EventAuthorized {
		t.Errorf("leaves = %v, want the one that was recorded", got)
	}
	record(t, k, proposal(k, "b", "hot", wei(1)), allow)
}
