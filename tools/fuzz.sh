#!/bin/bash
# Runs every fuzz target of the module for the time named, e.g. 20s.
set -eu -o pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
n=0
while IFS=: read -r file target; do
  n=$((n + 1))
  echo "fuzz: $target in $(dirname "$file") for $1"
  # By default up to a minute goes into making one interesting input smaller, which
  # finds nothing.
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 500x "./$(dirname "$file")" >"$log" 2>&1; then
    # Where its time ends while a worker is busy, go test may call that a failure of
    # its own. A finding names the input that fails.
    if grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|testdata/fuzz|panic' "$log"; then
      echo "fuzz: time ended within an input"
    else
      cat "$log"
      exit 1
    fi
  fi
  grep -E '^fuzz: elapsed' "$log" | tail -n 1 || true
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9]+' | sed 's/func //')
[ "$n" -gt 0 ] || { echo "fuzz: there is no fuzz target" >&2; exit 1; }
echo "fuzz: $n targets held"
