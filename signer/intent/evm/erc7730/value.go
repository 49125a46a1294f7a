package erc7730

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// rawText is "the natural representation of the underlying structured data type".
func rawText(v abi.Value) string {
	switch v.Type.Kind {
	case abi.Address:
		return v.Address().Hex()
	default:
		return canonical(v)
	}
}

// integer is a value as a number. Bytes are one from the most significant on.
func integer(v abi.Value) (*big.Int, error) {
	switch v.Type.Kind {
	case abi.Uint:
		return v.Uint().ToBig(), nil
	case abi.Int:
		return v.Signed(), nil
	}
	if len(v.Bytes) > 32 {
		return nil, fmt.Errorf("%d bytes are no number; the most is 32", len(v.Bytes))
	}
	return new(big.Int).SetBytes(v.Bytes), nil
}

// decimal writes n with so many decimals, exactly and without zeros at the end.
func decimal(n *big.Int, decimals int) string {
	digits := new(big.Int).Abs(n).String()
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if decimals <= 0 {
		return sign + digits
	}
	if missing := decimals + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-decimals], strings.TrimRight(digits[len(digits)-decimals:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}

// assetAmount is an amount of an asset that the owner knows.
func assetAmount(n *big.Int, a signer.Asset) string {
	return decimal(n, a.Decimals) + " " + a.Name + " (" + n.String() + " base units)"
}

// coin is a chain's own coin as the owner's book names it. Where it does not, only
// Ethereum's is called ether; all have 18 decimals to a node.
func coin(chain uint64, book signer.Book) signer.Asset {
	id := chainID(chain) + "/slip44:60"
	if a, ok := book.Assets[id]; ok {
		return a
	}
	if chain == 1 {
		return signer.Asset{ID: id, Name: "ether", Decimals: 18}
	}
	return signer.Asset{ID: id, Name: id, Decimals: 18}
}

// date writes a point in time in UTC. Where a block will be in time cannot be known
// here.
func date(n *big.Int, encoding string) string {
	// The last second of the year 9999, where RFC 3339 ends.
	const last = 253402300799
	switch {
	case encoding == "blockheight":
		return "block " + n.String()
	case n.Sign() < 0 || !n.IsInt64() || n.Int64() > last:
		return n.String() + " seconds after 1970 (no date before the year 10000)"
	default:
		return time.Unix(n.Int64(), 0).UTC().Format(time.RFC3339)
	}
}

// duration: "represented as a duration HH:MM:ss".
func duration(n *big.Int) (string, error) {
	if n.Sign() < 0 {
		return "", fmt.Errorf("a duration of %s seconds", n)
	}
	minutes, s := new(big.Int).QuoRem(n, big.NewInt(60), new(big.Int))
	hours, m := new(big.Int).QuoRem(minutes, big.NewInt(60), new(big.Int))
	return fmt.Sprintf("%02s:%02s:%02s", hours, m, s), nil
}

// prefixes of the SI, from 10^-30 on, each a thousand times the one before.
var prefixes = []string{"q", "r", "y", "z", "a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q"}

// unit writes a number of a unit; with prefix, such that it is from 1 to 1000 where
// the SI has a prefix for that. The integer follows unless it is that number.
func unit(n *big.Int, p *params) string {
	places, prefix, value := p.decimals, "", n
	if p.prefix && n.Sign() != 0 {
		const none = 10 // where the empty prefix is
		digits := len(new(big.Int).Abs(n).String())
		exponent := digits - 1 - p.decimals // of the first digit
		step := exponent / 3
		if exponent < 0 {
			step = -((2 - exponent) / 3)
		}
		step = max(-none, min(step, len(prefixes)-1-none))
		prefix, places = prefixes[none+step], p.decimals+3*step
		if places < 0 { // whole thousands that the number itself does not have
			value, places = new(big.Int).Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-places)), nil)), 0
		}
	}
	text := decimal(value, places)
	if text == n.String() {
		return text + prefix + p.base
	}
	return text + prefix + p.base + " (" + n.String() + ")"
}

// enumText is the name that the descriptor has for a value, and the value.
func enumText(enum map[string]string, v abi.Value) string {
	if name, ok := lookup(enum, v); ok {
		return name + " (" + rawText(v) + ")"
	}
	return rawText(v) + " (the descriptor has no name for it)"
}

// lookup finds a value in a table of the descriptor's.
func lookup(table map[string]string, v abi.Value) (string, bool) {
	if s, ok := table[tableKey(canonical(v))]; ok {
		return s, true
	}
	if v.Type.Kind != abi.Uint {
		return "", false
	}
	s, ok := table[v.Word.Hex()]
	return s, ok
}

// tableKey is a key of a table as it is compared: hexadecimal digits have no case.
func tableKey(s string) string {
	if strings.HasPrefix(s, "0x") {
		return strings.ToLower(s)
	}
	return s
}

// encrypted says that a value is not readable, and what it is instead.
func encrypted(e *encryption, v abi.Value) string {
	label := e.label
	if label == "" {
		label = "[Encrypted]" // the default of the schema
	}
	return "encrypted (" + e.scheme + "), not read: " + rawText(v) + " " + label
}

func chainID(chain uint64) string { return "eip155:" + decimalOf(chain) }

func decimalOf(n uint64) string { return strconv.FormatUint(n, 10) }

// chainNames are chains that people know by name (EIP-155, and
// github.com/ethereum-lists/chains).
var chainNames = map[string]string{
	"1": "Ethereum", "10": "OP Mainnet", "56": "BNB Smart Chain", "100": "Gnosis", "130": "Unichain", "137": "Polygon", "324": "zkSync",
	"8453": "Base", "42161": "Arbitrum One", "42220": "Celo", "43114": "Avalanche C-Chain", "59144": "Linea", "534352": "Scroll",
	"17000": "Holesky", "560048": "Hoodi", "11155111": "Sepolia",
}

func chainText(n *big.Int) string {
	id := "eip155:" + n.String()
	if name, ok := chainNames[n.String()]; ok {
		return id + " (" + name + ")"
	}
	return id
}

func hexText(b []byte) string { return "0x" + hex.EncodeToString(b) }

// hexBytes reads bytes that are written with 0x.
func hexBytes(s string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(s, "0x")
	b, err := hex.DecodeString(digits)
	return b, ok && err == nil
}

func addressValue(s string) (abi.Value, bool) {
	a, ok := parseAddress(s)
	return abi.Addr(a), ok
}

func integerValue(s string) (abi.Value, bool) {
	n, ok := parseInteger(s)
	if !ok {
		return abi.Value{}, false
	}
	return abi.Uint256(n), true
}

func chainValue(s string) (abi.Value, bool) {
	v, ok := integerValue(s)
	return v, ok && v.Word.IsUint64() && !v.Word.IsZero()
}

func selectorValue(s string) (abi.Value, bool) {
	b, ok := hexBytes(s)
	return abi.BytesValue(b), ok && len(b) == 4
}
