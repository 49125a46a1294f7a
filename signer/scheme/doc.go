// Package scheme checks signatures and puts them into the encoding of their
// scheme. It stands between a device and the world: what a device returns is
// released only after [Verifier.Finish] has verified it.
//
// # Order of work
//
//	lengths -> 0 < r, s < n -> low s -> verify -> encode   (ECDSA)
//	lengths -> verify                                      (Ed25519, RSA)
//
// # What we defend against
//
//   - A device, a driver or a cable that returns something else than the
//     signature that was asked for. A faulty ECDSA signature can give the private
//     key away, so it is not even shown.
//   - Malleability: of (r, s) and (r, n-s), which both verify, only the one with
//     the lower s is ever produced or accepted, on every curve (SEC 1, 4.1.3; EIP-2).
//   - Keys that are too weak: RSA has 2048 to 4096 bits and an odd exponent above
//     65536, and its signatures are exactly as long as the modulus, with a PSS salt
//     exactly as long as the hash.
//   - A mix-up of curves, schemes and encodings. Nothing is guessed: the scheme
//     names the algorithm, and lengths are exact.
//
// # What we do not defend against
//
// A bad nonce: a signature whose nonce repeats or is biased verifies like any
// other. Nor timing: everything here is public.
package scheme
