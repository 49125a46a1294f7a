package main

import (
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
var benchKeys = []sim.KeyToMake{
	{Label: "p256", Algorithm: signer.AlgorithmP256}, {Label: "secp256k1", Algorithm: signer.AlgorithmSecp256k1}, {Label: "journal", Algorithm: signer.AlgorithmEd25519},
}

// benchDevicesConfig goes on where [benchConfig] ends: a TPM, a card, and two more
// tokens of SoftHSM, behind a module that fails on demand and behind p11-kit's server.
// A device that hangs is given up after a second, so that a benchmark need not wait
// for ten.
const benchDevicesConfig = `
token "chip" {
  timeout = "1s"
  tpm {
    device    = "tpm/tpm"
    auth_file = "tpm.auth"
  }
}

token "card" {
  timeout = "1s"
  piv {
    serial   = 4711
    socket   = "reader/pcscd.comm"
    pin_file = "card.pin"
  }
}

token "faulty" {
  environment = { %[1]s }
  writable    = ["faulty"]
  timeout     = "1s"
  pkcs11 {
    module   = %[2]q
    uri      = "pkcs11:token=faulty"
    pin_file = "pin"
  }
}

token "served" {
  environment = { %[3]s }
  timeout     = "1s"
  pkcs11 {
    module   = %[4]q
    uri      = "pkcs11:token=served"
    pin_file = "pin"
  }
}

key "chip" {
  token = "chip"
  file  = "chip.key"
  kinds = ["digest"]
}

key "card" {
  token = "card"
  slot  = "9a"
  kinds = ["digest"]
}

key "faulty" {
  token = "faulty"
  uri   = "pkcs11:object=faulty"
  kinds = ["digest"]
}

key "served" {
  token = "served"
  uri   = "pkcs11:object=served"
  kinds = ["digest"]
}
`

// benchDevicesPolicy goes on where [benchPolicy] ends.
const benchDevicesPolicy = `
rule "digests of other devices" {
  keys  = ["chip", "card", "faulty", "served"]
  blind = ["opaque"]
  allow = true

  limit "a day" {
    count  = 1000000000
    window = "24h"
  }
}
`
