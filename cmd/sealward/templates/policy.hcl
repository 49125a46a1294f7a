# What may be signed. docs/policy.md teaches the language.
# `sealward policy validate {{.Policy}}` checks it without a daemon;
# `sealward policy check` shows what it makes of a request.
#
# What no rule allows is refused. A rule that denies wins over all that allow, also
# over those that you add.
version = 1

# Names for what has value, and how many decimals it has. Only the calls of tokens
# that are known are read; a call of any other contract is an unknown call.
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}

# Names and decimals of more tokens, from a file beside this one in the format of
# github.com/Uniswap/token-lists: sha256sum prints the digest.
# token_list "main" {
#   file   = "tokens.json"
#   sha256 = "..."
# }

# Whom you pay: account and label. As long as it is empty, nothing is paid.
addresses "payees" {
  entries = {
    # "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
  }
}

# Contracts that may take tokens from your account later, up to an allowance, such as
# an exchange. Whoever stands behind one can take the whole allowance at any time.
addresses "spenders" {
  entries = {
    # "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" = "Our exchange"
  }
}

# Code that your account may be handed over to (EIP-7702). Leave it empty unless you
# know that you need it: such code may do everything that your key may. What is here
# must also be a contract "NAME" of kind = "delegate", and needs a rule that allows it.
addresses "delegates" {
  entries = {
    # "eip155:1:0x27b1fdb04752bbc536007a920d24acb045561c26" = "Our smart account"
  }
}

# Small payments to payees, and small allowances to spenders, which count as if they
# were spent at once. An allowance of a known token may be set to zero, whoever has it.
# A transfer that is signed for somebody else to send, when they like, ends within 30
# days. A rule with limits refuses every outflow that no limit of its covers. Fees count
# at their maximum.
rule "small payouts" {
  keys    = ["hot"]
  callers = [{{q .Caller}}]
  kinds   = ["evm.transaction", "evm.typed_data"]
  allow   = true
  when    = <<-CEL
    effects.all(e,
      e.class == 'transfer' && e.counterparty in addresses.payees
        && (!has(e.until) || e.until <= time + duration('720h'))
      || e.class == 'allowance' && (e.counterparty in addresses.spenders || e.revokes))
  CEL

  limit "each" {
    amount = "0.5 eth"
  }
  limit "a day" {
    amount = "2 eth"
    window = "24h"
  }
  limit "usdc each" {
    amount = "500 usdc"
  }
  limit "usdc a day" {
    amount = "2000 usdc"
    window = "24h"
  }
}

# From here on: what is never signed.

# An allowance says who may take how much, and sometimes until when. A permit (typed
# data) somebody else puts on the chain, when they like until it ends.
rule "allowances are for spenders, bounded and short" {
  deny = "an allowance must be for one of addresses.spenders, of a bounded amount, and as a permit end within 30 days"
  when = <<-CEL
    effects.exists(e, e.class == 'allowance' && !e.revokes && !(
        e.counterparty in addresses.spenders
        && has(e.quantity.amount)
        && (!has(e.until) || e.until <= time + duration('720h'))
        && (kind == 'evm.transaction' || has(e.attributes.usable_until)
          && timestamp(e.attributes.usable_until) <= time + duration('720h'))))
    || warnings.exists(w, w.code == 'evm_never_expires')
  CEL
}

# operator: somebody may take all of a collection, now and later. delegatecall: foreign
# code runs as your account; that is how large treasuries were emptied. control: owners,
# modules and guards of your account change. create: a contract is made of code that
# nobody read.
rule "no power over the account" {
  deny = "power over the account is not given away"
  when = <<-CEL
    effects.exists(e, e.class in ['operator', 'delegatecall', 'control', 'create']
      && !e.revokes)
  CEL
}

rule "delegation to known code only" {
  deny = "the account may be handed over only to code in addresses.delegates, and on one chain"
  when = <<-CEL
    effects.exists(e, e.class == 'delegation' && (has(e.attributes.every_chain)
      || !e.revokes && !(e.counterparty in addresses.delegates)))
  CEL
}

# A transaction that sends little may still burn much. A fee in another coin than ether
# is refused until you say here what the most of it is.
rule "no high fee" {
  deny = "the fee may be above 0.05 ether; lower the gas price or the gas limit"
  when = <<-CEL
    fee.kind != 'none' && (fee.asset != assets.eth || fee.amount > amount('0.05 eth'))
  CEL
}

# What the decoder calls dangerous: an address that only looks like one you know, what
# would hold on every chain, what would be lost in a token's contract or at the zero
# address, a login for another account, what could not be read, and more: docs/policy.md
# has the list. A rule above judges delegations. If you allow something else of this
# sort, except its code here likewise.
rule "no danger" {
  deny = "the decoder warns of danger"
  when = <<-CEL
    warnings.exists(w, w.severity == 'danger' && !(w.code in ['evm_delegation']))
  CEL
}
