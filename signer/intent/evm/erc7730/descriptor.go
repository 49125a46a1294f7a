package erc7730

import (
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// descriptor is a file that is bound to something, checked.
type descriptor struct {
	file         string
	owner        string
	contractName string
	deployments  []deployment
	eip712       bool
	formats      map[string]*format // by selector, or by type text of an EIP-712 context
	domain       []constraint
	separator    *common.Hash
}

// deployment is where a contract is.
type deployment struct {
	chain   uint64
	address common.Address
}

// constraint is a member that the domain of a message must have, and its value as
// canonical text.
type constraint struct{ name, value string }

// newDescriptor checks a merged document. It returns nil for a template: one that is
// bound to nothing, or that shows nothing.
func newDescriptor(file string, doc *node) (*descriptor, error) {
	root := at{v: doc}
	d := &descriptor{file: file}
	bound, err := d.bind(root.member("context"))
	if err != nil || !bound {
		return nil, err
	}
	if err := d.readMetadata(root.member("metadata")); err != nil {
		return nil, err
	}
	display := root.member("display")
	if !display.there() {
		return nil, nil
	}
	if err := display.object("definitions", "formats"); err != nil {
		return nil, err
	}
	formats := display.member("formats")
	if err := formats.want(object); err != nil {
		return nil, err
	}
	c := newCompiler(root)
	common := digest(root.member("metadata"), display.member("definitions"))
	d.formats = map[string]*format{}
	for _, key := range formats.v.names {
		f, err := d.add(c, formats.member(key), key)
		if err != nil {
			return nil, err
		}
		f.said = sha256.Sum256(append(common[:], f.said[:]...))
	}
	if len(d.formats) == 0 {
		return nil, formats.errorf("has no formats")
	}
	return d, nil
}

// add checks one format and files it under what its key means.
func (d *descriptor) add(c *compiler, from at, key string) (*format, error) {
	var what, meant string
	var data *abi.Type
	if d.eip712 {
		t, canonical, err := parseTypeText(key)
		if err != nil {
			return nil, from.errorf("%v", err)
		}
		data, what, meant = t, canonical, "type "+quote(canonical)
	} else {
		m, err := abi.ParseSignature(strings.TrimSpace(key))
		if err != nil {
			return nil, from.errorf("%v", err)
		}
		selector := m.Selector()
		data, what, meant = m.Args, string(selector[:]), "selector of "+quote(m.Signature())
	}
	if d.formats[what] != nil {
		// "If multiple keys share the same type-only signature, wallets MUST treat this
		// as an invalid descriptor." Two signatures with one selector are no better.
		return nil, from.errorf("a second key for the %s", meant)
	}
	f, err := c.format(from, data)
	if err != nil {
		return nil, err
	}
	f.place, f.said = from.place, digest(from)
	d.formats[what] = f
	return f, nil
}

// bind reads the context. It reports whether it binds the file to anything.
func (d *descriptor) bind(context at) (bool, error) {
	if !context.there() {
		return false, nil
	}
	if err := context.object("$id", "contract", "eip712"); err != nil {
		return false, err
	}
	if _, err := context.member("$id").text(); err != nil {
		return false, err
	}
	contract, message := context.member("contract"), context.member("eip712")
	if contract.there() == message.there() {
		return false, context.errorf("want either contract or eip712")
	}
	if d.eip712 = message.there(); d.eip712 {
		return d.bindMessage(message)
	}
	return d.bindContract(contract)
}

func (d *descriptor) bindContract(contract at) (bool, error) {
	if err := contract.object("abi", "deployments", "factory"); err != nil {
		return false, err
	}
	if factory := contract.member("factory"); factory.there() {
		// Whether a factory made a contract is on the chain, where nobody looks here: a
		// factory binds nothing.
		if err := factory.object("deployments", "deployEvent"); err != nil {
			return false, err
		}
		if _, err := readDeployments(factory.member("deployments")); err != nil {
			return false, err
		}
		if _, err := factory.member("deployEvent").string(); err != nil {
			return false, err
		}
	}
	var err error
	d.deployments, err = readDeployments(contract.member("deployments"))
	return len(d.deployments) > 0, err
}

func (d *descriptor) bindMessage(message at) (bool, error) {
	err := message.object("schemas", "domain", "domainSeparator", "deployments")
	if err != nil {
		return false, err
	}
	if d.deployments, err = readDeployments(message.member("deployments")); err != nil {
		return false, err
	}
	if message.member("deployments").there() && len(d.deployments) == 0 {
		return false, nil // one of none
	}
	if d.domain, err = readDomain(message.member("domain")); err != nil {
		return false, err
	}
	separator := message.member("domainSeparator")
	hash, err := separator.text()
	if err != nil {
		return false, err
	}
	if separator.there() {
		b, ok := hexBytes(hash)
		if !ok || len(b) != common.HashLength {
			return false, separator.errorf("want 0x and 64 hexadecimal digits, got %s", quote(hash))
		}
		h := common.Hash(b)
		d.separator = &h
	}
	return len(d.deployments) > 0 || len(d.domain) > 0 || d.separator != nil, nil
}

// readDomain reads the members that the domain of a message must have. Those that
// EIP-712 does not have bind to nothing that is signed.
func readDomain(domain at) (out []constraint, err error) {
	if !domain.there() {
		return nil, nil
	}
	if err := domain.object("name", "version", "chainId", "verifyingContract", "salt"); err != nil {
		return nil, err
	}
	for _, name := range domain.v.names {
		member := domain.member(name)
		var value string
		switch name {
		case "chainId":
			if _, err = member.whole(1, math.MaxUint64); err == nil {
				value = member.v.text
			}
		case "verifyingContract":
			var a common.Address
			a, err = member.address()
			value = a.Hex()
		case "salt":
			value, err = member.string()
			value = strings.ToLower(value)
		default:
			value, err = member.string()
		}
		if err != nil {
			return nil, err
		}
		out = append(out, constraint{name, value})
	}
	return out, nil
}

// readDeployments reads an optional list of chains and addresses, each once. The schema
// allows more members in them.
func readDeployments(list at) (out []deployment, err error) {
	if !list.there() {
		return nil, nil
	}
	if err := list.want(array); err != nil {
		return nil, err
	}
	seen := map[deployment]bool{}
	for i := range list.v.elems {
		e := list.elem(i)
		if err := e.want(object); err != nil {
			return nil, err
		}
		chain, address := e.member("chainId"), e.member("address")
		if err := chain.want(number); err != nil {
			return nil, err
		}
		id, err := chain.whole(1, math.MaxUint64)
		if err != nil {
			return nil, err
		}
		a, err := address.address()
		if err != nil {
			return nil, err
		}
		if d := (deployment{id, a}); !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out, nil
}

// readMetadata takes what is used of the metadata, and checks the rest. The schema
// allows more members here.
func (d *descriptor) readMetadata(metadata at) (err error) {
	if !metadata.there() {
		return nil
	}
	if err := metadata.want(object); err != nil {
		return err
	}
	if d.owner, err = metadata.member("owner").text(); err != nil {
		return err
	}
	if d.contractName, err = metadata.member("contractName").text(); err != nil {
		return err
	}
	if info := metadata.member("info"); info.there() {
		if err := info.object("deploymentDate", "url"); err != nil {
			return err
		}
		if _, err := info.member("url").string(); err != nil {
			return err
		}
		if _, err := info.member("deploymentDate").text(); err != nil {
			return err
		}
	}
	if token := metadata.member("token"); token.there() {
		return checkToken(token)
	}
	return nil
}

// checkToken checks what is said of a token, which is not used: what a token is called
// and how it is divided is for the owner to say.
func checkToken(token at) error {
	if err := token.object("name", "ticker", "decimals"); err != nil {
		return err
	}
	if _, err := token.member("name").string(); err != nil {
		return err
	}
	if _, err := token.member("ticker").string(); err != nil {
		return err
	}
	decimals := token.member("decimals")
	if err := decimals.want(number); err != nil {
		return err
	}
	_, err := decimals.whole(0, maxDecimals)
	return err
}

// appliesTo reports whether typed data is what the context binds to: "Each value of
// the domain constraint MUST match", and with deployments the domain must have a chain
// and a contract that are one of them (ERC-7730, "EIP-712 messages binding context").
func (d *descriptor) appliesTo(data *typeddata.Data) bool {
	if d.separator != nil && *d.separator != data.DomainHash {
		return false
	}
	for _, c := range d.domain {
		if value, ok := domainText(&data.Domain, c.name); !ok || value != c.value {
			return false
		}
	}
	if d.deployments == nil {
		return true
	}
	domain := &data.Domain
	return domain.ChainID != nil && domain.VerifyingContract != nil && slices.Contains(d.deployments, deployment{*domain.ChainID, *domain.VerifyingContract})
}

// domainText is a member of a domain as a [constraint] has it.
func domainText(d *typeddata.Domain, name string) (string, bool) {
	switch {
	case name == "name" && d.Name != nil:
		return *d.Name, true
	case name == "version" && d.Version != nil:
		return *d.Version, true
	case name == "chainId" && d.ChainID != nil:
		return decimalOf(*d.ChainID), true
	case name == "verifyingContract" && d.VerifyingContract != nil:
		return d.VerifyingContract.Hex(), true
	case name == "salt" && d.Salt != nil:
		return d.Salt.Hex(), true
	default:
		return "", false
	}
}

// address is an address that must be there.
func (a at) address() (common.Address, error) {
	s, err := a.string()
	if err != nil {
		return common.Address{}, err
	}
	address, ok := parseAddress(s)
	if !ok {
		return common.Address{}, a.errorf("%s is no address: want 0x and 40 hexadecimal digits, in one letter case or with the checksum of EIP-55", quote(s))
	}
	return address, nil
}

// parseAddress reads an address. One with letters of both cases is checksummed
// (EIP-55).
func parseAddress(s string) (common.Address, bool) {
	a, err := abi.ParseAddress(s)
	return a, err == nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
