package evm

import (
	"encoding/hex"
	"maps"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

const (
	// maxCalls bounds the calls in one payload, and its effects: people read them, and
	// a condition of a policy looks at each.
	maxCalls = 512
	// maxDepth bounds how deep calls may stand in calls.
	maxDepth = 8
)

// reading is an intent in the making.
type reading struct {
	chain    string // CAIP-2
	book     signer.Book
	coin     signer.Asset
	methods  *methods
	in       signer.Intent
	out      []signer.Quantity
	calls    int
	places   map[common.Address]*place
	compared map[string]bool // the accounts that were compared with those of the book
}

// newReading is an intent that has nothing yet. What is read is complete until a part
// turns out not to be.
func newReading(kind signer.Kind, chain string, book signer.Book) *reading {
	return &reading{
		chain: chain, book: book, coin: coin(chain, book), methods: &allMethods,
		in:     signer.Intent{Kind: kind, Complete: true, Fields: make([]signer.Field, 0, 20)},
		places: map[common.Address]*place{}, compared: map[string]bool{},
	}
}

func (r *reading) finish() signer.Intent {
	r.in.Outflow = signer.Outflow(r.out...)
	return r.in
}

func (r *reading) field(name, value string) {
	r.in.Fields = append(r.in.Fields, signer.Field{Name: name, Value: value})
}

func (r *reading) digest(name string, sum [32]byte) {
	r.in.Digests = append(r.in.Digests, signer.Digest{Name: name, Value: sum})
}

func (r *reading) warn(code string, s signer.Severity, text string) {
	r.in.Warnings = append(r.in.Warnings, signer.Warning{Code: code, Severity: s, Text: text})
}

// fee adds the most that can be paid for the execution.
func (r *reading) fee(n *uint256.Int) {
	r.in.Fee = signer.AtMost(native(r.chain), n.ToBig())
	r.out = append(r.out, r.in.Fee)
}

// frame is one call, wherever in a payload it stands.
type frame struct {
	from  *common.Address // the caller that the contract sees; nil: not known
	to    common.Address
	value uint256.Int
	data  []byte
	path  string // "" of the payload's own call, "2.1" of the first call in its second
	depth int
	// delegate says that the code at to runs as the caller (DELEGATECALL), which must
	// be known then.
	delegate bool
	// handedOn says that the caller only hands on the value, which it was given: it is the
	// payer's coin. nil: not known whose.
	handedOn bool
	payer    *common.Address
}

// inner is the i-th call that f leads to, counted from 1. Its caller is the contract
// that f calls, or the one that runs foreign code.
func (f frame) inner(i int, to common.Address, value *uint256.Int, data []byte) frame {
	path := strconv.Itoa(i)
	if f.path != "" {
		path = f.path + "." + path
	}
	caller := f.to
	if f.delegate {
		caller = *f.from
	}
	return frame{from: &caller, to: to, value: *value, data: data, path: path, depth: f.depth + 1}
}

// named is the name of a field about the call.
func (f frame) named(name string) string {
	if f.path == "" {
		return name
	}
	return "call " + f.path + ": " + name
}

// invalid refuses the payload for what is wrong in the call.
func (f frame) invalid(format string, args ...any) error {
	where := "call"
	if f.path != "" {
		where += " " + f.path
	}
	return signer.Invalid(where+" to "+f.to.Hex()+": "+format, args...)
}

// effect adds an effect of a call and counts its quantity as flowing out. The actor is
// the caller, unless the effect names another one.
func (r *reading) effect(f frame, e signer.Effect) {
	if e.Actor == "" && f.from != nil {
		e.Actor = r.account(*f.from)
	}
	if f.path != "" {
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		e.Attributes["call"] = f.path
	}
	r.in.Effects = append(r.in.Effects, e)
	r.out = append(r.out, e.Quantity)
	r.compare(e.Counterparty)
}

// compare warns of an account that resembles one of the book, or a contract that is the
// same on every chain. Each is compared once.
func (r *reading) compare(account string) {
	if account == "" || r.compared[account] {
		return
	}
	r.compared[account] = true
	for _, known := range r.book.Resembling(account) {
		r.warn(WarnResembles, signer.SeverityDanger,
			addressOnly(account)+" begins and ends like "+addressOnly(known)+" ("+r.label(known)+"), which you know, but is another address")
	}
	if a := common.HexToAddress(addressOnly(account)); !r.book.Knows(account) {
		if known, ok := canonicalByEnds[ends(a)]; ok && known != a {
			r.warn(WarnResembles, signer.SeverityDanger,
				a.Hex()+" begins and ends like "+known.Hex()+" ("+canonicalContracts[known].Name+"), but is another address")
		}
	}
}

// label is what the owner calls an account of the book.
func (r *reading) label(account string) string {
	if l, ok := r.book.Accounts[account]; ok {
		return l
	}
	return r.book.Contracts[account].Name
}

// unknown is a call that we cannot say the meaning of. It could move anything that the
// caller's account holds.
func (r *reading) unknown(f frame, why string) {
	r.blind(f, signer.ClassUnknownCall, why)
	r.warn(WarnUnknownCall, signer.SeverityDanger, f.named("calls "+r.hex(f.to)+" in a way that was not understood: it could move anything"))
	r.along(f)
}

// blind adds an effect that may be anything, of a class that says so, and all that can
// be told about the calldata.
func (r *reading) blind(f frame, class signer.Class, why string) {
	attributes := map[string]string{}
	r.in.Complete = false
	if len(f.data) >= 4 {
		attributes["selector"] = "0x" + hex.EncodeToString(f.data[:4])
		r.field(f.named("selector"), attributes["selector"])
		if name := r.methods.names[[4]byte(f.data)]; name != "" {
			attributes["looks_like"] = name
			r.field(f.named("looks like"), name+", but "+why+", so this means nothing")
		}
	}
	maps.Copy(attributes, r.calldata(f, f.data))
	r.effect(f, signer.Effect{
		Class: class, Counterparty: r.account(f.to),
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: attributes,
	})
}

// calldata says how long calldata is and what its digest.
func (r *reading) calldata(f frame, data []byte) map[string]string {
	length := strconv.Itoa(len(data))
	r.field(f.named("calldata length"), length+" bytes")
	return map[string]string{"calldata_length": length, "calldata_digest": CalldataDigest(data).Hex()}
}

// along is the coin that a call takes along.
func (r *reading) along(f frame) {
	if f.value.IsZero() {
		return
	}
	r.coinTransfer(f, f.to)
}

// coinTransfer adds the transfer of the coin that a call takes along.
func (r *reading) coinTransfer(f frame, to common.Address) {
	if f.handedOn {
		f.from = f.payer
	}
	r.effect(f, signer.Effect{
		Class: signer.ClassTransfer, Counterparty: r.account(to),
		Quantity: signer.Exact(native(r.chain), f.value.ToBig()),
	})
}

// never is when the year 10000 begins. No date after it can be written in RFC 3339, and
// whoever names one means that there is no end.
const never = 253402300800

// moment shows a time in seconds since 1970. It returns the zero time where that is
// too far away to count as one.
func (r *reading) moment(f frame, name string, seconds *uint256.Int) time.Time {
	if !seconds.LtUint64(never) {
		r.field(f.named(name), "never in this age ("+seconds.Dec()+")")
		return time.Time{}
	}
	t := time.Unix(int64(seconds.Uint64()), 0).UTC()
	r.field(f.named(name), timeText(t))
	return t
}

// deadline is [reading.moment] for when a permission ends, or a signature that is one:
// for ever is warned of.
func (r *reading) deadline(f frame, name string, seconds *uint256.Int) time.Time {
	t := r.moment(f, name, seconds)
	if t.IsZero() {
		r.warn(WarnNeverExpires, signer.SeverityWarn, f.named("the "+name+" is in no age of ours: it never ends by itself"))
	}
	return t
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
