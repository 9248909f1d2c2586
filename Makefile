# Two commands do all the set-up on a machine with Python 3.11 or newer: make run, make test.

PYTHON ?= python3
PORT ?= 8000
PYTEST_ARGS ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder
NODE_TESTS := tests/conformance/node
VENV := .venv
BIN := $(VENV)/bin
DOCS_VENV := .venv-docs

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: $(VENV)/.ready-to-run ## Serve on 127.0.0.1:8000; PORT=8123 make run for another port
	@$(BIN)/python ui/build.py --if-needed
	@PORT=$(PORT) $(BIN)/text2image serve

.PHONY: test
test: $(VENV)/.ready-to-develop ## Run the tests but for those of npm's clients, on two processes; PYTEST_ARGS= for other arguments
	@$(BIN)/pytest $(PYTEST_ARGS) --ignore $(NODE_TESTS)

.PHONY: test-clients
test-clients: $(VENV)/.ready-to-develop ## Run the clients and tools of npm against the server and its schema
	@$(BIN)/pytest $(PYTEST_ARGS) $(NODE_TESTS)

.PHONY: check
check: $(VENV)/.ready-to-develop ## Lint, formatting, types, import contracts, schema drift
	@BIN=$(BIN) scripts/check

.PHONY: format
format: $(VENV)/.ready-to-develop ## Format the sources, and fix what the linter can
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: schema
schema: $(VENV)/.ready-to-run ## Write schema.graphql
	@$(BIN)/text2image schema > schema.graphql

.PHONY: docs
docs: $(DOCS_VENV)/.ready ## Build the site of docs/ into site/; a warning is an error
	@BIN=$(DOCS_VENV)/bin scripts/docs site
	@echo "Look at it with: $(DOCS_VENV)/bin/python -m http.server --directory site --bind 127.0.0.1 8001"

.PHONY: ui
ui: $(VENV)/.ready-to-run ## Build the pages for browsers, with the Node of a wheel where the system has none
	@$(BIN)/python ui/build.py

.PHONY: screenshots
screenshots: $(VENV)/.ready-to-develop ## Take the pictures of the Studio in docs/images; needs a Chromium
	@$(BIN)/python ui/build.py --if-needed
	@$(BIN)/python -m tests.browser.screenshots docs/images

.PHONY: states
states: $(VENV)/.ready-to-develop ## Take a picture of every state of the Studio, into build/states, to look at; needs a Chromium
	@$(BIN)/python ui/build.py --if-needed
	@$(BIN)/python -m tests.browser.states build/states

.PHONY: chaos
chaos: $(VENV)/.ready-to-develop ## Random faults against a fleet of processes, for ten minutes; CHAOS_ARGS="--minutes 2 --seed 7"
	@$(BIN)/python -m tests.cluster.chaos $(CHAOS_ARGS)

.PHONY: bench
bench: $(VENV)/.ready-to-develop ## Run all benchmarks, and print what docs/benchmarks.md is made from
	@$(BIN)/python -m bench.run_all

.PHONY: image
image: ## Build the container image text2image:local; needs Docker with BuildKit
	docker build --tag text2image:local .

.PHONY: synth
synth: $(VENV)/.ready-to-develop ## Write the CloudFormation templates that DEPLOY_* variables describe; needs no account
	@BIN=$(BIN) scripts/infra synth

.PHONY: deploy
deploy: $(VENV)/.ready-to-develop ## Make or change on AWS what they describe; docs/operations.md
	@BIN=$(BIN) scripts/infra deploy

.PHONY: diff destroy
diff destroy: $(VENV)/.ready-to-develop
	@BIN=$(BIN) scripts/infra $@

.PHONY: key
key: $(VENV)/.ready-to-develop ## Make an API key of a deployment; NAME="web shop" KEY_ARGS="--jobs-per-minute 60"
	@BIN=$(BIN) scripts/infra key "$(NAME)" $(KEY_ARGS)

.PHONY: lock
lock: $(VENV)/.ready-to-develop ## Resolve the dependencies again and write the lock files
	@BIN=$(BIN) scripts/lock

.PHONY: lock-npm
lock-npm: $(VENV)/.ready-to-develop ## Resolve the packages of npm again and write their lock files
	@BIN=$(abspath $(BIN)) scripts/lock-npm tests/clients/js infra ui

.PHONY: clean
clean: ## Delete what was made here, except for the data
	rm -rf $(VENV) $(DOCS_VENV) site cdk.out infra/node_modules tests/clients/js/node_modules ui/node_modules graphql_api/pages .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis bench/results

$(VENV)/.ready-to-run: requirements.txt pyproject.toml
	@PYTHON=$(PYTHON) VENV=$(VENV) scripts/install requirements.txt
	@touch $@

$(VENV)/.ready-to-develop: requirements-dev.txt pyproject.toml
	@PYTHON=$(PYTHON) VENV=$(VENV) scripts/install requirements-dev.txt
	@touch $@ $(VENV)/.ready-to-run

$(DOCS_VENV)/.ready: requirements-docs.txt pyproject.toml
	@PYTHON=$(PYTHON) VENV=$(DOCS_VENV) scripts/install requirements-docs.txt
	@touch $@
