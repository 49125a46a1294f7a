package main

import (
	"encoding/hex"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// inspection is what the flags say of an inspection.
type inspection struct {
	kind, key, public string
	chains            []string
	names             namesFlags
}

func (c *cli) inspectCommand() *cobra.Command {
	var in inspection
	cmd := &cobra.Command{
		Use:   "inspect --kind KIND FILE",
		Short: "show what signing a payload would do, without a daemon",
		Long: `Show what signing the payload in FILE would do, or the one in standard input if FILE
is "-". It is decoded here, by the decoders that the daemon has; no daemon is needed
and nothing is signed.

Who would be the sender depends on the key. It is shown as unknown unless the key is
named with --key, which asks the daemon for its public half, or given with
--public-key. Names of assets come from the policy given with --policy; a token that
is not in one is an unknown contract.`,
		Args: arguments(1, 1, "one FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.inspect(cmd, &in, args[0]) },
	}
	kindFlag(cmd, &in.kind)
	f := cmd.Flags()
	f.StringVar(&in.key, "key", "", "the `name` of the key that would sign; asks the daemon for its public half")
	f.StringVar(&in.public, "public-key", "", "the public secp256k1 key that would sign: 0x04 and 64 bytes in `hexadecimal`")
	f.StringSliceVar(&in.chains, "chain", nil, "refuse a transaction that is not for this `chain`, such as eip155:1")
	cmd.MarkFlagsMutuallyExclusive("key", "public-key")
	must(cmd.RegisterFlagCompletionFunc("key", c.completeKeys))
	in.names.flags(cmd)
	return cmd
}

func (c *cli) inspect(cmd *cobra.Command, in *inspection, file string) error {
	if err := required(cmd, "kind"); err != nil {
		return err
	}
	if len(in.chains) > 0 && in.key == "" && in.public == "" {
		return usage("--chain says which chains a key is for; give --key or --public-key too")
	}
	kind := signer.Kind(in.kind)
	decoder, ok := decoders()[kind]
	if !ok {
		return usage("--kind %q: want %s", in.kind, strings.Join(kinds(), ", "))
	}
	payload, err := c.payload(in.kind, file)
	if err != nil {
		return err
	}
	names, err := in.names.read()
	if err != nil {
		return err
	}
	key, err := c.keyOf(cmd, in)
	if err != nil {
		return err
	}
	book := signer.Book{Assets: names.Assets}
	intent, err := decoder.Preview(payload, book)
	if err == nil && key.Public.Algorithm != "" {
		if len(key.Chains) == 0 {
			key.Chains = chains(intent)
		}
		intent, err = decoder.Decode(payload, key, book)
	}
	if err != nil {
		return err
	}
	return c.answer(&v1.InspectResponse{Intent: api.WriteIntent(intent)}, func(w io.Writer) error {
		_, err := io.WriteString(w, console.Intent(intent, names))
		return err
	})
}

// chains are the chains that an intent says it is for.
func chains(in signer.Intent) (out []string) {
	for _, f := range in.Fields {
		if f.Name == "chain" {
			out = append(out, f.Value)
		}
	}
	return out
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
