#!/bin/bash
# Checks that need no test: format, vet, staticcheck, known vulnerabilities,
# generated code, tidiness. Every check runs; the last line says what failed.
set -u -o pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.build/bin:$PATH"
failed=()
check() { # NAME COMMAND...
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then echo "check: $name: ok"; else
    echo "check: $name: FAILED"; echo "$out"; failed+=("$name")
  fi
}

formatted() { local l; l=$(gofmt -s -l $(git ls-files --cached --others --exclude-standard '*.go')); [ -z "$l" ] || { echo "run gofmt -s -w on:"; echo "$l"; return 1; }; }

generated() {
  local dir; dir=$(mktemp -d)
  tools/generate.sh "$dir" && diff -ru "$dir/sealward" ipc/api/sealward --exclude='*.proto'
  local rc=$?; rm -rf "$dir"; return $rc
}

no_leftovers() { ! git grep -nE 'TODO|FIXME|XXX|\.Skip\(|\.SkipNow\(|\.Skipf\(' -- '*.go' '*.md' '*.sh' ':!tools/check.sh'; }

# The database of vulnerabilities is on the network. Where that is out of reach
# nothing is known, which is said aloud and is no failure of the change.
vulnerabilities() {
  local out rc
  out=$(govulncheck ./... 2>&1); rc=$?
  if [ $rc -eq 0 ]; then echo "check: vulnerabilities: ok"; return; fi
  if grep -qE 'fetching vulnerabilities|dial tcp|no such host|connection refused' <<<"$out"; then
    echo "check: vulnerabilities: NOT CHECKED, the database is out of reach"; return
  fi
  echo "check: vulnerabilities: FAILED"; echo "$out"; failed+=(vulnerabilities)
}

check format formatted
check vet go vet ./...
check staticcheck staticcheck ./...
check "generated code" generated
check "module files" go mod tidy -diff
check "no leftovers" no_leftovers
vulnerabilities
if [ ${#failed[@]} -gt 0 ]; then echo "check: failed: ${failed[*]}"; exit 1; fi
