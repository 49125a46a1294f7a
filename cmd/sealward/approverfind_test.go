package main

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

func TestAListThatNeverEndsIsNotRead(t *testing.T) {
	page := func(leaves ...uint64) (all []*v1.Pending) {
		for _, n := range leaves {
			all = append(all, &v1.Pending{Leaf: n})
		}
		return all
	}
	for name, c := range map[string]struct {
		after  uint64
		page   []*v1.Pending
		before int
		ok     bool
	}{
		"the first page":             {0, page(1, 2), 0, true},
		"the next one":               {2, page(3, 9), 2, true},
		"the same one again":         {2, page(1, 2), 2, false},
		"one that goes back in it":   {2, page(3, 9, 4), 2, false},
		"one with a request twice":   {0, page(3, 3), 0, false},
		"one more than anybody has":  {2, page(3), mostPending, false},
		"as many as are still taken": {2, page(3), mostPending - 1, true},
	} {
		if err := goesOn(c.after, c.page, c.before); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A freeze is wanted at once: what is wrong with the approver's own files can wait.
func TestAFreezeNeedsNoBook(t *testing.T) {
	d, _ := payday(t)
	file := d.withSSH(t, "")
	if err := os.Remove(filepath.Join(filepath.Dir(file), "book.hcl")); err != nil {
		t.Fatal(err)
	}
	dir := d.serve(t)
	for _, more := range [][]string{nil, {"--sign"}} {
		args := append([]string{"--sockets", dir, "freeze", "--reason", "laptop stolen", "--config", file}, more...)
		if code, _, stderr := sealward("", args...); code != exitOK {
			t.Errorf("freeze %v: exit code %d: %s", more, code, stderr)
		}
	}
}
