# A service signs one kind of message all day, some thousand times an hour, and never anything else.
#
# What this is for: a node of an oracle, a bridge or a rollup that attests to what it sees,
# by typed data (EIP-712) that one contract checks.
#
# What this is not: a signer for the duties of an Ethereum validator. Those are signed with
# BLS keys, which Sealward does not have, and need protection against signing two blocks
# for one slot, which no rule can express: a policy knows how often something was signed,
# and not what was in it. The same holds here. If to attest to two different things for
# one slot costs you money, the service has to see to that, and not this policy.
#
# What a rule can do for a signer that runs at this rate is to make it useless for
# everything else: one service, one socket, one contract, one type of message, so many an
# hour. Whoever breaks into the service can attest falsely, and can do nothing more.
#
# policy.test.hcl beside it shows what each rule does, by example. After every change:
#   sealward policy test policy.hcl
version = 1

rule "attestations" {
  keys    = ["attester"]
  callers = ["unit:system.slice/attester.service"] # as the kernel proves it
  kinds   = ["evm.typed_data"]
  allow   = true

  # Sealward does not know what the contract makes of the message: what is signed is known
  # by its type and by the contract that it is for, and named here as not understood.
  blind = ["unknown_message"]
  when  = <<-CEL
    caller.socket == 'attester'
    && effects.all(e, e.class == 'unknown_message'
      && e.counterparty == 'eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D'
      && has(e.attributes.type) && e.attributes.type == 'Attestation'
      && !has(e.attributes.every_chain))
  CEL

  # An hour needs 300 of them, one every 12 seconds, and some again after a restart.
  limit "a minute" {
    count  = 20
    window = "1m"
  }
  limit "an hour" {
    count  = 600
    window = "1h"
  }
}

# Whatever else would be read out of what it is given, moves value or gives power: a permit
# for tokens is typed data as well.
rule "nothing but attestations" {
  keys = ["attester"]
  deny = "this key attests and does nothing else"
  when = "effects.exists(e, e.class != 'unknown_message')"
}

# The key has one user. This holds against rules that somebody adds for debugging.
rule "nobody else" {
  keys = ["attester"]
  deny = "only the attester may use this key, and only through its own socket"
  when = "caller.unit != 'system.slice/attester.service' || caller.socket != 'attester'"
}
