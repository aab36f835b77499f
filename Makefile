# `make` lists the targets. Everything built or fetched lives outside the tree, under the user's cache folder.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := list
.PHONY: list demo test faults cases fuzz bench cuda gpu lint setup run-demo run-test run-faults run-cases run-fuzz run-bench run-cuda run-gpu run-lint

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stellwerk
DATA ?= ../shared/data
ARGS ?=
SECONDS ?= 60
TARGET ?=
INPUT ?=
KEEP ?=

export STELLWERK_CACHE := $(CACHE)
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(CACHE)/bin:$(HOME)/.cargo/bin:$(PATH)
ifneq ($(wildcard $(CACHE)/cuda/bin/nvcc),)
export CUDA_HOME ?= $(CACHE)/cuda
endif
ifneq ($(shell command -v mold),)
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS ?= -Clink-arg=-fuse-ld=mold
endif

list: ## lists the targets
	@printf 'Stellwerk. One binary, one store. Targets:\n\n'
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-7s %s\n' "$$name" "$$what"; done
	@printf '\nA cold build takes a while: README.md says how long. Later ones take seconds.\n'

setup: ## installs what a build and the tests need and is missing
	@deploy/setup build

# The work runs in a second make, which sees what `setup` has installed.
demo: setup ## serves, ingests real records over the real doors, prints a report (ARGS=--exit ends by itself)
	@$(MAKE) --no-print-directory run-demo

test: setup ## runs every test: unit, end to end, kill -9, real clients
	@deploy/setup tests
	@$(MAKE) --no-print-directory run-test

faults: setup ## a seeded campaign of kills, power cuts, bad disks and stores (TRIALS=200 SEED=s KIND=k KILLS=100 OUT=file)
	@deploy/setup $(if $(TRIALS)$(KIND),tests,faults)
	@$(MAKE) --no-print-directory run-faults

cases: setup ## runs the known answers under DATA=DIR (default ../shared/data), one line a suite
	@$(MAKE) --no-print-directory run-cases

fuzz: setup ## searches for inputs that break a promise, SECONDS=60 a target (TARGET=name; INPUT=file runs one input)
	@deploy/setup fuzz
	@$(MAKE) --no-print-directory run-fuzz

bench: setup ## measures ours and its peers on this machine (ARGS="logs start", ARGS=--list, ARGS=--quick)
	@deploy/setup bench
	@$(MAKE) --no-print-directory run-bench

cuda: setup ## builds the binary with models on a GPU (needs no GPU; the driver is looked for when it runs)
	@deploy/setup cuda
	@$(MAKE) --no-print-directory run-cuda

gpu: setup ## measures models and exact scans on this machine's GPU (MODEL=folder TEXTS=corpus.jsonl ARGS="--rows N --out FILE")
	@deploy/setup cuda
	@$(MAKE) --no-print-directory run-gpu

lint: setup ## formatting, clippy and, where it is installed, cargo-deny
	@$(MAKE) --no-print-directory run-lint

run-demo:
	@deploy/demo/run $(ARGS)

run-test:
	@tests/run

# Only a whole campaign writes the results that are kept (OUT=file asks for them of any) and takes the whole API server and n8n.
run-faults:
	@TRIALS="$(or $(TRIALS),200)" SEED="$(SEED)" KIND="$(KIND)" KILLS="$(KILLS)" OUT="$(or $(OUT),$(if $(TRIALS)$(KIND),,benches/results/faults.json))" \
		cargo test --test stellwerk -- --exact faults::campaign --nocapture
	$(if $(TRIALS)$(KIND),,cargo test --test stellwerk -- kubernetes_real:: n8n:: --nocapture)

run-cases:
	@STELLWERK_CASES="$(DATA)" tests/cases.sh

run-fuzz:
	@FUZZ_SECONDS="$(SECONDS)" FUZZ_TARGET="$(TARGET)" FUZZ_INPUT="$(INPUT)" FUZZ_KEEP="$(KEEP)" tests/fuzz/run

run-bench:
	cargo build --bin stellwerk
	@deploy/setup weights
	cargo bench --bench stellwerk --profile dev -- $(ARGS)

run-cuda:
	cargo build --bin stellwerk --features cuda

run-gpu:
	cargo build --workspace --example gpu --features index/cuda
	"$$CARGO_TARGET_DIR/debug/examples/gpu" "$(or $(MODEL),$(CACHE)/models/all-MiniLM-L6-v2)" "$(or $(TEXTS),$(DATA)/retrieval/scifact/corpus.jsonl)" $(ARGS)

run-lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	if command -v cargo-deny >/dev/null; then cargo deny --all-features check; else echo "lint: cargo-deny is not installed, deny.toml was not checked" >&2; fi
