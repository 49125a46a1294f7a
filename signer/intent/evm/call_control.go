package evm

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// safeControlMethods change who or what controls a Safe (OwnerManager, ModuleManager,
// GuardManager, FallbackManager, Safe.setup). A Safe takes all but setup from itself
// alone; what another sends is read as if it were taken.
var safeControlMethods = newFamily(
	reads("setup(address[] owners, uint256 threshold, address to, bytes data, address fallbackHandler, address paymentToken, uint256 payment, address paymentReceiver)", readSetup),
	reads("addOwnerWithThreshold(address owner, uint256 threshold)", func(r *reading, f frame, args []abi.Value) error {
		r.owner(f, "add_owner", args[0].Address(), args[1].Uint())
		return nil
	}),
	reads("removeOwner(address previous, address owner, uint256 threshold)", func(r *reading, f frame, args []abi.Value) error {
		r.field(f.named("previous in the list"), r.hex(args[0].Address()))
		r.owner(f, "remove_owner", args[1].Address(), args[2].Uint())
		return nil
	}),
	reads("swapOwner(address previous, address old, address new)", readSwapOwner),
	reads("changeThreshold(uint256 threshold)", func(r *reading, f frame, args []abi.Value) error {
		r.control(f, "change_threshold", "", threshold(args[0].Uint()))
		return nil
	}),
	reads("enableModule(address module)", controlCode("enable_module", 0)),
	reads("disableModule(address previous, address module)", func(r *reading, f frame, args []abi.Value) error {
		r.field(f.named("previous in the list"), r.hex(args[0].Address()))
		r.control(f, "disable_module", r.account(args[1].Address()), nil)
		return nil
	}),
	reads("setGuard(address guard)", controlCode("set_guard", 0)),
	reads("setModuleGuard(address guard)", controlCode("set_module_guard", 0)),
	reads("setFallbackHandler(address handler)", controlCode("set_fallback_handler", 0)),
	reads("changeMasterCopy(address code)", readReplaceCode),
)

// controls are what the acts on a Safe do, for people.
var controls = map[string]string{
	"setup":                "sets up the Safe",
	"add_owner":            "adds an owner",
	"remove_owner":         "removes an owner",
	"change_threshold":     "changes how many owners must agree",
	"enable_module":        "lets a contract act as the Safe, without its owners (module)",
	"disable_module":       "takes a module's power over the Safe",
	"set_guard":            "sets the contract that may stop what the owners do (guard)",
	"set_module_guard":     "sets the contract that may stop what modules do (module guard)",
	"set_fallback_handler": "sets the contract that answers for the Safe (fallback handler)",
}

// control is a change of who or what controls the account that is called. No amount
// says what that is worth.
func (r *reading) control(f frame, act, counterparty string, more map[string]string) {
	attributes := r.of(f)
	attributes["act"] = act
	what := controls[act]
	if counterparty != "" {
		what += ": " + addressOnly(counterparty)
	}
	if n, ok := more["threshold"]; ok {
		attributes["threshold"] = n
		what += "; from then on " + n + " of the owners must agree"
	}
	r.field(f.named("control"), what)
	r.effect(f, signer.Effect{
		Class: signer.ClassControl, Actor: r.account(f.to), Counterparty: counterparty,
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: attributes,
	})
	r.warn(WarnControl, signer.SeverityDanger, f.named("changes who controls "+r.hex(f.to)+": "+what))
}

func threshold(n *uint256.Int) map[string]string { return map[string]string{"threshold": n.Dec()} }

// owner is a change of the owners that sets the threshold along: a rule about either sees
// it.
func (r *reading) owner(f frame, act string, owner common.Address, n *uint256.Int) {
	r.control(f, act, r.account(owner), threshold(n))
	r.control(f, "change_threshold", "", threshold(n))
}

// readSwapOwner is a removal and an addition: a rule about either sees it.
func readSwapOwner(r *reading, f frame, args []abi.Value) error {
	r.field(f.named("previous in the list"), r.hex(args[0].Address()))
	r.control(f, "remove_owner", r.account(args[1].Address()), nil)
	r.control(f, "add_owner", r.account(args[2].Address()), nil)
	return nil
}

// controlCode reads a method that gives a contract a part in the control of the account.
func controlCode(act string, argument int) func(*reading, frame, []abi.Value) error {
	return func(r *reading, f frame, args []abi.Value) error {
		r.controlCode(f, act, args[argument].Address())
		return nil
	}
}

// controlCode is a contract that gets a part in the control of the account; none for the
// zero address. What its code does was not read, so that somebody must know it.
func (r *reading) controlCode(f frame, act string, code common.Address) {
	if code == (common.Address{}) {
		r.field(f.named("contract"), "none (the zero address)")
		r.control(f, act, "", nil)
		return
	}
	r.control(f, act, r.account(code), nil)
	r.mustKnow(f, code, signer.ContractModule)
}

// mustKnow makes the intent incomplete for code that the book does not have as one of the
// kinds. Any other contract of the book will not do: a token that is the handler of a Safe
// takes everybody's calls for those of the Safe, and a Multicall that is its module makes
// everybody's.
func (r *reading) mustKnow(f frame, code common.Address, kinds ...signer.ContractKind) {
	if slices.Contains(kinds, r.book.Contracts[r.account(code)].Kind) {
		return
	}
	r.in.Complete = false
	r.warn(WarnUnknownContract, signer.SeverityDanger, f.named("the code of "+r.hex(code)+" was not read, and your book does not have it as a contract of kind "+string(kinds[0])))
}

// readReplaceCode: from then on the account is what the new code makes of it. Bybit lost
// its Safe by that, done in another way.
func readReplaceCode(r *reading, f frame, args []abi.Value) error {
	r.delegation(f, args[0].Address())
	return nil
}

// delegation hands the account that is called over to code.
func (r *reading) delegation(f frame, code common.Address) {
	attributes := r.of(f)
	r.field(f.named("new code"), r.hex(code))
	r.effect(f, signer.Effect{
		Class: signer.ClassDelegation, Actor: r.account(f.to), Counterparty: r.account(code),
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: attributes,
	})
	r.warn(WarnDelegation, signer.SeverityDanger, f.named("hands "+r.hex(f.to)+" over to the code of "+r.hex(code)))
	r.mustKnow(f, code, signer.ContractDelegate)
}

// readSetup makes a Safe of a new proxy (Safe.sol, setup): its owners, code that runs as
// the Safe at once, a handler and a payment to who made it.
func readSetup(r *reading, f frame, args []abi.Value) error {
	owners, n := args[0].Elems, args[1].Uint()
	if err := f.batch(len(owners)); err != nil {
		return err
	}
	r.control(f, "setup", "", threshold(n))
	for _, o := range owners {
		r.control(f, "add_owner", r.account(o.Address()), threshold(n))
	}
	// Modules are set up by a delegatecall (ModuleManager.sol, setupModules).
	if to := args[2].Address(); to != (common.Address{}) {
		inner := f.inner(1, to, new(uint256.Int), args[3].Bytes)
		inner.delegate = true
		if err := r.call(inner); err != nil {
			return err
		}
	} else if len(args[3].Bytes) > 0 {
		r.field(f.named("data for nobody"), bytesText(args[3].Bytes))
	}
	if handler := args[4].Address(); handler != (common.Address{}) {
		r.controlCode(f, "set_fallback_handler", handler)
	}
	token, pays, receiver := args[5].Address(), args[6].Uint(), args[7].Address()
	r.field(f.named("payment"), pays.Dec()+" of "+r.hex(token)+" to "+r.hex(receiver))
	if !pays.IsZero() {
		r.payment(f, token, pays, receiver)
	}
	return nil
}
