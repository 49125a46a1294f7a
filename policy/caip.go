package policy

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/crypto/sha3"
)

var (
	// CAIP-2, "Syntax".
	chainID = regexp.MustCompile(`^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$`)
	// CAIP-2, eip155 namespace: the decimal chain id of EIP-155.
	evmChainID = regexp.MustCompile(`^eip155:[1-9][0-9]{0,31}$`)
	// CAIP-10, "Syntax" of account_address.
	accountAddress = regexp.MustCompile(`^[-.%a-zA-Z0-9]{1,128}$`)
	// CAIP-19, "Syntax" of asset_namespace:asset_reference and an optional token id.
	assetName  = regexp.MustCompile(`^[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}(/[-.%a-zA-Z0-9]{1,78})?$`)
	evmAddress = regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`)
)

// checkAccount returns what is wrong with a CAIP-10 account id, or nil.
func checkAccount(id string) error {
	cut := strings.LastIndexByte(id, ':')
	if cut < 0 && evmAddress.MatchString(id) {
		return fmt.Errorf("account %q does not say on which chain it is; want a CAIP-10 id, which for Ethereum is %q", id, "eip155:1:"+id)
	}
	if cut < 0 {
		return fmt.Errorf("account %q: want a CAIP-10 id such as \"eip155:1:0x...\": chain and address", id)
	}
	chain, address := id[:cut], id[cut+1:]
	if err := checkChain(chain); err != nil {
		return fmt.Errorf("account %q: %w", id, err)
	}
	if strings.HasPrefix(chain, "eip155:") {
		return checkEVMAddress(chain+":", address)
	}
	if !accountAddress.MatchString(address) {
		return fmt.Errorf("account %q: %q is not an address (CAIP-10)", id, address)
	}
	return nil
}

// checkAsset returns what is wrong with a CAIP-19 asset id, or nil.
func checkAsset(id string) error {
	chain, name, ok := strings.Cut(id, "/")
	if !ok || !assetName.MatchString(name) {
		return fmt.Errorf("asset id %q: want a CAIP-19 id such as \"eip155:1/slip44:60\" or \"eip155:1/erc20:0x...\"", id)
	}
	if err := checkChain(chain); err != nil {
		return fmt.Errorf("asset id %q: %w", id, err)
	}
	if !strings.HasPrefix(chain, "eip155:") {
		return nil
	}
	namespace, reference, _ := strings.Cut(name, ":")
	contract, token, hasToken := strings.Cut(reference, "/")
	switch namespace {
	case "slip44":
		// Every EVM chain's own coin, whatever it is called: the key is the same, and
		// SLIP-44 numbers derivation paths of keys.
		if reference != "60" {
			return fmt.Errorf("asset id %q: the coin of an EVM chain is %q", id, chain+"/slip44:60")
		}
		return nil
	case "erc20":
		if hasToken {
			return fmt.Errorf("asset id %q: an ERC-20 token has no token id; remove %q", id, "/"+token)
		}
	case "erc721", "erc1155":
		if hasToken && checkDecimal(token) != nil {
			return fmt.Errorf("asset id %q: the number of a piece is decimal, as in %q, and this one never occurs", id, "/771769")
		}
	default:
		return fmt.Errorf("asset id %q: no standard of an EVM chain's tokens is named %q%s", id, namespace, didYouMean(namespace, []string{"slip44", "erc20", "erc721", "erc1155"}))
	}
	return checkEVMAddress(strings.TrimSuffix(id, name)+namespace+":", contract)
}

func checkChain(id string) error {
	if strings.HasPrefix(id, "eip155:") && !evmChainID.MatchString(id) {
		return fmt.Errorf("chain %q: want the decimal chain id, such as \"eip155:1\"", id)
	}
	if !chainID.MatchString(id) {
		return fmt.Errorf("chain %q: want a CAIP-2 id such as \"eip155:1\"", id)
	}
	return nil
}

// checkEVMAddress insists on the checksum of EIP-55. It offers the checksummed form,
// with what stands before it, only for an address that was written without one: where a
// checksum is there and wrong, a digit is wrong too, and a "corrected" one would hide it.
func checkEVMAddress(before, s string) error {
	if !evmAddress.MatchString(s) {
		return fmt.Errorf("address %q: want 0x and 40 hexadecimal digits, and after 0x it has %d characters; copy it again from its source", s, max(0, len(s)-2))
	}
	digits := s[2:]
	want := checksummed(digits)
	switch {
	case s == want:
		return nil
	case digits == strings.ToLower(digits) || digits == strings.ToUpper(digits):
		return fmt.Errorf("address %q has no EIP-55 checksum; compare every digit with its source, then write %q", s, before+want)
	default:
		return fmt.Errorf("address %q: its EIP-55 checksum does not match: at least one digit is wrong; copy it again from its source", s)
	}
}

// checksummed spells an address with the checksum of EIP-55: a letter is upper
// case where the hash of the lower-case digits has a nibble of 8 or more.
func checksummed(digits string) string {
	out := []byte(strings.ToLower(digits))
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write(out)
	sum := hex.EncodeToString(keccak.Sum(nil))
	for i, c := range out {
		if c >= 'a' && sum[i] >= '8' {
			out[i] = c - 'a' + 'A'
		}
	}
	return "0x" + string(out)
}

// unprintable says of a character that a reader of the policy would not see it.
func unprintable(c rune) bool { return !unicode.IsPrint(c) }
