#!/bin/bash
# Runs every fuzz target of the module for the time named, e.g. 20s.
set -eu -o pipefail
cd "$(dirname "$0")/.."
n=0
while IFS=: read -r file target; do
  n=$((n + 1))
  echo "fuzz: $target in $(dirname "$file") for $1"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "./$(dirname "$file")" | tail -n 1
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9]+' | sed 's/func //')
[ "$n" -gt 0 ] || { echo "fuzz: there is no fuzz target" >&2; exit 1; }
echo "fuzz: $n targets held"
