package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// benchConfig is a configuration as a host has it: the defaults for all that has
// one.
const benchConfig = `version = 1
private = true
policy  = "policy.hcl"

journal {
  path = "journal/journal.db"
  key  = "journal"
}

socket "sign" {
  path = "sign.sock"
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

key "secp256k1" {
  token  = "softhsm"
  uri    = "pkcs11:object=secp256k1"
  kinds  = ["evm.transaction"]
  chains = ["eip155:1"]
}

key "p256" {
  token = "softhsm"
  uri   = "pkcs11:object=p256"
  kinds = ["digest"]
}

key "journal" {
  token      = "softhsm"
  uri        = "pkcs11:object=journal"
  statements = true
}
`

// benchPolicy looks at every payment as an owner would, and has limits that are
// counted and durable but admit everything.
const benchPolicy = `version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}

addresses "vendors" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
    "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D" = "Initech"
  }
}

rule "vendor payouts" {
  keys  = ["secp256k1"]
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  allow = true

  limit "each" {
    amount = "2 eth"
  }
  limit "a day" {
    amount = "100000000 eth"
    window = "24h"
  }
}

rule "digests" {
  keys  = ["p256"]
  blind = ["opaque"]
  allow = true

  limit "a day" {
    count  = 1000000000
    window = "24h"
  }
}

rule "no standing permissions" {
  when = "effects.exists(e, e.class == 'allowance')"
  deny = "standing token permissions are not allowed"
}
`

// benchKeys are the keys of the set-up.
var benchKeys = []struct {
	label     string
	algorithm signer.Algorithm
}{{"p256", signer.AlgorithmP256}, {"secp256k1", signer.AlgorithmSecp256k1}, {"journal", signer.AlgorithmEd25519}}

// setUpBench makes the set-up in an empty folder. This process opens the token
// here and closes it again.
func setUpBench(dir string) (token *sim.SoftHSMToken, err error) {
	if token, err = sim.SoftHSM(filepath.Join(dir, "softhsm"), tokenLabel, pin); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "journal"), 0o700); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"sealward.hcl": fmt.Sprintf(benchConfig, token.Module, token.URI), "policy.hcl": benchPolicy, "pin": pin + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
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
	for i, k := range benchKeys {
		if _, err := t.Generate(ctx, k.label, []byte{byte(i + 1)}, k.algorithm); err != nil {
			return nil, err
		}
	}
	return token, nil
}
