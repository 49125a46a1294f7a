package policy_test

import (
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

// The reference of the model: the numbers of a policy, and a decision by adding up all of
// the past.

// rules are the numbers of a policy; amounts are in thousandths of an ether.
type rules struct {
	each, hour, day, toEach, caller         int
	few, fewToEach, fewByCaller, fewOfAsset int
	fee, share, first                       int // share in percent
	dawn                                    int // the hour of Berlin before which nothing is paid
}

func (r rules) text() string {
	eth := func(n int) string { return fmt.Sprintf("%d.%03d eth", n/1000, n%1000) }
	return fmt.Sprintf(`version = 1
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
rule "pay" {
  keys  = ["hot", "cold"]
  when  = "effects.all(e, e.class == 'transfer')"
  allow = true
  fee {
    amount = %q
    share  = "%d%%"
  }
  limit "each" {
    amount = %q
  }
  limit "an hour" {
    amount = %q
    window = "1h"
  }
  limit "a day" {
    amount = %q
    window = "24h"
  }
  limit "to each" {
    amount = %q
    window = "6h"
    per    = "recipient"
  }
  limit "by caller" {
    amount = %q
    window = "2h"
    per    = "caller"
  }
  limit "few" {
    count  = %d
    window = "1h"
  }
  limit "few to each" {
    count  = %d
    window = "90m"
    per    = "recipient"
  }
  limit "few by caller" {
    count  = %d
    window = "1h"
    per    = "caller"
  }
  limit "few of an asset" {
    count  = %d
    window = "1h"
    per    = "asset"
  }
}
rule "no large first payment" {
  when = "effects.exists(e, e.counterparty in new_recipients && e.quantity.amount > amount('%s'))"
  deny = "the first payment to somebody is a small one"
}
rule "night" {
  hours {
    zone = "Europe/Berlin"
    from = "00:00"
    to   = "%02d:00"
  }
  deny = "it is night"
}
`, eth(r.fee), r.share, eth(r.each), eth(r.hour), eth(r.day), eth(r.toEach), eth(r.caller), r.few, r.fewToEach, r.fewByCaller, r.fewOfAsset, eth(r.first), r.dawn)
}

func drawRules(t *rapid.T) rules {
	// Low enough to be met, and high enough for another one to be met first.
	n := func(label string, low, high int) int { return rapid.IntRange(low, high).Draw(t, label) }
	return rules{
		each: n("each", 3000, 8000), hour: n("hour", 4000, 30_000), day: n("day", 8000, 60_000), toEach: n("to each", 3000, 20_000), caller: n("caller", 3000, 30_000),
		few: n("few", 3, 12), fewToEach: n("few to each", 1, 5), fewByCaller: n("few by caller", 2, 8), fewOfAsset: n("few of asset", 3, 12),
		fee: n("fee", 20, 300), share: n("share", 1, 100), first: n("first", 1000, 6000), dawn: n("dawn", 1, 8),
	}
}

// payment is a transaction, in thousandths of an ether.
type payment struct {
	id         string
	key        string
	uid        uint32
	to         int
	value, fee int
}

func (p payment) payload() []byte {
	wei := func(milli int) *big.Int { return new(big.Int).Mul(big.NewInt(int64(milli)), big.NewInt(1e15)) }
	const gas = 100_000
	return fmt.Appendf(nil, `{"type":"0x2","chainId":"0x1","nonce":"0x1","to":%q,"value":"0x%x","gas":"0x%x","maxFeePerGas":"0x%x","maxPriorityFeePerGas":"0x0"}`,
		recipient(p.to), wei(p.value), gas, new(big.Int).Div(wei(p.fee), big.NewInt(gas)))
}

func recipient(n int) string {
	return common.BytesToAddress([]byte{0xac, 0x3e, byte(n + 1)}).Hex()
}

// paid is a payment that was authorised, and when.
type paid struct {
	payment
	at time.Time
}

// reference decides by adding up all of the past.
type reference struct {
	rules rules
	past  []paid
}

func (r *reference) allows(p payment, now time.Time) bool {
	x := r.rules
	total := p.value + p.fee
	within := func(window time.Duration, counts func(paid) int) (sum int) {
		for _, e := range r.past {
			if e.key == p.key && e.at.After(now.Add(-window)) {
				sum += counts(e)
			}
		}
		return sum
	}
	all := func(e paid) int { return e.value + e.fee }
	one := func(paid) int { return 1 }
	mine := func(f func(paid) int) func(paid) int {
		return func(e paid) int {
			if e.uid != p.uid {
				return 0
			}
			return f(e)
		}
	}
	toHim := func(e paid) int {
		if e.to != p.to {
			return 0
		}
		return e.value
	}
	known, received := false, 0
	for _, e := range r.past {
		if e.key != p.key || e.to != p.to || e.value == 0 {
			continue
		}
		known = true
		if e.at.After(now.Add(-90 * time.Minute)) {
			received++
		}
	}
	moved := 0
	if total > 0 {
		moved = 1
	}
	moving := func(e paid) int { return min(1, e.value+e.fee) }
	gets := min(1, p.value)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return p.fee <= x.fee && (p.value == 0 || p.fee*100 <= p.value*x.share) &&
		total <= x.each &&
		within(time.Hour, all)+total <= x.hour &&
		within(24*time.Hour, all)+total <= x.day &&
		(gets == 0 || within(6*time.Hour, toHim)+p.value <= x.toEach) &&
		within(2*time.Hour, mine(all))+total <= x.caller &&
		within(time.Hour, one)+1 <= x.few &&
		(gets == 0 || received+1 <= x.fewToEach) &&
		within(time.Hour, mine(one))+1 <= x.fewByCaller &&
		(moved == 0 || within(time.Hour, moving)+1 <= x.fewOfAsset) &&
		(known || p.value <= x.first) &&
		now.In(berlin).Hour() >= x.dawn
}
