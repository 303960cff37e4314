# What one types in this repository. `make` alone lists it.
#
#   make run FEATURES=cuda ARGS="--listen 127.0.0.1:8000"
#
# FEATURES  Cargo features (cuda, vulkan, metal, rocm), separated by commas
# ARGS      arguments of `lla serve`
# The installed packages and everything that is built or downloaded stay under target/ (except what
# scripts/install-deps asks of the system's package manager).

CARGO ?= cargo
FEATURES ?=
ARGS ?=
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
export FEATURES

features = $(if $(FEATURES),--features $(FEATURES))
# Without the engine no C++ compiler, CMake or libclang is needed: these must then never be called.
no_native = env CXX=false CMAKE=false LIBCLANG_PATH=/nonexistent
deny = $(shell command -v cargo-deny 2>/dev/null)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: rust ## Build and run the gateway with a small model (pulls it the first time)
	@scripts/install-deps run
	$(CARGO) build --release --locked -p lla-cli $(features)
	exec $(CARGO_TARGET_DIR)/release/lla serve $(ARGS)

.PHONY: test
test: rust ## Run every test, with the real model and the official SDKs
	@scripts/install-deps test
	scripts/test

.PHONY: test-sdk
test-sdk: rust ## Run only the tests with the official Python and Node SDKs
	@scripts/install-deps test
	scripts/test sdk

.PHONY: test-live
test-live: rust ## Run the tests against real servers: OLLAMA_URL, VLLM_URL, LLAMA_SERVER_URL
	@test -n "$(OLLAMA_URL)$(VLLM_URL)$(LLAMA_SERVER_URL)" || { \
		echo "make test-live needs a server: set OLLAMA_URL, VLLM_URL or LLAMA_SERVER_URL (see docs/backends.md)" >&2; exit 1; }
	$(CARGO) test --locked -p lla-gateway --test live -- --nocapture --test-threads=1

.PHONY: check
check: fmt-check lint no-native docs test deny-if-there ## Everything that CI checks

.PHONY: fmt
fmt: rust ## Format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check: rust
	$(CARGO) fmt --all --check

.PHONY: lint
lint: rust ## Clippy on everything, with and without the engine; a warning is an error
	@scripts/install-deps build
	$(CARGO) clippy --locked --workspace --all-targets $(features) -- -D warnings
	$(CARGO) clippy --locked --workspace --exclude lla-engine --all-targets --no-default-features -- -D warnings

.PHONY: no-native
no-native: rust ## Prove that everything but the engine builds without a C++ compiler
	$(no_native) $(CARGO) build --locked -p lla-cli -p lla-gateway --no-default-features \
		--target-dir $(CARGO_TARGET_DIR)/no-native --config 'profile.dev.package."*".opt-level=0'

.PHONY: docs
docs: rust ## Build the code's documentation; a broken link is an error
	@scripts/install-deps build
	# The documentation is for those who work here: private items are in it, so links to them are right.
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --locked --workspace --no-deps --document-private-items $(features)

# cargo-deny takes minutes to build and is not needed to work here, so it is used when it is there:
# `cargo install cargo-deny --locked`.
.PHONY: deny
deny: rust ## Check licences, banned crates and sources (needs cargo-deny, works offline)
	cargo-deny --all-features check licenses bans sources

.PHONY: advisories
advisories: rust ## Check for known vulnerabilities (needs cargo-deny and its advisory database)
	cargo-deny --all-features check advisories

.PHONY: deny-if-there
deny-if-there: rust
	$(if $(deny),$(MAKE) --no-print-directory deny,@echo "cargo-deny is not installed: licences and sources were not checked (see 'make deny')")

.PHONY: sdk-lock
sdk-lock: ## Pin the newest SDKs and what they need (the tests' requirements.txt and package-lock.json)
	scripts/lock-sdks

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean

# The toolchain is rustup's business; rust-toolchain.toml says which one.
.PHONY: rust
rust:
	@command -v $(CARGO) >/dev/null || { \
		echo "Rust is missing: install rustup (your system's package, or as rustup's site says), then try again." >&2; \
		exit 69; }
