package signer

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Intent is the decoded meaning of a payload: what signing it would do.
type Intent struct {
	Kind Kind
	// Complete is false as soon as one part could not be read.
	Complete bool
	// Effects has at least one element; what moves no value has a class of its own.
	Effects []Effect
	// Outflow is the most that could leave, per asset, fees and granted
	// allowances included. Sorted by asset, one element each; an element of kind
	// [QuantityUnknown] has no asset.
	Outflow []Quantity
	// Fee is the part of the outflow that is a fee, at most.
	Fee Quantity
	// Fields are the remaining decoded facts, in the order to show them.
	Fields   []Field
	Warnings []Warning
	Digests  []Digest
	// Messages is what the key signs, computed from the re-encoding. An administrative
	// request has none.
	Messages []Message
}

// Class says what sort of thing an effect is. The set is closed.
type Class string

// The classes of effects.
const (
	ClassTransfer    Class = "transfer"     // value moves to the counterparty
	ClassAllowance   Class = "allowance"    // the counterparty may take up to the quantity; zero revokes
	ClassCreate      Class = "create"       // a contract is created
	ClassUnknownCall Class = "unknown_call" // a contract is called and we cannot say what it does
	ClassMessage     Class = "message"      // a text is attested
	ClassOpaque      Class = "opaque"       // a prehash of we do not know what
)

// The classes of administrative acts. They move no value, and what they change
// decides who can.
const (
	ClassKeyCreate    Class = "key_create"    // a key is made in a device
	ClassKeyImport    Class = "key_import"    // a key from elsewhere is put into a device
	ClassKeyAttest    Class = "key_attest"    // a device proves where a key is
	ClassKeyDisable   Class = "key_disable"   // a key signs nothing any more
	ClassKeyEnable    Class = "key_enable"    // a key that was disabled signs again
	ClassKeyRotate    Class = "key_rotate"    // a key names its successor
	ClassKeyDuplicate Class = "key_duplicate" // a wrapped key is sealed to another device, too
)

// The attributes by which the engine knows what an act is about. A decoder sets those
// that name keys, the engine their fingerprints.
const (
	AttributeKey                  = "key"
	AttributeFingerprint          = "fingerprint"
	AttributeSuccessor            = "successor"
	AttributeSuccessorFingerprint = "successor_fingerprint"
	AttributeAlgorithm            = "algorithm"
	AttributeProtection           = "protection"
	AttributeOrigin               = "origin"
	AttributeReason               = "reason"
)

// Classes lists every class, for documentation and for checking a policy.
func Classes() []Class {
	return []Class{
		ClassTransfer, ClassAllowance, ClassCreate, ClassUnknownCall, ClassMessage, ClassOpaque,
		ClassKeyCreate, ClassKeyImport, ClassKeyAttest, ClassKeyDisable, ClassKeyEnable, ClassKeyRotate, ClassKeyDuplicate,
	}
}

// Effect is one thing that would happen.
type Effect struct {
	Class Class
	// Actor and Counterparty are CAIP-10 account ids; Counterparty is empty where
	// there is none.
	Actor, Counterparty string
	Quantity            Quantity
	Until               time.Time // when it ends by itself; zero: never
	// Attributes are facts of the class. Names and formats are in docs/policy.md.
	Attributes map[string]string
}

// QuantityKind says how a quantity bounds an amount. Its zero value is none.
type QuantityKind uint8

// The kinds of quantities.
const (
	QuantityNone QuantityKind = iota
	QuantityExact
	QuantityAtMost
	QuantityUnlimited
	QuantityUnknown
)

var quantityNames = [...]string{"none", "exact", "at_most", "unlimited", "unknown"}

func (k QuantityKind) String() string {
	if int(k) < len(quantityNames) {
		return quantityNames[k]
	}
	return fmt.Sprintf("QuantityKind(%d)", k)
}

// Quantity is an amount of an asset in its base units (wei, not ether). N is set
// for exact and at-most only and must not be changed once set.
type Quantity struct {
	Kind  QuantityKind
	Asset string // CAIP-19
	N     *big.Int
}

// Exact is n base units of an asset.
func Exact(asset string, n *big.Int) Quantity { return Quantity{QuantityExact, asset, n} }

// AtMost is up to n base units of an asset.
func AtMost(asset string, n *big.Int) Quantity { return Quantity{QuantityAtMost, asset, n} }

// Bound returns the largest amount that q stands for, or false when it has none.
func (q Quantity) Bound() (*big.Int, bool) {
	switch q.Kind {
	case QuantityNone:
		return new(big.Int), true
	case QuantityExact, QuantityAtMost:
		return q.N, q.N != nil
	default:
		return nil, false
	}
}

// Outflow adds up quantities per asset, keeping the worst kind: unknown over
// unlimited over at-most over exact. Quantities of kind none are left out.
func Outflow(qs ...Quantity) []Quantity {
	byAsset := map[string]Quantity{}
	for _, q := range qs {
		if q.Kind == QuantityNone {
			continue
		}
		sum, seen := byAsset[q.Asset]
		switch {
		case !seen:
			sum = q
		case sum.Kind >= QuantityUnlimited || q.Kind >= QuantityUnlimited:
			sum = Quantity{Kind: max(sum.Kind, q.Kind), Asset: q.Asset}
		default:
			sum = Quantity{max(sum.Kind, q.Kind), q.Asset, new(big.Int).Add(sum.N, q.N)}
		}
		byAsset[q.Asset] = sum
	}
	out := make([]Quantity, 0, len(byAsset))
	for _, q := range byAsset {
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b Quantity) int { return strings.Compare(a.Asset, b.Asset) })
	return out
}

// Field is a named fact for people. Value may hold hostile text: render it with
// package ipc/console.
type Field struct{ Name, Value string }

// Severity orders warnings.
type Severity string

// The severities.
const (
	SeverityInfo   Severity = "info"
	SeverityWarn   Severity = "warn"
	SeverityDanger Severity = "danger"
)

// Warning is something about an intent that people and policy should know. Code
// is stable and documented; Text is for people.
type Warning struct {
	Code     string
	Severity Severity
	Text     string
}

// WarnKeyWrapped is the code of the warning that the engine adds to every intent for
// a wrapped key.
const WarnKeyWrapped = "key_wrapped"

// Digest is a named hash that a second device can compare.
type Digest struct {
	Name  string
	Value [32]byte
}

// Asset is a thing of value as the owner's policy names it.
type Asset struct {
	ID       string // CAIP-19
	Name     string // the owner's name for it, e.g. "usdc"
	Decimals int
}

// Book is what the owner's files say about the world. Decoders take names and
// the meaning of contracts from it and from nowhere else.
type Book struct {
	Assets map[string]Asset // by CAIP-19 id, addresses checksummed
}

// Decoder turns a payload of one kind into an intent. It is pure, and strict by
// re-encoding: what it accepts is, byte for byte, what its intent says.
type Decoder interface {
	// Version names the decoder and changes whenever an intent would.
	Version() string
	// Decode returns the intent of a payload for a key, or an [*Error] with code
	// [CodeInvalid] that says what is wrong and where.
	Decode(payload []byte, key KeyInfo, book Book) (Intent, error)
	// Assemble puts the signatures of the intent's messages, in their order,
	// into the finished artefact, such as a raw signed transaction. It returns
	// nil where the signature alone is the artefact.
	Assemble(payload []byte, key KeyInfo, signatures [][]byte) ([]byte, error)
}
