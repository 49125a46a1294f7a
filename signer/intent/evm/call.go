package evm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// method is a function that contracts of a family have, and how it is read.
type method struct {
	abi.Method
	signature string // its text, for people
	// takes says that the coin sent along is part of what the method does. For others
	// it is an effect of its own.
	takes bool
	// read adds what a call does. The arguments are those of the signature, in order.
	read func(r *reading, f frame, args []abi.Value) error
}

// reads makes a method of a signature and of what reads its arguments.
func reads(signature string, read func(r *reading, f frame, args []abi.Value) error) method {
	m := abi.MustParseSignature(signature)
	return method{Method: m, signature: m.Signature(), read: read}
}

// paid is [reads] for a method that takes the coin sent along as part of what it does.
func paid(signature string, read func(r *reading, f frame, args []abi.Value) error) method {
	m := reads(signature, read)
	m.takes = true
	return m
}

// family is the methods of one sort of contract, by selector.
type family map[[4]byte]method

func newFamily(methods ...method) family {
	out := family{}
	for _, m := range methods {
		s := m.Selector()
		if other, taken := out[s]; taken {
			panic(fmt.Sprintf("evm: %s and %s have one selector", m.signature, other.signature))
		}
		out[s] = m
	}
	return out
}

// methods is every method that can be read.
type methods struct {
	tokens    map[string]family // by the namespace of the asset (CAIP-19)
	contracts map[signer.ContractKind][]family
	names     map[[4]byte]string // what each selector looks like, and only that
}

// allMethods is what a reading starts with. It is not named elsewhere: what reads a
// call may read calls in it, by way of the reading.
var allMethods = newMethods()

func newMethods() methods {
	m := methods{
		tokens: map[string]family{"erc20": erc20Methods, "erc721": erc721Methods, "erc1155": erc1155Methods},
		contracts: map[signer.ContractKind][]family{
			signer.ContractWETH:       {wethMethods},
			signer.ContractSafe:       {safeMethods, safeControlMethods},
			signer.ContractMultiSend:  {multiSendMethods},
			signer.ContractMulticall:  {multicallMethods},
			signer.ContractPermit2:    {permit2Methods},
			signer.ContractEntryPoint: {entryPointMethods},
			signer.ContractAccount:    {accountMethods},
		},
		names: map[[4]byte]string{},
	}
	for _, f := range m.tokens {
		m.name(f)
	}
	for _, fs := range m.contracts {
		for _, f := range fs {
			m.name(f)
		}
	}
	return m
}

func (m methods) name(f family) {
	for s, method := range f {
		if other, taken := m.names[s]; taken && other != method.signature {
			panic(fmt.Sprintf("evm: %s and %s have one selector", method.signature, other))
		}
		m.names[s] = method.signature
	}
}

// call says what one call does, with all that it leads to.
func (r *reading) call(f frame) error {
	switch r.calls++; {
	case r.calls > maxCalls:
		return signer.Invalid("more than %d calls in one payload: split it", maxCalls)
	case f.depth > maxDepth:
		return f.invalid("calls in calls are more than %d deep", maxDepth)
	}
	if f.path != "" {
		what := amount(&f.value, r.coin)
		if f.delegate {
			what = "as the account that calls it (delegatecall)"
		}
		r.field("call "+f.path, fmt.Sprintf("to %s, %s, %d bytes of calldata", r.hex(f.to), what, len(f.data)))
	}
	r.compare(r.account(f.to))
	if err := r.dispatch(f); err != nil {
		return err
	}
	if len(r.in.Effects) > maxCalls {
		return signer.Invalid("more than %d effects in one payload: split it", maxCalls)
	}
	return nil
}

func (r *reading) dispatch(f frame) error {
	at := r.at(f.to)
	families := at.families
	switch {
	case f.delegate && r.isKind(f.to, signer.ContractMultiSend):
		families = r.methods.contracts[signer.ContractMultiSend]
	case f.delegate:
		families = nil
	case len(f.data) == 0:
		return r.plain(f)
	}
	if len(f.data) >= 4 {
		for _, methods := range families {
			if m, ok := methods[[4]byte(f.data)]; ok {
				return r.method(f, m)
			}
		}
	}
	if f.delegate {
		r.delegateCall(f)
		return nil
	}
	why := "the contract is not known"
	switch {
	case at.twice:
		why = "the contract is listed as more than one sort of token or contract"
	case len(families) > 0:
		why = "it is not a method of what the contract is known as"
	}
	r.unknown(f, why)
	return nil
}

func (r *reading) method(f frame, m method) error {
	args, err := abi.Decode(m.Args, f.data[4:])
	if err != nil {
		return f.invalid("non-canonical: %s: %v", m.signature, err)
	}
	r.field(f.named("method"), m.signature)
	if err := m.read(r, f, args.Elems); err != nil {
		return err
	}
	if !m.takes {
		r.along(f)
	}
	return nil
}

// delegateCall is foreign code that runs as the account which calls it. Whatever its
// calldata looks like, the code may do anything: it replaced the code of a Safe at Bybit,
// under the name of a transfer.
func (r *reading) delegateCall(f frame) {
	r.blind(f, signer.ClassDelegateCall, "code that was not read runs as the account")
	r.warn(WarnDelegateCall, signer.SeverityDanger,
		f.named("runs the code of "+r.hex(f.to)+" as "+r.hex(*f.from)+" (delegatecall): it may take everything and change who controls the account"))
}

// batch refuses batches that do nothing and those that nobody reads.
func (f frame) batch(n int) error {
	switch {
	case n == 0:
		return f.invalid("an empty batch, which does nothing")
	case n > maxCalls:
		return f.invalid("a batch of %d; the most is %d: split it", n, maxCalls)
	}
	return nil
}

// bytesText writes bytes.
func bytesText(b []byte) string { return "0x" + hex.EncodeToString(b) }

// CalldataDigest is the calldata digest of ERC-8213: the hash of the length as a
// number of 256 bits, and the calldata.
func CalldataDigest(data []byte) common.Hash {
	var length [32]byte
	binary.BigEndian.PutUint64(length[24:], uint64(len(data)))
	return crypto.Keccak256Hash(length[:], data)
}

// place is an address on the chain of the payload, with what is known of it.
type place struct {
	account  string // its CAIP-10 id
	looked   bool   // whether the rest was looked up
	contract signer.Contract
	twice    bool // listed as more than one sort of token or contract
	families []family
}

func (r *reading) place(a common.Address) *place {
	p, ok := r.places[a]
	if !ok {
		p = &place{account: account(r.chain, a)}
		r.places[a] = p
	}
	return p
}

// account is the CAIP-10 id of an address on the chain of the payload.
func (r *reading) account(a common.Address) string { return r.place(a).account }

// hex is the checksummed text of an address.
func (r *reading) hex(a common.Address) string { return r.place(a).account[len(r.chain)+1:] }

// asset is the CAIP-19 id of a token contract, in a namespace.
func (r *reading) asset(namespace string, contract common.Address) string {
	return r.chain + "/" + namespace + ":" + r.hex(contract)
}

// at is what is known of the contract at an address, as the owner's book or a standard
// says. What is listed as two sorts of token, or as a token and as another contract, is
// known as neither: they share selectors, and a list that calls Permit2 a token lies.
func (r *reading) at(a common.Address) *place {
	p := r.place(a)
	if p.looked {
		return p
	}
	p.looked = true
	known := false
	if p.contract, known = r.book.Contracts[p.account]; !known {
		p.contract = canonical(r.chain, a)
	}
	sort := string(p.contract.Kind)
	if p.contract.Kind == signer.ContractWETH {
		sort = "erc20"
	}
	for namespace, methods := range r.methods.tokens {
		_, listed := r.book.Assets[r.asset(namespace, a)]
		switch {
		case !listed || sort == namespace: // the wrapper of the coin has methods of its own
		case sort != "":
			p.twice, p.families = true, nil
			return p
		default:
			sort, p.families = namespace, append(p.families, methods)
		}
	}
	p.families = append(p.families, r.methods.contracts[p.contract.Kind]...)
	return p
}

// isKind reports whether the contract at an address is known as one of a kind, and as
// nothing else.
func (r *reading) isKind(a common.Address, k signer.ContractKind) bool {
	at := r.at(a)
	return !at.twice && at.contract.Kind == k
}
