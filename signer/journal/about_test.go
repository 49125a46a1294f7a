package journal

import (
	"testing"

	"github.com/sealward/sealward/signer"
)

func TestAnApprovalLeadsToItsRequest(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(2))))
	about, freeze := statement(j, p, signer.WordApprove, "alice", "key"), statement(j, p, signer.WordFreeze, "alice", "key")
	never := statement(j, p, signer.WordReject, "bob", "key")
	hear(t, j, about)
	hear(t, j, freeze)
	check := func(when string) {
		t.Helper()
		for name, c := range map[string]struct {
			e    signer.Event
			want bool
		}{"an approval": {about, true}, "a freeze": {freeze, false}, "what nobody said": {never, false}} {
			leaf, ok, err := j.HeardAbout(t.Context(), c.e.Heard.Approval.ID())
			if err != nil || ok != c.want || ok && leaf != rec.Leaf {
				t.Errorf("%s, %s: HeardAbout = %d, %v, %v; want %v and leaf %d", name, when, leaf, ok, err, c.want, rec.Leaf)
			}
		}
	}
	check("while it waits")
	settle(t, j, rec, signer.Decision{Reason: "cancelled"})
	check("once it is decided")
	shut(t, j)
	j = open(t, h.config(path))
	check("after a restart")
}
