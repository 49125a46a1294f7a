# `make demo` and `make test` are the two commands a newcomer needs; each does all
# of its own set-up. `make help` lists the rest.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
BUILD       := .build
FUZZTIME    ?= 20s

# SQLite is compiled by its Go binding with a plain fsync for each commit unless
# it is told that the system has fdatasync.
export CGO_ENABLED := 1
export CGO_CFLAGS  := -O2 -g -DHAVE_FDATASYNC=1

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X github.com/sealward/sealward/cmd/version.commit=$(VERSION)

.PHONY: help deps build-deps build sim demo test check mutants bench fuzz generate clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

deps: ## install what is missing, with apt and npm; silent when nothing is
	@tools/deps.sh

build-deps:
	@tools/deps.sh build

build: build-deps ## bin/sealwardd, bin/sealward-worker and bin/sealward
	@go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/sealwardd ./cmd/sealward-worker ./cmd/sealward

sim: build-deps # the program that tries everything without hardware; never packaged
	@go build -trimpath -o $(BUILD)/bin/ ./cmd/sealward-sim

demo: build sim ## the main job, without hardware, in a minute
	@$(BUILD)/bin/sealward-sim demo --bin bin

test: deps ## every test, with the race detector
	go test -race -timeout 20m ./...

check: deps ## format, vet, staticcheck, vulnerabilities, generated code, units
	@tools/check.sh

mutants: deps ## dangerous changes of the policy engine, each of which must break its test
	@go test -count=1 -tags mutants -run '^TestEachDangerousChangeBreaksItsTest$$' ./policy

bench: deps build ## the whole path against the raw module; writes bench.json
	@go run ./cmd/sealward-sim bench --bin bin --out bench.json
	@go test ./policy -run '^$$' -bench Large -benchtime 2s

fuzz: deps ## every fuzz target, for FUZZTIME each
	@tools/fuzz.sh $(FUZZTIME)

generate: deps ## the API's generated code
	@tools/generate.sh ipc/api

clean: ## remove what was built
	@rm -rf $(BUILD) bin bench.json
