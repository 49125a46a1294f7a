# A service pays payees that you know small amounts by itself, and asks a person for more a day.
#
# One key, "hot". Behind it is only as much money as you can bear to lose: a hot wallet is
# one that pays without anybody looking.
#
# Whatever no rule lets through is refused, so this file says what may happen, and only
# that. The last three rules refuse what must never happen, also should somebody add a
# rule above that is careless: a rule that denies wins over all others.
#
# policy.test.hcl beside it shows what each rule does, by example. After every change:
#   sealward policy test policy.hcl
version = 1

# What you pay with. The long number is the contract of the token; take it from a source
# that you trust, because whoever makes a token may call it what they like.
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}

# Whom you pay. Nobody else is ever paid.
addresses "payees" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
    "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D" = "Printer Ltd"
  }
}

# Who may approve what goes beyond the day's limit, and which local users they are.
# The certificates are placeholders: nobody can approve until you put in those of your
# people.
approver "alice" {
  certificate = "approvers/alice.pem"
  users       = ["alice"]
}
approver "bob" {
  certificate = "approvers/bob.pem"
  users       = ["bob"]
}
group "treasury" {
  members = ["alice", "bob"]
}

rule "small payouts" {
  keys    = ["hot"]
  callers = ["unit:system.slice/payouts.service"] # this service and nobody else, as the kernel proves it
  kinds   = ["evm.transaction"]
  allow   = true

  # Everything that the transaction does is a payment to one of the payees.
  when = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.payees)"

  # A limit in ether counts the fee, too, at the most that it may become. A limit with a
  # window looks at the time before now: 24 hours back, and not at the calendar day.
  limit "each" {
    amount = "0.5 eth"
  }
  limit "a day" {
    amount = "2 eth"
    window = "24h"
    over   = "require:treasury:1" # when it is used up, one of them has to approve
  }
  limit "a day to each payee" {
    amount = "1 eth"
    window = "24h"
    per    = "recipient"
  }

  limit "usdc each" {
    amount = "1000 usdc"
  }
  limit "usdc a day" {
    amount = "5000 usdc"
    window = "24h"
    over   = "require:treasury:1"
  }
  limit "usdc a day to each payee" {
    amount = "2000 usdc"
    window = "24h"
    per    = "recipient"
  }

  # A service that has gone wild is stopped by the number of its payments, however small.
  limit "an hour" {
    count  = 20
    window = "1h"
    per    = "caller"
  }

  # A transaction that pays little can burn much as its fee.
  fee {
    amount = "0.01 eth"
  }
}

# Nobody changes these rules alone: one asks, and the other one approves.
rule "policy changes" {
  keys    = ["sealward"]
  callers = ["user:alice", "user:bob"]
  kinds   = ["sealward.admin"]
  when    = "effects.all(e, e.class == 'policy_change')"

  require {
    group          = "treasury"
    approvals      = 1
    exclude_caller = true
  }
}

# From here on: what is never signed.

# An allowance lets somebody take tokens later. Whoever has an unlimited one can empty the
# wallet on any day to come.
rule "no standing permissions" {
  deny = "a hot wallet gives nobody permission to take from it"
  when = "effects.exists(e, e.class in ['allowance', 'operator'] && !e.revokes)"
}

# Code of others acting as the wallet (delegatecall), the wallet handed over to code
# (delegation), other owners or modules (control), contracts that nobody read (create).
rule "no power over the wallet" {
  deny = "power over the wallet is not given away"
  when = "effects.exists(e, e.class in ['delegatecall', 'delegation', 'control', 'create'])"
}

# What the decoder calls dangerous: an address that only looks like one of your payees,
# a payment to the zero address or into a token's own contract, a call that nobody can
# read. docs/policy.md has the list.
rule "no danger" {
  deny = "the decoder warns of danger"
  when = "warnings.exists(w, w.severity == 'danger')"
}
