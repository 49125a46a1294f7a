package policy

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode"

	"github.com/sealward/sealward/signer"
)

// maxDecimals is what a 256-bit integer has digits for, less one.
const maxDecimals = 77

// amountText is a number without sign, exponent, separator or leading zeros, one
// space, and the owner's name of an asset. 78 digits hold any 256-bit integer.
var amountText = regexp.MustCompile(`^(0|[1-9][0-9]{0,77})(?:\.([0-9]{1,77}))? ([a-z][a-z0-9_]*)$`)

// assets are the assets of a policy by the owner's names for them.
type assets map[string]signer.Asset

func (as assets) names() []string { return sortedKeys(as) }

// amount parses a text such as "2.5 eth" into base units, exactly.
func (as assets) amount(text string) (signer.Asset, *big.Int, error) {
	m := amountText.FindStringSubmatch(text)
	if m == nil {
		return signer.Asset{}, nil, fmt.Errorf("amount %q: want a number, one space and an asset, such as \"2.5 eth\"; %s", text, as.slip(text))
	}
	whole, fraction, name := m[1], m[2], m[3]
	asset, ok := as[name]
	if !ok {
		return signer.Asset{}, nil, fmt.Errorf("amount %q: no asset is named %q%s", text, name, didYouMean(name, as.names()))
	}
	if len(fraction) > asset.Decimals {
		return signer.Asset{}, nil, fmt.Errorf("amount %q has %d decimal places; %s has %d, so write at most %d digits behind the point", text, len(fraction), name, asset.Decimals, asset.Decimals)
	}
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", asset.Decimals-len(fraction)), 10)
	if !ok {
		return signer.Asset{}, nil, fmt.Errorf("amount %q: not a number", text)
	}
	return asset, n, nil
}

// slip says what is wrong with a text that is no amount.
func (as assets) slip(text string) string {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }):
		return "there is a character in it that only looks like one of those; type it anew"
	case strings.Contains(text, ","):
		return "the decimal sign is a point, and thousands have no sign: \"1000 eth\""
	case bare.MatchString(text):
		return "it does not say of what; there are: " + strings.Join(as.names(), ", ")
	case amountText.MatchString(strings.ToLower(text)):
		return "names of assets are in lower case"
	case glued.MatchString(text):
		return "the space is missing"
	case turned.MatchString(text):
		return "the number comes first"
	default:
		return "the decimal sign is a point"
	}
}

var (
	bare   = regexp.MustCompile(`^[0-9.]+ *$`)
	glued  = regexp.MustCompile(`^[0-9.]+[A-Za-z][A-Za-z0-9_]*$`)
	turned = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]* *[0-9.]+$`)
)

// formatAmount writes base units in the owner's unit and raw, so that a reader
// can check one against the other: "2.5 eth (2500000000000000000)".
func formatAmount(a signer.Asset, n *big.Int) string {
	if a.ID == signer.AssetRequests {
		if n.Cmp(big.NewInt(1)) == 0 {
			return "1 request"
		}
		return n.String() + " requests"
	}
	if a.Name == "" {
		return fmt.Sprintf("%s base units of %s", n, a.ID)
	}
	if a.Decimals == 0 {
		return fmt.Sprintf("%s %s", n, a.Name)
	}
	digits := n.String()
	if pad := a.Decimals + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - a.Decimals
	text := strings.TrimRight(digits[:point]+"."+digits[point:], "0")
	return fmt.Sprintf("%s %s (%s)", strings.TrimSuffix(text, "."), a.Name, n)
}
