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

// The classes of effects, the worst first.
const (
	ClassOpaque         Class = "opaque"          // a prehash of we do not know what
	ClassUnknownCall    Class = "unknown_call"    // a contract is called and we cannot say what it does
	ClassUnknownMessage Class = "unknown_message" // structured data is attested and we cannot say what that does
	ClassDelegateCall   Class = "delegatecall"    // code of the counterparty runs as the actor, and may do all that the actor can
	ClassDelegation     Class = "delegation"      // the actor's account runs the counterparty's code from then on; the zero address ends that
	ClassCreate         Class = "create"          // a contract is created
	ClassControl        Class = "control"         // who or what controls the actor's account changes
	ClassOperator       Class = "operator"        // the counterparty may take all of a kind, now and later; exactly zero revokes
	ClassAllowance      Class = "allowance"       // the counterparty may take up to the quantity; exactly zero revokes
	ClassTransfer       Class = "transfer"        // value moves to the counterparty
	ClassExchange       Class = "exchange"        // the counterparty gives one asset for the quantity of another
	ClassInvalidate     Class = "invalidate"      // permissions that were signed before become void
	ClassLogin          Class = "login"           // the actor signs in to a service
	ClassMessage        Class = "message"         // a text is attested
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
	ClassPolicyChange Class = "policy_change" // another policy comes into force
	ClassTrustFile    Class = "trust_file"    // whoever can write the policy's file may change it without asking
	ClassThaw         Class = "thaw"          // what was frozen signs again
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
	AttributePolicyFrom           = "from" // version of the policy that is replaced
	AttributePolicyTo             = "to"   // version of the policy that comes into force
	// AttributeRecovery is "true" for an act that the recovery quorum is to approve, in
	// place of those whom the rules name.
	AttributeRecovery = "recovery"
)

// Classes lists every class, for documentation and for checking a policy. Those of
// payloads stand first, the worst before the rest.
func Classes() []Class {
	return []Class{
		ClassOpaque, ClassUnknownCall, ClassUnknownMessage, ClassDelegateCall, ClassDelegation, ClassCreate, ClassControl,
		ClassOperator, ClassAllowance, ClassTransfer, ClassExchange, ClassInvalidate, ClassLogin, ClassMessage,
		ClassKeyCreate, ClassKeyImport, ClassKeyAttest, ClassKeyDisable, ClassKeyEnable, ClassKeyRotate, ClassKeyDuplicate, ClassPolicyChange, ClassTrustFile, ClassThaw,
	}
}

// Class is that of the worst effect: a batch is as bad as the worst call in it. A class
// that is not known is worse than all that are; an intent without effects has none.
func (in Intent) Class() Class {
	worst, rank := Class(""), len(Classes())
	for _, e := range in.Effects {
		if r := slices.Index(Classes(), e.Class); r < rank {
			worst, rank = e.Class, r
		}
	}
	return worst
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

// ClearSigning is what a descriptor that the owner pinned calls the parts of a payload
// (ERC-7730): labels for people, beside the intent and never in place of it. No
// decision depends on it and no record holds it.
type ClearSigning struct {
	Descriptor         string // the file that it comes from
	Owner              string // who stands behind the contract, as the descriptor says
	Intent             string // what the call or message is for
	InterpolatedIntent string // the same with values in it; empty where there is none
	Fields             []Labelled
}

// Labelled is a value under the label that a descriptor gives it. Either may be hostile
// text: render them with package ipc/console.
type Labelled struct{ Label, Value string }

// Decoder turns a payload of one kind into an intent. It is pure, and strict by
// re-encoding: what it accepts is, byte for byte, what its intent says.
type Decoder interface {
	// Version names the decoder and changes whenever an intent would.
	Version() string
	// Decode returns the intent of a payload for a key, or an [*Error] with code
	// [CodeInvalid] that says what is wrong and where.
	Decode(payload []byte, key KeyInfo, book Book) (Intent, error)
	// Recognises reports whether a payload, given as another kind, is one of this kind:
	// a message that is a transaction. What is recognised is refused, so it is better
	// to recognise too much than too little. Nothing is ever taken for what it is not
	// said to be.
	Recognises(payload []byte) bool
	// Assemble puts the signatures of the intent's messages, in their order,
	// into the finished artefact, such as a raw signed transaction. It returns
	// nil where the signature alone is the artefact.
	Assemble(payload []byte, key KeyInfo, signatures [][]byte) ([]byte, error)
}
