package main

import (
	"cmp"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// caseEnv is what a policy that is tested may name: the keys and sockets of the
// configuration, or without one those of the case file. Where there is both, the file
// may say what a configuration does not, and must not contradict it.
func caseEnv(cfg *config.Config, f *policy.CaseFile) (policy.Env, error) {
	env, err := envOfCases(f)
	if cfg != nil {
		env, err = envOfConfig(cfg, f)
	}
	if err != nil {
		return policy.Env{}, err
	}
	said := map[string]policy.CaseKey{}
	for _, k := range f.Keys {
		said[k.Name] = k
	}
	for name, info := range env.Keys {
		k := said[name]
		algorithm := cmp.Or(k.Algorithm, signer.AlgorithmSecp256k1)
		info.Public = signer.PublicKey{Algorithm: algorithm, Bytes: k.Public}
		if k.Public == nil {
			info.Public = madeUpKey(algorithm, name)
		}
		info.Protection = cmp.Or(k.Protection, signer.ProtectionResident)
		info.Origin = cmp.Or(k.Origin, signer.OriginGenerated)
		info.Padding = cmp.Or(k.Padding, info.Padding, signer.PaddingPSS)
		if algorithm != signer.AlgorithmRSA {
			info.Padding = ""
		}
		if info.Fingerprint = info.Public.Fingerprint(); k.Public != nil && !mayBe(cfg, name, info.Fingerprint) {
			return policy.Env{}, fmt.Errorf("%s: key %q has another public key than the fingerprint in %s says", k.Place, name, cfg.Path)
		}
		env.Keys[name] = info
	}
	return env, nil
}

// envOfCases is what the case file says by itself.
func envOfCases(f *policy.CaseFile) (policy.Env, error) {
	env := policy.Env{Keys: map[string]signer.KeyInfo{}, Sockets: f.Sockets}
	if f.Sockets == nil {
		env.Sockets = []string{config.SocketSign, config.SocketAdmin}
	}
	for _, k := range f.Keys {
		if k.Kinds == nil {
			return policy.Env{}, fmt.Errorf("%s: key %q has no kinds: say what it signs, such as kinds = [\"evm.transaction\"]", k.Place, k.Name)
		}
		env.Keys[k.Name] = signer.KeyInfo{Name: k.Name, Kinds: k.Kinds, Chains: k.Chains}
	}
	return env, nil
}

// envOfConfig is what the configuration says, if the case file does not contradict it.
func envOfConfig(cfg *config.Config, f *policy.CaseFile) (policy.Env, error) {
	env := environment(cfg)
	for name, info := range env.Keys {
		at := slices.IndexFunc(cfg.Keys, func(k config.Key) bool { return k.Name == name })
		info.Padding = cfg.Keys[at].Padding
		env.Keys[name] = info
	}
	for _, s := range f.Sockets {
		if !slices.Contains(env.Sockets, s) {
			return policy.Env{}, fmt.Errorf("the case file has a socket %q, and %s has none of that name", s, cfg.Path)
		}
	}
	for _, k := range f.Keys {
		known, ok := env.Keys[k.Name]
		switch {
		case !ok:
			return policy.Env{}, fmt.Errorf("%s: %s has no key %q that policy could name", k.Place, cfg.Path, k.Name)
		case k.Kinds != nil && !slices.Equal(k.Kinds, known.Kinds) || k.Chains != nil && !slices.Equal(k.Chains, known.Chains):
			return policy.Env{}, fmt.Errorf("%s: key %q signs kinds %q for chains %q in %s; say the same here, or leave it to the configuration", k.Place, k.Name, known.Kinds, known.Chains, cfg.Path)
		}
	}
	return env, nil
}

// mayBe reports whether a key may have a fingerprint, by the configuration.
func mayBe(cfg *config.Config, name, fingerprint string) bool {
	return cfg == nil || !slices.ContainsFunc(cfg.Keys, func(k config.Key) bool {
		return k.Name == name && k.Fingerprint != "" && k.Fingerprint != fingerprint
	})
}

// madeUpKey is a public key to which nobody has the private one: it is worked out from
// a name, and always the same.
func madeUpKey(a signer.Algorithm, name string) signer.PublicKey {
	seed := "sealward: no key, but the name of one\x00" + string(a) + "\x00" + name
	pub := signer.PublicKey{Algorithm: a}
	switch a {
	case signer.AlgorithmP256:
		pub.Bytes = hashedPoint(nist(elliptic.P256()), seed)
	case signer.AlgorithmP384:
		pub.Bytes = hashedPoint(nist(elliptic.P384()), seed)
	case signer.AlgorithmP521:
		pub.Bytes = hashedPoint(nist(elliptic.P521()), seed)
	case signer.AlgorithmEd25519:
		pub.Bytes = hashed(seed, 0, 32)
	case signer.AlgorithmRSA:
		n := hashed(seed, 0, 256)
		n[0], n[255] = n[0]|0x80, n[255]|1
		pub.Bytes = x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	default:
		pub.Bytes = hashedPoint(secp256k1(), seed)
	}
	return pub
}

// curve is y^2 = x^3 + ax + b over the integers modulo p.
type curve struct{ p, a, b *big.Int }

func nist(c elliptic.Curve) curve { // FIPS 186-5: a is -3
	return curve{c.Params().P, big.NewInt(-3), c.Params().B}
}

func secp256k1() curve { // SEC 2, 2.4.1
	p := new(big.Int).Lsh(big.NewInt(1), 256)
	return curve{p.Sub(p, big.NewInt(1<<32+977)), new(big.Int), big.NewInt(7)}
}

// hashedPoint is the first point of a curve whose x is a hash of the seed and a number,
// uncompressed. There is a point for every second x.
func hashedPoint(c curve, seed string) []byte {
	size := (c.p.BitLen() + 7) / 8
	for i := uint32(0); ; i++ {
		x := new(big.Int).SetBytes(hashed(seed, i, size))
		x.Mod(x, c.p)
		square := new(big.Int).Exp(x, big.NewInt(3), c.p)
		square.Add(square, new(big.Int).Mul(c.a, x)).Add(square, c.b).Mod(square, c.p)
		y := new(big.Int).ModSqrt(square, c.p)
		if y == nil {
			continue
		}
		if y.Bit(0) == 1 { // of the two, the even one
			y.Sub(c.p, y)
		}
		point := make([]byte, 1+2*size)
		point[0] = 4 // SEC 1, 2.3.3
		x.FillBytes(point[1 : 1+size])
		y.FillBytes(point[1+size:])
		return point
	}
}

// hashed is SHA-256 of the seed, a number and a counter, as often as it takes.
func hashed(seed string, number uint32, size int) []byte {
	var out []byte
	for block := uint32(0); len(out) < size; block++ {
		in := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte(seed), number), block)
		sum := sha256.Sum256(in)
		out = append(out, sum[:]...)
	}
	return out[:size]
}
