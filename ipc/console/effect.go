package console

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/signer"
)

// headlines say what the classes are, as the first line of an intent.
var headlines = map[signer.Class]string{
	signer.ClassOpaque:         "SIGNS A HASH of something unknown: it may do anything",
	signer.ClassUnknownCall:    "CALLS what is not known: it may move anything",
	signer.ClassUnknownMessage: "AGREES to what is not known: it may allow anything",
	signer.ClassDelegateCall:   "RUNS FOREIGN CODE as the account, with all its powers",
	signer.ClassDelegation:     "HANDS OVER THE ACCOUNT to code, with all its powers",
	signer.ClassCreate:         "CREATES a contract from code that was not read",
	signer.ClassControl:        "CHANGES WHO OR WHAT CONTROLS the account",
	signer.ClassOperator:       "GRANTS CONTROL over all of a kind, now and later",
	signer.ClassAllowance:      "GRANTS permission to take value",
	signer.ClassTransfer:       "SENDS value",
	signer.ClassExchange:       "TRADES one asset for another",
	signer.ClassInvalidate:     "VOIDS permissions that were signed before",
	signer.ClassLogin:          "SIGNS IN to a service",
	signer.ClassMessage:        "ATTESTS a text",
	signer.ClassKeyCreate:      "MAKES a key",
	signer.ClassKeyImport:      "TAKES IN a key that was made elsewhere",
	signer.ClassKeyAttest:      "PROVES where a key is",
	signer.ClassKeyDisable:     "DISABLES a key",
	signer.ClassKeyEnable:      "ENABLES a key",
	signer.ClassKeyRotate:      "SUCCEEDS a key by another one",
	signer.ClassKeyDuplicate:   "COPIES a key to another device",
	signer.ClassPolicyChange:   "CHANGES the policy",
	signer.ClassTrustFile:      "LETS the policy be changed by whoever can write its file",
	signer.ClassThaw:           "THAWS what was frozen",
}

// takenBack are the headlines where all that is of the class takes back what was given.
var takenBack = map[signer.Class]string{
	signer.ClassDelegation: "TAKES BACK the account from code that it was handed over to",
	signer.ClassOperator:   "REVOKES control over all of a kind",
	signer.ClassAllowance:  "REVOKES permission to take value",
}

// revokes reports whether an effect takes back what was given.
func revokes(e signer.Effect) bool {
	switch e.Class {
	case signer.ClassDelegation:
		return isZero(e.Counterparty) && e.Quantity.Kind == signer.QuantityNone
	case signer.ClassOperator, signer.ClassAllowance:
		return e.Quantity.Kind == signer.QuantityExact && e.Quantity.N != nil && e.Quantity.N.Sign() == 0
	default:
		return false
	}
}

// headline says what effects of a class do, or is empty.
func headline(class signer.Class, effects []signer.Effect) string {
	gives := func(e signer.Effect) bool { return e.Class == class && !revokes(e) }
	if back := takenBack[class]; back != "" && !slices.ContainsFunc(effects, gives) {
		return back
	}
	return headlines[class]
}

// acts are what administrative requests do; whose key it is, the attributes say.
var acts = map[signer.Class]struct{ word, text string }{
	signer.ClassKeyCreate:    {"MAKES", "a key in a device"},
	signer.ClassKeyImport:    {"TAKES IN", "a key that was made elsewhere"},
	signer.ClassKeyAttest:    {"PROVES", "where a key is"},
	signer.ClassKeyDisable:   {"DISABLES", "a key: it signs nothing any more until it is enabled again"},
	signer.ClassKeyEnable:    {"ENABLES", "a key that was disabled"},
	signer.ClassKeyRotate:    {"SUCCEEDS", "a key by another one, which the first signs"},
	signer.ClassKeyDuplicate: {"COPIES", "a key to another device"},
	signer.ClassPolicyChange: {"CHANGES", "the policy: from then on another one decides what is signed"},
	signer.ClassTrustFile:    {"TRUSTS", "the policy's file on the host: whoever can write it changes the rules, and nobody is asked"},
	signer.ClassThaw:         {"THAWS", "Sealward: what was frozen is signed again"},
}

// controls are what the acts of class control do.
var controls = map[string]string{
	"setup":                "sets up the account",
	"add_owner":            "ADDS AN OWNER, who can agree to anything from then on",
	"remove_owner":         "REMOVES AN OWNER",
	"change_threshold":     "changes how many owners must agree",
	"enable_module":        "ENABLES A MODULE, which acts as the account without its owners",
	"disable_module":       "disables a module",
	"set_guard":            "sets the guard, the contract that may stop what the owners do",
	"set_module_guard":     "sets the module guard, the contract that may stop what modules do",
	"set_fallback_handler": "sets the fallback handler, the contract that answers for the account",
}

// effect shows one. The actor is left out where what stands above has said it.
func (p *printer) effect(e signer.Effect, actorSaid bool) {
	shown := map[string]bool{} // attributes that are part of a line
	switch e.Class {
	case signer.ClassOperator, signer.ClassAllowance:
		p.permission(e)
	case signer.ClassExchange:
		p.exchange(e, shown)
	case signer.ClassControl:
		p.control(e)
	default:
		p.simple(e)
	}
	if e.Actor != "" && !actorSaid {
		p.more(actorWord(e.Class) + " " + p.account(e.Actor) + chainOf(e.Actor))
	} else if e.Actor == "" && hasActor(e.Class) {
		p.more("from: unknown (no key given)" + chainOf(e.Counterparty))
	}
	if call := e.Attributes["call"]; call != "" {
		p.more("in call " + Safe(call))
		shown["call"] = true
	}
	if t, err := time.Parse(time.RFC3339, e.Attributes["usable_until"]); err == nil {
		p.more("usable until " + p.until(t))
		shown["usable_until"] = true
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		if shown[name] {
			continue
		}
		value := e.Attributes[name]
		p.fact(strings.ReplaceAll(name, "_", " "), value)
		if label := p.label(value); label != "" {
			flow(&p.b, "    ", "      ", "("+label+")")
		}
	}
}

// simple shows an effect that is what it is whatever it is about.
func (p *printer) simple(e signer.Effect) {
	to := p.party(e)
	switch e.Class {
	case signer.ClassTransfer:
		if e.Counterparty == "" {
			to = "whoever carries it out: it names no receiver"
		}
		p.line("SENDS", p.quantity(e.Quantity))
		p.more("to " + to)
	case signer.ClassCreate:
		p.line("CREATES", "a contract; what it does could not be read")
		if e.Counterparty != "" {
			p.more("at " + to)
		}
	case signer.ClassUnknownCall:
		p.line("CALLS", to)
		p.more("what this does could not be read: it may move anything")
	case signer.ClassUnknownMessage:
		p.line("AGREES", "to what was not understood: it may give away anything")
		p.counterparty("with", e)
	case signer.ClassDelegateCall:
		p.line("DELEGATECALL", "RUNS THE CODE of "+to)
		p.more("as the account: it may take everything and change who controls it")
	case signer.ClassDelegation:
		if revokes(e) {
			p.line("TAKES BACK", "the account from any code that it was handed over to")
			break
		}
		p.line("HANDS OVER", "THE ACCOUNT to the code of "+to)
		p.more("which may do all that the account can, until another delegation ends it")
	case signer.ClassInvalidate:
		p.line("VOIDS", "permissions that were signed before")
		p.counterparty("at", e)
	case signer.ClassLogin:
		p.line("SIGNS IN", "to a service, which may then act for the account there")
		p.counterparty("at", e)
	case signer.ClassMessage:
		p.line("ATTESTS", "a message, shown below")
		p.counterparty("to", e)
	case signer.ClassOpaque:
		p.line("SIGNS", "a hash of something unknown: it may do anything")
		p.counterparty("for", e)
	default:
		p.other(e)
	}
	if e.Class != signer.ClassTransfer {
		p.along(e.Quantity)
	}
	p.ends(e)
}

// other shows an administrative act, or what only a newer daemon knows.
func (p *printer) other(e signer.Effect) {
	if act, ok := acts[e.Class]; ok {
		p.line(act.word, act.text)
	} else {
		p.line("DOES", "something that this program does not know, and that may be anything: "+Safe(string(e.Class)))
	}
	p.counterparty("with", e)
}

func (p *printer) counterparty(word string, e signer.Effect) {
	if e.Counterparty != "" {
		p.more(word + " " + p.party(e))
	}
}

// party is the counterparty, with its chain where that is not the actor's.
func (p *printer) party(e signer.Effect) string {
	chain := chainOf(e.Counterparty)
	if chain == chainOf(e.Actor) || e.Actor == "" && hasActor(e.Class) {
		chain = "" // said with the actor
	}
	return p.account(e.Counterparty) + chain
}

// along is the quantity of what has none by its nature.
func (p *printer) along(q signer.Quantity) {
	switch {
	case q.Kind == signer.QuantityNone:
	case q.Kind != signer.QuantityUnknown:
		p.more("takes along " + p.quantity(q))
	case q.Asset != "":
		p.more("about " + p.quantity(q))
	}
}

func (p *printer) ends(e signer.Effect) {
	switch {
	case e.Until.IsZero():
	case e.Class == signer.ClassLogin: // ERC-4361: that ends the message, not what it began
		p.more("the message can be used until " + p.until(e.Until))
	default:
		p.more("until " + p.until(e.Until))
	}
}

// permission shows one to take value. Exactly nothing takes it away.
func (p *printer) permission(e signer.Effect) {
	to, asset, end := p.party(e), p.asset(e.Quantity.Asset), "until revoked"
	if !e.Until.IsZero() {
		end = "until " + p.until(e.Until)
	}
	operator := e.Class == signer.ClassOperator
	switch {
	case revokes(e) && operator:
		p.line("REVOKES", "the control over all items of "+asset)
		p.more("of " + to)
	case revokes(e):
		p.line("REVOKES", "what "+to)
		p.more("may take of " + asset)
	case e.Attributes["act"] == "decrease" && e.Quantity.Kind == signer.QuantityUnknown:
		p.line("LOWERS", "what "+to)
		p.more("may take; how much is left to take is not known")
	case operator && e.Quantity.Kind == signer.QuantityUnlimited:
		p.line("GRANTS", "CONTROL over all items of "+asset+", present and future, "+end)
		p.more("to " + to)
	case operator:
		p.line("GRANTS", "CONTROL over "+p.quantity(e.Quantity)+", "+end)
		p.more("to " + to)
	default:
		p.line("GRANTS", p.quantity(e.Quantity)+", "+end)
		p.more("to " + to)
	}
}

func (p *printer) exchange(e signer.Effect, shown map[string]bool) {
	p.line("TRADES", p.quantity(e.Quantity))
	receives, amount := e.Attributes["receives"], e.Attributes["receives_amount"]
	if n, ok := new(big.Int).SetString(amount, 10); ok && receives != "" {
		p.more("for " + p.amount(n, receives))
		shown["receives"], shown["receives_amount"] = true, true
	} else {
		p.more("for UNKNOWN amounts of UNKNOWN assets")
	}
	p.counterparty("with", e)
	p.ends(e)
}

func (p *printer) control(e signer.Effect) {
	text, ok := controls[e.Attributes["act"]]
	if !ok {
		text = "changes who or what controls the account, in a way that this program does not know"
	}
	p.line("CONTROLS", text)
	p.counterparty("namely", e)
	p.along(e.Quantity)
	p.ends(e)
}

// hasActor reports whether somebody's account is at stake, so that a missing actor is
// to be pointed out.
func hasActor(class signer.Class) bool {
	_, act := acts[class]
	return !act && class != signer.ClassMessage && class != signer.ClassOpaque
}

// actorWord is what the actor is to the effect.
func actorWord(class signer.Class) string {
	switch class {
	case signer.ClassTransfer, signer.ClassAllowance, signer.ClassOperator, signer.ClassUnknownCall, signer.ClassExchange, signer.ClassCreate:
		return "from"
	case signer.ClassDelegateCall, signer.ClassLogin, signer.ClassMessage, signer.ClassUnknownMessage:
		return "as"
	default:
		return "of"
	}
}

// until is when something ends, and in how long.
func (p *printer) until(t time.Time) string {
	text := t.UTC().Format("2006-01-02 15:04:05 UTC")
	if p.names.Now.IsZero() {
		return text
	}
	now := p.names.Now.UTC()
	if t.Before(now) {
		return text + ", " + span(t.UTC(), now) + " ago"
	}
	return text + ", in " + span(now, t.UTC())
}

// span is the time between two in the largest unit of which there are two, or days,
// rounded down.
func span(from, to time.Time) string {
	years := to.Year() - from.Year()
	if from.AddDate(years, 0, 0).After(to) {
		years--
	}
	d := to.Sub(from)
	for _, u := range []struct {
		n    int
		name string
	}{
		{years, "years"}, {int(d / (24 * time.Hour)), "days"}, {int(d / time.Hour), "hours"}, {int(d / time.Minute), "minutes"},
	} {
		if u.n >= 2 {
			return fmt.Sprintf("%d %s", u.n, u.name)
		}
	}
	return fmt.Sprintf("%d seconds", int(d/time.Second))
}
