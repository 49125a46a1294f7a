package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// asked is what the flags say of a request.
type asked struct {
	id, key, kind, claim, expires string
	names                         namesFlags
}

func (a *asked) flags(c *cli, cmd *cobra.Command) {
	kindFlag(cmd, &a.kind)
	f := cmd.Flags()
	f.StringVar(&a.key, "key", "", "the `name` of the key")
	f.StringVar(&a.claim, "claim", "", "free `text` about the request; it is recorded, and shown as unverified")
	f.StringVar(&a.expires, "expires", "", "how long the request is valid, such as 10m, or until `when`, in RFC 3339")
	must(cmd.RegisterFlagCompletionFunc("key", c.completeKeys))
	a.names.flags(cmd)
}

// request makes the message, with the payload out of a file.
func (a *asked) request(c *cli, cmd *cobra.Command, file string) (*v1.Request, error) {
	if err := required(cmd, "key", "kind"); err != nil {
		return nil, err
	}
	if !utf8.ValidString(a.claim) {
		return nil, usage("--claim is not UTF-8 text")
	}
	payload, err := c.payload(a.kind, file)
	if err != nil {
		return nil, err
	}
	r := &v1.Request{Id: a.id, Key: a.key, Kind: a.kind, Payload: payload, Claim: a.claim}
	if a.expires == "" {
		return r, nil
	}
	until, err := time.Parse(time.RFC3339, a.expires)
	if err != nil {
		d, derr := time.ParseDuration(a.expires)
		if derr != nil || d <= 0 {
			return nil, usage("--expires %q: want a duration such as 10m, or a time such as 2030-01-31T12:00:00Z", a.expires)
		}
		// Whole seconds, so that the time that is printed is the time that is sent.
		until = time.Now().Add(d).Truncate(time.Second)
	}
	r.Expires = timestamppb.New(until)
	return r, nil
}

func (c *cli) signCommand() *cobra.Command {
	var a asked
	var wait time.Duration
	var proof string
	cmd := &cobra.Command{
		Use:   "sign --key NAME --kind KIND FILE",
		Short: "ask for a signature",
		Long: `Ask for a signature on what is in FILE, or in standard input if FILE is "-".

Standard output is the result in hexadecimal: the raw signed transaction for
evm.transaction, r, s and v for evm.typed_data and evm.message, the signature for a
digest. For evm.authorization it is the signed authorization in JSON. What was signed
is shown on standard error.

Where policy asks people first, the request waits for them, and this ends at once with
exit code 8 and says who is asked. Ask again with the same --id once they have approved;
or have it waited for with --wait, such as --wait 10m.

A request has an id. Without --id a random one is chosen and printed before the
request is sent. Asking again with the same id and the same content is safe at any
time: it never signs anything else and never counts twice against a limit.`,
		Args: arguments(1, 1, "one FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.sign(cmd, &a, args[0], wait, proof)
		},
	}
	a.flags(c, cmd)
	f := cmd.Flags()
	f.StringVar(&a.id, "id", "", "the request's `id`; chosen at random if not given")
	f.DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the signature and, if this flag is given, for approvals")
	f.StringVar(&proof, "proof", "", "wait for the proof that the request is in the journal, and write it to `file`")
	return cmd
}

func (c *cli) sign(cmd *cobra.Command, a *asked, file string, wait time.Duration, proof string) error {
	if wait <= 0 || wait > longestWait {
		return usage("--wait %s: want more than nothing and at most %s", wait, longestWait)
	}
	r, err := a.request(c, cmd, file)
	if err != nil {
		return err
	}
	names, err := a.names.read(c.now())
	if err != nil {
		return err
	}
	if a.id == "" {
		r.Id = randomID()
		again := "--id " + r.Id
		if r.Expires != nil {
			again += " --expires " + when(r.Expires) // the same request has the same expiry
		}
		if c.output == outputText {
			fmt.Fprintf(c.stderr, "request %s (to ask again: %s)\n", r.Id, again)
		}
	}
	out, err := createFile(proof, false)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	defer out.abandon()

	res, err := c.askFor(cmd.Context(), "sign", &v1.SignRequest{Request: r, Proof: proof != "", WaitForApprovals: cmd.Flags().Changed("wait")}, wait)
	if err != nil {
		return err
	}
	// What was asked for comes first: a defect in showing it must not lose it.
	if err := c.answer(res, func(w io.Writer) error { return result(w, r.GetKind(), res) }); err != nil {
		return err
	}
	if proof != "" {
		if err := checkProof(res.GetProof(), res.GetLeaf()); err != nil {
			return err
		}
		if err := out.finish(res.GetProof()); err != nil {
			return fmt.Errorf("proof: %w; ask again with the same id to get it again", err)
		}
	}
	if c.output == outputJSON {
		return nil
	}
	return c.signed(res, names)
}

// result is what a program would send on: the finished artefact or, for a kind
// that has none, the signatures.
func result(w io.Writer, kind string, res *v1.SignResponse) error {
	if signer.Kind(kind) == signer.KindEVMAuthorization { // it is JSON
		_, err := fmt.Fprintf(w, "%s\n", res.GetArtifact())
		return err
	}
	parts := res.GetSignatures()
	if len(res.GetArtifact()) > 0 {
		parts = [][]byte{res.GetArtifact()}
	}
	for _, p := range parts {
		if _, err := fmt.Fprintln(w, hexText(p)); err != nil {
			return err
		}
	}
	return nil
}

// signed shows on standard error what was signed.
func (c *cli) signed(res *v1.SignResponse, names console.Names) error {
	intent, err := api.ReadIntent(res.GetIntent())
	if err != nil {
		return err
	}
	names.Now = c.now()
	_, err = fmt.Fprintf(c.stderr, "\nsigned with key %s, leaf %d of the journal:\n\n%s",
		console.Safe(res.GetKey().GetName()), res.GetLeaf(), console.Intent(intent, nil, names))
	return err
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "cli-" + hex.EncodeToString(b[:])
}

// newFile is made before anything is asked, so that what was asked for has somewhere
// to go. A nil one stands for none.
type newFile struct{ f *os.File }

func createFile(path string, private bool) (*newFile, error) {
	if path == "" {
		return nil, nil
	}
	mode := fs.FileMode(0o644)
	if private {
		mode = 0o600
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return &newFile{f}, nil
}

func (n *newFile) finish(text string) error {
	if n == nil {
		return nil
	}
	_, err := n.f.WriteString(text)
	if err == nil {
		err = n.f.Sync()
	}
	if cerr := n.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		n.f = nil
	}
	return err
}

// abandon removes what was not finished.
func (n *newFile) abandon() {
	if n == nil || n.f == nil {
		return
	}
	_ = n.f.Close()
	_ = os.Remove(n.f.Name())
}
