# Python >= 3.10 and make are all that a fresh clone needs: each target installs what it uses.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin

# Extra arguments of pytest, as in: make test ARGS="-k reconnect"
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.has-all ## Watch a client and a simulated feed (SECONDS=5: for so long)
	@$(BIN)/etoro-sync demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(VENV)/.has-test ## Run the tests (ARGS="-k name": some of them)
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.has-dev ## Lint, check format and types, run the tests with coverage
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict etoro_sync
	@$(BIN)/python -m pytest --cov $(ARGS)

format: $(VENV)/.has-dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

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
