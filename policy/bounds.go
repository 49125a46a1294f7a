package policy

import (
	"fmt"

	"github.com/sealward/sealward/signer"
)

// The most of everything that a condition can meet. [oversized] refuses what has more,
// so that the cost of conditions is known before there is a request.
const (
	maxEffects    = 512            // where the decoders of package evm stop, too
	maxOutflow    = maxEffects + 1 // an asset of each effect, and the fee's
	maxRecipients = maxEffects     // that are new: of all effects
	maxWarnings   = 1024
	maxAttributes = 16 // of an effect
	maxGroups     = 1024
	// Texts, in bytes. Those of effects are many; others are there once.
	maxAccount = 80   // eip155, a chain of 64 bits and an address are 70
	maxAsset   = 192  // a token of 256 bits on such a chain is 158
	maxHost    = 260  // a name of 253 (RFC 1035, 2.3.4) and a port
	maxURI     = 1024 // of a login
	maxTime    = 40   // in RFC 3339
	maxText    = 512  // of every other one of which there are many
	maxName    = 4096 // of one that is there once, such as the unit of the caller
)

// textBounds are the bounds of texts that are in a field or an attribute of this name.
var textBounds = map[string]int{
	"actor": maxAccount, "counterparty": maxAccount, "asset": maxAsset,
	"contract": maxAccount, "spender": maxAccount, "paymaster": maxAccount, "entrypoint": maxAccount,
	"domain": maxHost, "uri": maxURI, "usable_until": maxTime,
}

func textBound(name string) int {
	if n, ok := textBounds[name]; ok {
		return n
	}
	return maxText
}

// oversized refuses a proposal that has more of anything than the cost of conditions
// was worked out for.
func oversized(p *signer.Proposal) error {
	in, c := &p.Intent, &p.Caller
	for _, x := range []struct {
		what    string
		n, most int
	}{
		{"effects", len(in.Effects), maxEffects},
		{"assets that flow out", len(in.Outflow), maxOutflow},
		{"warnings", len(in.Warnings), maxWarnings},
		{"groups of the caller", len(c.Groups), maxGroups},
		{"bytes in the name of the caller's unit", len(c.Unit), maxName},
		{"bytes in the name of the caller", len(c.User), maxName},
		{"bytes in the name of the socket", len(c.Socket), maxName},
	} {
		if x.n > x.most {
			return tooMany(x.what, x.n, x.most)
		}
	}
	for _, g := range c.Groups {
		if len(g) > maxText {
			return tooMany("bytes in the name of a group", len(g), maxText)
		}
	}
	if err := oversizedQuantity(&in.Fee); err != nil {
		return err
	}
	for i := range in.Outflow {
		if err := oversizedQuantity(&in.Outflow[i]); err != nil {
			return err
		}
	}
	for i := range in.Warnings {
		if n := max(len(in.Warnings[i].Code), len(in.Warnings[i].Severity)); n > maxText {
			return tooMany("bytes in the code of a warning", n, maxText)
		}
	}
	for i := range in.Effects {
		if err := oversizedEffect(&in.Effects[i]); err != nil {
			return err
		}
	}
	return nil
}

func oversizedEffect(e *signer.Effect) error {
	switch {
	case max(len(e.Actor), len(e.Counterparty)) > maxAccount:
		return tooMany("bytes in an account of an effect", max(len(e.Actor), len(e.Counterparty)), maxAccount)
	case len(e.Class) > maxText:
		return tooMany("bytes in the class of an effect", len(e.Class), maxText)
	case len(e.Attributes) > maxAttributes:
		return tooMany("attributes of one effect", len(e.Attributes), maxAttributes)
	}
	for name, value := range e.Attributes {
		if len(name) > maxText {
			return tooMany("bytes in the name of an attribute", len(name), maxText)
		}
		if n := textBound(name); len(value) > n {
			return tooMany(fmt.Sprintf("bytes in the attribute %q of an effect", name), len(value), n)
		}
	}
	return oversizedQuantity(&e.Quantity)
}

// maxAmount is in bits. An amount of a chain has 256; a sum of many has a few more.
const maxAmount = 512

func oversizedQuantity(q *signer.Quantity) error {
	if len(q.Asset) > maxAsset {
		return tooMany("bytes in the name of an asset", len(q.Asset), maxAsset)
	}
	if q.N != nil && q.N.BitLen() > maxAmount {
		return tooMany("bits in an amount", q.N.BitLen(), maxAmount)
	}
	return nil
}

func tooMany(what string, n, most int) error {
	return fmt.Errorf("%d %s, and a policy looks at %d at most", n, what, most)
}
