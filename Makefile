# Two commands matter: `make run` and `make test`. Each sets up all it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCK_FLAGS := --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11 --quiet

# Through `wildcard`, since git lists a file that was removed until that is committed.
WEB_SOURCES := $(wildcard $(shell git ls-files -co --exclude-standard web 2>/dev/null))

.PHONY: help run stop web web-check packages chromium firefox nginx screenshots test lint format types unit stack-tests faults bench lock clean

help: ## List every target
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/.run ## Set up and start everything; Ctrl-C stops all of it
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web; \
	  else echo "Node is missing, so the web UI is left out; install Node 20.19 or newer to have it."; fi
	@exec $(BIN)/polylogue run

stop: ## Stop what a `make run` elsewhere has left running
	@if [ -x $(BIN)/polylogue ]; then $(BIN)/polylogue stack down; fi

web: web/dist/index.html ## Build the web UI (only where it has changed)

web-check: web/node_modules/.locked ## Lint, types and tests of the web UI that need no server
	@cd web && npm run --silent lint && npm run --silent types && npm run --silent unit

chromium: ## Install Debian's Chromium where the tests need it, or say how
	@command -v chromium >/dev/null || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	  else echo "Chromium is missing; run: sudo apt-get install chromium"; exit 1; fi; }

firefox: ## Install Debian's Firefox where the tests need it, or say how
	@command -v firefox-esr >/dev/null || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq firefox-esr >/dev/null; \
	  else echo "Firefox is missing; run: sudo apt-get install firefox-esr"; exit 1; fi; }

nginx: ## Install Debian's nginx where the tests need it, or say how
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq nginx-light >/dev/null; \
	  else echo "nginx is missing; run: sudo apt-get install nginx-light"; exit 1; fi; }

screenshots: $(VENV)/.dev chromium ## Take the pictures of docs/user-guide.md from what `make run` serves (URL=http://… names another)
	@$(BIN)/python -m tests.browser.screenshots $(if $(URL),--url $(URL))

packages: tests/packages/node_modules/.locked ## Install the npm packages that the tests use as clients

test: lint types web web-check packages chromium firefox nginx ## Lint, types, and every test on the real stack
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev ## Ruff and the import rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache

format: $(VENV)/.dev ## Format and mend what can be mended
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

unit: $(VENV)/.dev ## The tests that need no server
	@$(BIN)/python -m pytest tests/unit tests/contract

faults: $(VENV)/.dev ## Kill, pause and cut off runner and broker: the longer variant
	@POLYLOGUE_FAULTS=all $(BIN)/python -m pytest tests/faults

bench: $(VENV)/.bench ## Measure; prints tables, writes JSON to bench/results/ (BENCH="--quick parser" chooses)
	@$(BIN)/python -m bench $(BENCH)

lock: $(VENV)/.bootstrap ## Resolve the dependencies anew into requirements/*.lock
	@$(UV) pip compile $(LOCK_FLAGS) requirements/bootstrap.in -o requirements/bootstrap.lock
	@$(UV) pip compile $(LOCK_FLAGS) --extra local pyproject.toml -o requirements/run.lock
	@$(UV) pip compile $(LOCK_FLAGS) --extra local --extra analytics --extra dev pyproject.toml -o requirements/dev.lock
	@$(UV) pip compile $(LOCK_FLAGS) --extra local --extra analytics --extra dev --extra bench pyproject.toml -o requirements/bench.lock

clean: stop ## Remove the environment, the local data and every cache
	@rm -rf $(VENV) web/dist web/node_modules tests/packages/node_modules .polylogue .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

web/node_modules/.locked: web/package-lock.json
	@command -v npm >/dev/null || { echo "Node is missing; install Node 20.19 or newer, with npm."; exit 1; }
	@cd web && npm ci --loglevel=error && touch node_modules/.locked

tests/packages/node_modules/.locked: tests/packages/package-lock.json
	@command -v npm >/dev/null || { echo "Node is missing; install Node 20.19 or newer, with npm."; exit 1; }
	@cd tests/packages && npm ci --loglevel=error && touch node_modules/.locked

web/dist/index.html: web/node_modules/.locked $(WEB_SOURCES)
	@cd web && npm run --silent build -- --logLevel warn

$(VENV)/.bootstrap: requirements/bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Polylogue needs Python 3.11 or newer; name one with: make PYTHON=python3.11 …"; exit 1; }
	@echo "Making a Python environment in $(VENV)/"
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python cannot make environments here; on Debian or Ubuntu run: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $@

$(VENV)/.run: requirements/run.lock pyproject.toml $(VENV)/.bootstrap
	@if [ ! -e $(VENV)/.dev ]; then \
	  echo "Installing the dependencies (about 150 MB the first time)"; \
	  $(UV) pip install --python $(BIN)/python --require-hashes -r requirements/run.lock --quiet \
	  && $(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet -e . ; fi
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml $(VENV)/.bootstrap
	@echo "Installing the dependencies, those for development included"
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements/dev.lock --quiet
	@$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet -e .
	@touch $@

$(VENV)/.bench: requirements/bench.lock $(VENV)/.dev
	@echo "Installing what is measured beside"
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements/bench.lock --quiet
	@touch $@
