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

// Asks names the rules that may ask for approvals, or for a delay, before what they let
// through is signed: always, or once a limit is exhausted.
func (p *Policy) Asks() (rules []string) {
	for _, r := range p.rules {
		over := slices.ContainsFunc(r.limits, func(l limit) bool { return l.over != nil })
		if r.lets() && (len(r.require) > 0 || r.delay.Duration > 0 || over) {
			rules = append(rules, r.name)
		}
	}
	return rules
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
