# The single entry to everything one does with this project. CI calls only these targets.
.PHONY: check test fmt
SHELL := /bin/bash

check: ## formatting, lints, docs, size budgets
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet
	scripts/size-budgets

test: ## every test there is
	cargo test --locked

fmt:
	cargo fmt
