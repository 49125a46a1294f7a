# What may be signed. docs/policy.md teaches the language.
# `sealward policy validate {{.Policy}}` checks it without a daemon;
# `sealward policy check` shows what it makes of a request.
#
# What no rule allows is refused.
version = 1

# Names for what has value, and how many decimals it has. Only what is listed here
# has a name anywhere; a token that is not is an unknown contract.
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}

# Whom you pay: account and label. As long as it is empty, nothing is signed.
addresses "payees" {
  entries = {
    # "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
  }
}

# Small payments to known payees. A rule with limits refuses every outflow that no
# limit of its covers. Fees count at their maximum.
rule "small payouts" {
  keys    = ["hot"]
  callers = [{{q .Caller}}]
  kinds   = ["evm.transaction"]
  when    = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.payees)"
  allow   = true

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

# A rule that denies wins over all that allow.
rule "no standing permissions" {
  when = "effects.exists(e, e.class == 'allowance')"
  deny = "standing token permissions are not allowed"
}
