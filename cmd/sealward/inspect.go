package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// inspection is what the flags say of an inspection.
type inspection struct {
	kind, from, key, public string
	chains                  []string
	world                   world
}

func (c *cli) inspectCommand() *cobra.Command {
	var in inspection
	cmd := &cobra.Command{
		Use:   "inspect --kind KIND FILE",
		Short: "show what signing a payload would do, without a daemon",
		Long: `Show what signing the payload in FILE would do, or the one in standard input if FILE
is "-". It is decoded here, by the decoders that the daemon has. No daemon is needed,
no network is used and nothing is signed.

What you know, you say. A contract that none of your files has is unknown, whatever
its calldata looks like; so without --book, --tokens or --policy only plain payments
and what a standard fixes can be read.

  --from     whose account it is about; or --key or --public-key, the key that would
             sign. A signed transaction says it itself
  --chain    the chains that you mean; a payload for another is refused. Typed data that
             names no chain holds on every one, and is read for the one that you name
  --book     your contracts, assets and address books: blocks asset, addresses,
             contract and token_list, as in a policy
  --tokens   names and decimals of tokens (the format of github.com/Uniswap/token-lists)
  --policy   the whole policy of a daemon, instead of --book, with its descriptors
  --descriptors
             a folder of ERC-7730 descriptors, pinned with "sealward descriptors pin".
             They add labels below what was decoded, and change nothing of it

With -o json it prints the intent document, which docs/formats.md describes. Exit code
4 says that the payload is not to be signed as what you called it. Exit code 0 says that
it was shown, and not that it is harmless: a program looks at complete, class and
warnings.`,
		Example: `  # what a wallet is about to sign, by the owner's own book
  sealward inspect --kind evm.transaction --book book.hcl --chain eip155:1 tx.json

  # typed data that a web site asks for, with token names and labels
  sealward inspect --kind evm.typed_data --tokens tokens.json --descriptors erc7730 \
      --from 0x2c7536E3605D9C16a7a3D7b1898e529396a65c23 permit.json

  # a raw transaction from a pipe, for a program
  echo 0x02f0... | sealward inspect --kind evm.transaction -o json - | jq .class`,
		Args: arguments(1, 1, "one FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.inspect(cmd, &in, args[0]) },
	}
	kindFlag(cmd, &in.kind)
	f := cmd.Flags()
	f.StringVar(&in.from, "from", "", "the `address` of the account that would sign, such as 0x2c75...")
	f.StringVar(&in.key, "key", "", "the `name` of the key that would sign; asks the daemon for its public half")
	f.StringVar(&in.public, "public-key", "", "the public secp256k1 key that would sign: 0x04 and 64 bytes in `hexadecimal`")
	f.StringSliceVar(&in.chains, "chain", nil, "refuse a payload that is not for this `chain`, such as eip155:1")
	cmd.MarkFlagsMutuallyExclusive("from", "key", "public-key")
	must(cmd.RegisterFlagCompletionFunc("key", c.completeKeys))
	in.world.flags(cmd)
	return cmd
}

func (c *cli) inspect(cmd *cobra.Command, in *inspection, file string) error {
	if err := required(cmd, "kind"); err != nil {
		return err
	}
	kind := signer.Kind(in.kind)
	if _, ok := decoders()[kind]; !ok {
		return usage("--kind %q: want %s", in.kind, strings.Join(kinds(), ", "))
	}
	if err := in.check(); err != nil {
		return err
	}
	payload, err := c.payload(in.kind, file)
	if err != nil {
		return err
	}
	known, err := in.world.read()
	if err != nil {
		return err
	}
	key, err := c.keyOf(cmd, in)
	if err != nil {
		return err
	}
	intent, err := in.decode(kind, payload, key, known.book)
	if err != nil {
		return err
	}
	from, err := in.sender(key, intent)
	if err != nil {
		return err
	}
	labels, misfit := known.labels(intent, payload, from)
	now := c.now()
	err = c.answer(api.Document(intent, labels, now), func(w io.Writer) error {
		_, err := io.WriteString(w, console.Intent(intent, labels, known.names(intent, now)))
		return err
	})
	if err == nil && misfit != nil {
		fmt.Fprintf(c.stderr, "note: no labels: %s\n", console.Safe(misfit.Error()))
	}
	return err
}

var (
	chainFlag   = regexp.MustCompile(`^eip155:[1-9][0-9]*$`)
	addressFlag = regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`)
)

// check looks at how flags are written. What no chain is called would else be a payload
// for the wrong chain.
func (in *inspection) check() error {
	if in.from != "" && !addressFlag.MatchString(in.from) {
		return usage("--from %q: want an address such as 0x2c7536E3605D9C16a7a3D7b1898e529396a65c23", in.from)
	}
	for _, chain := range in.chains {
		if !chainFlag.MatchString(chain) {
			return usage("--chain %q: want a chain such as eip155:1", chain)
		}
	}
	return nil
}

// decode reads the payload as the daemon would for the key, or without one.
func (in *inspection) decode(kind signer.Kind, payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	if err := signer.Crossing(kind, payload, engineDecoders()); err != nil {
		return signer.Intent{}, err
	}
	decoder := decoders()[kind]
	if kind == signer.KindEVMTypedData && len(in.chains) == 1 && strings.HasPrefix(in.chains[0], "eip155:") {
		decoder = evm.TypedData{Chain: in.chains[0]}
	}
	intent, err := decoder.Preview(payload, in.from, book)
	if err != nil {
		return signer.Intent{}, err
	}
	if err := forChains(intent, in.chains); err != nil {
		return signer.Intent{}, err
	}
	if key.Public.Algorithm == "" {
		return intent, nil
	}
	if len(key.Chains) == 0 {
		// What holds on every chain says so in words, which name none.
		key.Chains = slices.DeleteFunc(chains(intent), func(c string) bool { return !strings.HasPrefix(c, "eip155:") })
	}
	return decoder.Decode(payload, key, book)
}

// chains are the chains that an intent says it is for.
func chains(in signer.Intent) (out []string) {
	for _, f := range in.Fields {
		switch {
		case f.Name == "chain":
			out = append(out, f.Value)
		case f.Name == "chain id" && in.Kind == signer.KindEVMMessage: // of a sign-in (ERC-4361)
			out = append(out, "eip155:"+f.Value)
		}
	}
	return out
}

// forChains refuses what is not for the chains that were named, if any were.
func forChains(in signer.Intent, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	found := chains(in)
	for _, chain := range found {
		if !slices.Contains(wanted, strings.TrimPrefix(chain, "every chain; read for ")) {
			if strings.HasPrefix(chain, "eip155:") { // or "every chain"
				chain = "chain " + chain
			}
			return signer.Invalid("it is for %s, and --chain says %s: do not sign it there", chain, strings.Join(wanted, ", "))
		}
	}
	if len(found) == 0 {
		return signer.Invalid("it is for no chain in particular, and --chain says %s: leave --chain out if you mean to sign it for any", strings.Join(wanted, ", "))
	}
	return nil
}

// sender is the address that would sign, or did, or empty.
func (in *inspection) sender(key signer.KeyInfo, intent signer.Intent) (string, error) {
	if key.Public.Algorithm == signer.AlgorithmSecp256k1 {
		return evm.Address(key.Public)
	}
	for _, f := range intent.Fields {
		if f.Name == "from" && in.from == "" && strings.HasPrefix(f.Value, "0x") {
			return f.Value, nil
		}
	}
	return in.from, nil
}

// keyOf is what is known of the key that would sign; without one, the zero public
// key.
func (c *cli) keyOf(cmd *cobra.Command, in *inspection) (signer.KeyInfo, error) {
	info := signer.KeyInfo{Kinds: []signer.Kind{signer.Kind(in.kind)}, Chains: in.chains}
	switch {
	case in.public != "":
		point, err := hex.DecodeString(strings.TrimPrefix(in.public, "0x"))
		if err != nil || len(point) != 65 || point[0] != 4 {
			return info, usage("--public-key: want 04 and 64 bytes in hexadecimal, as `sealward keys show` prints it")
		}
		info.Public = signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: point}
	case in.key != "":
		k, err := on(c, "sign", func(client *api.Client) (*v1.Key, error) { return client.Key(cmd.Context(), in.key) })
		if err != nil {
			return info, err
		}
		info = keyInfo(k)
		if len(in.chains) > 0 {
			info.Chains = in.chains
		}
	}
	info.Fingerprint = info.Public.Fingerprint()
	return info, nil
}

func keyInfo(k *v1.Key) signer.KeyInfo {
	info := signer.KeyInfo{
		Name: k.GetName(), Public: signer.PublicKey{Algorithm: signer.Algorithm(k.GetAlgorithm()), Bytes: k.GetPublic()},
		Protection: signer.Protection(k.GetProtection()), Chains: k.GetChains(),
	}
	for _, kind := range k.GetKinds() {
		info.Kinds = append(info.Kinds, signer.Kind(kind))
	}
	return info
}
