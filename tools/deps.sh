#!/bin/bash
# Installs what this machine lacks, with "build" for building and the demo, else for
# everything: Debian packages, npm packages for the tests, Go tools. Prints nothing
# when nothing is missing.
set -eu -o pipefail
cd "$(dirname "$0")/.."

# What building takes; softhsm2, swtpm, and pcscd with vpcd's driver are the devices of
# the demo. Testing and checking take more: p11-kit is a token that can be killed,
# tpm2-pkcs11 and ykcs11 are PKCS#11 modules of other makers, tpm2-tools,
# yubico-piv-tool, opensc and openssl are clients and verifiers that know nothing of
# Sealward, openssh-client signs and verifies approvals, with a FIDO token that is built
# with libssl-dev, swtpm-tools make certificates for a TPM, pinentry-tty asks for a PIN, opensc
# and jq are for the documentation's commands too, systemd verifies the units,
# protobuf-compiler generates the API, nodejs runs a wallet's side. openssh-server is the
# far end of an admin socket that is forwarded to an approver, tmux the terminal that the
# inbox is tried in.
packages=(gcc libc6-dev pkg-config libpcsclite-dev softhsm2 swtpm pcscd vsmartcard-vpcd ca-certificates)
if [ "${1:-}" != build ]; then
  packages+=(p11-kit p11-kit-modules opensc jq curl procps systemd protobuf-compiler libprotobuf-dev)
  packages+=(swtpm-tools tpm2-tools libtss2-tcti-swtpm0 libtpm2-pkcs11-1 yubico-piv-tool ykcs11 openssl libssl-dev openssh-client openssh-server pinentry-tty tmux)
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi

missing=()
for p in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "deps: these packages are missing: ${missing[*]}; install them as root, or install sudo" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "deps: installing ${missing[*]}"
  "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=400 update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=400 \
    install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

command -v go >/dev/null || { echo "deps: Go is missing; install Go $(sed -n 's/^go //p' go.mod) or later" >&2; exit 1; }

[ "${1:-}" != build ] || exit 0

# The stamps are hashes of what was asked for, so that a changed pin is installed.
mkdir -p .build/bin
want=$(sha256sum tools/node/package-lock.json)
if [ "$(cat .build/node.stamp 2>/dev/null)" != "$want" ] || [ ! -d tools/node/node_modules ]; then
  echo "deps: installing npm packages for the tests"
  npm ci --prefix tools/node --ignore-scripts --no-audit --no-fund --silent
  echo "$want" > .build/node.stamp
fi
want=$(cat tools/go.mod tools/go.sum | sha256sum)
if [ "$(cat .build/tools.stamp 2>/dev/null)" != "$want" ]; then
  echo "deps: building the Go tools"
  (cd tools && GOBIN="$PWD/../.build/bin" CGO_ENABLED=0 go install tool)
  echo "$want" > .build/tools.stamp
fi
