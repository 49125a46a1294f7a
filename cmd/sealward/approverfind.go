package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// adminPath is where the daemon listens for an approver: what the command line says, then
// what approver.hcl says, then the usual place.
func (c *cli) adminPath(a *approver) string {
	if c.socket == "" && a.Socket != "" && !c.socketsGiven {
		return a.Socket
	}
	return c.path("admin")
}

// mostPending is how many requests an approver's program takes a daemon's word for.
const mostPending = 100_000

// goesOn refuses a page of a list that would never end.
func goesOn(after uint64, page []*v1.Pending, before int) error {
	for _, p := range page {
		if p.GetLeaf() <= after {
			return fmt.Errorf("the daemon lists leaf %d after leaf %d; it does not speak this API", p.GetLeaf(), after)
		}
		after = p.GetLeaf()
	}
	if before+len(page) > mostPending {
		return fmt.Errorf("the daemon lists more than %d requests; this program takes no more", mostPending)
	}
	return nil
}

// allPending lists every request that waits, page by page.
func allPending(ctx context.Context, client *api.Client) (all []*v1.Pending, err error) {
	for after := uint64(0); ; after = all[len(all)-1].GetLeaf() {
		res, err := client.ListPending(ctx, after, 0)
		if err != nil {
			return nil, err
		}
		some := res.GetPending()
		if len(some) == 0 {
			return all, nil
		}
		if err := goesOn(after, some, len(all)); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
}

// findPending finds the request that waits and that a text names: the digest of its
// proposal or 8 digits and more of its beginning, the request's id, or that with its caller
// in front, as in uid:1000/ID.
func findPending(ctx context.Context, client *api.Client, text string) (*v1.Pending, error) {
	if versionWhole.MatchString(text) {
		res, err := client.Pending(ctx, text)
		return res.GetPending(), err
	}
	all, err := allPending(ctx, client)
	if err != nil {
		return nil, err
	}
	var found []*v1.Pending
	for _, p := range all {
		if isNamed(p, text) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("no request that waits is called %q; `sealward request list --all` has those that do", text)}
	case 1:
		return found[0], nil
	}
	var which []string
	for _, p := range found {
		which = append(which, fmt.Sprintf("%s (%s/%s)", p.GetProposal(), p.GetCaller(), p.GetId()))
	}
	return nil, usage("%s is not enough to tell; it may be %s", console.Safe(text), strings.Join(which, " or "))
}

func isNamed(p *v1.Pending, text string) bool {
	begins := versionBegin.MatchString(text) && strings.HasPrefix(p.GetProposal(), text)
	return begins || p.GetId() == text || p.GetCaller()+"/"+p.GetId() == text
}

// notice says on standard error what only a person can do now.
func (c *cli) notice(text string) {
	if c.output == outputJSON {
		_ = jsonLine(c.stderr, map[string]string{"notice": text}) // there is nobody left to tell
		return
	}
	fmt.Fprintln(c.stderr, console.Safe(text))
}
