package policy

import (
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// The world that the tests of this package share.
const (
	ether  = "eip155:1/slip44:60"
	usdc   = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	acme   = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
	hacker = "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D"
	hot    = "eip155:1:0xde709f2102306220921060314715629080e2fb77"
)

// assetsText begins the policies of the tests.
const assetsText = `version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}
addresses "vendors" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
  }
}
`

// sample is the first example of docs/policy.md, without its comments.
const sample = assetsText + `
rule "small payouts" {
  keys    = ["hot"]
  callers = ["socket:payroll"]
  when    = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  allow   = true
  limit "each" {
    amount = "2.5 eth"
  }
  limit "a day" {
    amount = "10 eth"
    window = "24h"
  }
}

rule "large payouts" {
  keys    = ["treasury"]
  callers = ["group:finance", "user:alice"]
  kinds   = ["evm.transaction"]
  when    = "effects.all(e, e.class == 'transfer')"
  allow   = true
  limit "a week" {
    amount = "100 eth"
    window = "7d"
  }
  limit "few" {
    count  = 3
    window = "1h"
  }
}

rule "no standing permissions" {
  when = "effects.exists(e, e.class in ['allowance', 'operator', 'delegation'] && !e.revokes)"
  deny = "standing permissions are not allowed"
}
`

// elsewhere is a rule for nobody that the tests know: a policy has to let something
// through.
const elsewhere = "rule \"elsewhere\" {\n  callers = [\"uid:99\"]\n  keys = [\"hot\", \"treasury\", \"sealward\"]\n  allow = true\n}\n"

func testKey(name string, b byte) signer.KeyInfo {
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: append([]byte{4}, make([]byte, 64)...)}
	pub.Bytes[64] = b
	return signer.KeyInfo{
		Name: name, Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident,
		Kinds: []signer.Kind{
			signer.KindEVMTransaction, signer.KindEVMTypedData, signer.KindEVMAuthorization, signer.KindEVMMessage, signer.KindDigest,
		},
		Chains: []string{"eip155:1"},
	}
}

func testEnv() Env {
	return Env{
		Keys:    map[string]signer.KeyInfo{"hot": testKey("hot", 1), "treasury": testKey("treasury", 2)},
		Sockets: []string{"sign", "payroll"},
		Files:   func(name string) ([]byte, error) { return os.ReadFile("testdata/" + name) },
	}
}

func load(t testing.TB, src string) *Policy {
	t.Helper()
	p, err := Load("policy.hcl", []byte(src), testEnv())
	if err != nil {
		t.Fatalf("Load error = %v", err)
	}
	return p
}

// wei reads an amount in the tests' own way.
func wei(t testing.TB, ethers string) *big.Int {
	t.Helper()
	r, ok := new(big.Rat).SetString(ethers)
	if !ok {
		t.Fatalf("%q is not a number", ethers)
	}
	r.Mul(r, new(big.Rat).SetInt64(1e18))
	if !r.IsInt() {
		t.Fatalf("%s ether is not a whole number of wei", ethers)
	}
	return r.Num()
}

// transfer is a payment from the hot key by the payroll service.
func transfer(t testing.TB, to, ethers string) signer.Proposal {
	t.Helper()
	q := signer.Exact(ether, wei(t, ethers))
	return signer.Proposal{
		Caller: signer.Caller{
			UID: 1000, GID: 1000, PID: 4711, User: "payroll", Groups: []string{"payroll", "sealward"},
			Socket: "payroll", Unit: "system.slice/payroll.service", Identified: true,
		},
		Request: signer.Request{ID: "1", Key: "hot", Kind: signer.KindEVMTransaction, Payload: []byte{1}},
		Key:     testKey("hot", 1),
		Intent: signer.Intent{
			Kind: signer.KindEVMTransaction, Complete: true,
			Effects: []signer.Effect{{Class: signer.ClassTransfer, Actor: hot, Counterparty: to, Quantity: q}},
			Outflow: signer.Outflow(q),
		},
	}
}

// pays replaces what a proposal moves, in the shape that decoders give it.
func pays(p signer.Proposal, qs ...signer.Quantity) signer.Proposal {
	p.Intent.Effects = nil
	for _, q := range qs {
		p.Intent.Effects = append(p.Intent.Effects, signer.Effect{Class: signer.ClassTransfer, Actor: hot, Counterparty: acme, Quantity: q})
	}
	p.Intent.Outflow = signer.Outflow(qs...)
	return p
}

// at is when the tests decide: a Monday, 10:00 in UTC.
var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// unspent are the facts of a journal in which nothing was spent yet, with an element
// for everything that there has to be one for.
func unspent(p *Policy, prop signer.Proposal) signer.Facts {
	f := signer.Facts{Time: at, Wall: at, Recipients: p.Needs().Recipients}
	flows := prop.Intent.Flows()
	for _, m := range p.Needs().Measures {
		none := func(asset, subject string) {
			s := signer.Spent{Asset: asset, Window: m.Window, Amount: new(big.Int), Per: m.Per, Subject: subject}
			if _, there := f.Find(asset, m, subject); !there {
				f.Spent = append(f.Spent, s)
			}
		}
		switch m.Per {
		case signer.PerRecipient:
			for _, flow := range flows {
				if flow.Recipient != "" {
					none(flow.Quantity.Asset, flow.Recipient)
					none(signer.AssetRequests, flow.Recipient)
				}
			}
		case signer.PerAsset:
			for _, q := range prop.Intent.Outflow {
				if !empty(q) {
					none(signer.AssetRequests, q.Asset)
				}
			}
		default:
			subject := ""
			if m.Per == signer.PerCaller {
				subject = prop.Caller.Account()
			}
			for _, q := range prop.Intent.Outflow {
				none(q.Asset, subject)
			}
			none(signer.AssetRequests, subject)
		}
	}
	return f
}

// spent sets one fact about the key as a whole.
func spent(f signer.Facts, asset string, window time.Duration, n *big.Int) signer.Facts {
	return spentBy(f, asset, signer.Measure{Window: window}, "", n)
}

// spentBy sets one fact.
func spentBy(f signer.Facts, asset string, m signer.Measure, subject string, n *big.Int) signer.Facts {
	for i, s := range f.Spent {
		if s.Asset == asset && s.Window == m.Window && s.Per == m.Per && s.Subject == subject {
			f.Spent[i].Amount, f.Spent[i].Frees = n, at.Add(time.Hour)
		}
	}
	return f
}
