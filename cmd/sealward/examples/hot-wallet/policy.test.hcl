# The cases of policy.hcl: requests, and what it makes of them.
#   sealward policy test policy.hcl
version = 1

# The key that the cases are for, where there is no sealward.hcl beside the policy.
key "hot" {
  algorithm = "secp256k1"
  kinds     = ["evm.transaction"]
  chains    = ["eip155:1"]
}

# Names for accounts and callers, to tell them apart.
accounts {
  acme       = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
  printer    = "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D"
  stranger   = "eip155:1:0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"
  look_alike = "eip155:1:0x5290D4f1BB8d9A7e7c36A0b0dC1f5C2E1aB29eE7" # begins and ends like Acme
}
caller "payouts" {
  uid  = 1001
  user = "payouts"
  unit = "system.slice/payouts.service"
}
# The same account, but not the service: somebody who got a shell as "payouts".
caller "a shell as payouts" {
  uid  = 1001
  user = "payouts"
  unit = "user.slice/user-1001.slice/session-7.scope"
}

caller "alice" {
  uid  = 2001
  user = "alice"
}

defaults {
  key    = "hot"
  caller = "payouts"
  time   = "2026-11-23T10:00:00Z"
}

# --- What it is for.

case "a small payment to Acme" {
  pay {
    to     = "acme"
    amount = "0.2 eth"
    fee    = "0.001 eth"
  }
  expect = "allow"
  rules  = ["small payouts"]
}
case "a payment in USDC" {
  pay {
    to     = "printer"
    amount = "1000 usdc"
    fee    = "0.001 eth"
  }
  expect = "allow"
}

# --- Limits. What fits exactly is let through; the least unit more is not.

case "exactly the most, fee included" {
  pay {
    to     = "acme"
    amount = "0.49 eth"
    fee    = "0.01 eth"
  }
  expect = "allow"
}
case "one wei over the most" {
  pay {
    to     = "acme"
    amount = "0.490000000000000001 eth"
    fee    = "0.01 eth"
  }
  expect = "deny"
  reason = "limit \"each\""
}
case "the most, and the fee on top" {
  pay {
    to     = "acme"
    amount = "0.5 eth"
    fee    = "0.001 eth"
  }
  expect = "deny"
  reason = "with fees at their maximum"
}
case "one unit of USDC over the most" {
  pay {
    to     = "acme"
    amount = "1000.000001 usdc"
  }
  expect = "deny"
  reason = "limit \"usdc each\""
}
case "the day is used up: somebody of the treasury has to approve" {
  before {
    amount = "1.9 eth"
    ago    = "5h"
  }
  pay {
    to     = "acme"
    amount = "0.2 eth"
  }
  expect = "ask"
  asks   = ["treasury:1"]
}
case "a day later it is not" {
  before {
    amount = "1.9 eth"
    ago    = "24h"
  }
  pay {
    to     = "acme"
    amount = "0.2 eth"
  }
  expect = "allow"
}
case "the USDC of the day are used up" {
  before {
    amount = "1000 usdc"
    times  = 5
  }
  pay {
    to     = "acme"
    amount = "0.000001 usdc"
  }
  expect = "ask"
  asks   = ["treasury:1"]
}
case "one payee gets no more than its part of the day" {
  before {
    to     = "acme"
    amount = "0.9 eth"
  }
  pay {
    to     = "acme"
    amount = "0.100000000000000001 eth"
  }
  expect = "deny"
  reason = "limit \"a day to each payee\""
}
case "which is no matter of the other payee's" {
  before {
    to     = "acme"
    amount = "0.9 eth"
  }
  pay {
    to     = "printer"
    amount = "0.2 eth"
  }
  expect = "allow"
}
case "no approval gets one payee more USDC than its part of the day" {
  before {
    to     = "acme"
    amount = "1000 usdc"
    times  = 2
  }
  pay {
    to     = "acme"
    amount = "0.000001 usdc"
  }
  expect = "deny"
  reason = "limit \"usdc a day to each payee\""
}
case "the twenty-first payment of an hour" {
  before {
    times = 20
    ago   = "59m"
  }
  pay {
    to     = "acme"
    amount = "0.001 eth"
  }
  expect = "deny"
  reason = "limit \"an hour\""
}
case "too many wait for approvals already" {
  before {
    amount = "2 eth"
  }
  pending = 20
  pay {
    to     = "acme"
    amount = "0.1 eth"
  }
  expect = "deny"
  reason = "pending = 20"
}
case "a fee that is too high" {
  pay {
    to     = "acme"
    amount = "0.1 eth"
    fee    = "0.0100000000001 eth"
  }
  expect = "deny"
  reason = "lower the gas price"
}

# --- Whom, and who.

case "a stranger is not paid" {
  pay {
    to     = "stranger"
    amount = "0.000000000000000001 eth"
  }
  expect = "deny"
  rules  = []
  reason = "its condition is false"
}
case "an account that only looks like Acme" {
  pay {
    to     = "look_alike"
    amount = "0.1 eth"
  }
  expect   = "deny"
  rules    = ["no danger"]
  warnings = ["evm_resembles_known"]
}
case "another program of the same account" {
  caller = "a shell as payouts"
  pay {
    to     = "acme"
    amount = "0.1 eth"
  }
  expect = "deny"
  reason = "none lets uid:1001 use key"
}
case "a payment on another chain is none that the key signs" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0xa", "nonce": "0x0", "gas": "0x5208", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0x52908400098527886E0F7030069857D2E4169EE7", "value": "0x1"}
  JSON
  expect  = "invalid"
  reason  = "chain"
}

# --- What empties wallets.

case "an unlimited allowance for an exchange" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x186a0", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "value": "0x0",
     "data": "0x095ea7b30000000000000000000000005aaeb6053f3e94c9b9a09f33669435e7ef1beaedffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}
  JSON
  expect  = "deny"
  class   = "allowance"
  rules   = ["no standing permissions", "no danger"]
}
case "a call that nobody can read" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x186a0", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0x8617E340B3D01FA5F11F306F4090FD50E238070D", "value": "0x1", "data": "0x3ccfd60b"}
  JSON
  expect  = "deny"
  class   = "unknown_call"
  rules   = ["no danger"]
}
case "a contract that nobody read" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x186a0", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "value": "0x0", "data": "0x6080604052"}
  JSON
  expect  = "deny"
  class   = "create"
  reason  = "power over the wallet"
}

# --- Who decides.

case "alice asks for another policy, and bob has to approve it" {
  key     = "sealward"
  kind    = "sealward.admin"
  caller  = "alice"
  payload = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"a payee more","to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect  = "ask"
  rules   = ["policy changes"]
  asks    = ["treasury:1"]
}
case "the service asks for another policy" {
  key     = "sealward"
  kind    = "sealward.admin"
  caller  = "payouts"
  payload = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"a payee more","to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect  = "deny"
  reason  = "none lets uid:1001 use key"
}
