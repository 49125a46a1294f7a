package main

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/backends/tpm/wrapped"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

func (c *cli) keysTargetCommand() *cobra.Command {
	var token, name string
	cmd := &cobra.Command{
		Use: "target --token TOKEN", Short: "print what a TPM presents itself with, to be sent a wrapped key",
		Long: `Print the endorsement key of a TPM and the certificates for it: the target to which
keys wrap and keys duplicate encrypt a key. Nothing in it is secret. Its fingerprint is
printed on standard error.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "token"); err != nil {
				return err
			}
			if name == "" {
				host, err := os.Hostname()
				if err != nil {
					return err
				}
				name = host
			}
			t, err := on(c, "admin", func(client *api.Client) (*v1.GetTargetResponse, error) {
				return client.Target(cmd.Context(), token, name)
			})
			if err != nil {
				return err
			}
			return c.answer(t, func(w io.Writer) error {
				fmt.Fprintf(c.stderr, "target %s, fingerprint %s\n", name, t.GetFingerprint())
				_, err := w.Write(t.GetTarget())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&token, "token", "", "the `name` of the TPM's token in sealward.hcl")
	must(cmd.RegisterFlagCompletionFunc("token", c.completeTokens))
	cmd.Flags().StringVar(&name, "name", "", "what to call the target; the host's `name` by default")
	return cmd
}

// wrapping is what the flags of keys wrap say.
type wrapping struct{ target, roots, secret, algorithm, out, test, fingerprint string }

func (c *cli) keysWrapCommand() *cobra.Command {
	var w wrapping
	cmd := &cobra.Command{
		Use: "wrap --for TARGET --roots ROOTS --secret FILE --out BLOB", Short: "encrypt a key to a TPM, on the machine where the secret is",
		Long: `Encrypt a secp256k1 or Ed25519 key to the TPM of a host. It is for the machine where
the secret is; neither a daemon nor a network is needed. What the TPM is, and the public
key, are printed: compare them with what you expect. See docs/wrapped-keys.md.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "for", "secret", "out"); err != nil {
				return err
			}
			return c.wrap(&w)
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.target, "for", "", "the `file` that sealward keys target printed on the host")
	f.StringVar(&w.roots, "roots", "", "`file` of the certificates of TPM manufacturers that you trust, in PEM")
	f.StringVar(&w.secret, "secret", "", "`file` of the key: PKCS#8, SEC 1, or 64 hexadecimal digits")
	f.StringVar(&w.algorithm, "algorithm", "", "`secp256k1` or ed25519, where the file does not say")
	f.StringVar(&w.out, "out", "", "the new `file` to write, for sealward keys import")
	f.StringVar(&w.test, "accept-test-tpm", "", "accept the one target of this `name` without certificates; for tests")
	f.StringVar(&w.fingerprint, "fingerprint", "", "the `fingerprint` of that target, as its host prints it")
	fixed(cmd, "algorithm", string(signer.AlgorithmSecp256k1), string(signer.AlgorithmEd25519))
	return cmd
}

func (c *cli) wrap(w *wrapping) error {
	to, err := w.recipient()
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	text, err := os.ReadFile(w.secret)
	if err != nil {
		return err
	}
	defer clear(text)
	algorithm, secret, err := wrapped.ParseSecret(text, signer.Algorithm(w.algorithm))
	if err != nil {
		return fmt.Errorf("%s: %w", w.secret, err)
	}
	defer clear(secret)
	f, err := to.Wrap(secret, algorithm, wrapped.Guard{})
	if err != nil {
		return err
	}
	blob, err := f.Encode()
	if err != nil {
		return err
	}
	out, err := createFile(w.out, true)
	if err != nil {
		return err
	}
	defer out.abandon()
	if err := out.finish(string(blob)); err != nil {
		return err
	}
	made := wrappedKey{w.out, algorithm, hexText(f.Public.Bytes), f.Public.Fingerprint(), map[string]string{}}
	pairs := [][2]string{{"written", w.out}, {"algorithm", string(algorithm)}, {"public key", made.Public}, {"fingerprint", made.Fingerprint}}
	for _, fact := range to.Facts() {
		made.Target[fact.Name] = fact.Value
		if fact.Name != "target" {
			fact.Name = "target: " + fact.Name
		}
		pairs = append(pairs, [2]string{fact.Name, fact.Value})
	}
	return c.record(made, func(out io.Writer) error { return sheet(out, pairs...) })
}

// wrappedKey is what was encrypted to whom.
type wrappedKey struct {
	File        string            `json:"file"`
	Algorithm   signer.Algorithm  `json:"algorithm"`
	Public      string            `json:"public"`
	Fingerprint string            `json:"fingerprint"`
	Target      map[string]string `json:"target"`
}

// recipient verifies the target before the secret is read.
func (w *wrapping) recipient() (*wrapped.Recipient, error) {
	text, err := os.ReadFile(w.target)
	if err != nil {
		return nil, err
	}
	t, err := wrapped.ParseTarget(text)
	if err != nil {
		return nil, err
	}
	if (w.test == "") != (w.fingerprint == "") {
		return nil, usage("--accept-test-tpm and --fingerprint go together")
	}
	if w.test != "" {
		return wrapped.AcceptTest{Name: w.test, Fingerprint: w.fingerprint}.Verify(t)
	}
	if w.roots == "" {
		return nil, usage("--roots is missing: the certificates of the manufacturers whose TPMs you trust, in PEM")
	}
	roots, err := readCertificates(w.roots)
	if err != nil {
		return nil, err
	}
	return wrapped.VerifyEndorsement(t, roots, time.Now())
}

func readCertificates(path string) (out []*x509.Certificate, err error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: there is no certificate in PEM in it", path)
	}
	return out, nil
}

func (c *cli) keysImportCommand() *cobra.Command {
	a := act{Order: admin.Order{Act: admin.ActImport}}
	var in string
	cmd := &cobra.Command{
		Use: "import NAME --token TOKEN --in BLOB --out FILE", Short: "take a key that was encrypted to this host's TPM",
		Long: `Take a key that sealward keys wrap or keys duplicate encrypted to the TPM of this host,
if policy lets you. It shows "imported" for ever. The answer has the lines for
sealward.hcl; the key's file is written to --out.`,
		Args: arguments(1, 1, "the NAME of the key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "token", "in"); err != nil {
				return err
			}
			blob, err := os.ReadFile(in)
			if err != nil {
				return err
			}
			a.Name, a.Blob = args[0], base64.StdEncoding.EncodeToString(blob)
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&a.Token, "token", "", "the `name` of the TPM's token in sealward.hcl")
	must(cmd.RegisterFlagCompletionFunc("token", c.completeTokens))
	f.StringVar(&in, "in", "", "the `file` with the encrypted key")
	f.StringVar(&a.out, "out", "", "the new `file` for the key")
	return cmd
}

func (c *cli) keysDuplicateCommand() *cobra.Command {
	a := act{Order: admin.Order{Act: admin.ActDuplicate}, private: true}
	var target, test, fingerprint string
	cmd := &cobra.Command{
		Use: "duplicate NAME --for TARGET --out BLOB", Short: "encrypt a wrapped key to another host's TPM",
		Long: `Encrypt a wrapped key to the TPM of another host, if policy lets you. The TPM's
endorsement certificate has to lead to the endorsement_roots in sealward.hcl. The
exception, for tests, names one TPM; it is decided on and recorded with the request.`,
		Args:              arguments(1, 1, "the NAME of the key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "for", "out"); err != nil {
				return err
			}
			if (test == "") != (fingerprint == "") {
				return usage("--accept-test-tpm and --fingerprint go together")
			}
			text, err := os.ReadFile(target)
			if err != nil {
				return err
			}
			a.Key, a.Target, a.TestException = args[0], base64.StdEncoding.EncodeToString(text), strings.TrimSpace(test+" "+fingerprint)
			return c.act(cmd, &a)
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&target, "for", "", "the `file` that sealward keys target printed on the other host")
	f.StringVar(&a.out, "out", "", "the new `file` to write, for sealward keys import there")
	f.StringVar(&test, "accept-test-tpm", "", "accept the one target of this `name` without certificates; for tests")
	f.StringVar(&fingerprint, "fingerprint", "", "the `fingerprint` of that target, as its host prints it")
	return cmd
}

func (c *cli) keysResealCommand() *cobra.Command {
	var pcrs []string
	var signature, out string
	cmd := &cobra.Command{
		Use: "reseal NAME [--pcr N=HEX] [--signature FILE --out FILE]", Short: "let a key that is bound to PCRs be used with other values",
		Long: `Before a firmware update, or after one, have the authority of a TPM's key approve the
values that its PCRs will have or have now. Without --signature what the authority has
to sign is written to standard output; with it, and the same --pcr, the key's file with
the approval in it is written to --out. docs/operations.md has the whole procedure.`,
		Args:              arguments(1, 1, "the NAME of a key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			values := map[string]string{}
			for _, p := range pcrs {
				n, value, ok := strings.Cut(p, "=")
				if !ok || values[n] != "" {
					return usage("--pcr %q: want N=HEX, once for each N", p)
				}
				values[n] = value
			}
			switch {
			case signature == "" && out == "":
				return c.planReseal(cmd, args[0], values)
			case signature == "":
				return usage("--out is for the key's file, which needs the --signature of what was planned")
			case out == "":
				return usage("--out is missing: the new file for the key")
			}
			return c.reseal(cmd, args[0], values, signature, out)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&pcrs, "pcr", nil, "a value to approve, as `N=HEX`; the others have their present one")
	f.StringVar(&signature, "signature", "", "`file` with the authority's signature of what was planned: ECDSA with SHA-256, DER")
	f.StringVar(&out, "out", "", "the new `file` for the key")
	return cmd
}

func (c *cli) planReseal(cmd *cobra.Command, key string, values map[string]string) error {
	plan, err := on(c, "admin", func(client *api.Client) (*v1.PlanResealResponse, error) {
		return client.PlanReseal(cmd.Context(), key, values)
	})
	if err != nil {
		return err
	}
	return c.answer(plan, func(w io.Writer) error {
		for _, n := range slices.SortedFunc(maps.Keys(plan.GetPcrs()), byNumber) {
			fmt.Fprintf(c.stderr, "PCR %s: %s\n", console.Safe(n), console.Safe(plan.GetPcrs()[n]))
		}
		_, err := w.Write(plan.GetStatement())
		return err
	})
}

func (c *cli) reseal(cmd *cobra.Command, key string, values map[string]string, signature, out string) error {
	der, err := os.ReadFile(signature)
	if err != nil {
		return err
	}
	file, err := createFile(out, false)
	if err != nil {
		return err
	}
	defer file.abandon()
	text, err := on(c, "admin", func(client *api.Client) (string, error) {
		return client.Reseal(cmd.Context(), key, values, der)
	})
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("the daemon returned no key file")
	}
	if err := file.finish(text); err != nil {
		return err
	}
	return c.answer(&v1.ResealResponse{KeyFile: text}, func(w io.Writer) error { return sheet(w, [2]string{"key file", out}) })
}

// byNumber orders decimal numbers without leading zeros.
func byNumber(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
