package typeddata_test

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// gethNames are the names of types that go-ethereum lets others refer to.
var gethNames = regexp.MustCompile(`^[A-Za-z]\w*$`)

// FuzzParse checks that what is accepted is hashed as go-ethereum hashes it, which
// reads the text on its own, and that every value can be reached.
func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(generate(r).payload)
	}
	for _, text := range []string{mail, chain(16), manyTypes(8), holding("Box[] boxes", nestedBoxes(15)),
		holding("Box[][2] boxes,int8[3] n,_S o", `{"boxes":[[],[]],"n":[-128,"127","0x7F"],"o":{"$":"0x"}}`, "_S:bytes $"),
		holding("uint b", `{"b":1e18}`), `{"types":{"0":[{}]}}`, `[{}]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := typeddata.Parse(payload)
		if err != nil {
			if d != nil || signer.CodeOf(err) != signer.CodeInvalid || len(err.Error()) > 16<<10 {
				t.Errorf("Parse = %v and an error of %d bytes, code %s", d, len(err.Error()), signer.CodeOf(err))
			}
			return
		}
		if !typeddata.Looks(payload) {
			t.Errorf("accepted %s, which does not look like typed data", payload)
		}
		if a := byGeth(payload); a.Error != "" && !gethRefuses(d) || a.Error == "" && a.Digest != d.Digest.Hex() {
			t.Errorf("accepted %s with digest %s; go-ethereum: %s", payload, d.Digest, a)
		}
		checkTree(t, d.Message, 0)
		checkTree(t, d.DomainValue, 0)
		n := 0
		for range typeddata.Leaves("message", d.Message) {
			n++
		}
		if n == 0 || n > len(payload) {
			t.Errorf("%d leaves in %d bytes", n, len(payload))
		}
	})
}

// gethRefuses reports what TestDifferences explains: names of types that
// go-ethereum does not let others refer to, and empty text in a domain.
func gethRefuses(d *typeddata.Data) bool {
	if d.Domain.Name != nil && *d.Domain.Name == "" || d.Domain.Version != nil && *d.Domain.Version == "" {
		return true
	}
	for _, declaration := range regexp.MustCompile(`([^(),]+)\(`).FindAllStringSubmatch(d.TypeText, -1) {
		if !gethNames.MatchString(declaration[1]) {
			return true
		}
	}
	return false
}

// checkTree holds values to what package abi says of them, at any depth.
func checkTree(t *testing.T, v abi.Value, depth int) {
	t.Helper()
	ok := depth <= 32
	switch v.Type.Kind {
	case abi.Tuple:
		ok = ok && len(v.Elems) == len(v.Type.Fields) && v.Type.Name != ""
	case abi.Array:
		ok = ok && len(v.Elems) == v.Type.Size
	case abi.Uint:
		ok = ok && v.Word.BitLen() <= v.Type.Size
	case abi.Bool:
		ok = ok && v.Word.BitLen() <= 1
	case abi.Address:
		ok = ok && v.Word.BitLen() <= 160
	case abi.FixedBytes:
		ok = ok && len(v.Bytes) == v.Type.Size
	case abi.Slice, abi.Int, abi.Bytes, abi.String:
	default:
		ok = false
	}
	if !ok {
		t.Fatalf("at depth %d: %+v is no value of its type", depth, v)
	}
	for _, e := range v.Elems {
		checkTree(t, e, depth+1)
	}
}
