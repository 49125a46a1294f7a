package typeddata_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// generator makes typed data out of the whole range that is accepted.
type generator struct {
	*rand.Rand
	types  map[string][]map[string]string
	cyclic bool // some type leads back to itself
}

// generated is a payload and what others are known not to take of it.
type generated struct {
	payload   []byte
	cyclic    bool // ethers refuses it
	reordered bool // ethers makes up EIP712Domain in the order of the standard
}

func generate(r *rand.Rand) generated {
	g := generator{Rand: r, types: map[string][]map[string]string{}}
	domain, declared, reordered := g.domain()
	primary := g.structType(0)
	g.types["EIP712Domain"] = declared
	payload, err := json.Marshal(map[string]any{"types": g.types, "primaryType": primary, "domain": domain, "message": g.value(primary, 0)})
	if err != nil {
		panic(err) // maps, lists, text and numbers always marshal
	}
	return generated{payload, g.cyclic, reordered}
}

// domain has at least one member, and sometimes an order of its own.
func (g *generator) domain() (domain map[string]any, declared []map[string]string, reordered bool) {
	all := [][2]string{{"name", "string"}, {"version", "string"}, {"chainId", "uint64"}, {"verifyingContract", "address"}, {"salt", "bytes32"}}
	for domain = map[string]any{}; len(domain) == 0; {
		declared = nil
		for _, m := range all {
			if g.IntN(3) == 0 {
				continue
			}
			v := g.value(m[1], 0)
			if v == "" {
				v = "x" // go-ethereum takes empty text for none
			}
			domain[m[0]] = v
			declared = append(declared, map[string]string{"name": m[0], "type": strings.Replace(m[1], "uint64", "uint256", 1)})
		}
	}
	if len(declared) > 1 && g.IntN(8) == 0 {
		declared[0], declared[1] = declared[1], declared[0]
		reordered = true
	}
	return domain, declared, reordered
}

// structType declares a new struct type and those it refers to, and returns its
// name. What it leads back to is one of those around it.
func (g *generator) structType(depth int) string {
	name := g.name("ABCDEFGHKLMNOPQRSTUVWXYZ", len(g.types))
	g.types[name] = []map[string]string{} // keeps the name
	n := 1 + g.IntN(5)
	for i := range n {
		typ := g.elementary()
		switch {
		case depth < 4 && len(g.types) < 10 && g.IntN(4) == 0:
			typ = g.structType(depth + 1)
		case g.IntN(20) == 0:
			typ = name + "[]"
			g.cyclic = true
		}
		for g.IntN(5) == 0 {
			typ += []string{"[]", "[]", "[1]", "[2]", "[3]"}[g.IntN(5)]
		}
		g.types[name] = append(g.types[name], map[string]string{"name": g.name("abcdefgmnt_$", i), "type": typ})
	}
	return name
}

// name begins with one of some letters and ends with a number, so that no two are
// the same but for the case of letters.
func (g *generator) name(first string, n int) string {
	rest := []string{"", "Amount", "_to", "$", "oken", "x9", "CONST"}[g.IntN(7)]
	if first[0] == 'A' { // go-ethereum takes no other letters in names of types
		rest = strings.Trim(rest, "$")
	}
	return fmt.Sprintf("%c%s%d", first[g.IntN(len(first))], rest, n)
}

func (g *generator) elementary() string {
	switch g.IntN(8) {
	case 0:
		return fmt.Sprint("uint", 8*(1+g.IntN(32)))
	case 1:
		return fmt.Sprint("int", 8*(1+g.IntN(32)))
	case 2:
		return fmt.Sprint("bytes", 1+g.IntN(32))
	default:
		return []string{"bool", "address", "bytes", "string", "uint256"}[g.IntN(5)]
	}
}

func (g *generator) value(typ string, depth int) any {
	if i := strings.LastIndexByte(typ, '['); i >= 0 {
		var size int
		if _, err := fmt.Sscanf(typ[i:], "[%d]", &size); err != nil && depth < 5 {
			size = g.IntN(4)
		}
		list := make([]any, size)
		for n := range list {
			list[n] = g.value(typ[:i], depth+1)
		}
		return list
	}
	if members, ok := g.types[typ]; ok {
		object := make(map[string]any, len(members))
		for _, m := range members {
			object[m["name"]] = g.value(m["type"], depth+1)
		}
		return object
	}
	return g.scalar(typ)
}

func (g *generator) scalar(typ string) any {
	var size int
	switch {
	case typ == "bool":
		return g.IntN(2) == 0
	case typ == "address":
		a := common.Address(g.bytes(20))
		return []string{a.Hex(), hexutil.Encode(a[:])}[g.IntN(2)]
	case typ == "string":
		return g.text()
	case typ == "bytes":
		return hexutil.Encode(g.bytes(g.IntN(70)))
	case strings.HasPrefix(typ, "bytes"):
		fmt.Sscanf(typ, "bytes%d", &size)
		return hexutil.Encode(g.bytes(size))
	case strings.HasPrefix(typ, "uint"):
		fmt.Sscanf(typ, "uint%d", &size)
		return g.number(new(big.Int).Rsh(g.bits(size), uint(g.IntN(2)*g.IntN(size))))
	default:
		fmt.Sscanf(typ, "int%d", &size)
		n := new(big.Int).Sub(g.bits(size), new(big.Int).Lsh(big.NewInt(1), uint(size-1)))
		return g.number(n.Quo(n, new(big.Int).Lsh(big.NewInt(1), uint(g.IntN(2)*g.IntN(size)))))
	}
}

// bits is a number below 2^size, all ones or zero now and then.
func (g *generator) bits(size int) *big.Int {
	n := new(big.Int).SetBytes(g.bytes(size / 8))
	switch g.IntN(10) {
	case 0:
		n.SetInt64(0)
	case 1:
		n.Sub(n.Lsh(big.NewInt(1), uint(size)), big.NewInt(1))
	}
	return n
}

// number writes a number in one of the ways there are.
func (g *generator) number(n *big.Int) any {
	switch {
	case g.IntN(3) == 0 && n.BitLen() <= 53:
		return json.Number(n.String())
	case g.IntN(2) == 0 && n.Sign() >= 0:
		return []string{fmt.Sprintf("0x%x", n), fmt.Sprintf("0x%064x", n), fmt.Sprintf("0x%X", n)}[g.IntN(3)]
	default:
		return n.String()
	}
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// letters has those that JSON, terminals and people stumble over.
var letters = []rune("abc XYZ019{}[]\"\\\x00\n\t\u007f\u00e9\u200b\u202e\u2028\ufffd\U0001f600\U0010ffff")

func (g *generator) text() string {
	var b strings.Builder
	for range g.IntN(20) {
		b.WriteRune(letters[g.IntN(len(letters))])
	}
	return b.String()
}
