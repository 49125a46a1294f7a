# The cases of policy.hcl: requests, and what it makes of them.
#   sealward policy test policy.hcl
version = 1

# The key that the cases are for, where there is no sealward.hcl beside the policy.
key "treasury" {
  algorithm = "secp256k1"
  kinds     = ["evm.transaction"]
  chains    = ["eip155:1"]
}

accounts {
  supplier = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" # was paid before
  newcomer = "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D"
}
caller "alice" {
  uid    = 2001
  user   = "alice"
  groups = ["finance"]
}
caller "erin" { # of finance, but not of the treasury
  uid    = 2005
  user   = "erin"
  groups = ["finance"]
}
caller "root" {
  uid  = 0
  user = "root"
}
caller "mallory" {
  uid    = 2013
  user   = "mallory"
  groups = ["marketing"]
}

defaults {
  key    = "treasury"
  caller = "alice"
  time   = "2026-11-23T11:00:00+01:00" # a Monday, in Berlin
  known  = ["supplier"]
}

# --- Everyday payments.

case "a payment to a supplier" {
  pay {
    to     = "supplier"
    amount = "5 eth"
    fee    = "0.005 eth"
  }
  expect = "allow"
  rules  = ["payments"]
}
case "a payment in USDC, whose fee is no share of anything" {
  pay {
    to     = "supplier"
    amount = "49999.999999 usdc"
    fee    = "0.05 eth"
  }
  expect = "allow"
}
case "somebody who is not of finance" {
  caller = "mallory"
  pay {
    to     = "supplier"
    amount = "0.1 eth"
  }
  expect = "deny"
  reason = "none lets uid:2013 use key"
}

# --- Fees.

case "a fee of exactly five hundredths" {
  pay {
    to     = "supplier"
    amount = "0.1 eth"
    fee    = "0.005 eth"
  }
  expect = "allow"
}
case "a fee of more than five hundredths" {
  pay {
    to     = "supplier"
    amount = "0.1 eth"
    fee    = "0.0050000000001 eth"
  }
  expect = "deny"
  reason = "5%"
}
case "a fee above the most, however much is paid" {
  pay {
    to     = "supplier"
    amount = "10 eth"
    fee    = "0.0500000000001 eth"
  }
  expect = "deny"
  reason = "lower the gas price"
}

# --- Office hours.

case "a second before nine" {
  time = "2026-11-23T08:59:59+01:00"
  pay {
    to     = "supplier"
    amount = "1 eth"
  }
  expect = "deny"
  rules  = ["closed"]
}
case "nine sharp" {
  time = "2026-11-23T09:00:00+01:00"
  pay {
    to     = "supplier"
    amount = "1 eth"
  }
  expect = "allow"
}
case "six sharp is too late" {
  time = "2026-11-23T18:00:00+01:00"
  pay {
    to     = "supplier"
    amount = "1 eth"
  }
  expect = "deny"
  rules  = ["closed"]
}
case "nine in summer, which is seven by universal time" {
  time = "2026-07-06T07:00:00Z"
  pay {
    to     = "supplier"
    amount = "1 eth"
  }
  expect = "allow"
}
case "Saturday at noon" {
  time = "2026-11-21T12:00:00+01:00"
  pay {
    to     = "supplier"
    amount = "1 eth"
  }
  expect = "deny"
  reason = "Monday to Friday"
}
case "no approval opens the office: a large payment at night" {
  time = "2026-11-24T02:00:00+01:00"
  pay {
    to     = "newcomer"
    amount = "50 eth"
  }
  expect = "deny"
  rules  = ["first payment to a recipient", "large payments", "closed"]
}

# --- New recipients.

case "who was never paid before needs one more person" {
  pay {
    to     = "newcomer"
    amount = "0.000000000000000001 eth"
  }
  expect = "ask"
  rules  = ["payments", "first payment to a recipient"]
  asks   = ["treasury:1"]
}
case "the second time they are known" {
  before {
    to     = "newcomer"
    amount = "0.001 eth"
    ago    = "30d"
  }
  pay {
    to     = "newcomer"
    amount = "5 eth"
  }
  expect = "allow"
}
case "an asker whom the policy cannot tell from its approvers" {
  caller = "erin"
  pay {
    to     = "newcomer"
    amount = "1 eth"
  }
  expect = "deny"
  reason = "does not count an approval of the caller's own"
}

# --- Large payments.

case "almost large" {
  pay {
    to     = "supplier"
    amount = "19.999999999999999999 eth"
  }
  expect = "allow"
}
case "large, counted with its fee" {
  pay {
    to     = "supplier"
    amount = "19.99 eth"
    fee    = "0.01 eth"
  }
  expect = "ask"
  asks   = ["treasury:2"]
  delay  = "4h"
}
case "large in USDC" {
  pay {
    to     = "supplier"
    amount = "50000 usdc"
  }
  expect = "ask"
  rules  = ["payments", "large payments"]
  asks   = ["treasury:2"]
}
case "large, and to somebody new: both ask" {
  pay {
    to     = "newcomer"
    amount = "30 eth"
  }
  expect = "ask"
  asks   = ["treasury:1", "treasury:2"]
}
case "one wei over what anybody may pay" {
  pay {
    to     = "supplier"
    amount = "100.000000000000000001 eth"
  }
  expect = "deny"
  reason = "limit \"each\""
}
case "too many of one person wait for approvals already" {
  pending = 5
  pay {
    to     = "supplier"
    amount = "30 eth"
  }
  expect = "deny"
  reason = "pending = 5"
}

# --- Limits that ask.

case "the week is used up" {
  before {
    amount = "190 eth"
    ago    = "6d"
    caller = "erin"
  }
  pay {
    to     = "supplier"
    amount = "11 eth"
  }
  expect = "ask"
  asks   = ["treasury:2"]
}
case "the USDC of the week are used up" {
  before {
    amount = "499999 usdc"
    ago    = "6d"
    caller = "erin"
  }
  pay {
    to     = "supplier"
    amount = "2 usdc"
  }
  expect = "ask"
  asks   = ["treasury:2"]
}
case "one person's day is used up" {
  before {
    amount = "15 eth"
    times  = 3
  }
  pay {
    to     = "supplier"
    amount = "6 eth"
  }
  expect = "ask"
  asks   = ["treasury:2"]
}
case "one person's day in USDC is used up, by small payments" {
  before {
    amount = "25000 usdc"
    times  = 5
  }
  pay {
    to     = "supplier"
    amount = "0.000001 usdc"
  }
  expect = "ask"
  asks   = ["treasury:2"]
}
case "which is not the next person's" {
  caller = "erin"
  before {
    amount = "15 eth"
    times  = 3
    caller = "alice"
  }
  pay {
    to     = "supplier"
    amount = "6 eth"
  }
  expect = "allow"
}

# --- What empties treasuries.

case "an unlimited allowance for an exchange" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x186a0", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "value": "0x0",
     "data": "0x095ea7b30000000000000000000000005aaeb6053f3e94c9b9a09f33669435e7ef1beaedffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}
  JSON
  expect  = "deny"
  rules   = ["no standing permissions", "no danger"]
}
case "foreign code that is to run as the Safe: a delegatecall" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x30d40", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "value": "0x0",
     "data": "0x6a7612020000000000000000000000005aaeb6053f3e94c9b9a09f33669435e7ef1beaed00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000140000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000016000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000041000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"}
  JSON
  expect  = "deny"
  class   = "delegatecall"
  rules   = ["no power over our accounts", "no danger"]
}
case "a payment to the zero address" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x5208", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0x0000000000000000000000000000000000000000", "value": "0xde0b6b3a7640000"}
  JSON
  expect  = "deny"
  reason  = "danger"
}

# --- Who decides.

case "another policy" {
  key     = "sealward"
  kind    = "sealward.admin"
  payload = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"a new supplier","to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect  = "ask"
  class   = "policy_change"
  rules   = ["policy changes"]
  asks    = ["treasury:2"]
  delay   = "24h"
}
case "another policy, asked for by somebody who is not of the treasury" {
  key     = "sealward"
  kind    = "sealward.admin"
  caller  = "erin"
  payload = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"a new supplier","to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect  = "deny"
  reason  = "none lets uid:2005 use key"
}
case "the end of a freeze" {
  key     = "sealward"
  kind    = "sealward.admin"
  payload = <<-JSON
    {"act":"thaw","reason":"it was a drill"}
  JSON
  expect  = "ask"
  rules   = ["thaw"]
  asks    = ["treasury:2"]
}
case "a file that is obeyed without asking" {
  key     = "sealward"
  kind    = "sealward.admin"
  payload = <<-JSON
    {"act":"policy.trust_file","reason":"to be quicker"}
  JSON
  expect  = "deny"
  reason  = "its condition is false"
}
case "the treasury lost its tokens" {
  key      = "sealward"
  kind     = "sealward.admin"
  caller   = "root"
  payload  = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"new tokens","recovery":true,"to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect   = "ask"
  rules    = []
  asks     = ["keepers:2"]
  warnings = ["admin_recovery"]
}
case "the keepers approve nothing else" {
  key     = "sealward"
  kind    = "sealward.admin"
  caller  = "root"
  payload = <<-JSON
    {"act":"keys.enable","key":"treasury","reason":"found again","recovery":true}
  JSON
  expect  = "invalid"
  reason  = "it has no recovery"
}
