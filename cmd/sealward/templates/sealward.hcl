# The configuration of sealwardd. docs/operations.md explains each part.
# `sealwardd --check-config --config FILE` says whether the daemon would start.
version = 1
{{- if .Private}}

# The daemon's own account may be a caller. This is for one developer's machine:
# nothing separates the daemon from the programs that ask it.
private = true
{{- end}}

# What may be signed, for whom and up to how much; relative to this file.
policy = "policy.hcl"
{{- if .Private}}

# Whoever can write that file may change the policy: a reload or a start puts it in force.
trust_policy_file = true
{{- else}}

# The first start takes it from there. After that, it is changed by a request that the
# policy itself decides: "sealward policy apply". With true, whoever can write the file
# changes it without asking, by a reload or a start.
trust_policy_file = false

# The local users who may freeze all signing in an emergency, beside the approvers.
# freeze_users = ["alice"]
{{- end}}

# The record of every decision and signature. Its folder must be writable by the
# daemon's account alone.
journal {
  path = {{q .Journal}}

  # The key that signs checkpoints, below. It signs nothing else.
  key                 = "journal"
  checkpoint_interval = "1s"
}

# Where programs ask for signatures. Who may connect is the group's business;
# what each may have signed is the policy's. A further socket "NAME" is a door of
# its own, which a policy can name in callers = ["socket:NAME"].
socket "sign" {
  path = {{q .Sign}}
{{- if .Private}}
  mode = "0600"
{{- else}}
  mode  = "0660"
  group = "sealward"
{{- end}}
}

# Where operators look: everyone's requests, all keys, and the journal. It does
# not sign.
socket "admin" {
  path = {{q .Admin}}
{{- if .Private}}
  mode = "0600"
{{- else}}
  mode  = "0660"
  group = "sealward-admin"
{{- end}}
}

# Metrics for Prometheus, if you want them.
# metrics {
#   path = {{q .Metrics}}
#   mode = "0660"
# }

# A device that holds keys.
token "hsm" {
  pkcs11 {
    module = {{q .Module}}

    # To pin the module: sha256sum of the file. An update of it must then be
    # followed here.
    # module_sha256 = "..."

    # Which of the module's tokens (RFC 7512).
    uri = "pkcs11:token=sealward"

    # The PIN, on one line, in a file of mode 0600. Under systemd use a credential
    # instead: pin_credential = "hsm-pin" and LoadCredential=hsm-pin:PATH.
    pin_file = {{q .PIN}}

    # How many signatures at once; what the token can do.
    sessions = 8
  }
}

# A key in the device and what it may sign. Which rule lets whom use it is in the
# policy.
key "hot" {
  token  = "hsm"
  uri    = "pkcs11:object=hot"
  kinds  = ["evm.transaction"]
  chains = ["eip155:1"]
}

# The journal's own key: P-256 or Ed25519.
key "journal" {
  token      = "hsm"
  uri        = "pkcs11:object=journal"
  statements = true
}
