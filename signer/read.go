package signer

import (
	"fmt"
	"slices"
)

// Read returns what signing the payload of a request with a key would do, by the decoder
// for its kind, before anything is known but the key and the book. Whoever asks a policy
// about a request reads it so: the engine, and the tools that try a policy.
func Read(r Request, key KeyInfo, decoders map[Kind]Decoder, book Book) (Intent, error) {
	decoder := decoders[r.Kind]
	if decoder == nil || !slices.Contains(key.Kinds, r.Kind) {
		return Intent{}, invalid("key %q does not sign kind %q; it signs %q", r.Key, clip(string(r.Kind)), key.Kinds)
	}
	if err := Crossing(r.Kind, r.Payload, decoders); err != nil {
		return Intent{}, err
	}
	in, err := decoder.Decode(r.Payload, key, book)
	if err != nil {
		return Intent{}, err
	}
	acts := r.Kind == KindAdmin
	if len(in.Effects) == 0 || acts && len(in.Effects) > 1 || acts != (len(in.Messages) == 0) || in.Kind != r.Kind {
		return Intent{}, &Error{Code: CodeInternal, Detail: fmt.Sprintf("the decoder for kind %q returned no effect or message", r.Kind)}
	}
	if slices.ContainsFunc(in.Effects, func(e Effect) bool { return e.Until.UTC().Year() < 1 || e.Until.UTC().Year() > 9999 }) {
		// No record can hold such a time (RFC 3339), and one that cannot be read back
		// would spoil the journal for good.
		return Intent{}, &Error{Code: CodeInternal, Detail: fmt.Sprintf("the decoder for kind %q returned a time outside the years 1 to 9999", r.Kind)}
	}
	return in, nil
}

// Identify adds to an intent what its decoder cannot know: how the key that is to sign is
// kept, and which public keys the names in an administrative request stand for. named finds
// a key of the configuration.
func (in *Intent) Identify(key KeyInfo, named func(name string) (KeyInfo, bool)) error {
	if key.Protection == ProtectionWrapped {
		in.Warnings = append(in.Warnings, Warning{Code: WarnKeyWrapped, Severity: SeverityInfo,
			Text: "the key is sealed to its device and opened outside of it for the moment of use"})
	}
	if in.Kind != KindAdmin {
		return nil
	}
	attributes := in.Effects[0].Attributes
	if name := attributes[AttributeKey]; name != "" {
		k, ok := named(name)
		if !ok {
			return unnamed(name)
		}
		attributes[AttributeFingerprint] = k.Fingerprint
		attributes[AttributeAlgorithm] = string(k.Public.Algorithm)
		attributes[AttributeProtection] = string(k.Protection)
		if k.Origin != "" {
			attributes[AttributeOrigin] = string(k.Origin)
		}
	}
	if name := attributes[AttributeSuccessor]; name != "" {
		k, ok := named(name)
		if !ok {
			return unnamed(name)
		}
		attributes[AttributeSuccessorFingerprint] = k.Fingerprint
	}
	return nil
}

func unnamed(name string) *Error {
	return invalid("there is no key %q in the configuration", clip(name))
}
