package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
)

// journalSource is a journal, whoever has it open.
type journalSource interface {
	// size is how many leaves it had when it was opened.
	size() uint64
	// page returns leaves in order, from a leaf on; none only at the end.
	page(ctx context.Context, from uint64, limit uint32) ([]logged, error)
	// bundle returns what the journal keeps of a policy, or false.
	bundle(ctx context.Context, version [32]byte) ([]byte, bool, error)
	close() error
}

// logged is a leaf of the journal, its body not parsed.
type logged struct {
	leaf uint64
	at   time.Time
	kind signer.EventType
	body []byte
}

// decides reports whether the leaf is a decision: that a request is signed, refused, or
// waits.
func (l logged) decides() bool {
	return l.kind == signer.EventAuthorized || l.kind == signer.EventDenied || l.kind == signer.EventWaiting
}

// decision parses the record of a decision.
func (l logged) decision() (signer.Event, error) {
	ev, err := signer.ParseEvent(l.body)
	if err == nil && (ev.Proposal == nil || ev.Facts == nil || ev.Decision == nil) {
		err = errors.New("it is no decision")
	}
	if err != nil {
		return ev, l.unreadable(err)
	}
	return ev, nil
}

func (l logged) unreadable(err error) error {
	return problems{fmt.Sprintf("leaf %d cannot be read: %v; `sealward journal verify` says what else is wrong", l.leaf, err)}
}

// openJournal opens the daemon's journal, or that in a file which no daemon has open.
func (c *cli) openJournal(ctx context.Context, file string) (journalSource, error) {
	if file == "" {
		return openDaemonJournal(ctx, c)
	}
	r, err := journal.OpenReader(file)
	if err != nil {
		return nil, err
	}
	return fileJournal{r}, nil
}

// daemonJournal is read through the daemon that has it open. It may grow meanwhile;
// what comes later is left out.
type daemonJournal struct {
	client *api.Client
	leaves uint64
}

func openDaemonJournal(ctx context.Context, c *cli) (*daemonJournal, error) {
	d := &daemonJournal{client: api.Dial(c.path("admin"))}
	first, err := d.client.Entries(ctx, 0, 1)
	if err != nil {
		d.client.Close()
		return nil, err
	}
	d.leaves = first.GetSize()
	return d, nil
}

func (d *daemonJournal) size() uint64 { return d.leaves }

func (d *daemonJournal) close() error {
	d.client.Close()
	return nil
}

func (d *daemonJournal) page(ctx context.Context, from uint64, limit uint32) ([]logged, error) {
	if from >= d.leaves {
		return nil, nil
	}
	res, err := d.client.Entries(ctx, from, uint32(min(uint64(limit), d.leaves-from)))
	if err != nil {
		return nil, err
	}
	var out []logged
	for i, e := range res.GetEntries() {
		if e.GetIndex() != from+uint64(i) {
			return nil, problems{fmt.Sprintf("leaf %d of the journal is missing from the daemon's answer", from+uint64(i))}
		}
		out = append(out, logged{e.GetIndex(), e.GetTime().AsTime(), signer.EventType(e.GetType()), []byte(e.GetBody())})
	}
	return out, nil
}

func (d *daemonJournal) bundle(ctx context.Context, version [32]byte) ([]byte, bool, error) {
	res, err := d.client.Policy(ctx, hex.EncodeToString(version[:]))
	if codeOf(err) == signer.CodeNotFound {
		return nil, false, nil
	}
	return res.GetBundle(), err == nil, err
}

// inForce is the policy in force, for the keys and sockets that it was loaded with.
func (d *daemonJournal) inForce(ctx context.Context) (policy.Bundle, error) {
	res, err := d.client.Policy(ctx, "")
	if err != nil {
		return policy.Bundle{}, err
	}
	return policy.ReadBundle(res.GetBundle())
}

// fileJournal is read from its file, which no daemon has open.
type fileJournal struct{ *journal.Reader }

func (f fileJournal) size() uint64 { return f.Size() }
func (f fileJournal) close() error { return f.Close() }

func (f fileJournal) page(ctx context.Context, from uint64, limit uint32) ([]logged, error) {
	entries, err := f.Entries(ctx, from, int(limit))
	if err != nil {
		return nil, err
	}
	var out []logged
	for i, e := range entries {
		if e.Index != from+uint64(i) {
			return nil, problems{fmt.Sprintf("leaf %d of the journal is missing", from+uint64(i))}
		}
		out = append(out, logged{e.Index, e.Leaf.Time, e.Leaf.Type, e.Body})
	}
	return out, nil
}

func (f fileJournal) bundle(ctx context.Context, version [32]byte) ([]byte, bool, error) {
	return f.PolicyBundle(ctx, version)
}

// firstFrom returns the first leaf that is not before a time, or the size. Journal time
// never decreases, so it is found by halving.
func firstFrom(ctx context.Context, src journalSource, t time.Time) (uint64, error) {
	low, high := uint64(0), src.size()
	for low < high {
		middle := low + (high-low)/2
		one, err := src.page(ctx, middle, 1)
		if err != nil {
			return 0, err
		}
		if len(one) == 0 {
			return 0, problems{fmt.Sprintf("leaf %d of the journal is missing", middle)}
		}
		if one[0].at.Before(t) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// each calls what is to be done with each leaf of a span, in order.
func each(ctx context.Context, src journalSource, from, end uint64, do func(logged) error) error {
	for from < end {
		leaves, err := src.page(ctx, from, uint32(min(page, end-from)))
		if err != nil {
			return err
		}
		if len(leaves) == 0 {
			return problems{fmt.Sprintf("leaf %d of the journal is missing", from)}
		}
		for _, l := range leaves {
			if err := do(l); err != nil {
				return err
			}
		}
		from += uint64(len(leaves))
	}
	return nil
}

// eachDecision is each, of the decisions alone.
func eachDecision(ctx context.Context, src journalSource, from, end uint64, do func(logged, signer.Event) error) error {
	return each(ctx, src, from, end, func(l logged) error {
		if !l.decides() {
			return nil
		}
		ev, err := l.decision()
		if err != nil {
			return err
		}
		return do(l, ev)
	})
}
