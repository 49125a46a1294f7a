# People of finance pay in office hours; new recipients, large sums and a full week need approvals.
#
# One key, "treasury", and people who use it. Nothing here runs by itself, and nobody
# changes these rules alone.
#
# How the rules work together. "payments" lets a payment through. "first payment to a
# recipient" and "large payments" match some of the same payments, and then they ask for
# approvals on top: a payment has to satisfy every rule that matches it. A rule that asks
# for approvals lets through, too, once they are there. So each of the two matches only
# what "payments" matches as well, and the limits of "payments" hold for all.
#
# policy.test.hcl beside it shows what each rule does, by example. After every change:
#   sealward policy test policy.hcl
version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}

# The company's Safe. It is named so that what it is told to do is read to the end, and
# refused: its owners do not sign with this key.
contract "vault" {
  account = "eip155:1:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
  kind    = "safe"
}

# Who approves, and which local users they are: whoever asks for a payment does not count
# among those who approve it. The certificates are placeholders: nobody can approve until
# you put in those of your people.
approver "alice" {
  certificate = "approvers/alice.pem"
  users       = ["alice"]
}
approver "bob" {
  certificate = "approvers/bob.pem"
  users       = ["bob"]
}
approver "carol" {
  certificate = "approvers/carol.pem"
  users       = ["carol"]
}
group "treasury" {
  members = ["alice", "bob", "carol"]
}

# Who keeps a token in a safe, for the day on which the treasury cannot approve: tokens
# are lost, or a rule below is wrong. They are asked when somebody asks for a recovery,
# and for that alone: another policy, or the end of a freeze. No rule has a say then.
approver "kim" {
  certificate = "approvers/kim.pem"
}
approver "lee" {
  certificate = "approvers/lee.pem"
}
approver "max" {
  certificate = "approvers/max.pem"
}
group "keepers" {
  members = ["kim", "lee", "max"]
}
recovery {
  group     = "keepers"
  approvals = 2
}

# How many payments of one person may wait for approvals at a time. Who is asked about
# everything looks at nothing.
pending = 5

rule "payments" {
  keys    = ["treasury"]
  callers = ["group:finance"]
  kinds   = ["evm.transaction"]
  allow   = true
  when    = "effects.all(e, e.class == 'transfer')"

  hours {
    zone = "Europe/Berlin" # a place: its clocks know of summer time
    days = ["mon", "tue", "wed", "thu", "fri"]
    from = "09:00"
    to   = "18:00" # at 18:00 it is over
  }

  # Per payment: there is no exception, whoever approves.
  limit "each" {
    amount = "100 eth"
  }
  limit "usdc each" {
    amount = "250000 usdc"
  }

  # When the week is used up, two of the treasury may still let a payment through. The one
  # who asks may be one of the two: to let others alone decide, use a rule with require
  # and exclude_caller, as below.
  limit "a week" {
    amount = "200 eth"
    window = "7d"
    over   = "require:treasury:2"
  }
  limit "usdc a week" {
    amount = "500000 usdc"
    window = "7d"
    over   = "require:treasury:2"
  }

  # What one person can have paid in a day, all together, before anybody else has to agree.
  # It also keeps a large payment from being cut into small ones. Two must approve, because
  # one could be whoever asks.
  limit "a day for each of us" {
    amount = "50 eth"
    window = "24h"
    per    = "caller"
    over   = "require:treasury:2"
  }
  limit "usdc a day for each of us" {
    amount = "125000 usdc"
    window = "24h"
    per    = "caller"
    over   = "require:treasury:2"
  }

  # The fee may be five hundredths of the ether that is paid beside it, and never more
  # than 0.05 ether. For a payment in USDC, beside which no ether leaves, the amount alone
  # counts.
  fee {
    amount = "0.05 eth"
    share  = "5%"
  }
}

# Most theft is a payment to an account that was never paid before. new_recipients are
# those that this key has never paid.
rule "first payment to a recipient" {
  keys    = ["treasury"]
  callers = ["group:finance"]
  kinds   = ["evm.transaction"]
  when    = "effects.all(e, e.class == 'transfer') && size(new_recipients) > 0"

  require {
    group          = "treasury"
    approvals      = 1
    exclude_caller = true
  }
}

# From 20 ether or 50,000 USDC on: two people beside the one who asks, and four hours in
# which somebody can still say no.
rule "large payments" {
  keys    = ["treasury"]
  callers = ["group:finance"]
  kinds   = ["evm.transaction"]
  when    = <<-CEL
    effects.all(e, e.class == 'transfer')
    && outflow.exists(q,
         q.asset == assets.eth && q.amount >= amount('20 eth')
      || q.asset == assets.usdc && q.amount >= amount('50000 usdc'))
  CEL

  require {
    group          = "treasury"
    approvals      = 2
    exclude_caller = true
  }
  delay   = "4h"
  expires = "48h" # approvals that take longer than that are too late
}

# Another policy: two people beside the one who asks, and a day in which somebody can still
# say no. It decides on everything that waits then, once more.
rule "policy changes" {
  keys    = ["sealward"]
  callers = ["user:alice", "user:bob", "user:carol"]
  kinds   = ["sealward.admin"]
  when    = "effects.all(e, e.class == 'policy_change')"

  require {
    group          = "treasury"
    approvals      = 2
    exclude_caller = true
  }
  delay   = "24h"
  expires = "72h"
}

# One approver is enough to freeze everything. To go on takes two beside whoever asks, and
# no time to wait.
rule "thaw" {
  keys    = ["sealward"]
  callers = ["user:alice", "user:bob", "user:carol"]
  kinds   = ["sealward.admin"]
  when    = "effects.all(e, e.class == 'thaw')"

  require {
    group          = "treasury"
    approvals      = 2
    exclude_caller = true
  }
}

# From here on: what is never signed.

# The hours in "payments" say when it lets through. These say the same the other way
# round, for the rules that ask for approvals and for those that somebody adds: outside of
# office hours nothing is signed, whoever approves.
rule "closed" {
  keys = ["treasury"]
  deny = "the treasury pays Monday to Friday, from 9 to 18 o'clock in Berlin"

  hours {
    zone = "Europe/Berlin"
    from = "18:00" # over midnight, to the next morning
    to   = "09:00"
  }
  hours {
    zone = "Europe/Berlin"
    days = ["sat", "sun"]
  }
}

rule "no standing permissions" {
  deny = "the treasury gives nobody permission to take from it"
  when = "effects.exists(e, e.class in ['allowance', 'operator'] && !e.revokes)"
}

rule "no power over our accounts" {
  deny = "power over our accounts is not given away"
  when = "effects.exists(e, e.class in ['delegatecall', 'delegation', 'control', 'create'])"
}

rule "no danger" {
  deny = "the decoder warns of danger"
  when = "warnings.exists(w, w.severity == 'danger')"
}
