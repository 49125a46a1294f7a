package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	clearSigning = "../../docs/clear-signing.md"
	galleryDir   = "../../docs/examples/clear-signing"
	// galleryAccount is whose payloads the gallery shows.
	galleryAccount = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
)

// galleryDay is the date that the gallery says it is.
var galleryDay = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// A file or a command of the gallery, with the fenced block that shows it.
var (
	galleryFile    = regexp.MustCompile("(?s)\\[`([^`]+)`\\]\\(examples/clear-signing/([^)]+)\\):\n\n```([a-z]+)\n(.*?)```\n")
	galleryCommand = regexp.MustCompile("(?s)```console\n\\$ sealward ([^\n]+)\n(.*?)```\n")
	warningsTable  = regexp.MustCompile(`\| code \| severity \| meaning \|\n\| --- \| --- \| --- \|\n((?:\|[^\n]*\n)*)`)
)

// TestTheGalleryIsWhatTheProgramShows writes docs/clear-signing.md again, out of the
// payloads beside it, what the program prints for them and the codes of warnings, and
// compares. With -update it is put in the place of the old one: look at what changed.
func TestTheGalleryIsWhatTheProgramShows(t *testing.T) {
	old := documentation(t)
	t.Chdir(galleryDir)
	page := galleryFile.ReplaceAllStringFunc(old, func(block string) string {
		m := galleryFile.FindStringSubmatch(block)
		return strings.Replace(block, "```"+m[3]+"\n"+m[4]+"```", "```"+m[3]+"\n"+ended(read(t, m[2]))+"```", 1)
	})
	page = galleryCommand.ReplaceAllStringFunc(page, func(block string) string {
		command := galleryCommand.FindStringSubmatch(block)[1]
		printed, _ := inGallery(strings.Fields(command)...)
		return "```console\n$ sealward " + command + "\n" + ended(printed) + "```\n"
	})
	page = warningsTable.ReplaceAllLiteralString(page, "| code | severity | meaning |\n| --- | --- | --- |\n"+warningRows(t))
	if *update {
		if err := os.WriteFile(filepath.Join("..", "..", "clear-signing.md"), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i, line := range strings.Split(page, "\n") {
		if is := strings.Split(old, "\n"); i >= len(is) || is[i] != line {
			t.Fatalf("docs/clear-signing.md, line %d, is stale: want %q; run go test ./cmd/sealward -run Gallery -update and look at what changed", i+1, line)
		}
	}
	if len(page) != len(old) {
		t.Error("docs/clear-signing.md goes on where it should end")
	}
}

// TestTheGalleryShowsTheWorst holds each payload to what it is there to show, so that
// nobody writes a worse reading into the page.
func TestTheGalleryShowsTheWorst(t *testing.T) {
	page := documentation(t)
	t.Chdir(galleryDir)
	type shown struct {
		class    signer.Class
		complete bool
		danger   string // the codes of the warnings of danger
	}
	want := map[string]shown{
		"payment.json":           {signer.ClassTransfer, true, ""},
		"token-transfer.json":    {signer.ClassTransfer, true, ""},
		"unlimited-approve.json": {signer.ClassAllowance, true, evm.WarnUnlimitedAllowance},
		"permit-2100.json":       {signer.ClassAllowance, true, ""},
		"permit2-batch.json":     {signer.ClassAllowance, true, evm.WarnUnlimitedAllowance},
		"operator.json":          {signer.ClassOperator, true, evm.WarnOperator},
		"bybit.json":             {signer.ClassDelegateCall, false, evm.WarnDelegateCall},
		"batch.json":             {signer.ClassAllowance, true, evm.WarnUnlimitedAllowance},
		"authorization.json":     {signer.ClassDelegation, false, evm.WarnEveryChain + " " + evm.WarnDelegation},
		"set-code.hex":           {signer.ClassDelegation, false, evm.WarnDelegation},
		"user-operation.json":    {signer.ClassTransfer, true, ""},
		"blobs.hex":              {signer.ClassTransfer, true, ""},
		"sign-in.txt":            {signer.ClassLogin, true, ""},
		"creation.json":          {signer.ClassCreate, false, ""},
		"look-alike.json":        {signer.ClassTransfer, true, evm.WarnResembles},
		"stake.json":             {signer.ClassUnknownCall, false, evm.WarnUnknownCall},
		"hash.txt":               {signer.ClassOpaque, false, evm.WarnLooksLikeHash},
		"message.txt":            {}, // refused
	}
	commands := galleryCommand.FindAllStringSubmatch(page, -1)
	for _, m := range commands {
		args := strings.Fields(m[1])
		file := args[len(args)-1]
		w, ok := want[file]
		delete(want, file)
		if !ok {
			t.Errorf("nothing is expected of %s", file)
		}
		if !strings.Contains(page, "](examples/clear-signing/"+file+"):") {
			t.Errorf("the page does not show the payload %s", file)
		}
		printed, code := inGallery(append(args, "-o", "json")...)
		if w.class == "" {
			if code != exitInvalid {
				t.Errorf("%s: exit code %d, want %d", file, code, exitInvalid)
			}
			continue
		}
		var document struct {
			Class    signer.Class
			Complete bool
			Warnings []signer.Warning
			Digests  []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(printed), &document); err != nil {
			t.Errorf("%s: %v\n%s", file, err, printed)
		}
		var danger []string
		for _, warning := range document.Warnings {
			if warning.Severity == signer.SeverityDanger {
				danger = append(danger, warning.Code)
			}
		}
		for _, d := range document.Digests {
			if !strings.Contains(page, "`"+d.Name+"`") {
				t.Errorf("%s has a digest %q, which the page does not explain", file, d.Name)
			}
		}
		if is := (shown{document.Class, document.Complete, strings.Join(danger, " ")}); is != w {
			t.Errorf("%s is %+v, want %+v", file, is, w)
		}
	}
	for file := range want {
		t.Errorf("the gallery has no command for %s", file)
	}
	if strings.Contains(page, "\u2026") || strings.Contains(page, "...\n```") {
		t.Error("something in the gallery is shortened")
	}
}

// TestTheGalleryHasWhatWasSignedAtBybit takes the chain out of the domain, which Safe
// 1.1.1 does not have, and asks whether our digest is what the three owners signed.
// Signatures and owners are those of transaction
// 0x46deef0f52e3a983b67abf4714448a41dd7ffd6d32d32da69d62081c68ad7882 on Ethereum.
func TestTheGalleryHasWhatWasSignedAtBybit(t *testing.T) {
	const signatures = "d0afef78a52fd504479dc2af3dc401334762cbd05609c7ac18db9ec5abf4a07a5cc09fc86efd3489707b89b0c729faed616459189cb50084f208d03b201b001f1f" +
		"0f62ad358d6b319d3c1221d44456080068fe02ae5b1a39b4afb1e6721ca7f9903ac523a801533f265231cd35fc2dfddc3bd9a9563b51315cf9d5ff23dc6d2c221f" +
		"df9e4b878877a8dbeee951a4a31ddbf1d3b71e127d5eda44b4730030114baba52e06dd23da37cd2a07a6e84f9950db867374a0f77558f42adf4409bfd569673c1f"
	owners := []string{"0x1F4EB0A903619ac168b19A82F1a6e2e426522211", "0x3Cc3A225769900e003E264dd4CB43E90896BC21A", "0xe3dF2cCEAc61B1aFA311372ecC5B40A3A6585a9E"}
	payload := []byte(read(t, filepath.Join(galleryDir, "bybit.json")))
	var data map[string]any
	if err := json.Unmarshal(payload, &data); err != nil {
		t.Fatal(err)
	}
	delete(data["domain"].(map[string]any), "chainId")
	types := data["types"].(map[string]any)
	types["EIP712Domain"] = types["EIP712Domain"].([]any)[1:]
	payload, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	in, err := evm.TypedData{}.Preview(payload, "", signer.Book{})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(in.Digests, func(d signer.Digest) bool { return d.Name == "EIP-712 digest" })
	digest := in.Digests[at].Value
	if text := read(t, filepath.Join(galleryDir, "hash.txt")); text != hexText(digest[:]) {
		t.Errorf("the digest is %x, and hash.txt says %s", digest, text)
	}
	raw, err := hex.DecodeString(signatures)
	if err != nil {
		t.Fatal(err)
	}
	for i, owner := range owners {
		// A v above 30 is four more than usual, and the owner signed the digest as a
		// personal message (GnosisSafe.sol 1.1.1, checkSignatures).
		sig := slices.Clone(raw[65*i : 65*i+65])
		sig[64] -= 31
		public, err := crypto.SigToPub(accounts.TextHash(digest[:]), sig)
		if err != nil {
			t.Fatal(err)
		}
		if got := crypto.PubkeyToAddress(*public).Hex(); !strings.EqualFold(got, owner) {
			t.Errorf("signature %d is of %s, want the owner %s", i+1, got, owner)
		}
	}
}

// TestThePageNamesAllThatIsRead looks up every kind of payload and of contract.
func TestThePageNamesAllThatIsRead(t *testing.T) {
	page := documentation(t)
	for _, kind := range kinds() {
		if strings.HasPrefix(kind, "evm.") && !strings.Contains(page, "\n| `"+kind+"` |") {
			t.Errorf("docs/clear-signing.md has no row for the kind %q", kind)
		}
	}
	for _, kind := range signer.ContractKinds() {
		if !strings.Contains(page, "\n| `"+string(kind)+"` |") {
			t.Errorf("docs/clear-signing.md has no row for contracts of kind %q", kind)
		}
	}
}

// inGallery runs the program as the gallery's reader would, on its day.
func inGallery(args ...string) (printed string, code int) {
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "$ME", galleryAccount)
	}
	var out bytes.Buffer
	c := &cli{stdin: strings.NewReader(""), stdout: &out, stderr: &out, now: func() time.Time { return galleryDay }}
	code = c.run(args)
	return out.String(), code
}

// warningRows is the table of warnings, out of the decoder's documentation.
func warningRows(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../../signer/intent/evm/doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Warn") {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		severity, meaning, said := strings.Cut(strings.TrimSpace(spec.Comment.Text()), ": ")
		if err != nil || !said {
			t.Errorf("%s does not say its severity and meaning", spec.Names[0].Name)
		}
		rows = append(rows, "| `"+code+"` | "+severity+" | "+meaning+" |\n")
		return true
	})
	if len(rows) < 20 {
		t.Fatalf("found %d codes of warnings", len(rows))
	}
	return strings.Join(rows, "")
}

func documentation(t *testing.T) string { return read(t, clearSigning) }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ended is a text that ends its last line.
func ended(s string) string {
	if strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}
