package abi_test

import (
	"bytes"
	"fmt"
	"math/big"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// TestAgainstGoEthereum compares this package with go-ethereum's accounts/abi over
// generated types and values. Both must write the same bytes and read them back to
// the same values. Of bytes that were tampered with, what we take go-ethereum must
// take in the same meaning, and what it takes and we refuse must be a second way to
// write the values that it reads.
func TestAgainstGoEthereum(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewSource(1))}
	tampered, taken, lenient := 0, 0, 0
	for range 4000 {
		typ := g.arguments()
		v := g.value(typ)
		data := abi.Encode(v)
		theirs := gethArguments(t, typ)
		goods := gethGoods(theirs, v)
		packed, err := theirs.Pack(goods...)
		if err != nil {
			t.Fatalf("%s: go-ethereum cannot encode %v: %v", typ, goods, err)
		}
		if !bytes.Equal(packed, data) {
			t.Fatalf("%s of %v is\n%x, go-ethereum says\n%x", typ, goods, data, packed)
		}
		back, err := abi.Decode(typ, data)
		if err != nil {
			t.Fatalf("%s: %x: %v", typ, data, err)
		}
		if !reflect.DeepEqual(back, v) {
			t.Fatalf("%s: %x reads back as %v, want %v", typ, data, back, v)
		}
		if again, err := theirs.Unpack(data); err != nil || !reflect.DeepEqual(again, goods) {
			t.Fatalf("%s: go-ethereum reads %x as %v, %v; want %v", typ, data, again, err, goods)
		}
		for range 5 {
			bad := g.tamper(data)
			ok, loose := compareReadings(t, typ, theirs, bad)
			tampered++
			taken += ok
			lenient += loose
		}
	}
	if taken < 1000 || lenient < 1000 {
		t.Errorf("of %d tampered inputs %d were taken and %d only by go-ethereum: too few to say much", tampered, taken, lenient)
	}
}

// compareReadings says whether we take an input, and whether only go-ethereum does.
func compareReadings(t *testing.T, typ *abi.Type, theirs gethabi.Arguments, data []byte) (taken, lenient int) {
	t.Helper()
	v, err := abi.Decode(typ, data)
	goods, gethErr := unpack(theirs, data)
	if err == nil {
		if gethErr != nil || !reflect.DeepEqual(goods, gethGoods(theirs, v)) {
			t.Fatalf("%s: %x is %v, go-ethereum says %v, %v", typ, data, v, goods, gethErr)
		}
		return 1, 0
	}
	if gethErr != nil {
		return 0, 0
	}
	// Two things go-ethereum neither checks nor changes: text, and numbers that it
	// holds as big.Int.
	if strings.HasSuffix(err.Error(), "not valid UTF-8") || strings.Contains(err.Error(), "out of the range of") {
		return 0, 1
	}
	packed, packErr := theirs.Pack(goods...)
	if packErr == nil && bytes.Equal(packed, data) {
		t.Fatalf("%s: %x is refused (%v), and go-ethereum neither refuses it nor writes it otherwise", typ, data, err)
	}
	return 0, 1
}

// unpack is go-ethereum's, whose panics on hostile input count as refusals.
func unpack(args gethabi.Arguments, data []byte) (goods []any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return args.Unpack(data)
}

// generator makes types and values of them.
type generator struct{ *rand.Rand }

func (g *generator) arguments() *abi.Type {
	t := &abi.Type{Kind: abi.Tuple}
	for i := range 1 + g.Intn(4) {
		t.Fields = append(t.Fields, abi.Field{Name: fmt.Sprint("f", i), Type: g.typ(3)})
	}
	return t
}

func (g *generator) typ(depth int) *abi.Type {
	kind := abi.Uint + abi.Kind(g.Intn(int(abi.Tuple)))
	if depth == 0 {
		kind = abi.Uint + abi.Kind(g.Intn(int(abi.String)))
	}
	switch kind {
	case abi.Uint, abi.Int:
		return &abi.Type{Kind: kind, Size: 8 * (1 + g.Intn(32))}
	case abi.FixedBytes:
		return &abi.Type{Kind: kind, Size: 1 + g.Intn(32)}
	case abi.Slice:
		return &abi.Type{Kind: kind, Elem: g.typ(depth - 1)}
	case abi.Array:
		return &abi.Type{Kind: kind, Size: 1 + g.Intn(3), Elem: g.typ(depth - 1)}
	case abi.Tuple:
		t := &abi.Type{Kind: kind}
		for i := range 1 + g.Intn(3) {
			t.Fields = append(t.Fields, abi.Field{Name: fmt.Sprint("f", i), Type: g.typ(depth - 1)})
		}
		return t
	}
	return &abi.Type{Kind: kind}
}

func (g *generator) value(t *abi.Type) abi.Value {
	v := abi.Value{Type: t}
	switch t.Kind {
	case abi.Bool:
		v.Word.SetUint64(uint64(g.Intn(2)))
	case abi.Address:
		v.Word.SetBytes(g.bytes(20))
	case abi.Uint, abi.Int:
		v.Word.SetBytes(g.bytes(t.Size / 8))
		if t.Kind == abi.Int {
			shift := uint(256 - t.Size)
			v.Word.SRsh(v.Word.Lsh(&v.Word, shift), shift)
		}
	case abi.FixedBytes:
		v.Bytes = g.bytes(t.Size)
	case abi.Bytes:
		v.Bytes = g.bytes(g.Intn(70))
	case abi.String:
		v.Bytes = []byte(strings.Repeat("grüezi", g.Intn(8)))
	case abi.Slice, abi.Array:
		v.Elems = make([]abi.Value, max(t.Size, 0))
		if t.Kind == abi.Slice {
			v.Elems = make([]abi.Value, g.Intn(4))
		}
		for i := range v.Elems {
			v.Elems[i] = g.value(t.Elem)
		}
	case abi.Tuple:
		v.Elems = make([]abi.Value, len(t.Fields))
		for i, f := range t.Fields {
			v.Elems[i] = g.value(f.Type)
		}
	}
	return v
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	g.Read(b)
	return b
}

// tamper changes data in one of the ways that have fooled decoders, or in a way that
// only makes another value of it.
func (g *generator) tamper(data []byte) []byte {
	b := bytes.Clone(data)
	at := g.Intn(len(b)/32) * 32
	w := b[at : at+32]
	switch g.Intn(8) {
	case 0: // anything, anywhere
		b[g.Intn(len(b))] ^= byte(1 << g.Intn(8))
	case 1: // a small number: an offset, a length, a bool
		copy(w, make([]byte, 31))
		w[31] = byte(g.Intn(8) * 32)
	case 2: // a number beside another
		w[31] += byte(g.Intn(3) - 1)
	case 3: // a word of another place
		from := g.Intn(len(b)/32) * 32
		copy(w, data[from:from+32])
	case 4: // dirty on the left
		w[g.Intn(12)] = byte(1 + g.Intn(255))
	case 5: // dirty on the right
		w[31-g.Intn(12)] = byte(1 + g.Intn(255))
	case 6: // too long
		b = append(b, g.bytes(1+g.Intn(64))...)
	case 7: // a word more or less in between, and an offset that may make up for it
		b = append(b[:at:at], b[min(at+32*g.Intn(2), len(b)):]...)
		b = append(b[:at:at], append(make([]byte, 32*g.Intn(2)), b[at:]...)...)
		if head := g.Intn(len(b)/32+1) * 32; head < len(b) {
			b[head+31] += 32
		}
	}
	return b
}

// gethArguments is a tuple as go-ethereum's arguments.
func gethArguments(t *testing.T, typ *abi.Type) (args gethabi.Arguments) {
	t.Helper()
	for _, f := range typ.Fields {
		m := gethMarshaling(f)
		gt, err := gethabi.NewType(m.Type, "", m.Components)
		if err != nil {
			t.Fatalf("%s: go-ethereum does not know it: %v", f.Type, err)
		}
		args = append(args, gethabi.Argument{Name: f.Name, Type: gt})
	}
	return args
}

func gethMarshaling(f abi.Field) gethabi.ArgumentMarshaling {
	switch t := f.Type; t.Kind {
	case abi.Slice, abi.Array:
		m := gethMarshaling(abi.Field{Name: f.Name, Type: t.Elem})
		m.Type += strings.TrimPrefix(t.String(), t.Elem.String())
		return m
	case abi.Tuple:
		m := gethabi.ArgumentMarshaling{Name: f.Name, Type: "tuple"}
		for _, inner := range t.Fields {
			m.Components = append(m.Components, gethMarshaling(inner))
		}
		return m
	}
	return gethabi.ArgumentMarshaling{Name: f.Name, Type: f.Type.String()}
}

// gethGoods is a tuple as the Go values that go-ethereum has for it.
func gethGoods(args gethabi.Arguments, v abi.Value) (goods []any) {
	for i, a := range args {
		good := reflect.New(a.Type.GetType()).Elem()
		setGood(good, v.Elems[i])
		goods = append(goods, good.Interface())
	}
	return goods
}

func setGood(to reflect.Value, v abi.Value) {
	switch v.Type.Kind {
	case abi.Bool:
		to.SetBool(v.Bool())
	case abi.Address:
		to.Set(reflect.ValueOf(v.Address()))
	case abi.Uint:
		setNumber(to, v.Uint().ToBig())
	case abi.Int:
		setNumber(to, v.Signed())
	case abi.FixedBytes:
		reflect.Copy(to, reflect.ValueOf(v.Bytes))
	case abi.Bytes:
		to.SetBytes(append([]byte{}, v.Bytes...))
	case abi.String:
		to.SetString(v.Text())
	case abi.Slice:
		to.Set(reflect.MakeSlice(to.Type(), len(v.Elems), len(v.Elems)))
		fallthrough
	case abi.Array:
		for i, e := range v.Elems {
			setGood(to.Index(i), e)
		}
	case abi.Tuple:
		for i, e := range v.Elems {
			setGood(to.Field(i), e)
		}
	}
}

func setNumber(to reflect.Value, n *big.Int) {
	switch {
	case to.CanUint():
		to.SetUint(n.Uint64())
	case to.CanInt():
		to.SetInt(n.Int64())
	default:
		to.Set(reflect.ValueOf(n))
	}
}

// TestSelectorsAgainstGoEthereum compares canonical text and selectors.
func TestSelectorsAgainstGoEthereum(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewSource(2))}
	for range 500 {
		m := abi.Method{Name: "f", Args: g.arguments()}
		theirs := gethabi.NewMethod("f", "f", gethabi.Function, "", false, false, gethArguments(t, m.Args), nil)
		if s := m.Selector(); m.Signature() != theirs.Sig || !bytes.Equal(s[:], theirs.ID) {
			t.Fatalf("%s is %x, go-ethereum says %s is %x", m.Signature(), s, theirs.Sig, theirs.ID)
		}
		if back, err := abi.ParseSignature(m.Signature()); err != nil || back.Signature() != m.Signature() {
			t.Fatalf("%s reads back as %s, %v", m.Signature(), back.Signature(), err)
		}
	}
}
