package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer/intent/evm"
)

const demoPolicy = policyText + devicesPolicy

// demo shows the main job with the programs as they are, and checks what they
// print: a demonstration that shows the wrong thing is an error.
func demo(bin string, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	parent, err := os.MkdirTemp("", "sealward-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(parent)) }()
	s := &show{ctx: ctx, out: out, bin: bin, dir: filepath.Join(parent, "host")}
	s.say("A hot wallet with a key in a token, on a machine without any hardware.\n" +
		"The devices are programs, and all is in a private folder that is removed at the end.")
	if s.devices, err = sim.StartDevices(s.dir, cardSerial); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.devices.Stop()) }()
	_, made, err := makeDevices(ctx, bin, s.dir, s.devices, configText+devicesConfig, demoPolicy, upKeys)
	if err != nil {
		return err
	}
	address, err := evm.Address(made["hot"])
	if err != nil {
		return err
	}
	if err := writeExamples(s.dir); err != nil {
		return err
	}
	s.say("1. The token (SoftHSM) has made a secp256k1 key, \"hot\", that it does not give away.\n   Its Ethereum address is " + address + ".")
	if err := s.startDaemon(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stopDaemon()) }()
	if err = s.steps(address); err == nil {
		err = treasury(ctx, bin, filepath.Join(parent, "treasury"), out)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err == nil {
		s.say("That was Sealward. README.md says how to go on; docs/policy.md teaches the policy language.")
	}
	return err
}

// show runs the programs on one set-up and tells what they do.
type show struct {
	ctx      context.Context // until somebody interrupts the show
	out      io.Writer
	bin, dir string
	devices  *sim.Devices
	daemon   *exec.Cmd
	log      bytes.Buffer // of the daemon; read after it ended
	ended    chan error
	brief    bool     // show only the lines that matter
	shown    []string // which these are, by their beginnings; nil: the line that is checked
}

func (s *show) say(text string) { fmt.Fprintf(s.out, "\n%s\n\n", text) }

func (s *show) steps(address string) error {
	s.say("2. sealwardd is running. A wallet program asks for a payout of 0.1 eth to a vendor.\n   First, what would it do?")
	if _, err := s.sealward(0, "SENDS", "inspect", "--kind", "evm.transaction", "--key", "hot", s.example("payout.json")); err != nil {
		return err
	}
	s.say("   Policy allows it, so it is recorded, then signed in the token, then verified:")
	raw, err := s.sealward(0, "0x02", "sign", "--kind", "evm.transaction", "--key", "hot", "--id", "payout-1", s.example("payout.json"))
	if err != nil {
		return err
	}
	sender, err := recoverSender(raw)
	if err != nil {
		return err
	}
	if sender != address {
		return fmt.Errorf("the signed transaction is from %s, not from %s", sender, address)
	}
	s.say("   Its sender, recovered from the signature alone: " + sender + ". That is our key.")

	s.brief = true
	s.say("3. A second payout, of 1.9 eth, is within the limit for each and within the day's:")
	if _, err := s.sealward(0, "0x02", "sign", "--kind", "evm.transaction", "--key", "hot", "--id", "payout-2", s.example("large.json")); err != nil {
		return err
	}
	s.say("   Once more, under another request id: that would be above 3 eth a day, so it is refused.")
	if _, err := s.sealward(3, "denied", "sign", "--kind", "evm.transaction", "--key", "hot", "--id", "payout-3", s.example("large.json")); err != nil {
		return err
	}
	if _, err := s.sealward(0, "a day", "limits"); err != nil {
		return err
	}
	s.say("   Asking again with an id that was answered gets the same answer, and spends nothing:")
	again, err := s.sealward(0, "0x02", "sign", "--kind", "evm.transaction", "--key", "hot", "--id", "payout-1", s.example("payout.json"))
	if err != nil {
		return err
	}
	if again != raw {
		return errors.New("the same request got another answer")
	}

	s.say("4. A thief's favourite: an unlimited token approval. It moves nothing today, and all of it later.")
	if _, err := s.sealward(3, "standing token permissions are not allowed", "sign", "--kind", "evm.transaction", "--key", "hot", "--id", "approval-1", s.example("approval.json")); err != nil {
		return err
	}
	s.say("   What emptied a large Safe in 2025: to every screen a transfer, in truth foreign code that runs as the Safe.")
	if _, err := s.sealward(0, "DELEGATECALL", "inspect", "--kind", "evm.typed_data", "--key", "hot", "--policy", filepath.Join(s.dir, "policy.hcl"), s.example("safe.json")); err != nil {
		return err
	}
	if _, err := s.sealward(3, "foreign code is not given power", "sign", "--kind", "evm.typed_data", "--key", "hot", "--id", "safe-1", s.example("safe.json")); err != nil {
		return err
	}
	if err := s.tamper(); err != nil {
		return err
	}
	if err := s.journal(); err != nil {
		return err
	}
	if err := s.threeDevices(); err != nil {
		return err
	}
	return s.pullCard()
}

// journal shows all of it.
func (s *show) journal() error {
	s.brief = false
	defer func() { s.brief = true }()
	s.say("6. All of it is in the journal, a Merkle tree whose root the journal's key signs:")
	if _, err := s.sealward(0, "authorized", "journal", "show"); err != nil {
		return err
	}
	_, err := s.sealward(0, "intact", "journal", "verify")
	return err
}

// tamper changes the policy behind the owner's back, in two ways.
func (s *show) tamper() error {
	policy := filepath.Join(s.dir, "policy.hcl")
	s.say("5. Somebody raises the limit to 3000 eth a day, in a policy file left writable for all.\n   The daemon is told to reload it, and refuses; the old policy stays in force:")
	raised := strings.Replace(demoPolicy, `"3 eth"`, `"3000 eth"`, 1)
	if err := s.reloadWith(policy, raised, 0o666); err != nil {
		return err
	}
	if _, err := s.sealward(7, "chmod", "status"); err != nil {
		return err
	}
	s.say("   A misspelt name would silently switch a rule off elsewhere. Here it stops the load:")
	misspelt := strings.Replace(demoPolicy, "e.counterparty", "e.counterprty", 1)
	if err := s.reloadWith(policy, misspelt, 0o600); err != nil {
		return err
	}
	if _, err := s.sealward(7, "counterprty", "status"); err != nil {
		return err
	}
	return s.reloadWith(policy, demoPolicy, 0o600)
}

func (s *show) reloadWith(path, text string, mode os.FileMode) error {
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil { // the umask had a say in the mode
		return err
	}
	if err := s.daemon.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond) // a reload has no answer; status tells
	return nil
}

// sealward runs the command line as a caller would, shows what it prints, and
// checks its exit code and that a text is in what it prints. It returns standard
// output.
func (s *show) sealward(code int, want string, args ...string) (string, error) {
	stdout, all, err := s.run(s.command(args...), code, want, args)
	s.print("", want, all, args)
	return stdout, err
}

// eventually runs the command line until it prints what it is to print, and shows
// that only.
func (s *show) eventually(code int, want string, args ...string) (string, error) {
	begun := time.Now()
	for {
		stdout, all, err := s.run(s.command(args...), code, want, args)
		if err == nil || s.ctx.Err() != nil || time.Since(begun) > 10*time.Second {
			s.print("", want, all, args)
			return stdout, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *show) run(cmd *exec.Cmd, code int, want string, args []string) (out, all string, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	all = stderr.String() + stdout.String()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !exit.Exited()) {
		return "", all, err
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		return "", all, fmt.Errorf("sealward %s: exit code %d, want %d", args[0], got, code)
	}
	if !strings.Contains(all, want) {
		return "", all, fmt.Errorf("sealward %s: it does not print %q", args[0], want)
	}
	return strings.TrimSpace(stdout.String()), all, nil
}

// print shows what somebody typed, and what came of it.
func (s *show) print(who, want, all string, args []string) {
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = strings.Replace(a, s.dir+"/", "", 1)
		if strings.Contains(shown[i], " ") {
			shown[i] = "'" + shown[i] + "'"
		}
	}
	fmt.Fprintf(s.out, "   %s$ sealward %s\n", who, strings.Join(shown, " "))
	left := 0
	for line := range strings.Lines(all) {
		if s.brief && !s.matters(line, want) {
			left++
			continue
		}
		fmt.Fprint(s.out, "     ", strings.ReplaceAll(line, s.dir+"/", ""))
	}
	if left > 0 {
		fmt.Fprintf(s.out, "     (and %d more lines)\n", left)
	}
	fmt.Fprintln(s.out)
}

func (s *show) command(args ...string) *exec.Cmd {
	return exec.CommandContext(s.ctx, filepath.Join(s.bin, "sealward"), append([]string{"--sockets", s.dir}, args...)...)
}

// matters reports whether a line is shown in a brief show.
func (s *show) matters(line, want string) bool {
	if s.shown == nil {
		return strings.Contains(line, want)
	}
	return slices.ContainsFunc(s.shown, func(begin string) bool { return strings.HasPrefix(line, begin) })
}

func (s *show) startDaemon() (err error) {
	if s.daemon, err = daemonCommand(s.bin, s.dir); err != nil {
		return err
	}
	s.daemon.Stdout, s.daemon.Stderr = &s.log, &s.log
	if err := s.daemon.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.daemon.Wait() }()
	if err := waitFor(filepath.Join(s.dir, "sign.sock"), s.ended); err != nil {
		return fmt.Errorf("%w\n%s", err, s.log.String())
	}
	return nil
}

func (s *show) stopDaemon() error {
	if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) { // it was interrupted, too
		return err
	}
	select {
	case err := <-s.ended:
		if err != nil {
			return fmt.Errorf("sealwardd: %w\n%s", err, s.log.String())
		}
		return nil
	case <-time.After(40 * time.Second):
		return errors.Join(errors.New("sealwardd does not stop"), s.daemon.Process.Kill())
	}
}

// recoverSender reads the address out of a raw signed transaction (EIP-2718).
func recoverSender(raw string) (string, error) {
	data, err := hex.DecodeString(strings.TrimPrefix(raw, "0x"))
	if err != nil {
		return "", fmt.Errorf("sealward sign printed no transaction: %w", err)
	}
	var tx types.Transaction
	if err := tx.UnmarshalBinary(data); err != nil {
		return "", err
	}
	from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), &tx)
	if err != nil {
		return "", err
	}
	return from.Hex(), nil
}
