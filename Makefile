# Every target is one command for a user; `make help` lists them.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 1026
STORE ?= sqlite:./tsunagu-data
ON ?= sqlite
FAULTS ?= 300

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Tsunagu needs Python 3.11 or newer: install it, or name it with make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.lock
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-test requirements-bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.lock
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## make the environment in .venv, with .venv/bin/tsunagu

.PHONY: install-test
install-test: $(VENV)/.installed-test ## the same, with all that the tests need
	@sh tests/install_mosquitto.sh

.PHONY: run
run: install ## serve NGSI-LD on http://localhost:1026 (PORT=..., STORE=...)
	@exec $(BIN)/tsunagu serve --port $(PORT) --store $(STORE)

.PHONY: test
test: install-test ## the whole test suite, on SQLite and on a real MongoDB
	@sh tests/all.sh $(BIN)/python

.PHONY: test-fast
test-fast: install-test ## the pure floors only, in seconds
	$(BIN)/python -m pytest tests/unit

.PHONY: faults
faults: install-test ## the long fault tests: FAULTS=300 of all kinds on each store, then 50 kills and 20 rolling restarts
	TSUNAGU_TEST_FAULTS=$(FAULTS) $(BIN)/python -m pytest tests/faults/test_faults.py
	TSUNAGU_KILLS=50 TSUNAGU_TEST_RESTARTS=20 $(BIN)/python -m pytest tests/faults --ignore tests/faults/test_faults.py

.PHONY: one-city
one-city: install ## a whole city in one broker, from files and gauges to alerts (DATA=DIR: real files; STORE=..., STAY=1)
	@sh tests/install_mosquitto.sh >/dev/null
	@$(BIN)/python -m examples.one_city $(if $(DATA),--data $(DATA)) $(if $(STAY),--stay) \
		$(if $(filter command line,$(origin STORE)),--store $(STORE))

.PHONY: conformance
conformance: install-test ## the conformance suite against a broker of its own (URL=http://host:port: against that one)
	$(BIN)/tsunagu conformance run $(if $(URL),--url $(URL)) --report html:conformance.html

.PHONY: bench
bench: $(VENV)/.installed-bench ## what each operation costs, held against its limits, on both stores: five minutes, into bench/results/
	$(BIN)/python -m bench short --json bench/results/short.json --markdown bench/results/short.md --plot bench/results/short.svg $(if $(DOCUMENT),--document $(DOCUMENT))

.PHONY: bench-full
bench-full: $(VENV)/.installed-bench ## the same with a million entities and 10,000 subscriptions: an hour and a quarter, 10 GB
	$(BIN)/python -m bench full --json bench/results/full.json --markdown bench/results/full.md --plot bench/results/full.svg $(if $(DOCUMENT),--document $(DOCUMENT))

.PHONY: bench-temporal
bench-temporal: install-test ## the temporal API's speed with ten million instances (ON=sqlite or mongo): half an hour, 10 GB
	$(BIN)/python -m bench temporal --store $(ON)

.PHONY: bench-overload
bench-overload: $(VENV)/.installed-bench ## 2.5 times what the broker sustains, drawn as overload.svg (ON=sqlite or mongo): five minutes
	$(BIN)/python -m bench overload --store $(ON) --plot overload.svg

.PHONY: bench-latency
bench-latency: $(VENV)/.installed-bench ## change to receiver, beside one that hangs, drips or fails (ON=sqlite or mongo): six minutes
	$(BIN)/python -m bench latency --store $(ON)

.PHONY: bench-adapters
bench-adapters: install-test ## rows a second of an import, and milliseconds from MQTT to a query
	$(BIN)/python -m bench adapters

.PHONY: adapter-kills
adapter-kills: install-test ## kill the runner of adapters at every step, and 100 times during an import of 50,000 rows: ten minutes
	TSUNAGU_IOT_KILLS=50 TSUNAGU_ADAPTER_KILLS=100 $(BIN)/python -m pytest tests/faults/test_iot_kills.py \
	  tests/faults/test_adapter_kills.py tests/integration/adapters/test_adapter_crashes.py \
	  tests/integration/adapters/test_command_crashes.py tests/integration/test_serve_commands.py

.PHONY: bench-operations
bench-operations: install-test ## CPU time an operation, beside the raw floor (ON=sqlite or mongo): three minutes
	$(BIN)/python -m bench operations --store $(ON)

.PHONY: bench-scale
bench-scale: install-test ## queries of a million entities, 16 clients (ON=sqlite or mongo): eight minutes, 7 GB
	$(BIN)/python -m bench scale --store $(ON) --entities 1000000

.PHONY: bench-commits
bench-commits: install-test ## commits of three processes on one MongoDB, against those of one: two minutes
	$(BIN)/python -m bench commits

.PHONY: lint
lint: install-test ## ruff, mypy --strict and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: install-test ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: models
models: install ## make the @context, schemas and pages from the data models anew
	$(BIN)/python -m datamodels

.PHONY: lock
lock: install-test ## pin the newest versions that pyproject.toml allows
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate --extra test --output-file requirements-test.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate --extra test --extra bench --output-file requirements-bench.lock pyproject.toml

.PHONY: clean
clean: ## remove the environment and all caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
