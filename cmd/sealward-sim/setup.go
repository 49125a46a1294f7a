package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	tokenLabel = "sealward-sim"
	pin        = "1234" // of a simulation
)

const configText = `# A set-up to try Sealward with, made by sealward-sim. The keys are in a software
# token in this folder, so they are worth what this folder's permissions are worth.
version = 1
private = true # the daemon's own account may ask; on a real host it may not
policy  = "policy.hcl"

# Whoever can write policy.hcl may change the policy: a reload puts it in force. On a real
# host, leave that to a request which the policy decides (sealward policy apply).
trust_policy_file = true

journal {
  path = "journal/journal.db"
  key  = "journal"
}

socket "sign" {
  path = "sign.sock"
  mode = "0600"
}

socket "admin" {
  path = "admin.sock"
  mode = "0600"
}

metrics {
  path = "metrics.sock"
  mode = "0600"
}

token "softhsm" {
  environment = { SOFTHSM2_CONF = %q }
  writable    = ["softhsm"]
  pkcs11 {
    module   = %q
    uri      = %q
    pin_file = "pin"
  }
}

key "hot" {
  token  = "softhsm"
  uri    = "pkcs11:object=hot"
  kinds  = ["evm.transaction", "evm.typed_data", "evm.message"]
  chains = ["eip155:1", "eip155:31337"]
}

key "journal" {
  token      = "softhsm"
  uri        = "pkcs11:object=journal"
  statements = true
}
`

const policyText = `# Who may have what signed, and up to how much. docs/policy.md teaches the language.
version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}

asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}

addresses "vendors" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
  }
}

# A Safe of which the key is an owner.
contract "treasury" {
  account = "eip155:1:0x4F2083f5fBede34C2714aFfb3105539775f7FE64"
  kind    = "safe"
}

# Payments to vendors: at most 2 eth each and 3 eth a day, fees included.
rule "vendor payouts" {
  keys  = ["hot"]
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  allow = true

  limit "each" {
    amount = "2 eth"
  }
  limit "a day" {
    amount = "3 eth"
    window = "24h"
  }
  limit "stablecoins a day" {
    amount = "5000 usdc"
    window = "24h"
  }
}

rule "no standing permissions" {
  when = "effects.exists(e, e.class == 'allowance')"
  deny = "standing token permissions are not allowed"
}

rule "no foreign code" {
  when = "effects.exists(e, e.class in ['delegatecall', 'delegation', 'control'])"
  deny = "foreign code is not given power over an account"
}
`

// examples are payloads as a wallet's eth_signTransaction would have them, and a digest.
var examples = map[string]string{
	"payout.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x0", "to": "0x52908400098527886E0F7030069857D2E4169EE7",
 "value": "0x16345785d8a0000", "gas": "0x5208", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
	// 1.9 eth: within the limit for each, and two of them are above the day's.
	"large.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x1", "to": "0x52908400098527886E0F7030069857D2E4169EE7",
 "value": "0x1a5e27eef13e0000", "gas": "0x5208", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
	// 50 eth, for the key "treasury".
	"treasury.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x0", "to": "0x52908400098527886E0F7030069857D2E4169EE7",
 "value": "0x2b5e3af16b1880000", "gas": "0x5208", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
	"approval.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x3", "to": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "value": "0x0",
 "data": "0x095ea7b3000000000000000000000000000000000022d473030f116ddee9f6b43ac78ba3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
 "gas": "0xea60", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
	// What a Safe's owner is asked to agree to: to every screen that goes by the first four
	// bytes a transfer of nothing, and in truth code of somebody's that runs as the Safe.
	"safe.json": `{"types": {
  "EIP712Domain": [{"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],
  "SafeTx": [{"name": "to", "type": "address"}, {"name": "value", "type": "uint256"}, {"name": "data", "type": "bytes"},
   {"name": "operation", "type": "uint8"}, {"name": "safeTxGas", "type": "uint256"}, {"name": "baseGas", "type": "uint256"},
   {"name": "gasPrice", "type": "uint256"}, {"name": "gasToken", "type": "address"},
   {"name": "refundReceiver", "type": "address"}, {"name": "nonce", "type": "uint256"}]},
 "primaryType": "SafeTx",
 "domain": {"chainId": 1, "verifyingContract": "0x4F2083f5fBede34C2714aFfb3105539775f7FE64"},
 "message": {"to": "0x96221423681A6d52E184D440a8eFCEbB105C7242", "value": "0",
  "data": "0xa9059cbb000000000000000000000000bdd077f651ebe7f7b3ce16fe5f2b025be29695160000000000000000000000000000000000000000000000000000000000000000",
  "operation": "1", "safeTxGas": "45746", "baseGas": "0", "gasPrice": "0",
  "gasToken": "0x0000000000000000000000000000000000000000", "refundReceiver": "0x0000000000000000000000000000000000000000", "nonce": "71"}}
`,
	"release.sha256": "\xa5\x1c\x0d\x55\x5f\x23\x9c\x52\x29\x85\x1c\xd0\x55\x8e\x0a\x92\x4d\x74\x35\xe4\x53\x92\xab\x0f\x81\x67\x2b\x7b\xd9\x26\xa8\x04",
}

// initialise makes a complete set-up in a folder that is not there yet.
func initialise(bin, dir string) error {
	made, people, err := setUp(bin, dir, configText)
	if err != nil {
		return err
	}
	address, err := evm.Address(made["hot"])
	if err != nil {
		return err
	}
	// Approvers have to know which daemon it is, and its journal says that, which it makes.
	s := &show{ctx: context.Background(), bin: bin, dir: dir}
	if err := s.startDaemon(); err != nil {
		return err
	}
	if err := errors.Join(introduce(dir, people, made["treasury"]), s.stopDaemon()); err != nil {
		return err
	}
	fmt.Printf(`made %s: a software token with the keys hot (%s), treasury and journal,
sealward.hcl, policy.hcl, and payloads to try under examples/. Who approves what the treasury pays
has a software token, too, and an approver.hcl: under alice/ and bob/. Every PIN is %s.
`, dir, address, pin)
	return nil
}

// setUp makes a set-up whose treasury is of two people, whose tokens it returns.
func setUp(bin, dir, config string) (made map[string]signer.PublicKey, people map[string]*sim.SoftHSMToken, err error) {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil, nil, fmt.Errorf("%s exists; name a folder that does not", dir)
	} else if err != nil {
		return nil, nil, err
	}
	keys := []sim.KeyToMake{
		{Label: "hot", Algorithm: signer.AlgorithmSecp256k1}, {Label: "journal", Algorithm: signer.AlgorithmEd25519}, {Label: "treasury", Algorithm: signer.AlgorithmSecp256k1},
	}
	if _, made, err = makeHost(bin, dir, config+treasuryConfig, policyText+treasuryPolicy, keys); err != nil {
		return nil, nil, err
	}
	if people, err = enrol(bin, dir, "alice", "bob"); err != nil {
		return nil, nil, err
	}
	return made, people, writeExamples(dir)
}

// writeExamples writes payloads to try.
func writeExamples(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "examples"), 0o700); err != nil {
		return err
	}
	for name, text := range examples {
		if err := os.WriteFile(filepath.Join(dir, "examples", name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// makeHost makes a token with keys, a configuration (of SoftHSM's configuration, a
// module and a token's URI), a policy, a PIN and a folder for the journal, in a folder
// that is there. It returns the public keys by label.
func makeHost(bin, dir, config, policy string, keys []sim.KeyToMake) (*sim.SoftHSMToken, map[string]signer.PublicKey, error) {
	token, err := sim.SoftHSM(filepath.Join(dir, "softhsm"), tokenLabel, pin)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "journal"), 0o700); err != nil {
		return nil, nil, err
	}
	for name, text := range map[string]string{
		"sealward.hcl": fmt.Sprintf(config, token.Conf, token.Module, token.URI), "policy.hcl": policy, "pin": pin + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, nil, err
		}
	}
	worker, err := program(bin, "sealward-worker")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	made, err := token.MakeKeys(ctx, worker, filepath.Join(dir, "pin-setup.json"), keys)
	return token, made, err
}

// program is one of those that were built.
func program(bin, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(bin, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not there; run `make build`, or name its folder with --bin", path)
	}
	return path, nil
}

// daemonCommand is sealwardd on a set-up, not started yet.
func daemonCommand(bin, dir string) (*exec.Cmd, error) {
	daemon, err := program(bin, "sealwardd")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(daemon, "--config", filepath.Join(dir, "sealward.hcl"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // an interrupted demo leaves no daemon running
	return cmd, nil
}

// runDaemon runs sealwardd on a set-up until it ends, and passes signals on.
func runDaemon(bin, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	cmd, err := daemonCommand(bin, dir)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended just now
		}
	}()
	pidFile := filepath.Join(dir, "sealwardd.pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600); err != nil {
		return errors.Join(err, cmd.Process.Kill())
	}
	err = cmd.Wait()
	return errors.Join(err, os.Remove(pidFile))
}

// waitFor returns once the daemon answers on a socket, or has ended.
func waitFor(socket string, ended <-chan error) error {
	client := api.Dial(socket)
	deadline := time.After(20 * time.Second)
	for {
		_, err := client.Status(context.Background())
		if err == nil {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("sealwardd ended instead of answering: %w", err)
		case <-deadline:
			return fmt.Errorf("sealwardd does not answer on %s: %w", socket, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
