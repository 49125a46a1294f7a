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

	"github.com/sealward/sealward/backends/pkcs11"
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
  pkcs11 {
    module   = %q
    uri      = %q
    pin_file = "pin"
  }
}

key "hot" {
  token  = "softhsm"
  uri    = "pkcs11:object=hot"
  kinds  = ["evm.transaction", "evm.message"]
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
`

// examples are payloads as a wallet's eth_signTransaction would have them.
var examples = map[string]string{
	"payout.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x0", "to": "0x52908400098527886E0F7030069857D2E4169EE7",
 "value": "0x16345785d8a0000", "gas": "0x5208", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
	// 1.9 eth: within the limit for each, and two of them are above the day's.
	"large.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x1", "to": "0x52908400098527886E0F7030069857D2E4169EE7",
 "value": "0x1a5e27eef13e0000", "gas": "0x5208", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
	"approval.json": `{"type": "0x2", "chainId": "0x1", "nonce": "0x3", "to": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "value": "0x0",
 "data": "0x095ea7b3000000000000000000000000000000000022d473030f116ddee9f6b43ac78ba3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
 "gas": "0xea60", "maxFeePerGas": "0x6fc23ac00", "maxPriorityFeePerGas": "0x3b9aca00", "accessList": []}
`,
}

// initialise makes a complete set-up in a folder that is not there yet.
func initialise(dir string) error {
	address, err := setUp(dir)
	if err != nil {
		return err
	}
	fmt.Printf("made %s: a software token with the keys hot (%s) and journal,\nsealward.hcl, policy.hcl, and payloads to try under examples/\n", dir, address)
	return nil
}

func setUp(dir string) (address string, err error) {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s exists; name a folder that does not", dir)
	} else if err != nil {
		return "", err
	}
	keys := []keyToMake{{"hot", signer.AlgorithmSecp256k1}, {"journal", signer.AlgorithmEd25519}}
	_, made, err := makeHost(dir, configText, policyText, keys)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "examples"), 0o700); err != nil {
		return "", err
	}
	for name, text := range examples {
		if err := os.WriteFile(filepath.Join(dir, "examples", name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return evm.Address(made["hot"])
}

// keyToMake is a key that a token is to make.
type keyToMake struct {
	label     string
	algorithm signer.Algorithm
}

// makeHost makes a token with keys, a configuration (of a module and a token's URI),
// a policy, a PIN and a folder for the journal, in a folder that is there. It returns
// the public keys by label.
func makeHost(dir, config, policy string, keys []keyToMake) (*sim.SoftHSMToken, map[string]signer.PublicKey, error) {
	token, err := sim.SoftHSM(filepath.Join(dir, "softhsm"), tokenLabel, pin)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "journal"), 0o700); err != nil {
		return nil, nil, err
	}
	for name, text := range map[string]string{
		"sealward.hcl": fmt.Sprintf(config, token.Module, token.URI), "policy.hcl": policy, "pin": pin + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, nil, err
		}
	}
	made, err := makeKeys(token, keys)
	return token, made, err
}

// makeKeys opens the token in this process and closes it again.
func makeKeys(token *sim.SoftHSMToken, keys []keyToMake) (made map[string]signer.PublicKey, err error) {
	if err := token.Use(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	t, err := pkcs11.Open(ctx, pkcs11.Config{
		Name: tokenLabel, Module: token.Module, TokenURI: token.URI, PIN: func() ([]byte, error) { return []byte(pin), nil },
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	made = map[string]signer.PublicKey{}
	for i, k := range keys {
		key, err := t.Generate(ctx, k.label, []byte{byte(i + 1)}, k.algorithm)
		if err != nil {
			return nil, err
		}
		made[k.label] = key.Public()
	}
	return made, nil
}

// daemonCommand is sealwardd on a set-up, not started yet.
func daemonCommand(bin, dir string) (*exec.Cmd, error) {
	program, err := filepath.Abs(filepath.Join(bin, "sealwardd"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%s is not there; run `make build`, or name its folder with --bin", program)
	}
	cmd := exec.Command(program, "--config", filepath.Join(dir, "sealward.hcl"))
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "softhsm", "softhsm2.conf"))
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
