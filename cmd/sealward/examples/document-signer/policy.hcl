# A service signs digests of its documents by count, and people sign contracts with a quorum.
#
# What is signed here are digests: the hash of a document that somebody else made. A digest
# says nothing of its document, and nobody can tell from it what is signed. So there are
# two keys, and neither may sign anything but digests: a key that also signed payments
# would sign any payment whose hash it is given. In sealward.hcl:
#   key "invoices"  { ...  kinds = ["digest"] }
#   key "contracts" { ...  kinds = ["digest"] }
#
# What cannot be read can only be counted, and looked at by people who have the document
# in front of them: whoever approves hashes it and compares.
#
# policy.test.hcl beside it shows what each rule does, by example. After every change:
#   sealward policy test policy.hcl
version = 1

# Who approves contracts, and which local users they are. The certificates are
# placeholders: nobody can approve until you put in those of your people.
approver "nina" {
  certificate = "approvers/nina.pem"
  users       = ["nina"]
}
approver "omar" {
  certificate = "approvers/omar.pem"
  users       = ["omar"]
}
approver "pia" {
  certificate = "approvers/pia.pem"
  users       = ["pia"]
}
group "signatories" {
  members = ["nina", "omar", "pia"]
}

# The service that sends invoices. It signs without anybody looking, and so whoever breaks
# into it can have as many false invoices signed as the limits let through: set them
# closely above what an ordinary hour needs.
rule "invoices" {
  keys    = ["invoices"]
  callers = ["unit:system.slice/invoices.service"]
  kinds   = ["digest"]
  blind   = ["opaque"] # it is known that nobody can read what this signs
  allow   = true

  limit "an hour" {
    count  = 200
    window = "1h"
  }
  limit "a day" {
    count  = 1000
    window = "24h"
  }
}

# People of the legal department ask; two signatories beside the one who asks approve, each
# with the contract in front of them.
rule "contracts" {
  keys    = ["contracts"]
  callers = ["group:legal"]
  kinds   = ["digest"]
  blind   = ["opaque"]

  require {
    group          = "signatories"
    approvals      = 2
    exclude_caller = true
  }
  expires = "72h"

  limit "a day for each of us" {
    count  = 10
    window = "24h"
    per    = "caller"
  }
}

# Nobody changes these rules alone: one asks, and the other two approve.
rule "policy changes" {
  keys    = ["sealward"]
  callers = ["user:nina", "user:omar", "user:pia"]
  kinds   = ["sealward.admin"]
  when    = "effects.all(e, e.class == 'policy_change')"

  require {
    group          = "signatories"
    approvals      = 2
    exclude_caller = true
  }
}

# The contracts of the company are not signed by programs, not even by one that runs as a
# member of the legal department. People come through the door "people": in sealward.hcl,
# socket "people" { ... } is a socket that the services' accounts have no access to.
rule "people sign contracts" {
  keys = ["contracts"]
  deny = "contracts are signed by people, through the socket \"people\""
  when = "caller.socket != 'people' || caller.unit.startsWith('system.slice/')"
}
