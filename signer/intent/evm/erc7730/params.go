package erc7730

import (
	"slices"
	"strings"
	"unicode"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// maxDecimals is what a token's decimals() can return at most.
const maxDecimals = 255

// maxAddresses bounds the addresses that stand for one thing, and maxTexts the types and
// the sources of names: many fields may refer to one list, and each reads it.
const (
	maxAddresses = 64
	maxTexts     = 64
)

// source is where a parameter comes from: a constant, a path, or a constant that a
// value of the payload picks out of a map.
type source struct {
	text  string // of a constant
	path  *route
	table map[string]string
	key   *route // into the table
	name  string // of the map
	as    *kind
}

// kind is what a parameter is: how a constant is read, and the types that a path may end
// at.
type kind struct {
	name  string
	read  func(string) (abi.Value, bool)
	types []abi.Kind
}

var (
	anAddress = &kind{"address", addressValue, []abi.Kind{abi.Address, abi.Uint, abi.FixedBytes, abi.Bytes}}
	aChain    = &kind{"chain", chainValue, []abi.Kind{abi.Uint, abi.Int, abi.FixedBytes, abi.Bytes}}
	anAmount  = &kind{"amount", integerValue, []abi.Kind{abi.Uint, abi.Int, abi.FixedBytes, abi.Bytes}}
	aSelector = &kind{"selector", selectorValue, []abi.Kind{abi.FixedBytes, abi.Bytes}}
)

// params are the parameters of a format.
type params struct {
	token, chain, collection, callee, selector, amount, spender *source // nil: none

	native, senders []common.Address
	threshold       *uint256.Int
	message         string
	encoding        string
	base            string
	decimals        int
	prefix          bool
	enum            map[string]string
	types           []string
	sources         bool // names come from named sources alone
}

// noParams are those of a format that takes none, or none here.
var noParams params

// named is what a format takes, and which of it must be there.
var named = map[string]struct{ required, optional []string }{
	formatTokenAmount: {nil, []string{"token", "tokenPath", "nativeCurrencyAddress", "threshold", "message", "chainId", "chainIdPath"}},
	formatTokenTicker: {nil, []string{"chainId", "chainIdPath"}},
	formatNFTName:     {[]string{"collection"}, []string{"collectionPath"}},
	formatDate:        {[]string{"encoding"}, nil},
	formatUnit:        {[]string{"base"}, []string{"decimals", "prefix"}},
	formatEnum:        {[]string{"$ref"}, nil},
	formatAddress:     {nil, []string{"types", "sources", "senderAddress"}},
	formatInterop:     {nil, []string{"types", "sources", "senderAddress"}},
	formatCalldata:    {[]string{"callee"}, []string{"calleePath", "selector", "selectorPath", "amount", "amountPath", "spender", "spenderPath"}},
}

// params checks the parameters of a field. limit is how many lists the field is in.
func (c *compiler) params(e at, format string, base []word, limit int) (*params, error) {
	from := e.member("params")
	names, takes := named[format]
	switch {
	case !from.there() && (!takes || len(names.required) == 0):
		return &noParams, nil
	case !takes:
		return nil, from.errorf("format %s has no parameters", quote(format))
	}
	if err := from.object(slices.Concat(names.required, names.optional)...); err != nil {
		return nil, err
	}
	for _, name := range names.required {
		if !from.member(name).there() && !from.member(name+"Path").there() {
			return nil, from.errorf("%s is missing", name)
		}
	}
	p := &params{}
	var err error
	sources := []struct {
		name string
		into **source
		as   *kind
	}{
		{"token", &p.token, anAddress}, {"chainId", &p.chain, aChain}, {"collection", &p.collection, anAddress},
		{"callee", &p.callee, anAddress}, {"selector", &p.selector, aSelector}, {"amount", &p.amount, anAmount}, {"spender", &p.spender, anAddress},
	}
	for _, s := range sources {
		if *s.into, err = c.source(from, s.name, base, limit, s.as); err != nil {
			return nil, err
		}
	}
	if p.native, err = c.addresses(from.member("nativeCurrencyAddress")); err != nil {
		return nil, err
	}
	if p.senders, err = c.addresses(from.member("senderAddress")); err != nil {
		return nil, err
	}
	if err := c.texts(from, p); err != nil {
		return nil, err
	}
	return p, c.lookups(from, p)
}

// texts reads the parameters that are plain values.
func (c *compiler) texts(from at, p *params) (err error) {
	for _, s := range []struct {
		name string
		into *string
	}{{"message", &p.message}, {"encoding", &p.encoding}, {"base", &p.base}} {
		m := from.member(s.name)
		if !m.there() {
			continue
		}
		if err := m.want(text); err != nil {
			return err
		}
		if *s.into, err = c.constant(m); err != nil {
			return err
		}
	}
	if strings.ContainsFunc(p.base, unicode.IsNumber) { // it follows a number, which must end before it
		return from.member("base").errorf("%s has a digit, and is no unit", quote(p.base))
	}
	if strings.ContainsFunc(p.message, unicode.IsNumber) { // it stands where a number would
		return from.member("message").errorf("%s has a digit, and could pass for the amount", quote(p.message))
	}
	if p.encoding != "" && p.encoding != "timestamp" && p.encoding != "blockheight" {
		return from.member("encoding").errorf("want \"timestamp\" or \"blockheight\", got %s", quote(p.encoding))
	}
	if m := from.member("threshold"); m.there() {
		s, err := c.constant(m)
		if err != nil {
			return err
		}
		n, ok := parseInteger(s)
		if !ok {
			return m.errorf("want an integer, got %s", quote(s))
		}
		p.threshold = n
	}
	decimals, err := from.member("decimals").whole(0, maxDecimals)
	if err != nil {
		return err
	}
	p.decimals = int(decimals)
	if m := from.member("prefix"); m.there() {
		if err := m.want(boolean); err != nil {
			return err
		}
		p.prefix = m.v.text == "true"
	}
	return nil
}

// lookups reads the parameters that say which names are meant.
func (c *compiler) lookups(from at, p *params) (err error) {
	types := from.member("types")
	if p.types, err = types.texts(maxTexts); err != nil {
		return err
	}
	for i, t := range p.types {
		if !slices.Contains([]string{"wallet", "eoa", "contract", "token", "collection"}, t) {
			return types.elem(i).errorf("want wallet, eoa, contract, token or collection, got %s", quote(t))
		}
	}
	// Of all sources there is the owner's book here, which is "local": "Wallets MAY
	// consider that local setting for sources is always valid" (ERC-7730, "Address types
	// and sources").
	sources := from.member("sources")
	if p.sources = sources.there(); p.sources {
		if _, err := sources.texts(maxTexts); err != nil {
			return err
		}
	}
	ref := from.member("$ref")
	if !ref.there() {
		return nil
	}
	enum, err := c.inFile(ref)
	if err != nil {
		return err
	}
	p.enum, err = c.table(enum)
	return err
}

// source reads the parameter that is name or, as a path, name with "Path".
func (c *compiler) source(params at, name string, base []word, limit int, as *kind) (*source, error) {
	from, path := params.member(name), params.member(name+"Path")
	switch {
	case from.there() && path.there():
		return nil, params.errorf("want either %s or %sPath", name, name)
	case !from.there() && !path.there():
		return nil, nil
	case from.there() && from.v.sort == object:
		return c.mapped(from, name, base, limit, as)
	case path.there() && !constantPath(path):
		_, rt, err := c.path(path, base)
		if err == nil && rt.each > limit {
			err = path.errorf("%s is a list where one value is due", quote(path.v.text))
		}
		if err == nil && !slices.Contains(as.types, rt.last.Kind) {
			err = path.errorf("a value of type %s is no %s", quote(rt.last.String()), as.name)
		}
		return &source{path: rt, as: as}, err
	case path.there():
		from = path
	}
	s, err := c.constant(from)
	if _, ok := as.read(s); err == nil && !ok {
		err = from.errorf("%s is no %s", quote(s), name)
	}
	return &source{text: s, as: as}, err
}

// mapped reads a reference to a map (ERC-7730, "metadata.maps").
func (c *compiler) mapped(from at, name string, base []word, limit int, as *kind) (*source, error) {
	if err := from.object("map", "keyPath"); err != nil {
		return nil, err
	}
	m, err := c.inFile(from.member("map"))
	if err != nil {
		return nil, err
	}
	if err := m.object("$keyType", "values"); err != nil {
		return nil, err
	}
	s := &source{name: from.member("map").v.text, as: as}
	values := m.member("values")
	if s.table, err = c.table(values); err != nil {
		return nil, err
	}
	if use := (use{values.v, name}); !c.uses[use] {
		for _, key := range sortedKeys(s.table) {
			if _, ok := as.read(s.table[key]); !ok {
				return nil, values.errorf("%s, for %s, is no %s, as %s wants it", quote(s.table[key]), quote(key), name, from.place)
			}
		}
		c.uses[use] = true
	}
	keyPath := from.member("keyPath")
	if _, s.key, err = c.path(keyPath, base); err != nil {
		return nil, err
	}
	if s.key.each > limit {
		return nil, keyPath.errorf("%s is a list where one value is due", quote(s.key.text))
	}
	return s, nil
}

// table is an object of scalars. Its keys are values as [canonical] writes them.
func (c *compiler) table(from at) (map[string]string, error) {
	if err := from.want(object); err != nil {
		return nil, err
	}
	if out, done := c.tables[from.v]; done {
		return out, nil
	}
	out := make(map[string]string, len(from.v.names))
	for _, name := range from.v.names {
		s, err := from.member(name).scalar()
		if err != nil {
			return nil, err
		}
		out[tableKey(name)] = s
	}
	c.tables[from.v] = out
	return out, nil
}

// addresses reads an optional address, or a list of them.
func (c *compiler) addresses(from at) (out []common.Address, err error) {
	if !from.there() {
		return nil, nil
	}
	list := []at{from}
	if from.v.sort == array {
		list = nil
		for i := range from.v.elems {
			list = append(list, from.elem(i))
		}
		if len(list) > maxAddresses {
			return nil, from.errorf("more than %d addresses", maxAddresses)
		}
	}
	for _, e := range list {
		s, err := c.constant(e)
		if err != nil {
			return nil, err
		}
		a, ok := parseAddress(s)
		if !ok {
			return nil, e.errorf("%s is no address", quote(s))
		}
		out = append(out, a)
	}
	return out, nil
}

// constantPath reports whether a value is a path into the descriptor.
func constantPath(from at) bool {
	return from.there() && from.v.sort == text && strings.HasPrefix(from.v.text, "$.")
}

// constant is the text of a scalar, or of the one that it names with a path that begins
// with "$.".
func (c *compiler) constant(from at) (string, error) {
	if !constantPath(from) {
		return from.scalar()
	}
	to, err := c.inFile(from)
	if err != nil {
		return "", err
	}
	return to.scalar()
}
