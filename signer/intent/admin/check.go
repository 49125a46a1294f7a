package admin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/sealward/sealward/signer"
)

// Bounds of an order.
const (
	maxText      = 500 // bytes of a reason, an option, an exception
	maxOptions   = 16
	maxBlob      = 64 << 10 // bytes of a blob or a target
	maxChallenge = 32       // bytes, as the devices have room for
)

// act is what one act is made of.
type act struct {
	class signer.Class
	must  []string // fields that it has
	may   []string // fields that it may have beside them
}

var acts = map[string]act{
	ActCreate:    {signer.ClassKeyCreate, []string{"name", "token", "algorithm"}, []string{"bits", "wrapped", "options"}},
	ActImport:    {signer.ClassKeyImport, []string{"name", "token", "blob"}, nil},
	ActAttest:    {signer.ClassKeyAttest, []string{"key"}, []string{"challenge"}},
	ActDisable:   {signer.ClassKeyDisable, []string{"key", "reason"}, nil},
	ActEnable:    {signer.ClassKeyEnable, []string{"key", "reason"}, nil},
	ActRotate:    {signer.ClassKeyRotate, []string{"key", "successor"}, nil},
	ActDuplicate: {signer.ClassKeyDuplicate, []string{"key", "target"}, []string{"test_exception"}},
	ActPolicy:    {signer.ClassPolicyChange, []string{"from", "to", "reason"}, []string{"recovery"}},
	ActTrustFile: {signer.ClassTrustFile, []string{"reason"}, []string{"recovery"}},
	ActThaw:      {signer.ClassThaw, []string{"reason"}, []string{"recovery"}},
}

// field is one field of an order.
type field struct {
	name  string
	set   bool
	check func() error
}

func (o *Order) fields() []field {
	return []field{
		{"algorithm", o.Algorithm != "", o.checkAlgorithm},
		{"bits", o.Bits != 0, o.checkAlgorithm},
		{"blob", o.Blob != "", func() error { return checkBytes("blob", o.Blob, maxBlob) }},
		{"challenge", o.Challenge != "", func() error { return checkBytes("challenge", o.Challenge, maxChallenge) }},
		{"from", o.From != "", func() error { return checkVersion("from", o.From) }},
		{"key", o.Key != "", func() error { return checkName("key", o.Key) }},
		{"name", o.Name != "", func() error { return checkName("name", o.Name) }},
		{"options", len(o.Options) > 0, o.checkOptions},
		{"reason", o.Reason != "", func() error { return checkText("reason", o.Reason) }},
		{"recovery", o.Recovery, func() error { return nil }},
		{"successor", o.Successor != "", func() error { return checkName("successor", o.Successor) }},
		{"target", o.Target != "", func() error { return checkBytes("target", o.Target, maxBlob) }},
		{"test_exception", o.TestException != "", func() error { return checkText("test_exception", o.TestException) }},
		{"to", o.To != "", o.checkTo},
		{"token", o.Token != "", func() error { return checkName("token", o.Token) }},
		{"wrapped", o.Wrapped, func() error { return nil }},
	}
}

// check refuses an order that is not of its act, before anything is made of it.
func (o *Order) check() error {
	a, ok := acts[o.Act]
	if !ok {
		return signer.Invalid("administrative request: no act is named %.40q; there are: keys.create, keys.import, keys.attest, keys.disable, keys.enable, keys.rotate, keys.duplicate, policy.change, policy.trust_file, thaw", o.Act)
	}
	for _, f := range o.fields() {
		must := slices.Contains(a.must, f.name)
		switch {
		case must && !f.set:
			return signer.Invalid("%s: %s is missing or empty", o.Act, f.name)
		case f.set && !must && !slices.Contains(a.may, f.name):
			return signer.Invalid("%s: it has no %s", o.Act, f.name)
		case !f.set:
			continue
		}
		if err := f.check(); err != nil {
			return signer.Invalid("%s: %v", o.Act, err)
		}
	}
	if o.Name == signer.AdminKey {
		return signer.Invalid("%s: the name %q stands for Sealward itself; choose another one", o.Act, o.Name)
	}
	return nil
}

// checkAlgorithm holds the two fields to each other: an RSA key has a size, a curve is
// one.
func (o *Order) checkAlgorithm() error {
	switch o.Algorithm {
	case signer.AlgorithmRSA:
		if o.Bits != 2048 && o.Bits != 3072 && o.Bits != 4096 {
			return fmt.Errorf("bits of an rsa key: want 2048, 3072 or 4096")
		}
		return nil
	case signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmP521, signer.AlgorithmEd25519:
		if o.Bits != 0 {
			return fmt.Errorf("bits are for rsa keys; the size of a curve is fixed")
		}
		return nil
	default:
		return fmt.Errorf("algorithm %.40q: want secp256k1, p256, p384, p521, ed25519 or rsa", o.Algorithm)
	}
}

var (
	// name is that of keys and tokens in the configuration.
	name       = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	optionName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

func checkName(what, s string) error {
	if !name.MatchString(s) {
		return fmt.Errorf("%s %.80q: a name is made of a-z 0-9 - and has 1 to 63 characters", what, s)
	}
	return nil
}

// version is that of a policy.
var version = regexp.MustCompile(`^[0-9a-f]{64}$`)

func checkVersion(what, s string) error {
	if !version.MatchString(s) {
		return fmt.Errorf("%s %.80q: the version of a policy has 64 hexadecimal digits in lower case", what, s)
	}
	return nil
}

func (o *Order) checkTo() error {
	if o.To == o.From {
		return fmt.Errorf("from and to are the same version, so nothing would change")
	}
	return checkVersion("to", o.To)
}

func (o *Order) checkOptions() error {
	if len(o.Options) > maxOptions {
		return fmt.Errorf("it has %d options; the most is %d", len(o.Options), maxOptions)
	}
	for name, value := range o.Options {
		if !optionName.MatchString(name) {
			return fmt.Errorf("option %.40q: its name is made of a-z 0-9 _ and has 1 to 32 characters", name)
		}
		if err := checkText("option "+name, value); err != nil {
			return err
		}
	}
	return nil
}

// checkText takes one line for people to read: nothing in it hides, or shows as
// something else.
func checkText(what, s string) error {
	hidden := func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	}
	switch {
	case s == "" || len(s) > maxText || strings.TrimSpace(s) != s:
		return fmt.Errorf("%s: want 1 to %d bytes of text without space around it", what, maxText)
	case strings.ContainsFunc(s, hidden):
		return fmt.Errorf("%s %q has characters that do not print", what, s)
	}
	return nil
}

func checkBytes(what, s string, most int) error {
	b, err := Bytes(s)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %v", what, err)
	case len(b) > most:
		return fmt.Errorf("%s: it has %d bytes; the most is %d", what, len(b), most)
	}
	return nil
}
