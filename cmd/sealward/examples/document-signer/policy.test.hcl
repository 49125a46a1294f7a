# The cases of policy.hcl: requests, and what it makes of them.
#   sealward policy test policy.hcl
version = 1

# The keys that the cases are for, where there is no sealward.hcl beside the policy.
key "invoices" {
  algorithm = "p256"
  kinds     = ["digest"]
}
key "contracts" {
  algorithm = "p256"
  kinds     = ["digest"]
}
sockets = ["sign", "people"]

caller "the invoice service" {
  uid  = 1002
  user = "invoices"
  unit = "system.slice/invoices.service"
}
caller "nina" { # of the legal department, and a signatory
  uid    = 3001
  user   = "nina"
  groups = ["legal"]
  socket = "people"
  unit   = "user.slice/user-3001.slice/session-2.scope"
}
caller "quinn" { # of the legal department, and no signatory
  uid    = 3004
  user   = "quinn"
  groups = ["legal"]
  socket = "people"
}
caller "a program of nina's" {
  uid    = 3001
  user   = "nina"
  groups = ["legal"]
  socket = "people"
  unit   = "system.slice/archive.service"
}
caller "mallory" {
  uid    = 3013
  user   = "mallory"
  socket = "people"
}

defaults {
  caller  = "the invoice service"
  kind    = "digest"
  time    = "2026-11-23T10:00:00Z"
}

# --- The service.

case "an invoice" {
  key      = "invoices"
  payload  = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect   = "allow"
  class    = "opaque"
  rules    = ["invoices"]
  warnings = ["digest_opaque"]
}
case "the two-hundredth invoice of an hour" {
  key     = "invoices"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  before {
    times = 199
    ago   = "59m"
  }
  expect = "allow"
}
case "the one after it" {
  key     = "invoices"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  before {
    times = 200
    ago   = "59m"
  }
  expect = "deny"
  reason = "limit \"an hour\""
}
case "too many in a day" {
  key     = "invoices"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  before {
    times = 1000
    ago   = "23h"
  }
  expect = "deny"
  reason = "limit \"a day\""
}
case "the service wants a contract" {
  key     = "contracts"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect  = "deny"
  rules   = ["people sign contracts"]
}
case "a person wants an invoice" {
  key     = "invoices"
  caller  = "nina"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect  = "deny"
  reason  = "none lets uid:3001 use key"
}

# --- People.

case "a contract needs two signatories beside the one who asks" {
  key     = "contracts"
  caller  = "nina"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect  = "ask"
  rules   = ["contracts"]
  asks    = ["signatories:2"]
}
case "an asker whom the policy cannot tell from its signatories" {
  key     = "contracts"
  caller  = "quinn"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect  = "deny"
  reason  = "does not count an approval of the caller's own"
}
case "a program that runs as a person" {
  key     = "contracts"
  caller  = "a program of nina's"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect  = "deny"
  reason  = "signed by people"
}
case "the eleventh contract of a day" {
  key     = "contracts"
  caller  = "nina"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  before {
    times = 10
    ago   = "8h"
  }
  expect = "deny"
  reason = "limit \"a day for each of us\""
}
case "a stranger" {
  key     = "contracts"
  caller  = "mallory"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  expect  = "deny"
  reason  = "none lets uid:3013 use key"
}

# --- Nothing but digests: refused before any rule is asked.

case "a message" {
  key     = "invoices"
  kind    = "evm.message"
  payload = "I owe you 100 ether"
  expect  = "invalid"
  reason  = "does not sign kind"
}
case "half a digest" {
  key     = "invoices"
  payload = "0x9f86d081884c7d659a2feaa0c55ad015"
  expect  = "invalid"
  reason  = "want 32, 48 or 64"
}

# --- Who decides.

case "nina asks for another policy" {
  key     = "sealward"
  kind    = "sealward.admin"
  caller  = "nina"
  payload = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"a payee more","to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect  = "ask"
  rules   = ["policy changes"]
  asks    = ["signatories:2"]
}
case "the invoice service asks for another policy" {
  key     = "sealward"
  kind    = "sealward.admin"
  caller  = "the invoice service"
  payload = <<-JSON
    {"act":"policy.change","from":"0000000000000000000000000000000000000000000000000000000000000000","reason":"a payee more","to":"1111111111111111111111111111111111111111111111111111111111111111"}
  JSON
  expect  = "deny"
  reason  = "none lets uid:1002 use key"
}
