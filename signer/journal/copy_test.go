package journal

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sealward/sealward/signer"
)

func TestACopyOfAJournalInUseIsAJournal(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	putInForce(t, j, signer.EventStarted, 1, "one")
	for i := range 300 {
		finish(t, j, record(t, j, proposal(j, fmt.Sprint("before-", i), "hot", wei(1)), allow))
	}
	checkpoint(t, j, "journal")
	size := j.Size()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					p := proposal(j, fmt.Sprintf("%d-%d", g, n), "hot", wei(1))
					p.Intent.Effects[0].Counterparty = "eip155:1:" + p.Request.ID
					rec, err := j.Record(t.Context(), p, allNeeds(), allow)
					if err != nil {
						t.Error(err)
						return
					}
					finish(t, j, rec)
					putInForce(t, j, signer.EventPolicy, 2, p.Request.ID)
				}
			}
		})
	}
	for range 3 {
		copied := filepath.Join(t.TempDir(), "copy.db")
		if err := j.Copy(t.Context(), copied); err != nil {
			t.Fatal(err)
		}
		r := verify(t, trusting(t, copied, j.Instance()))
		intact(t, r)
		if r.Leaves < size || r.Covered != size {
			t.Errorf("the copy has %d leaves and covers %d; want %d or more, and %d", r.Leaves, r.Covered, size, size)
		}
	}
	close(stop)
	wg.Wait()
	if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStopped}); err != nil || j.Size() == 0 {
		t.Errorf("after the copies: %v", err)
	}
	shut(t, j)
	if err := j.Copy(t.Context(), filepath.Join(t.TempDir(), "copy.db")); err == nil {
		t.Error("a closed journal was copied")
	}
	intact(t, verify(t, trusting(t, path, j.Instance())))
}
