package policy

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// The names that decoders give to things, which a policy may therefore use. A
// name that is not here is taken for a slip, so that it cannot make a rule that
// denies fall silent. TestNamesAreThoseOfTheDecoders compares.

// kinds are what a request may be.
func kinds() []string {
	return []string{
		string(signer.KindEVMTransaction), string(signer.KindEVMTypedData), string(signer.KindEVMAuthorization),
		string(signer.KindEVMMessage), string(signer.KindDigest), string(signer.KindAdmin),
	}
}

func algorithms() []string {
	return []string{
		string(signer.AlgorithmSecp256k1), string(signer.AlgorithmP256), string(signer.AlgorithmP384),
		string(signer.AlgorithmP521), string(signer.AlgorithmEd25519), string(signer.AlgorithmRSA),
	}
}

func protections() []string {
	return []string{string(signer.ProtectionResident), string(signer.ProtectionWrapped)}
}

func origins() []string {
	return []string{string(signer.OriginGenerated), string(signer.OriginImported), string(signer.OriginUnknown)}
}

// keyNames are what a policy may call a key: those of the configuration, and Sealward
// itself, which administrative requests name.
func keyNames(e Env) []string { return append(sortedKeys(e.Keys), signer.AdminKey) }

func severities() []string {
	return []string{string(signer.SeverityInfo), string(signer.SeverityWarn), string(signer.SeverityDanger)}
}

func classes() []string {
	var out []string
	for _, c := range signer.Classes() {
		out = append(out, string(c))
	}
	return out
}

func contractKinds() []string {
	var out []string
	for _, k := range signer.ContractKinds() {
		out = append(out, string(k))
	}
	return out
}

func quantityKinds() []string {
	var out []string
	for k := signer.QuantityNone; k <= signer.QuantityUnknown; k++ {
		out = append(out, k.String())
	}
	return out
}

// blindable are the classes whose effects an intent may tell less than all of.
func blindable() []string {
	return []string{
		string(signer.ClassOpaque), string(signer.ClassUnknownCall), string(signer.ClassUnknownMessage), string(signer.ClassDelegateCall),
		string(signer.ClassDelegation), string(signer.ClassCreate), string(signer.ClassControl),
	}
}

// warningCodes are the codes of warnings.
func warningCodes() []string {
	return []string{
		"admin_key_imported",
		"admin_recovery",
		"admin_test_exception",
		"admin_trust_file",
		"digest_opaque",
		"evm_account_control",
		"evm_authorization_other_chain",
		"evm_contract_creation",
		"evm_delegatecall",
		"evm_delegation",
		"evm_every_chain",
		"evm_gas_above_cap",
		"evm_gas_refund",
		"evm_login_mismatch",
		"evm_message_hidden_characters",
		"evm_message_looks_like_hash",
		"evm_message_mixed_scripts",
		"evm_never_expires",
		"evm_operator",
		"evm_paymaster",
		"evm_resembles_known",
		"evm_to_token_contract",
		"evm_unknown_call",
		"evm_unknown_contract",
		"evm_unknown_token",
		"evm_unknown_typed_data",
		"evm_unlimited_allowance",
		"evm_value_with_token_call",
		"evm_zero_address",
		"key_wrapped",
	}
}

// acts are what an effect does to an account or a permission, where its class does not
// say it all.
func acts() []string {
	return []string{
		// control
		"setup", "add_owner", "remove_owner", "change_threshold", "enable_module", "disable_module",
		"set_guard", "set_module_guard", "set_fallback_handler",
		// exchange
		"wrap", "unwrap",
		// allowance
		"increase", "decrease",
		// invalidate
		"invalidate_nonces", "lockdown", "cancel",
		// transfer
		"gas_refund",
	}
}

// attributeFormats say what is wrong with a value that an attribute of an effect
// is compared with, by the attribute's name. Which keys there are, newLiteralChecks
// knows.
var attributeFormats = map[string]func(string) error{
	"contract":         checkAccount,
	"spender":          checkAccount,
	"paymaster":        checkAccount,
	"entrypoint":       checkAccount,
	"call":             format(`^[1-9][0-9]*(\.[1-9][0-9]*)*$`, "the place of a call in calls, such as 2 or 2.1"),
	"act":              oneOf("act", acts()),
	"looks_like":       anyText,
	"selector":         format(`^0x[0-9a-f]{8}$`, "0x and 8 lower-case hexadecimal digits"),
	"calldata_length":  checkDecimal,
	"calldata_digest":  checkDigest,
	"init_code_length": checkDecimal,
	"init_code_digest": checkDigest,
	"receives":         checkAsset,
	"receives_amount":  checkDecimal,
	"threshold":        checkDecimal,
	"nonce":            checkDecimal,
	"type":             format(`^[A-Za-z_$][A-Za-z0-9_$]*$`, "the name of a type, such as PermitSingle"),
	"domain":           format(`^[^\s/?#]+$`, "a host as a login names it, such as example.com or localhost:8080"),
	"uri":              format(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s]*$`, "a URI with its scheme, such as https://example.com/login"),
	"usable_until":     checkTime,
	"every_chain":      format(`^true$`, "true, as text"),

	// Of administrative acts.
	signer.AttributeKey:                  anyText,
	signer.AttributeFingerprint:          checkFingerprint,
	signer.AttributeSuccessor:            anyText,
	signer.AttributeSuccessorFingerprint: checkFingerprint,
	signer.AttributeAlgorithm:            oneOf("algorithm", algorithms()),
	signer.AttributeProtection:           oneOf("protection", protections()),
	signer.AttributeOrigin:               oneOf("origin", origins()),
	signer.AttributeReason:               anyText,
	signer.AttributePolicyFrom:           checkVersion,
	signer.AttributePolicyTo:             checkVersion,
	signer.AttributeRecovery:             format(`^true$`, "true, as text"),
	"name":                               format(`^[a-z0-9][a-z0-9-]{0,62}$`, "a name out of a-z 0-9 -"),
	"token":                              format(`^[a-z0-9][a-z0-9-]{0,62}$`, "a name out of a-z 0-9 -"),
	"bits":                               format(`^(2048|3072|4096)$`, "2048, 3072 or 4096"),
	"blob_digest":                        checkDigest,
	"target_digest":                      checkDigest,
	"test_exception":                     anyText,
}

var (
	checkDecimal = format(`^(0|[1-9][0-9]*)$`, "a decimal number")
	checkDigest  = format(`^0x[0-9a-f]{64}$`, "0x and 64 lower-case hexadecimal digits")
)

// checkVersion is for versions of policies.
var checkVersion = format(`^[0-9a-f]{64}$`, "the version of a policy, which is 64 lower-case hexadecimal digits")

var checkFingerprint = format(`^sha256:[0-9a-f]{64}$`, "sha256: and 64 lower-case hexadecimal digits")

// checkTime is for times as the decoders write them: RFC 3339, in UTC, of whole seconds.
func checkTime(s string) error {
	if t, err := time.Parse(time.RFC3339, s); err == nil && t.UTC().Format(time.RFC3339) == s {
		return nil
	}
	return fmt.Errorf("%q never occurs here: want a time such as 2026-12-24T18:00:00Z", s)
}

// anyText is for what people write, which is never empty.
var anyText = format(`(?s)^.+$`, "a text")

func format(pattern, want string) func(string) error {
	re := regexp.MustCompile(pattern)
	return func(s string) error {
		if re.MatchString(s) {
			return nil
		}
		return fmt.Errorf("%q never occurs here: want %s", s, want)
	}
}

func oneOf(what string, known []string) func(string) error {
	return func(s string) error {
		if slices.Contains(known, s) {
			return nil
		}
		return fmt.Errorf("no %s is named %q%s", what, s, didYouMean(s, known))
	}
}

// orNone also takes the empty text, which stands for "there is none".
func orNone(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}
