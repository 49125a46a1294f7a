package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
)

// approverConfig is what an approver keeps on her own machine: where the daemon is, which
// it is, what she signs with, and which key it is that she knows by which name.
const approverConfig = `version  = 1
name     = %q
instance = %q
socket   = "daemon.sock"
book     = "names.hcl"
key "hot" { fingerprint = %q }
key "cold" { fingerprint = %q }
`

const namesBook = hostAssets + `
addresses "vendors" {
  entries = { "eip155:1:` + payee + `" = "Acme", "eip155:31337:` + payee + `" = "Acme, on the chain for trying" }
}
`

// pinentryScript asks nobody: it has the PIN that lies beside it, and keeps what it was
// asked for.
const pinentryScript = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
echo OK
while read -r word rest; do
	case "$word" in
	SETDESC) echo "$rest" >>asked; echo OK ;;
	GETPIN) echo "D $(cat pin)"; echo OK ;;
	*) echo OK ;;
	esac
done
`

// configure lays out an approver's own files.
func (p *holder) configure(o *office) {
	p.t.Helper()
	text := fmt.Sprintf(approverConfig, p.name, o.status().GetInstance(), o.public("hot").Fingerprint(), o.public("cold").Fingerprint())
	card := fmt.Sprintf("device {\n  piv {\n    serial = %d\n    slot   = %q\n    socket = \"reader/pcscd.comm\"\n  }\n}\n", p.serial, slot)
	p.write("approver.hcl", text+card)
	p.write("laptop.hcl", text+"device {\n  ssh { key = \"laptop\" }\n}\n")
	p.write("offline.hcl", strings.Replace(text, `"daemon.sock"`, `"no.sock"`, 1)+card)
	p.write("names.hcl", namesBook)
	p.write("pin", sim.CardPIN)
	p.write("pinentry", pinentryScript)
	must(p.t, os.Chmod(p.path("pinentry"), 0o700))
}

// sealward runs the approver's program, on her machine, with a configuration of hers.
func (p *holder) sealward(config string, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	bin, err := buildPrograms()
	must(p.t, err)
	if config != "" {
		args = append(args, "--config", p.path(config))
	}
	if config != "" && args[0] != "request" { // which asks for no PIN
		args = append(args, "--pinentry", p.path("pinentry"))
	}
	cmd := exec.Command(filepath.Join(bin, "sealward"), args...)
	var out strings.Builder
	errs := reading{touch: p.touch}
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, p.dir
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// reading is what an approver is told. She reads it as it comes.
type reading struct {
	strings.Builder
	touch func() // nil: she was told to touch her card before
}

func (s *reading) Write(b []byte) (int, error) {
	n, err := s.Builder.Write(b)
	if s.touch != nil && strings.Contains(s.String(), "touch your key now") {
		s.touch()
		s.touch = nil
	}
	return n, err
}

// runsWith runs it, and it has to succeed.
func (p *holder) runsWith(config string, args ...string) (stdout, stderr string) {
	p.t.Helper()
	code, stdout, stderr := p.sealward(config, args...)
	if code != 0 {
		p.t.Fatalf("%s's sealward %q ends with %d:\n%s%s", p.name, args, code, stdout, stderr)
	}
	return stdout, stderr
}

func (p *holder) runs(args ...string) (stdout string) {
	p.t.Helper()
	stdout, _ = p.runsWith("approver.hcl", args...)
	return stdout
}

func (p *holder) approves(proposal string) {
	p.t.Helper()
	contains(p.t, "what "+p.name+" reads", p.runs("approve", "--yes", proposal), "approved by "+p.name)
}

// approvesInAFile has the request exported, and approved where there is no connection. It
// returns what was signed, which nobody has handed in.
func (p *holder) approvesInAFile(proposal string, flags ...string) (signed []byte) {
	p.t.Helper()
	request, out := proposal+".request", proposal+".signed"
	p.runs("request", "export", proposal, p.path(request))
	p.runsWith("offline.hcl", append([]string{"approve", "--yes", proposal, "--file", p.path(request), "--out", p.path(out)}, flags...)...)
	return []byte(strings.TrimSuffix(p.read(out), "\n"))
}

// refused checks that what somebody asks of the program is refused, and why.
func (p *holder) refused(why string, args ...string) {
	p.t.Helper()
	code, stdout, stderr := p.sealward("approver.hcl", args...)
	if code == 0 || !strings.Contains(stderr, why) {
		p.t.Errorf("%s's sealward %q ends with %d:\n%s%s\nwant a refusal that says %q", p.name, args, code, stdout, stderr, why)
	}
}

// known hands in a statement that is on record, over somebody's socket: whose it is, its
// signature says. It changes nothing.
func (o *office) known(by *holder, signed []byte) {
	o.t.Helper()
	client := api.Dial(by.path("daemon.sock"))
	defer client.Close()
	from := o.size()
	if res, err := client.PostApproval(context.Background(), signed); err != nil || !res.GetPrior() || o.size() != from {
		o.t.Errorf("posted again, it is %v, %v, and the journal grew from %d to %d; want what is on record", res, err, from, o.size())
	}
}
