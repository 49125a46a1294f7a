#!/bin/bash
# Generates the API's code into the folder named.
set -eu -o pipefail
out=$(realpath "$1")
cd "$(dirname "$0")/.."
PATH="$PWD/.build/bin:$PATH" protoc -I ipc/api \
  --go_out="$out" --go_opt=paths=source_relative \
  --connect-go_out="$out" --connect-go_opt=paths=source_relative \
  ipc/api/sealward/v1/sealward.proto
