package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

func (c *cli) keysCommand() *cobra.Command {
	return group("keys", "keys: which there are, and their life",
		c.keysListCommand(), c.keysShowCommand(), c.keysCreateCommand(), c.keysAttestCommand(),
		c.keysSwitchCommand(admin.ActDisable, "disable", "keep a key from signing, at once",
			"Disable a key: it signs nothing from the moment that this is recorded, until it is\nenabled again. Requests for it are refused with the reason."),
		c.keysSwitchCommand(admin.ActEnable, "enable", "let a disabled key sign again", "Enable a key that was disabled."),
		c.keysRotateCommand(), c.keysTargetCommand(), c.keysWrapCommand(), c.keysImportCommand(), c.keysDuplicateCommand(), c.keysResealCommand(),
	)
}

func (c *cli) keysListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the keys that policy gives to you; all keys, for operators",
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := onEither(c, func(client *api.Client) ([]*v1.Key, error) { return client.Keys(cmd.Context()) })
			if err != nil {
				return err
			}
			return c.answer(&v1.ListKeysResponse{Keys: keys}, func(w io.Writer) error {
				if len(keys) == 0 {
					_, err := fmt.Fprintln(w, "no rule of the policy gives you a key")
					return err
				}
				return showKeys(w, keys)
			})
		},
	}
}

// showKeys lists keys, with the token of each where the admin socket tells it.
func showKeys(w io.Writer, keys []*v1.Key) error {
	head := []string{"KEY", "TOKEN", "ALGORITHM", "PROTECTION", "KINDS", "CHAINS", "ETHEREUM ADDRESS", "DISABLED"}
	var rows [][]string
	tokens := false
	for _, k := range keys {
		tokens = tokens || k.GetToken() != ""
		rows = append(rows, []string{
			k.GetName(), k.GetToken(), k.GetAlgorithm(), protection(k), strings.Join(k.GetKinds(), " "), strings.Join(k.GetChains(), " "), k.GetEthereumAddress(), k.GetDisabled(),
		})
	}
	if !tokens {
		head = slices.Delete(head, 1, 2)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], 1, 2)
		}
	}
	return table(w, head, rows)
}

// protection is where the private key is, and whether it was ever elsewhere.
func protection(k *v1.Key) string {
	if k.GetOrigin() == string(signer.OriginImported) {
		return k.GetProtection() + ", imported"
	}
	return k.GetProtection()
}

func (c *cli) keysShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "show the passport of a key",
		Long: `Show a key's passport: what it is, where its private half is and was, what its
device proves of it (to operators), and its address.`,
		Args:              arguments(1, 1, "the NAME of a key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := onEither(c, func(client *api.Client) (*v1.GetKeyResponse, error) { return client.Passport(cmd.Context(), args[0]) })
			if err != nil {
				return err
			}
			return c.answer(res, func(w io.Writer) error { return showPassport(w, res) })
		},
	}
}

func showPassport(w io.Writer, res *v1.GetKeyResponse) error {
	k := res.GetKey()
	touch := ""
	if k.GetTouch() {
		touch = "needed for each signature, or every 15 seconds, as the device has it"
	}
	pairs := [][2]string{
		{"key", k.GetName()}, {"disabled", k.GetDisabled()}, {"ethereum address", k.GetEthereumAddress()}, {"algorithm", k.GetAlgorithm()}, {"padding", k.GetPadding()},
		{"protection", k.GetProtection()}, {"origin", k.GetOrigin()}, {"token", k.GetToken()}, {"touch", touch},
		{"kinds", strings.Join(k.GetKinds(), " ")}, {"chains", strings.Join(k.GetChains(), " ")},
		{"fingerprint", k.GetFingerprint()}, {"public key", hexText(k.GetPublic())},
	}
	for _, f := range res.GetFacts() {
		pairs = append(pairs, [2]string{f.GetName(), f.GetValue()})
	}
	if e := res.GetEvidence(); e != nil {
		pairs = append(pairs, [2]string{"evidence", e.GetFormat()})
		for _, f := range e.GetProven() {
			pairs = append(pairs, [2]string{"proven: " + f.GetName(), f.GetValue()})
		}
		for _, f := range e.GetClaimed() {
			pairs = append(pairs, [2]string{"claimed: " + f.GetName(), f.GetValue()})
		}
	}
	return sheet(w, pairs...)
}

func (c *cli) keysCreateCommand() *cobra.Command {
	a := act{Order: admin.Order{Act: admin.ActCreate}}
	var options []string
	cmd := &cobra.Command{
		Use: "create NAME --token TOKEN --algorithm ALGORITHM", Short: "make a key in a device",
		Long: `Make a key that cannot leave its device, if policy lets you. The answer has the lines
for sealward.hcl with which the daemon serves the key from its next start on. A key of
a TPM is kept in a file, which --out writes.

With --wrapped the key is made for a TPM that lacks its curve: sealed to the TPM, and
opened in memory for the moment of use; see docs/wrapped-keys.md.`,
		Args: arguments(1, 1, "the NAME of the key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "token", "algorithm"); err != nil {
				return err
			}
			a.Name = args[0]
			for _, opt := range options {
				name, value, ok := strings.Cut(opt, "=")
				if !ok {
					return usage("--option %q: want NAME=VALUE", opt)
				}
				if a.Options == nil {
					a.Options = map[string]string{}
				}
				if a.Options[name] != "" {
					return usage("--option %s is there twice", name)
				}
				a.Options[name] = value
			}
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&a.Token, "token", "", "the `name` of the token in sealward.hcl")
	f.StringVar((*string)(&a.Algorithm), "algorithm", "", "`secp256k1`, p256, p384, p521, ed25519 or rsa")
	f.IntVar(&a.Bits, "bits", 0, "the size of an RSA key")
	f.BoolVar(&a.Wrapped, "wrapped", false, "seal the key to a TPM that lacks its curve")
	f.StringArrayVar(&options, "option", nil, "what this kind of device can be told, as `NAME=VALUE`: slot, pin_policy, touch_policy of a card; pcrs of a TPM; id of a PKCS#11 token")
	f.StringVar(&a.out, "out", "", "the new `file` for a TPM's key")
	must(cmd.RegisterFlagCompletionFunc("token", c.completeTokens))
	fixed(cmd, "algorithm", "secp256k1", "p256", "p384", "p521", "ed25519", "rsa")
	return cmd
}

func (c *cli) keysAttestCommand() *cobra.Command {
	a := act{Order: admin.Order{Act: admin.ActAttest}}
	var challenge string
	cmd := &cobra.Command{
		Use: "attest NAME", Short: "have a device prove where a key is",
		Long: `Have a device prove where a key is, if policy lets you, and record the proof. With
-o json the proof itself is printed, to be checked offline; docs/formats.md has its forms.`,
		Args:              arguments(1, 1, "the NAME of a key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := hex.DecodeString(challenge)
			if err != nil || len(b) > 32 {
				return usage("--challenge %q: want up to 32 bytes in hexadecimal", challenge)
			}
			a.Key, a.Challenge = args[0], base64.StdEncoding.EncodeToString(b)
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&challenge, "challenge", "", "what whoever checks it wants in it, up to 32 bytes in `hexadecimal`")
	return cmd
}

func (c *cli) keysSwitchCommand(name, verb, short, long string) *cobra.Command {
	a := act{Order: admin.Order{Act: name}}
	cmd := &cobra.Command{
		Use: verb + " NAME --reason TEXT", Short: short, Long: long,
		Args:              arguments(1, 1, "the NAME of a key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			a.Key = args[0]
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&a.Reason, "reason", "", "why, for the record and for those who ask: `text`")
	return cmd
}

func (c *cli) keysRotateCommand() *cobra.Command {
	a := act{Order: admin.Order{Act: admin.ActRotate}}
	cmd := &cobra.Command{
		Use: "rotate NAME --to SUCCESSOR", Short: "have a key name its successor",
		Long: `Have a key sign the statement that another one succeeds it. Both are in sealward.hcl.
The old key goes on signing until it is disabled, so that both can be used for a while.`,
		Args:              arguments(1, 1, "the NAME of the old key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "to"); err != nil {
				return err
			}
			a.Key = args[0]
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&a.Successor, "to", "", "the `name` of the new key")
	must(cmd.RegisterFlagCompletionFunc("to", c.completeKeys))
	return cmd
}
