package typeddata

import (
	"fmt"
	"strconv"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// place is where in the document something stands. It is written out only for an
// error, or for who walks the leaves.
type place struct {
	up        *place // nil at the top
	isElement bool   // a member otherwise
	name      string // of a member
	index     int    // of an element
}

func root(name string) *place { return &place{name: name} }

func (p *place) member(name string) *place { return &place{up: p, name: name} }

func (p *place) element(index int) *place { return &place{up: p, isElement: true, index: index} }

func (p *place) String() string {
	switch {
	case p.up == nil:
		return p.name
	case p.isElement:
		return p.up.String() + "[" + strconv.Itoa(p.index) + "]"
	case !isIdentifier(p.name):
		return p.up.String() + "[" + abi.Quote(p.name) + "]"
	default:
		return p.up.String() + "." + p.name
	}
}

func (p *place) errorf(format string, args ...any) error {
	return signer.Invalid("typed data: %s: %s", p, fmt.Sprintf(format, args...))
}
