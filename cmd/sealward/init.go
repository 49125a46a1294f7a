package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/console"
)

//go:embed templates/sealward.hcl templates/policy.hcl
var templates embed.FS

// place says where the parts of a set-up are.
type place struct {
	Private                                           bool
	Dir, Config, Policy, PIN, Journal                 string
	Sign, Admin, Metrics, Module, Caller, SocketsFlag string
}

func (c *cli) initCommand() *cobra.Command {
	var private bool
	cmd := &cobra.Command{
		Use: "init [DIR]", Short: "write a first configuration and policy",
		Long: `Write a commented sealward.hcl and policy.hcl to DIR, /etc/sealward by default, and
say what to do next. Files that are there already are never touched.

With --private everything is in DIR, and the daemon's own account may be a caller:
for a developer's machine.`,
		Args: arguments(0, 1, "one DIR at most"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "/etc/sealward"
			if len(args) == 1 {
				dir = args[0]
			}
			p, err := places(dir, private)
			if err != nil {
				return err
			}
			return c.initialise(p)
		},
	}
	cmd.Flags().BoolVar(&private, "private", false, "a set-up of one's own, all in DIR")
	return cmd
}

func places(dir string, private bool) (place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return place{}, err
	}
	if console.Safe(dir) != dir {
		return place{}, usage("%q: choose a folder whose name shows as it is", dir)
	}
	p := place{
		Private: private, Dir: dir, Config: filepath.Join(dir, "sealward.hcl"), Policy: filepath.Join(dir, "policy.hcl"), PIN: filepath.Join(dir, "hsm.pin"),
		Journal: "/var/lib/sealward/journal.db", Module: "/usr/lib/softhsm/libsofthsm2.so", Caller: "group:sealward",
	}
	sockets := "/run/sealward"
	if private {
		sockets = dir
		p.Journal = filepath.Join(dir, "journal.db")
		p.Caller = "uid:" + strconv.Itoa(os.Getuid())
		p.SocketsFlag = " --sockets " + dir
	}
	p.Sign, p.Admin, p.Metrics = filepath.Join(sockets, "sign.sock"), filepath.Join(sockets, "admin.sock"), filepath.Join(sockets, "metrics.sock")
	return p, nil
}

func (c *cli) initialise(p place) error {
	files := map[string]string{"sealward.hcl": p.Config, "policy.hcl": p.Policy}
	for _, path := range []string{p.Config, p.Policy} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = errors.New("it is there already, and is not touched")
			}
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	dirMode, fileMode := fs.FileMode(0o755), fs.FileMode(0o644)
	if p.Private {
		dirMode, fileMode = 0o700, 0o600
	}
	if err := os.MkdirAll(p.Dir, dirMode); err != nil {
		return err
	}
	for _, name := range []string{"sealward.hcl", "policy.hcl"} {
		text, err := render(name, p)
		if err != nil {
			return err
		}
		if err := create(files[name], text, fileMode); err != nil {
			return err
		}
	}
	written := struct {
		Config string `json:"config"`
		Policy string `json:"policy"`
	}{p.Config, p.Policy}
	return c.record(written, func(w io.Writer) error { return nextSteps(w, p) })
}

func render(name string, p place) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"q": hclQuote}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}

// hclQuote writes a text as a literal of HCL, where ${ and %{ begin a template.
func hclQuote(s string) string {
	b := []byte(strconv.Quote(s))
	b = bytes.ReplaceAll(b, []byte("${"), []byte("$${"))
	return string(bytes.ReplaceAll(b, []byte("%{"), []byte("%%{")))
}

// create writes a file that must not be there yet.
func create(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func nextSteps(w io.Writer, p place) error {
	account := " -o sealward -g sealward"
	if p.Private {
		account = ""
	}
	_, err := fmt.Fprintf(w, `wrote %[1]s
wrote %[2]s

Next:

1. Look into %[1]s: the token's module and label.
   To try it with SoftHSM (apt-get install softhsm2 opensc):
     softhsm2-util --init-token --free --label sealward
   The daemon's account must be able to read the token. SoftHSM's are files that
   belong to who made them; a user's own need a softhsm2.conf and SOFTHSM2_CONF.

2. Put the PIN on one line into %[3]s, which is the daemon's alone:
     install -m 0600%[5]s /dev/null %[3]s && editor %[3]s

3. Make the keys in the token:
     pkcs11-tool --module %[4]s --token-label sealward --login \
       --keypairgen --key-type EC:secp256k1 --label hot --id 01 --sensitive
     pkcs11-tool --module %[4]s --token-label sealward --login \
       --keypairgen --key-type EC:prime256v1 --label journal --id 02 --sensitive

4. Put whom you pay into %[2]s, and check it:
     sealward policy validate %[2]s

5. Ask whether the daemon would start, and start it:
     sealwardd --check-config --config %[1]s
`, console.Safe(p.Config), console.Safe(p.Policy), console.Safe(p.PIN), console.Safe(p.Module), account)
	if err != nil {
		return err
	}
	start := "systemctl enable --now sealwardd-sign.socket sealwardd-admin.socket sealwardd"
	if p.Private {
		start = "sealwardd --config " + p.Config
	}
	_, err = fmt.Fprintf(w, `     %s
     sealward%s status

The manuals are docs/policy.md (what may be signed), docs/operations.md (running
it), docs/cli.md and docs/api.md (asking it).
`, console.Safe(start), console.Safe(p.SocketsFlag))
	return err
}
