# Python >= 3.10 and make are all that a fresh clone needs: each target installs what it uses.

PYTHON ?= python3
PYTHON2 ?= python2.7

VENV := .venv
BIN := $(VENV)/bin

# Extra arguments of pytest, as in: make test ARGS="-k reconnect"
ARGS ?=

# Tests wait about as long as they work, so that three processes keep two cores busy, and none has to
# wait long for a core. Where ARGS choose some, there is one process: it starts sooner, and a debugger
# needs it.
SPREAD = $(if $(ARGS),,-n 3 --dist worksteal)

# The command line; Ctrl-C is how a demonstration ends, so that make is not to call it an error. A
# shell's `||` would stand between make and the demonstration, and a SIGTERM would end it alone.
DEMO := from etoro_sync.__main__ import main; code = main(); raise SystemExit(code if code != 130 else 0)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-long test-browser check coverage format bench bench-quick bench-pairs faults
.PHONY: soak tls-stress fuzz autobahn clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.has-cli,simulator,speed ## Watch a client and a simulated feed (SECONDS=5: for so long)
	@$(BIN)/python -c '$(DEMO)' demo $(if $(SECONDS),--seconds $(SECONDS))

# Each of these processes, and each program that a test starts, would compile the library again.
test test-long test-browser check coverage: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.has-test ## Run the tests (ARGS="-k name": some of them)
	@$(BIN)/python -m pytest -m "not browser" $(SPREAD) $(ARGS)

test-long: $(VENV)/.has-test ## Run those tests that have a long form, in it
	@ETORO_SYNC_TEST_LONG=1 $(BIN)/python -m pytest -m long_form --timeout 120 $(SPREAD) $(ARGS)

# One process: the tests share a Jupyter server and a browser.
test-browser: $(VENV)/.has-browser ## Test the live table in JupyterLab and Notebook 7, and the page of prices, in Chromium
	@$(BIN)/python -m pytest -m browser -rs $(ARGS)

check: $(VENV)/.has-dev ## Lint, check format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict etoro_sync

# Of the tests that stand beside the code. Those of promises and complaints, and fuzzing, go through all
# of it again and add a two-hundredth.
AGAIN := --ignore=tests/promises --ignore=tests/complaints --ignore=tests/fuzz

coverage: $(VENV)/.has-test ## How much of the code the tests reach, without the heavy ones
	@$(BIN)/python -m pytest --cov -m "not heavy and not browser" $(AGAIN) $(SPREAD) $(ARGS)

format: $(VENV)/.has-dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.has-bench ## Compare speed with other clients; writes docs/benchmarks.md and its quotes
	@$(BIN)/python benchmarks/run.py --docs

bench-quick: $(VENV)/.has-bench ## The most important of it, in a minute
	@$(BIN)/python benchmarks/run.py --quick

bench-pairs: $(VENV)/.has-speed ## Compare with another checkout, in turns (OTHER=../before)
	@$(BIN)/python benchmarks/pairs.py $(OTHER)

faults: $(VENV)/.has-plots ## Play every fault in every phase; writes docs/faults.md
	@$(BIN)/python tests/faults/run.py --docs

tls-stress: $(VENV)/.has-test ## One TLS connection, many threads, on every Python here (SECONDS=30)
	@$(BIN)/python benchmarks/tls_pythons.py $(if $(SECONDS),--seconds $(SECONDS))

fuzz: $(VENV)/.has-fuzz ## Search for bytes that break a rule (SECONDS=60, for all targets together)
	@$(BIN)/python tests/fuzz/run.py $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

soak: $(VENV)/.has-test ## A client for half an hour under random faults (SECONDS=1800)
	@$(BIN)/python tests/soak/run.py $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

autobahn: $(VENV)/.has-test ## Autobahn's cases for WebSocket clients (PYTHON2=python2.7)
	@$(BIN)/python tests/fuzz/autobahn.py --python2 $(PYTHON2)

clean: ## Remove the environment and everything that was built
	@rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* htmlcov
	@rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of extras. It is written last, and while pip works a marker says so: an
# environment whose marker was left by an interrupted run may be half installed, and is made anew.
$(VENV)/.has-%: setup.cfg setup.py etoro_sync/_version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or later is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@if [ -e $(VENV)/.incomplete ]; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && touch $(VENV)/.incomplete
	@echo "Installing into $(VENV), which takes a minute ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
		--editable ".[$*]"
	@rm $(VENV)/.incomplete
	@touch $@

# On top of the library with its fast JSON parser: whom it is compared with. One that cannot be had
# here (no build for this Python, no network) is left out of the tables.
$(VENV)/.has-bench: benchmarks/requirements.txt $(VENV)/.has-speed
	@echo "Installing what to compare with ..."
	@grep -v '^#' $< | while read -r wanted; do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
			"$$wanted" </dev/null || echo "The benchmarks do without $$wanted" >&2; \
	done
	@touch $@

# What draws the pictures of the page of faults; without it, there are none.
$(VENV)/.has-plots: $(VENV)/.has-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
		"matplotlib>=3.9" </dev/null || echo "Drawing nothing without matplotlib" >&2
	@touch $@

# A fuzzer that is led by the lines an input reaches. It has no build for each Python; without it
# the search is by chance.
$(VENV)/.has-fuzz: $(VENV)/.has-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
		--only-binary :all: "atheris>=3,<4" </dev/null || echo "Searching without atheris" >&2
	@touch $@
