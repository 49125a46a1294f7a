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

approver "alice" {
  certificate = "approvers/alice.pem"
  users       = ["alice"]
}
approver "bob" {
  certificate = "approvers/alice.pem"
}
group "treasury" {
  members = ["alice", "bob"]
}

rule "payouts" {
  keys    = ["hot"]
  callers = ["socket:payroll"]
  when    = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
  allow   = true
  limit "each" {
    amount = "2.5 eth"
  }
  limit "a day" {
    amount = "10 eth"
    window = "24h"
  }
}

rule "large payouts" {
  keys = ["treasury"]
  require {
    group     = "treasury"
    approvals = 2
  }
}

rule "no allowances" {
  when = "effects.exists(e, e.class == 'allowance')"
  deny = "allowances are not given"
}
