package evm

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// isTransaction reports whether bytes are a transaction in any form that we or a node
// would take: unsigned or signed, with its blobs or without, of types that are still to
// come, and as JSON. It goes by the shape, so it also finds those that we refuse.
func isTransaction(b []byte) bool {
	switch {
	case len(b) == 0:
		return false
	case b[0] == '{':
		return isTransactionJSON(b)
	case b[0] >= 0xc0:
		n, ok := shape(b)
		return ok && (n.values == 6 || n.values == 9) && isLegacy(n.items)
	}
	n, ok := shape(b[1:])
	switch {
	case !ok:
		return false
	case b[0] >= ' ' && (b[0] > 0x7f || utf8.Valid(b)): // no type, or plain text
		return false
	case n.nested && n.values >= 4 && n.values <= 5:
		return true // a transaction with its sidecar, which begins with a list
	default:
		return n.values >= 8 && (n.nested || n.addressed)
	}
}

// outline is what a list looks like without a reading of its values.
type outline struct {
	items     []byte
	values    int
	nested    bool // it has a list
	addressed bool // it has a value as long as an address
}

// shape is the outline of bytes that are one list and nothing else.
func shape(b []byte) (out outline, ok bool) {
	items, rest, err := rlp.SplitList(b)
	if err != nil || len(rest) > 0 {
		return outline{}, false
	}
	out.items = items
	for len(items) > 0 {
		kind, content, rest, err := rlp.Split(items)
		if err != nil {
			return outline{}, false
		}
		out.values++
		out.nested = out.nested || kind == rlp.List
		out.addressed = out.addressed || kind == rlp.String && len(content) == common.AddressLength
		items = rest
	}
	return out, true
}

// isLegacy reports whether the values begin like a transaction of type 0.
func isLegacy(items []byte) bool {
	f := newFields("", items)
	tx := transaction{}
	tx.nonce = f.uint64("nonce")
	f.uint256("gas price", &tx.price)
	tx.gas = f.uint64("gas")
	tx.to = f.recipient()
	f.uint256("value", &tx.value)
	f.bytes("data")
	return *f.err == nil
}

// isTransactionJSON goes by the names alone: a nonce and some word about gas, as also
// the operations of smart accounts have.
func isTransactionJSON(b []byte) bool {
	has := members(b)
	return has["nonce"] && (has["gas"] || has["gaslimit"] || has["gasprice"] || has["maxfeepergas"] ||
		has["callgaslimit"] || has["accountgaslimits"])
}

// isAuthorizationJSON goes by the names alone, also of a signed one.
func isAuthorizationJSON(b []byte) bool {
	has := members(b)
	return has["chainid"] && has["nonce"] && (has["address"] || has["contractaddress"])
}

// members are the names in a JSON object, in lower case, read with all the leniency that
// some reader may have: in any letter case, whatever follows the object.
func members(text []byte) map[string]bool {
	var object map[string]json.RawMessage
	if json.NewDecoder(bytes.NewReader(text)).Decode(&object) != nil {
		return nil
	}
	names := make(map[string]bool, len(object))
	for name := range object {
		names[strings.ToLower(name)] = true
	}
	return names
}
