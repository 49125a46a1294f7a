package policy

import (
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// Limit is a limit as the policy states it, for showing.
type Limit struct {
	Rule, Name string
	Asset      signer.Asset  // of id [signer.AssetRequests] for a limit by count
	Window     time.Duration // zero: per request
	Per        signer.Per
	Max        *big.Int // in base units; not to be changed
}

// Limits lists the limits of the rules about a key, in the order of the file: those
// that name the caller or, with nil, all.
func (p *Policy) Limits(key string, c *signer.Caller) (out []Limit) {
	for _, r := range p.rules {
		if !r.about(key) || c != nil && !r.names(*c, key) {
			continue
		}
		for _, l := range r.limits {
			out = append(out, Limit{r.name, l.name, l.asset, l.window, l.per, l.max})
		}
	}
	return out
}

// Callers lists the users and groups that callers are picked by, each once. Whether
// there are such accounts is not in the file, so it is for the daemon to say.
func (p *Policy) Callers() (users, groups []string) {
	add := func(to *[]string, name string) {
		if !slices.Contains(*to, name) {
			*to = append(*to, name)
		}
	}
	for _, r := range p.rules {
		for _, s := range r.callers {
			switch s.what {
			case "user":
				add(&users, s.name)
			case "group":
				add(&groups, s.name)
			}
		}
	}
	return users, groups
}
