# The cases of policy.hcl: requests, and what it makes of them.
#   sealward policy test policy.hcl
version = 1

# The key that the cases are for, where there is no sealward.hcl beside the policy. Here it
# signs other kinds as well, to show that the policy lets none of them through; in
# sealward.hcl it needs kinds = ["evm.typed_data"] and no more.
key "attester" {
  algorithm = "secp256k1"
  kinds     = ["evm.typed_data", "evm.message", "evm.transaction"]
  chains    = ["eip155:1"]
}
sockets = ["sign", "attester"]

caller "attester" {
  uid    = 1003
  user   = "attester"
  socket = "attester"
  unit   = "system.slice/attester.service"
}
caller "attester at the common door" {
  uid    = 1003
  user   = "attester"
  socket = "sign"
  unit   = "system.slice/attester.service"
}
caller "a shell as attester" {
  uid    = 1003
  user   = "attester"
  socket = "attester"
  unit   = "user.slice/user-1003.slice/session-1.scope"
}

defaults {
  key    = "attester"
  caller = "attester"
  kind   = "evm.typed_data"
  time   = "2026-11-23T10:00:00Z"
}

# --- What it is for.

case "an attestation" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  expect = "allow"
  rules  = ["attestations"]
  class  = "unknown_message"
}
case "one every twelve seconds, all day" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  before {
    times = 299
    ago   = "59m"
  }
  before {
    times = 5
    ago   = "30s"
  }
  expect = "allow"
}

# --- Near misses.

case "too many in a minute" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  before {
    times = 20
    ago   = "59s"
  }
  expect = "deny"
  reason = "limit \"a minute\""
}
case "too many in an hour" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  before {
    times = 600
    ago   = "50m"
  }
  expect = "deny"
  reason = "limit \"an hour\""
}
case "for another contract" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  expect = "deny"
  reason = "its condition is false"
}
case "another type of message for the same contract" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Withdrawal": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Withdrawal",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  expect = "deny"
  reason = "its condition is false"
}
case "an attestation that holds on every chain" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  expect = "deny"
  reason = "its condition is false"
}
case "the service at the common door" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  caller = "attester at the common door"
  expect = "deny"
  rules  = ["nobody else"]
}
case "somebody with a shell as the service's account" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"},
         {"name": "chainId", "type": "uint256"},
         {"name": "verifyingContract", "type": "address"}],
       "Attestation": [{"name": "slot", "type": "uint64"}, {"name": "root", "type": "bytes32"}]},
     "primaryType": "Attestation",
     "domain": {"name": "Attester", "chainId": "0x1", "verifyingContract": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
     "message": {"slot": "7654321", "root": "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
  JSON
  caller = "a shell as attester"
  expect = "deny"
  rules  = ["nobody else"]
}
case "a permit, by which somebody could take tokens" {
  payload = <<-JSON
    {"types": {
       "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"},
         {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],
       "Permit": [{"name": "owner", "type": "address"}, {"name": "spender", "type": "address"}, {"name": "value", "type": "uint256"},
         {"name": "nonce", "type": "uint256"}, {"name": "deadline", "type": "uint256"}]},
     "primaryType": "Permit",
     "domain": {"name": "USD Coin", "version": "2", "chainId": "0x1", "verifyingContract": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"},
     "message": {"owner": "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23", "spender": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
       "value": "1000000", "nonce": "0", "deadline": "1795514400"}}
  JSON
  expect = "deny"
  rules  = ["nothing but attestations"]
}
case "a message" {
  kind    = "evm.message"
  payload = "attest to anything"
  expect  = "deny"
  rules   = ["nothing but attestations"]
}
case "a payment" {
  kind    = "evm.transaction"
  payload = <<-JSON
    {"chainId": "0x1", "nonce": "0x0", "gas": "0x5208", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0",
     "to": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "value": "0x1"}
  JSON
  expect  = "deny"
  rules   = ["nothing but attestations"]
}
