package erc7730

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// Bounds of what is made of one payload.
const (
	maxOutput  = 64 << 10 // bytes
	maxWork    = 1 << 16  // values looked at
	maxDecoded = 1 << 20  // bytes of calldata decoded, embedded calls included
	maxCalls   = 8        // calls within each other
)

// container is what surrounds the data (ERC-7730, "Container structure values"). What
// is nil is not known.
type container struct {
	chain uint64
	from  *common.Address
	to    common.Address
	value *uint256.Int
}

// account is whom the data is for, as CAIP-10.
func (c container) account() string { return chainID(c.chain) + ":" + c.to.Hex() }

// reader makes labels and texts of one payload.
type reader struct {
	set    *Set
	d      *descriptor
	f      *format
	c      container
	data   abi.Value
	book   signer.Book
	budget *budget
	calls  int // that this one is in

	// unread are the accounts, as CAIP-10, whose part in the payload could not be read.
	unread map[string]bool
}

// budget is what is left to do for one payload.
type budget struct{ output, steps, decoded, fields int }

func newBudget() *budget { return &budget{maxOutput, maxWork, maxDecoded, maxFields} }

var (
	errLong = fmt.Errorf("more than %d bytes or %d fields to show", maxOutput, maxFields)
	errWork = fmt.Errorf("more than %d values to look at", maxWork)
)

func (b *budget) work(n int) error {
	if b.steps -= n; b.steps < 0 {
		return errWork
	}
	return nil
}

func (b *budget) spend(n int) error {
	if b.output -= n; b.output < 0 {
		return errLong
	}
	return nil
}

// show makes the clear signing of the reader's data.
func (r *reader) show() (*signer.ClearSigning, error) {
	cs := &signer.ClearSigning{Descriptor: r.d.file, Owner: r.d.owner, Intent: r.f.intent}
	if err := r.budget.spend(len(cs.Owner) + len(cs.Intent)); err != nil {
		return nil, err
	}
	var err error
	if cs.Fields, err = r.items(nil, r.f.items, "", nil); err != nil {
		return nil, err
	}
	if sentence, ok := r.sentence(r.f.interpolated); ok {
		cs.InterpolatedIntent = sentence
	}
	return cs, nil
}

// items appends what items show, in their order. env are the places in the lists that
// they are in.
func (r *reader) items(out []signer.Labelled, items []*item, prefix string, env []place) ([]signer.Labelled, error) {
	var err error
	for _, it := range items {
		if it.field != nil {
			out, err = r.field(out, it.field, prefix, env)
		} else {
			out, err = r.group(out, it, prefix, env)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *reader) group(out []signer.Labelled, g *item, prefix string, env []place) (_ []signer.Labelled, err error) {
	if g.label != "" {
		prefix += g.label + " > "
	}
	switch {
	case g.path != nil:
		err = r.values(g.path, env, func(env []place, _ abi.Value) (err error) {
			out, err = r.items(out, g.items, prefix, env)
			return err
		})
		return out, err
	case len(g.lists) == 0:
		return r.items(out, g.items, prefix, env)
	}
	n, err := r.length(g.lists, env)
	if err != nil {
		return nil, err
	}
	for i := range n {
		inner := append(env[:len(env):len(env)], place{at: i, of: n})
		if out, err = r.items(out, g.items, prefix, inner); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// length is that of the lists of a bundled group: "the arrays of the group MUST be the
// same size else the wallet SHOULD return an error" (ERC-7730, "Group format
// specification").
func (r *reader) length(lists []*route, env []place) (int, error) {
	length := -1
	for _, rt := range lists {
		n := 0
		err := r.values(rt, env, func([]place, abi.Value) error {
			n++
			return nil
		})
		if err != nil {
			return 0, err
		}
		if length >= 0 && n != length {
			return 0, fmt.Errorf("the lists of a group have %d and %d elements, of which the second is %s", length, n, quote(rt.text))
		}
		length = n
	}
	return length, nil
}

// field appends what a field shows.
func (r *reader) field(out []signer.Labelled, f *field, prefix string, env []place) ([]signer.Labelled, error) {
	if f.visible == never {
		return out, nil
	}
	show := func(env []place, v abi.Value) error {
		switch f.visible {
		case ifNotIn:
			if f.values[canonical(v)] {
				return nil
			}
		case mustMatch:
			if !f.values[canonical(v)] {
				return fmt.Errorf("field %s is %s, which the descriptor rules out", quote(f.label), quote(canonical(v)))
			}
			return nil
		}
		label := prefix + numbered(f, env)
		value, inner, err := r.value(f, env, v)
		if err != nil {
			return fmt.Errorf("field %s: %w", quote(f.label), err)
		}
		if f.path == nil { // nothing of this is signed
			value += ", says the descriptor"
		}
		if out, err = r.emit(out, label, value); err != nil {
			return err
		}
		for _, l := range inner { // each was counted already, without this label
			if err := r.budget.spend(len(label)); err != nil {
				return err
			}
			out = append(out, signer.Labelled{Label: label + " > " + l.Label, Value: l.Value})
		}
		return nil
	}
	var err error
	switch {
	case f.path == nil:
		err = show(env, f.literal)
	case !r.knows(f.path) && f.visible != mustMatch:
		return r.emit(out, prefix+numbered(f, env), "not known")
	default:
		err = r.values(f.path, env, show)
	}
	return out, err
}

func (r *reader) emit(out []signer.Labelled, label, value string) ([]signer.Labelled, error) {
	if r.budget.fields--; r.budget.fields < 0 {
		return nil, errLong
	}
	if err := r.budget.spend(len(label) + len(value)); err != nil {
		return nil, err
	}
	return append(out, signer.Labelled{Label: label, Value: value}), nil
}

// numbered is a field's label, with the places of an element in its lists. The
// separator stands for the last of them (ERC-7730, "separator").
func numbered(f *field, env []place) string {
	var b strings.Builder
	b.WriteString(f.label)
	for i, p := range env {
		at := strconv.Itoa(p.first + p.at)
		if f.separator != "" && i == len(env)-1 {
			return b.String() + " > " + strings.NewReplacer("{{", "{", "}}", "}", "{index}", at).Replace(f.separator)
		}
		b.WriteString(" [" + at + "]")
	}
	return b.String()
}

// value is the text of one value, and what an embedded call shows.
func (r *reader) value(f *field, env []place, v abi.Value) (string, []signer.Labelled, error) {
	if f.encryption != nil {
		return encrypted(f.encryption, v), nil, nil
	}
	p := f.params
	switch f.format {
	case formatRaw:
		return rawText(v), nil, nil
	case formatCalldata:
		return r.embedded(p, env, v)
	case formatEnum:
		return enumText(p.enum, v), nil, nil
	case formatAddress, formatTokenTicker, formatInterop:
		s, err := r.identity(f, env, v)
		return s, nil, err
	}
	n, err := integer(v)
	if err != nil {
		return "", nil, err
	}
	var s string
	switch f.format {
	case formatAmount:
		s = assetAmount(n, coin(r.c.chain, r.book))
	case formatTokenAmount:
		s, err = r.tokenAmount(p, env, n)
	case formatNFTName:
		s, err = r.nftName(p, env, n)
	case formatDate:
		s = date(n, p.encoding)
	case formatDuration:
		s, err = duration(n)
	case formatUnit:
		s = unit(n, p)
	case formatChainID:
		s = chainText(n)
	default:
		err = errors.New("no such format") // not reached: they were checked when it was loaded
	}
	return s, nil, err
}
