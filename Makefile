# The single entry to everything one does with this project. CI calls only these targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help dev test conformance check fmt deny bench soak callgrind measure fuzz image image-steps sbom cold screenshots clean

STEP := scripts/step
# Seconds per fuzz target, and arguments of `make dev` and `make soak`.
SECONDS_EACH ?= 30
ARGS ?=
# Scenarios of `make bench`; none is all. BENCH_ROUNDS=15 in the environment sets the rounds of each that compares.
BENCH ?=
# Modes of `make soak` (races, users, endings, steady), ends of tokens in `races`, and the seconds that each mode may take.
SOAK ?= races
EXPIRIES ?= 200
SECONDS ?= 600

help: ## what there is (this)
	@echo "Cloakroom: leave your tokens at the door."; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo; echo '  make dev ARGS="--port 9000 --spa ../my-app/dist"   any option of `cloakroom dev`'

dev: ## everything on this machine: login server, demo API, example SPA, token handler; ends with a URL to open
	@echo "Building (a first time takes a few minutes, then seconds) …"
	@cargo run --locked -- dev $(ARGS)

test: ## every test there is; installs what they need (Debian: browsers, Node packages)
	@$(STEP) "what the tests need" scripts/install-test-needs
	@$(STEP) "Rust tests" scripts/test-rust
	@$(STEP) "types of the SPA and its tests" scripts/npm-run spa-example/e2e typecheck
	@# The Rust tests have built target/debug/cloakroom.
	@$(STEP) "browser tests" scripts/npm-run spa-example/e2e test

conformance: ## what the OpenID conformance suite asks of relying parties, before our own hostile server: a table of what happened
	@scripts/conformance

check: ## formatting, lints, layering, documentation, size budgets, licences
	@$(STEP) "formatting" cargo fmt --check
	@$(STEP) "size budgets" scripts/size-budgets
	@$(STEP) "lints" cargo clippy --locked --all-targets -- -D warnings
	@$(STEP) "lints, as shipped" cargo clippy --locked --no-default-features -- -D warnings
	@$(STEP) "layering" cargo test --locked --quiet --test it architecture
	@$(STEP) "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@$(STEP) "fuzz targets" scripts/fuzz check
	@$(STEP) "dependencies" scripts/deny offline

fmt: ## format the Rust code
	cargo fmt

deny: ## advisories, licences, bans and sources of all dependencies; installs cargo-deny (minutes)
	@scripts/deny install
	@scripts/deny full

bench: ## cost of a proxied request beside nginx and HAProxy, and of its parts; BENCH="get-1k callgrind" runs only these
	@$(STEP) "what the bench needs" scripts/install-test-needs bench
	@$(STEP) "release build" scripts/build-release
	@$(STEP) "bench" env CLOAKROOM_BIN="$$PWD/target/image/usr/local/bin/cloakroom" cargo bench --locked --bench proxy -- $(BENCH)

soak: ## two replicas killed, Redis killed, and nobody signed out; SOAK="races users endings steady" EXPIRIES=200 SECONDS=600
	@$(STEP) "what the soak needs" scripts/install-test-needs soak
	@$(STEP) "soak" cargo bench --locked --profile dev --bench soak -- $(SOAK) --expiries $(EXPIRIES) --seconds $(SECONDS) $(ARGS)

callgrind: ## instructions per proxied request, counted by valgrind: the same on an idle and on a busy machine
	@$(MAKE) --no-print-directory bench BENCH=callgrind

measure: bench cold ## every number of docs/performance.md

fuzz: ## every fuzz target for SECONDS_EACH=30; coverage-guided with nightly and cargo-fuzz, else at random
	@scripts/fuzz run $(SECONDS_EACH)

image: ## the container image (docker or podman)
	@scripts/image

image-steps: ## what the image holds, built without a container engine, into target/image
	@scripts/build-release

sbom: ## the packages of the shipped binary as CycloneDX JSON, into target/sbom
	@scripts/sbom

cold: ## clone and build in an empty folder; prints the seconds
	@scripts/cold

screenshots: ## take the pictures in docs/images
	@cargo build --locked
	@scripts/npm-run spa-example/e2e screenshots

clean: ## remove what was built
	cargo clean
	rm -rf fuzz/target spa-example/e2e/node_modules tests/oidc-provider/node_modules tests/differential/node_modules tests/canaille/.venv
