# Everything here works after a plain clone: it needs make, git and some Python 3.13 or newer, which
# .ci/python looks for. What is installed goes to .venv, from the hashed pins in .ci/requirements.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two goals may want to install into .venv; pytest runs tests in parallel by itself.
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input -q
REQUIREMENTS := .ci/requirements
PROJECTS := pyproject.toml toolchain/pyproject.toml

# How many processes pytest uses.
WORKERS ?= 2
# Where the registry tools go that are no packages of Python.
export CHONKLE_TOOLS_DIR ?= $(CURDIR)/.tools
CODECS := codec-src --output codec --build-dir build/codecs
# More arguments for pytest, or for a benchmark: make check ARGS="-k portmap"
ARGS ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z%-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/demo.stamp ## Decode a cloud-optimized GeoTIFF with the codecs in this repository
	$(PY) docs/examples/demo/demo.py $(ARGS)

.PHONY: test
test: lint tools registry-tools hosts docs ## Every test that CI runs; installs compilers first
	$(BIN)/chonkle build $(CODECS) --check
	$(PY) -m pytest -n $(WORKERS) $(ARGS)

.PHONY: check
check: lint ## The quick loop: lint, types, and the tests that need no compiler
	$(PY) -m pytest -q -n $(WORKERS) -m "not toolchain and not slow and not hosts" $(ARGS)

.PHONY: smoke
smoke: $(VENV)/dev.stamp ## The tests that need neither compilers nor a network, for any platform
	$(PY) -m pytest -m "not toolchain and not network and not hosts" $(ARGS)

.PHONY: test-wasmtime
test-wasmtime: ## The tests with every version of wasmtime that is listed as tested
	WORKERS=$(WORKERS) sh .ci/test-wasmtime $(ARGS)

.PHONY: test-wheels
test-wheels: wheel $(VENV)/lock.stamp ## The wheels, with the oldest and the newest dependencies that they allow
	WORKERS=$(WORKERS) sh .ci/test-wheels $(ARGS)

.PHONY: test-zarr
test-zarr: $(VENV)/dev.stamp ## The tests of zarr-python and numcodecs with chonkle in place: an hour
	WORKERS=$(WORKERS) sh .ci/test-zarr $(ARGS)

.PHONY: test-hosts
test-hosts: hosts ## The tests of the hosts in Rust, node and a browser, which it equips first
	$(PY) -m pytest -n $(WORKERS) tests/hosts $(ARGS)

.PHONY: soak
soak: $(VENV)/dev.stamp ## The cache under crashes, corruption, full disks and crowds: minutes
	SOAK=full $(PY) -m pytest -q -n $(WORKERS) tests/soak $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp ## The readers of WebAssembly against wasmtime's, on 200,000 files: an hour
	FUZZ=full $(PY) -m pytest -q -n $(WORKERS) tests/fuzz $(ARGS)

.PHONY: zarr-chunks
zarr-chunks: $(VENV)/dev.stamp ## 60,000 chunks of Zarr arrays, compared with zarr-python: minutes
	ZARR_CHUNKS=full $(PY) -m pytest -q -n $(WORKERS) tests/property/test_zarr_chunks.py $(ARGS)

.PHONY: lint
lint: $(VENV)/dev.stamp ## Lint, formatting and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

.PHONY: format
format: $(VENV)/dev.stamp ## Format the code and apply the fixes that ruff is sure of
	$(PY) -m ruff check --fix --exit-zero
	$(PY) -m ruff format

.PHONY: codecs
codecs: $(VENV)/dev.stamp ## Build the codecs whose sources changed
	$(BIN)/chonkle build $(CODECS)

.PHONY: reproduce
reproduce: tools ## Build every codec twice from clean, and compare the bytes: minutes
	$(BIN)/chonkle reproduce $(CODECS) $(ARGS)

.PHONY: verify-codecs
verify-codecs: $(VENV)/dev.stamp ## Check that the built codecs are what they say, and stand what they get
	$(BIN)/chonkle verify codec --codec-src codec-src

.PHONY: tools
tools: $(VENV)/tools.stamp ## Install the compilers that building codecs needs
	$(BIN)/chonkle tools --install

.PHONY: system-packages
system-packages:
	sh .ci/system-packages

# One that cannot be made is named: its tests skip, except in CI, where they fail.
.PHONY: hosts
hosts: tools system-packages ## Build the hosts in other languages: minutes at first
	@sh .ci/hosts browser || true
	@sh .ci/hosts zarrs || true

.PHONY: registry-tools
registry-tools: ## Install the registry tools of others that tests compare with
	sh .ci/registry-tools

# It compares with codecs that nothing else needs, which may go into the same environment.
bench-codecs bench-zarr: $(VENV)/bench.stamp

bench-hosts: hosts

# make bench-startup runs tests/bench/startup.py, which finds its neighbours as modules
bench-%: $(VENV)/dev.stamp ## Run one benchmark of tests/bench, as in `make bench-startup`
	$(PY) -m tests.bench.$(subst -,_,$*) $(ARGS)

.PHONY: wheel
wheel: $(VENV)/dev.stamp ## Build the distributions of chonkle and chonkle-toolchain into dist/
	rm -rf dist
	$(PY) -m hatchling build -d dist
	cd toolchain && "$(CURDIR)/$(PY)" -m hatchling build -d ../dist

.PHONY: lock
lock: $(VENV)/lock.stamp ## Renew the hashed pins; to move to newer versions: make lock ARGS=--upgrade
	$(LOCK) -o $(REQUIREMENTS)/lock.txt --group lock
	$(LOCK) -o $(REQUIREMENTS)/dev.txt $(PROJECTS) --extra attest --extra native --extra zarr --extra dask --extra tiff \
		--group dev
	$(LOCK) -o $(REQUIREMENTS)/tools.txt --group tools --constraints $(REQUIREMENTS)/dev.txt
	$(LOCK) -o $(REQUIREMENTS)/demo.txt pyproject.toml --group build --group demo \
		--constraints $(REQUIREMENTS)/dev.txt
	$(LOCK) -o $(REQUIREMENTS)/docs.txt --group docs --overrides $(REQUIREMENTS)/dev.txt
	$(LOCK) -o $(REQUIREMENTS)/bench.txt --group bench --overrides $(REQUIREMENTS)/dev.txt
	$(LOCK) -o $(REQUIREMENTS)/zarr-tests.txt --group zarr-tests --no-deps
	@if grep -n '://' $(REQUIREMENTS)/*.txt; then \
		echo "error: a pin names an address" >&2; exit 1; fi

.PHONY: docs
docs: $(VENV)/docs.stamp ## Build the site in build/site from the documentation and the docstrings
	$(PY) -m sphinx -q -W --keep-going -c docs -d build/site-cache . build/site

.PHONY: clean
clean: ## Remove everything made here except the registry tools in .tools
	rm -rf $(VENV) dist build docs/examples/hosts/browser/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis uv.lock
	find . -name .tools -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# One set of pins for every platform and Python, naming packages and hashes and no place to get
# them from: that is the business of whoever installs.
LOCK = $(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command "make lock" --python-version 3.13 \
	--no-emit-package chonkle --no-emit-package chonkle-toolchain $(ARGS)

$(VENV)/python.stamp: .ci/python
	python=$$(sh .ci/python) && "$$python" -m venv --clear $(VENV)
	@touch $@

# demo.txt is a part of dev.txt, so that who only wants to see the demo waits for less.
$(VENV)/demo.stamp: $(REQUIREMENTS)/demo.txt pyproject.toml $(VENV)/python.stamp
	$(PIP) install --require-hashes -r $<
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(REQUIREMENTS)/dev.txt $(PROJECTS) $(VENV)/python.stamp
	$(PIP) install --require-hashes -r $<
	$(PIP) install --no-deps --no-build-isolation -e . -e toolchain
	@touch $(VENV)/demo.stamp $@

$(VENV)/docs.stamp: $(REQUIREMENTS)/docs.txt $(VENV)/dev.stamp
	$(PIP) install --require-hashes -r $<
	@touch $@

# Without what it depends on, which bench.txt lists: numcodecs-wasm asks for an older numcodecs than
# the one that it is compared with, and works with that.
$(VENV)/bench.stamp: $(REQUIREMENTS)/bench.txt $(VENV)/dev.stamp
	$(PIP) install --no-deps --require-hashes -r $<
	@touch $@

$(VENV)/tools.stamp: $(REQUIREMENTS)/tools.txt $(VENV)/dev.stamp
	$(PIP) install --require-hashes -r $<
	@touch $@

$(VENV)/lock.stamp: $(REQUIREMENTS)/lock.txt $(VENV)/python.stamp
	$(PIP) install --require-hashes -r $<
	@touch $@
