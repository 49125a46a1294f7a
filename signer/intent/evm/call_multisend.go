package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// multiSendMethods is that of Safe's MultiSend and MultiSendCallOnly. A Safe runs their
// code as itself, by delegatecall, and the calls are the Safe's own. Called by a plain
// call, the one refuses and the other makes the calls as itself, with what it has: the
// calls are then read as those of the MultiSend contract, whichever it is.
var multiSendMethods = newFamily(reads("multiSend(bytes transactions)", readMultiSend))

// packedCall is what a transaction in a batch has before its data (MultiSend.sol): one
// byte of operation, 20 of address, 32 of value, 32 of length.
const packedCall = 1 + common.AddressLength + 32 + 32

// readMultiSend reads the transactions one after the other, each with all that its length
// says, until nothing is left. So no bytes have two readings.
func readMultiSend(r *reading, f frame, args []abi.Value) error {
	rest := args[0].Bytes
	n := 0
	for ; len(rest) > 0; n++ {
		if n == maxCalls {
			return f.invalid("more than %d transactions: split them", maxCalls)
		}
		if len(rest) < packedCall {
			return f.invalid("transaction %d: %d bytes are left, and it takes at least %d", n+1, len(rest), packedCall)
		}
		operation, to := rest[0], common.Address(rest[1:21])
		var value, length uint256.Int
		value.SetBytes(rest[21:53])
		length.SetBytes(rest[53:85])
		rest = rest[packedCall:]
		switch {
		case operation > 1:
			return f.invalid("transaction %d: operation %d: the only ones are 0, a call, and 1, a delegatecall", n+1, operation)
		case !length.LtUint64(uint64(len(rest)) + 1):
			return f.invalid("transaction %d: it says that its data has %s bytes, and %d are left", n+1, length.Dec(), len(rest))
		case to == common.Address{}:
			// MultiSend 1.5.0 takes it for the Safe itself, those before for nobody.
			return f.invalid("transaction %d: to is the zero address, which versions of MultiSend read differently: name the account", n+1)
		}
		inner := f.inner(n+1, to, &value, rest[:length.Uint64()])
		rest = rest[length.Uint64():]
		if operation == 1 {
			inner.delegate, inner.value = true, uint256.Int{}
			if !value.IsZero() {
				r.field(inner.named("value"), value.Dec()+" base units, which a delegatecall does not send")
			}
		}
		if err := r.call(inner); err != nil {
			return err
		}
	}
	return f.batch(n)
}
