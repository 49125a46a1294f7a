package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// office is a host that does not trust its policy file, and the people whom its policy
// asks. Each of them runs a program of their own, with their own files and token.
type office struct {
	*show
	made   map[string]signer.PublicKey
	people map[string]*sim.SoftHSMToken
}

// fingers stand for those of a person who types a PIN: a pinentry program (Assuan) that
// asks nobody.
const fingers = `#!/bin/sh
echo OK
while read -r word rest; do
	case "$word" in
	GETPIN) echo "D ` + pin + `" ;;
	esac
	echo OK
done
`

// treasury shows what people agree to, in a folder that is not there yet.
func treasury(ctx context.Context, bin, dir string, out io.Writer) (err error) {
	o := &office{show: &show{ctx: ctx, out: out, bin: bin, dir: dir, brief: true}}
	o.say("9. Another host: a treasury. What its key pays waits for two people, alice and bob. Each has a token\n" +
		"   and a program of their own, which knows the daemon, the key and the recipients by their own files.")
	config := strings.Replace(configText, "trust_policy_file = true", "trust_policy_file = false", 1)
	if o.made, o.people, err = setUp(bin, dir, config); err != nil {
		return err
	}
	if err := o.startDaemon(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.stopDaemon()) }()
	if err := errors.Join(introduce(dir, o.people, o.made["treasury"]), o.hire("alice", "bob")); err != nil {
		return err
	}
	for _, story := range []func() error{o.payout, o.change, o.freeze} {
		if err := story(); err != nil {
			return err
		}
	}
	o.shown = nil
	o.say("   The journal has all of it, with what each of them signed, for whoever wants to see it proven later:")
	_, err = o.sealward(0, "approvals, rejections and withdrawals", "journal", "verify")
	return err
}

// hire gives people somebody who types their PIN.
func (o *office) hire(names ...string) error {
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(o.dir, name, "pinentry"), []byte(fingers), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// as runs the program of one of them.
func (o *office) as(name string, want string, args ...string) error {
	own := []string{"--config", filepath.Join(o.dir, name, "approver.hcl")}
	if args[0] != "request" { // which asks for no PIN
		own = append(own, "--pinentry", filepath.Join(o.dir, name, "pinentry"))
	}
	_, all, err := o.run(exec.CommandContext(o.ctx, filepath.Join(o.bin, "sealward"), append(own, args...)...), 0, want, args)
	o.print(name+" ", want, all, args)
	return err
}

var proposalLine = regexp.MustCompile(`(?m)^proposal +([0-9a-f]{64})$`)

// waits asks for what has to wait, and returns the digest of its proposal.
func (o *office) waits(args ...string) (digest string, err error) {
	const exitWaiting, want = 8, "it waits"
	_, all, err := o.run(o.command(args...), exitWaiting, want, args)
	o.print("", want, all, args)
	if err != nil {
		return "", err
	}
	found := proposalLine.FindStringSubmatch(all)
	if found == nil {
		return "", errors.New("it does not say what the digest of the proposal is")
	}
	return found[1], nil
}

// agree has people approve a proposal, each with their own token.
func (o *office) agree(digest string, names ...string) error {
	o.shown = []string{"approved by ", "2 of "}
	for _, name := range names {
		if err := o.as(name, "approved by "+name, "approve", "--yes", digest); err != nil {
			return err
		}
	}
	return nil
}

// payout pays an amount that two people agree to.
func (o *office) payout() error {
	ask := []string{"sign", "--kind", "evm.transaction", "--key", "treasury", "--id", "rent-2026", o.example("treasury.json")}
	o.shown = []string{"it waits", "proposal ", "2 of "}
	digest, err := o.waits(ask...)
	if err != nil {
		return err
	}
	o.say("   Alice looks at it. Her program has the bytes, and reads them for itself:")
	o.shown = []string{"RISK ", "             (", "SENDS ", "         to "}
	if err := o.as("alice", "Acme Hosting", "request", "show", digest); err != nil {
		return err
	}
	o.say("   Each signs the digest of that very proposal with their token (both have a program type their PIN here):")
	if err := o.agree(digest, "alice", "bob"); err != nil {
		return err
	}
	o.say("   Whoever asked gets the signature by asking again:")
	o.shown = []string{"0x", "signed with"}
	raw, err := o.eventually(0, "0x02", ask...)
	if err != nil {
		return err
	}
	sender, err := recoverSender(raw)
	if err != nil {
		return err
	}
	if address, err := evm.Address(o.made["treasury"]); err != nil || sender != address {
		return errors.Join(err, fmt.Errorf("the signed transaction is from %s, not from the treasury, %s", sender, address))
	}
	return nil
}

// change lets a third person in, which two have to agree to.
func (o *office) change() error {
	o.say("10. Carol is to be one of them. Somebody writes that into the policy file, and has the daemon reload it.\n" +
		"    That changes nothing: this host does not trust the file.")
	enrolled, err := enrol(o.bin, o.dir, "carol")
	if err != nil {
		return err
	}
	with := strings.Replace(policyText+treasuryPolicy, `members = ["alice", "bob"]`, `members = ["alice", "bob", "carol"]`, 1) +
		"\napprover \"carol\" {\n  certificate = \"carol/certificate.pem\"\n}\n"
	if err := os.WriteFile(filepath.Join(o.dir, "policy.hcl"), []byte(with), 0o600); err != nil {
		return err
	}
	if err := o.daemon.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	o.shown = []string{"policy refused"}
	if _, err := o.eventually(7, "does not trust its policy file", "status"); err != nil {
		return err
	}
	o.say("    So it is asked for, and waits like a payment. Each approver is shown what it would change:")
	o.shown = []string{"loosens ", "changes ", "it waits", "proposal ", "2 of "}
	digest, err := o.waits("policy", "apply", "--config", filepath.Join(o.dir, "sealward.hcl"), "--id", "let-carol-in", "--reason", "carol joins the treasury")
	if err != nil {
		return err
	}
	if err := o.agree(digest, "alice", "bob"); err != nil {
		return err
	}
	o.shown = nil
	_, err = o.eventually(0, "change ", "policy", "history")
	return errors.Join(err, introduce(o.dir, enrolled, o.made["treasury"]), o.hire("carol"))
}

// freeze stops everything, and starts it again.
func (o *office) freeze() error {
	o.say("11. Bob sees something that he does not like. One person is enough to stop everything, at once:")
	o.shown = []string{"frozen", "nothing was"}
	if err := o.as("bob", "frozen", "freeze", "--sign", "--reason", "payments that nobody here knows of"); err != nil {
		return err
	}
	if err := errors.Join(o.stopDaemon(), o.startDaemon()); err != nil {
		return err
	}
	pay := []string{"sign", "--kind", "evm.transaction", "--key", "hot", "--id", "payout-1", o.example("payout.json")}
	o.say("    The daemon is restarted, and that changes nothing: a payment that policy would allow is not signed.")
	o.shown = []string{"sealward: "}
	if _, err := o.sealward(5, "frozen: nothing is signed or released", pay...); err != nil {
		return err
	}
	o.say("    To go on takes two of them. Carol counts now:")
	o.shown = []string{"it waits", "proposal ", "2 of "}
	digest, err := o.waits("thaw", "--id", "thaw-1", "--reason", "they were for the auditors")
	if err != nil {
		return err
	}
	if err := o.agree(digest, "carol", "alice"); err != nil {
		return err
	}
	o.shown = []string{"0x", "signed with"}
	_, err = o.eventually(0, "0x02", pay...)
	return err
}
