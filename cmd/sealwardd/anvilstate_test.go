package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
)

// state is what the chain says of all that the tests look at: balances, permissions and
// code, by a text that says of what. Numbers are decimal.
type state map[string]string

// The names in a state. Accounts and assets are named as intents name them.
func balanceOf(account, asset string) string { return "balance of " + account + ": " + asset }
func allowanceOf(owner, spender, asset string) string {
	return "allowance of " + owner + " to " + spender + ": " + asset
}
func permit2Of(owner, spender, asset, what string) string {
	return "Permit2's " + what + " of " + owner + " to " + spender + ": " + asset
}
func depositOf(account, entryPoint string) string {
	return "deposit of " + account + " with the EntryPoint " + entryPoint
}
func operatorOf(owner, operator, asset string) string {
	return "operator of " + owner + " is " + operator + ": " + asset
}
func ownerOf(item string) string            { return "owner of " + item }
func approvedOf(item string) string         { return "may take " + item }
func codeAt(account string) string          { return "code of " + account }
func controls(account, owner string) string { return "owner of Safe " + account + " is " + owner }
func thresholdOf(account string) string     { return "threshold of Safe " + account }
func moduleOf(account, module string) string {
	return "module of Safe " + account + " is " + module
}
func guardOf(account string) string   { return "guard of Safe " + account }
func handlerOf(account string) string { return "fallback handler of Safe " + account }
func caip10(a common.Address) string  { return "eip155:31337:" + a.Hex() }
func caip19(sort string, a common.Address, id ...string) string {
	return strings.Join(append([]string{"eip155:31337/" + sort + ":" + a.Hex()}, id...), "/")
}

const devcoin = "eip155:31337/slip44:60"

// watch is one thing to ask the node for.
type watch struct {
	names  []string // of the words of the answer
	method string
	params []any
}

// watches is everything that the tests look at, so that what changes and was not
// announced is noticed.
func (w *world) watches(created ...common.Address) (out []watch) {
	call := func(contract, at, method string, args []any, names ...string) {
		out = append(out, watch{names, "eth_call", []any{map[string]any{"to": w.at[at], "data": hexutil.Bytes(w.pack(contract, method, args...))}, "latest"}})
	}
	everybody := slices.Sorted(maps.Keys(w.at))
	for _, name := range everybody {
		a := w.at[name]
		if name != "dev" { // it pays for what others have signed
			out = append(out, watch{[]string{balanceOf(caip10(a), devcoin)}, "eth_getBalance", []any{a, "latest"}})
		}
		out = append(out, watch{[]string{codeAt(caip10(a))}, "eth_getCode", []any{a, "latest"}})
		call("Coin", "coin", "balanceOf", []any{a}, balanceOf(caip10(a), caip19("erc20", w.at["coin"])))
		call("WETH9", "weth", "balanceOf", []any{a}, balanceOf(caip10(a), caip19("erc20", w.at["weth"])))
		call("Dai", "dai", "balanceOf", []any{a}, balanceOf(caip10(a), caip19("erc20", w.at["dai"])))
		for _, e := range entryPoints {
			call("EntryPoint", e.name(), "balanceOf", []any{a}, depositOf(caip10(a), caip10(e.at)))
		}
		for _, safe := range []string{"safe", "fresh"} {
			call("Safe", safe, "isModuleEnabled", []any{a}, moduleOf(caip10(w.at[safe]), caip10(a)))
			call("Safe", safe, "isOwner", []any{a}, controls(caip10(w.at[safe]), caip10(a)))
		}
		for _, id := range []int64{1, 2, 3} {
			call("Parts", "parts", "balanceOf", []any{a, big.NewInt(id)}, balanceOf(caip10(a), caip19("erc1155", w.at["parts"], fmt.Sprint(id))))
		}
	}
	for _, safe := range []common.Address{w.at["safe"], w.at["fresh"]} {
		out = append(out,
			watch{[]string{thresholdOf(caip10(safe))}, "eth_getStorageAt", []any{safe, "0x4", "latest"}}, // SafeStorage.sol
			watch{[]string{guardOf(caip10(safe))}, "eth_getStorageAt", []any{safe, crypto.Keccak256Hash([]byte("guard_manager.guard.address")), "latest"}},
			watch{[]string{handlerOf(caip10(safe))}, "eth_getStorageAt", []any{safe, crypto.Keccak256Hash([]byte("fallback_manager.handler.address")), "latest"}},
		)
	}
	for _, id := range []int64{1, 2, 3} {
		item := caip19("erc721", w.at["cards"], fmt.Sprint(id))
		call("Cards", "cards", "ownerOf", []any{big.NewInt(id)}, ownerOf(item))
		call("Cards", "cards", "getApproved", []any{big.NewInt(id)}, approvedOf(item))
	}
	for _, owner := range []string{"hot", "cold", "safe", "fresh", "dev", "account", "savings", "account7", "account6", "modular", "unborn", "multicall", "multisend"} {
		for _, spender := range everybody {
			o, s := w.at[owner], w.at[spender]
			for _, token := range []string{"coin", "weth", "dai"} {
				asset := caip19("erc20", w.at[token])
				call("Coin", token, "allowance", []any{o, s}, allowanceOf(caip10(o), caip10(s), asset))
				call("Permit2", "permit2", "allowance", []any{o, w.at[token], s},
					permit2Of(caip10(o), caip10(s), asset, "allowance"), permit2Of(caip10(o), caip10(s), asset, "end"))
			}
			call("Cards", "cards", "isApprovedForAll", []any{o, s}, operatorOf(caip10(o), caip10(s), caip19("erc721", w.at["cards"])))
			call("Parts", "parts", "isApprovedForAll", []any{o, s}, operatorOf(caip10(o), caip10(s), caip19("erc1155", w.at["parts"])))
		}
	}
	for _, a := range created {
		if a == (common.Address{}) {
			continue
		}
		out = append(out, watch{[]string{codeAt(caip10(a))}, "eth_getCode", []any{a, "latest"}},
			watch{[]string{balanceOf(caip10(a), devcoin)}, "eth_getBalance", []any{a, "latest"}})
	}
	return out
}

// state asks the node for all of it, in one batch.
func (w *world) state(watches []watch) state {
	w.t.Helper()
	var batch []map[string]any
	for i, q := range watches {
		batch = append(batch, map[string]any{"jsonrpc": "2.0", "id": i, "method": q.method, "params": q.params})
	}
	body, err := json.Marshal(batch)
	must(w.t, err)
	res, err := http.Post(w.n.url, "application/json", bytes.NewReader(body))
	must(w.t, err)
	defer res.Body.Close()
	var answers []struct {
		ID     int
		Result string
		Error  json.RawMessage
	}
	must(w.t, json.NewDecoder(res.Body).Decode(&answers))
	if len(answers) != len(watches) {
		w.t.Fatalf("the node answers %d of %d questions", len(answers), len(watches))
	}
	out := state{}
	for _, a := range answers {
		q := watches[a.ID]
		if len(a.Error) > 0 {
			w.t.Fatalf("%s: %s", q.names, a.Error)
		}
		for i, name := range q.names {
			switch q.method {
			case "eth_getCode":
				out[name] = a.Result
			case "eth_getBalance":
				out[name] = hexutil.MustDecodeBig(a.Result).String()
			default:
				out[name] = new(big.Int).SetBytes(hexutil.MustDecode(a.Result)[32*i : 32*i+32]).String()
			}
		}
	}
	return out
}

// forecast is the state that an intent announces, made from the state before.
type forecast struct {
	state
	after state // for quantities of which only a bound is announced
	// charged is what operations cost, by the smart account.
	charged map[string]charge
	wrong   []string
}

func (f *forecast) fail(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

func (f *forecast) set(name, value string) {
	if _, watched := f.state[name]; !watched {
		f.fail("nobody looks at: %s", name)
	}
	f.state[name] = value
}

func number(text string) *big.Int {
	n, _ := new(big.Int).SetString(text, 10)
	return n
}

func (f *forecast) add(name string, n *big.Int) {
	if _, watched := f.state[name]; !watched {
		f.fail("nobody looks at: %s", name)
		return
	}
	f.state[name] = new(big.Int).Add(number(f.state[name]), n).String()
}

// move takes from one account what it gives to the other.
func (f *forecast) move(from, to, asset string, n *big.Int) {
	f.add(balanceOf(from, asset), new(big.Int).Neg(n))
	f.add(balanceOf(to, asset), n)
}

// effect adds what one effect announces.
func (f *forecast) effect(e signer.Effect) {
	switch e.Class {
	case signer.ClassTransfer:
		f.transfer(e)
	case signer.ClassAllowance:
		f.allowance(e)
	case signer.ClassOperator:
		f.set(operatorOf(e.Actor, e.Counterparty, e.Quantity.Asset), map[bool]string{true: "1", false: "0"}[e.Quantity.Kind == signer.QuantityUnlimited])
	case signer.ClassExchange:
		f.exchange(e)
	case signer.ClassDelegation:
		code := "0x"
		if to := addressIn(e.Counterparty); to != (common.Address{}) {
			code = hexutil.Encode(append([]byte{0xef, 0x01, 0x00}, to[:]...)) // EIP-7702, "Delegation indicator"
		}
		f.set(codeAt(e.Actor), code)
	case signer.ClassControl:
		f.control(e)
	case signer.ClassCreate:
		f.create(e)
		if e.Quantity.Kind == signer.QuantityExact {
			f.move(e.Actor, e.Counterparty, e.Quantity.Asset, e.Quantity.N)
		}
	case signer.ClassInvalidate: // of what was never used
	default:
		f.fail("class %s: the test does not say what it leads to", e.Class)
	}
}

// create is a contract where there was none: by a transaction the one that is created
// here, by an operation what a factory made of the account.
func (f *forecast) create(e signer.Effect) {
	name, code := codeAt(e.Counterparty), "0x00"
	if e.Attributes["entrypoint"] != "" {
		if code = f.after[name]; f.state[name] != "0x" || code == "0x" {
			f.fail("%s was %s and is %s, announced is that it is made", name, f.state[name], code)
		}
	}
	f.set(name, code)
}

func (f *forecast) transfer(e signer.Effect) {
	asset, n := e.Quantity.Asset, e.Quantity.N
	if strings.Contains(asset, "/erc721:") {
		if got, want := f.state[ownerOf(asset)], addressNumber(e.Actor); got != want {
			f.fail("%s is said to be taken from %s, who does not have it", asset, e.Actor)
		}
		f.set(ownerOf(asset), addressNumber(e.Counterparty))
		f.set(approvedOf(asset), "0") // ERC-721: a transfer ends it
		return
	}
	if _, ok := f.charged[e.Actor]; ok && e.Attributes["act"] == "gas_refund" {
		f.charge(e.Actor, e.Counterparty, e.Quantity)
		return
	}
	if e.Quantity.Kind == signer.QuantityAtMost { // then it is what arrived, if that is within the bound
		name := balanceOf(e.Counterparty, asset)
		most := n
		n = new(big.Int).Sub(number(f.after[name]), number(f.state[name]))
		if n.Sign() <= 0 || n.Cmp(most) > 0 {
			f.fail("%s changes by %s, announced as at most %s", name, n, most)
		}
	}
	f.move(e.Actor, e.Counterparty, asset, n)
	spender := e.Attributes["spender"]
	if spender == "" || spender == e.Actor || !strings.Contains(asset, "/erc20:") {
		return
	}
	// What was allowed is used up by it; tokens do not count down from everything.
	name := allowanceOf(e.Actor, spender, asset)
	if e.Attributes["contract"] == caip10(permit2) {
		name = permit2Of(e.Actor, spender, asset, "allowance")
	}
	if f.state[name] != maxUint(256).String() {
		f.add(name, new(big.Int).Neg(n))
	}
}

func (f *forecast) allowance(e signer.Effect) {
	asset, n := e.Quantity.Asset, e.Quantity.N
	if strings.Contains(asset, "/erc721:") {
		f.set(approvedOf(asset), addressNumber(e.Counterparty))
		return
	}
	name := allowanceOf(e.Actor, e.Counterparty, asset)
	if e.Attributes["contract"] == caip10(permit2) {
		name = permit2Of(e.Actor, e.Counterparty, asset, "allowance")
		if e.Attributes["act"] != "lockdown" { // which leaves the end as it is
			f.set(permit2Of(e.Actor, e.Counterparty, asset, "end"), fmt.Sprint(e.Until.Unix()))
		}
	}
	if e.Quantity.Kind != signer.QuantityUnlimited {
		f.set(name, n.String())
		return
	}
	if number(f.after[name]).BitLen() < 96 {
		f.fail("%s is %s, announced as unlimited", name, f.after[name])
	}
	f.set(name, f.after[name])
}

func (f *forecast) exchange(e signer.Effect) {
	n := number(e.Attributes["receives_amount"])
	switch e.Attributes["act"] {
	case "wrap":
		f.move(e.Actor, e.Counterparty, e.Quantity.Asset, e.Quantity.N)
		f.add(balanceOf(e.Actor, e.Attributes["receives"]), n)
	case "unwrap":
		f.add(balanceOf(e.Actor, e.Quantity.Asset), new(big.Int).Neg(e.Quantity.N))
		f.move(e.Counterparty, e.Actor, e.Attributes["receives"], n)
	default:
		f.fail("exchange by act %q", e.Attributes["act"])
	}
}

func (f *forecast) control(e signer.Effect) {
	switch e.Attributes["act"] {
	case "add_owner":
		f.set(controls(e.Actor, e.Counterparty), "1")
	case "remove_owner":
		f.set(controls(e.Actor, e.Counterparty), "0")
	case "enable_module":
		f.set(moduleOf(e.Actor, e.Counterparty), "1")
	case "disable_module":
		f.set(moduleOf(e.Actor, e.Counterparty), "0")
	case "set_guard":
		f.set(guardOf(e.Actor), addressNumber(e.Counterparty))
	case "set_fallback_handler":
		f.set(handlerOf(e.Actor), addressNumber(e.Counterparty))
	case "change_threshold", "setup":
	default:
		f.fail("control by act %q", e.Attributes["act"])
	}
	if n, ok := e.Attributes["threshold"]; ok {
		f.set(thresholdOf(e.Actor), n)
	}
}

func addressIn(account string) common.Address {
	return common.HexToAddress(account[strings.LastIndexByte(account, ':')+1:])
}

// addressNumber is how a contract returns an address; none is zero.
func addressNumber(account string) string {
	return new(big.Int).SetBytes(addressIn(account).Bytes()).String()
}
