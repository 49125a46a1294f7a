package main

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// These tests go the whole way: the bytes of a payload, the decoders of the daemon, and
// the policy that `sealward init` writes. Package policy has the same payloads as
// intents, and package evm has many more of them.

// Who is who. The first three are the examples in the books of the template.
const (
	acme     = "0x52908400098527886E0F7030069857D2E4169EE7"
	exchange = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	delegate = "0x27b1fdb04752bbc536007a920d24acb045561c26"

	usdc      = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	vault     = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359" // a Safe of the owner's
	ours      = "0x75cf11467937ce3F2f357CE24ffc3DBF8fD5c226" // a smart account of the owner's
	apes      = "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D" // a collection
	thief     = "0x7d0b4C8E1f2A3b5c6d7e8f9A0B1c2D3e4F5a6B7c"
	lookAlike = "0x5290D4f1BB8d9A7e7c36A0b0dC1f5C2E1aB29eE7" // of Acme's
	nobody    = "0x0000000000000000000000000000000000000000"

	permit2    = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
	multiSend  = "0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526"
	multicall3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
	entryPoint = "0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"
)

// people are the names by which the tables call addresses.
var people = map[string]string{
	acme: "acme", exchange: "exchange", common.HexToAddress(delegate).Hex(): "delegate", usdc: "usdc", vault: "vault", ours: "ours", apes: "apes",
	thief: "thief", lookAlike: "look-alike", nobody: "nobody", permit2: "permit2", entryPoint: "entrypoint", galleryAccount: "me",
}

// decided is when the requests are decided.
var decided = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// What an owner adds for some payloads. None of it makes a rule weaker that denies.
const (
	contracts = `
contract "vault" {
  account = "eip155:1:` + vault + `"
  kind    = "safe"
}
contract "ours" {
  account = "eip155:1:` + ours + `"
  kind    = "account"
}
contract "code" {
  account = "eip155:1:` + delegate + `"
  kind    = "delegate"
}
asset "apes" {
  id       = "eip155:1/erc721:` + apes + `"
  decimals = 0
}
`
	// careless is the worst rule that there is: all is allowed, read or not.
	careless = `
rule "careless" {
  allow = true
  blind = ["opaque", "unknown_call", "unknown_message", "delegatecall", "delegation", "create", "control"]
}
`
	revocations = "rule \"ours\" {\n  allow = true\n  when  = \"effects.all(e, e.revokes)\"\n}\n"
	delegations = "rule \"ours\" {\n  allow = true\n  kinds = [\"evm.authorization\"]\n  when  = \"effects.all(e, e.class == 'delegation')\"\n}\n"
	texts       = "rule \"ours\" {\n  allow = true\n  kinds = [\"evm.message\"]\n  when  = \"effects.all(e, e.class == 'message' || e.class == 'login' && e.attributes.domain == 'service.example')\"\n}\n"
)

// asInit is the policy that `sealward init` writes, as it is, or with its books filled
// with their examples; with more behind it.
func asInit(t testing.TB, filled bool, more string) *policy.Policy {
	t.Helper()
	p, err := places("/etc/sealward", false)
	if err != nil {
		t.Fatal(err)
	}
	src, err := render("policy.hcl", p)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	if filled {
		text = strings.ReplaceAll(text, `# "eip155`, `"eip155`)
		for _, a := range []string{acme, exchange, delegate} {
			if !strings.Contains(text, "\n    \"eip155:1:"+a+"\" = ") {
				t.Fatalf("the template has no example %s", a)
			}
		}
	}
	out, err := policy.Load("policy.hcl", []byte(text+more), policy.Env{Keys: map[string]signer.KeyInfo{"hot": hotKey(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hotPrivate is the key of the account in the gallery, as everybody knows it from the
// documentation of web3.js.
const hotPrivate = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"

// hotKey is the key that all is asked of.
func hotKey(t testing.TB) signer.KeyInfo {
	t.Helper()
	private, err := crypto.HexToECDSA(hotPrivate)
	if err != nil {
		t.Fatal(err)
	}
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: crypto.FromECDSAPub(&private.PublicKey)}
	return signer.KeyInfo{
		Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident, Origin: signer.OriginGenerated,
		Kinds:  []signer.Kind{signer.KindEVMTransaction, signer.KindEVMTypedData, signer.KindEVMAuthorization, signer.KindEVMMessage, signer.KindDigest},
		Chains: []string{"eip155:1"},
	}
}

// payload is bytes that somebody wants signed as what they say it is.
type payload struct {
	kind  signer.Kind
	bytes []byte
}

// readAs reads a payload as the daemon does, by a policy's book.
func readAs(t testing.TB, p payload, book signer.Book) (signer.Intent, error) {
	t.Helper()
	all := engineDecoders()
	if err := signer.Crossing(p.kind, p.bytes, all); err != nil {
		return signer.Intent{}, err
	}
	key := hotKey(t)
	if p.kind == signer.KindDigest { // a key that signs hashes signs nothing else
		key.Kinds = []signer.Kind{signer.KindDigest}
	}
	return all[p.kind].Decode(p.bytes, key, book)
}

// decide asks a policy about an intent, for a caller whom its rules name, who spent
// nothing before and says what it says.
func decide(t testing.TB, p *policy.Policy, what payload, in signer.Intent, claim string) signer.Decision {
	t.Helper()
	facts := signer.Facts{Time: decided, Wall: decided}
	for _, m := range p.Needs().Measures {
		w := m.Window
		for _, q := range in.Outflow {
			facts.Spent = append(facts.Spent, signer.Spent{Asset: q.Asset, Window: w, Amount: new(big.Int)})
		}
		facts.Spent = append(facts.Spent, signer.Spent{Asset: signer.AssetRequests, Window: w, Amount: new(big.Int)})
	}
	return p.Decide(signer.Proposal{
		Caller:  signer.Caller{UID: 1000, GID: 1000, PID: 4711, User: "payroll", Groups: []string{"sealward"}, Socket: "sign", Identified: true},
		Request: signer.Request{ID: "1", Key: "hot", Kind: what.kind, Payload: what.bytes, Claim: claim},
		Key:     hotKey(t), Intent: in, Policy: p.Version(), Created: decided,
	}, facts)
}

// meaning writes what an intent says, in the words of the tables: its class, "?" if it
// is incomplete, and each effect.
func meaning(in signer.Intent) string {
	out := string(in.Class())
	if !in.Complete {
		out += "?"
	}
	// Of a crowd each sort is there once, with their number.
	crowd, number := len(in.Effects) > 8, map[string]int{}
	var sorts []string
	for _, e := range in.Effects {
		text := effectOf(e)
		if crowd {
			text, _, _ = strings.Cut(text, " call=")
		}
		if number[text]++; number[text] == 1 {
			sorts = append(sorts, text)
		}
	}
	for _, text := range sorts {
		out += "; "
		if crowd {
			out += fmt.Sprint(number[text], " times ")
		}
		out += text
	}
	return out
}

func effectOf(e signer.Effect) string {
	words := []string{string(e.Class), nameOf(e.Counterparty), quantityOf(e.Quantity)}
	if actor := nameOf(e.Actor); actor != "me" && actor != "" {
		words = append(words, "as "+actor)
	}
	if !e.Until.IsZero() {
		words = append(words, "until "+e.Until.Format(time.RFC3339))
	}
	for _, name := range []string{"act", "usable_until", "looks_like", "call", "every_chain", "domain"} {
		if v := e.Attributes[name]; v != "" {
			words = append(words, name+"="+v)
		}
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func quantityOf(q signer.Quantity) string {
	asset := q.Asset
	if at := strings.LastIndex(asset, "0x"); at >= 0 {
		asset = nameOf("eip155:1:" + asset[at:])
	}
	asset = strings.Replace(asset, "eip155:1/slip44:60", "wei", 1)
	switch n, bounded := q.Bound(); {
	case q.Kind == signer.QuantityNone:
		return ""
	case bounded:
		return fmt.Sprintf("%s %s %s", q.Kind, n, asset)
	default:
		return strings.TrimSpace(q.Kind.String() + " " + asset)
	}
}

// nameOf is what the tables call an account: by name where it has one.
func nameOf(account string) string {
	address := account[strings.LastIndexByte(account, ':')+1:]
	if name, ok := people[address]; ok {
		return name
	}
	return address
}

// codes are those of an intent's warnings.
func codes(in signer.Intent) string {
	var out []string
	for _, w := range in.Warnings {
		out = append(out, w.Code)
	}
	return strings.Join(out, " ")
}
