# `make` lists the targets. Each one sets up what is missing in .venv by itself.

VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
TESTS := -m 'not slow'
JOBS ?= 2
# 3.11 and 3.12 first: giotto-ph and giotto-tda have no wheel for a later Python.
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# Continuous integration reads a log, a person watches a progress bar.
PIP := $(BIN)/python -m pip --disable-pip-version-check $(if $(CI),-q)

# Nothing is compiled at installation, which halves its time; what is imported is compiled then, once. A machine
# may forbid Python to write bytecode; then every import of a large library compiles it again.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup report test test-all lab docs lint types unit format lock clean distclean stub

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.ready ## make .venv as the lock files say (the other targets do it too)

report: $(VENV)/.ready ## write reports/atlas.html, the executed notebook and manifest.json
	$(BIN)/workbench report notebooks/atlas.ipynb -o reports/atlas.html

test: lint types unit ## lint, types and all tests but the slow ones: minutes

test-all: TESTS :=
test-all: lint types unit ## everything that is checked, the slow tests and all notebooks with it

lab: $(VENV)/.ready ## open JupyterLab on notebooks/
	$(BIN)/workbench lab

docs: $(VENV)/.ready ## write the documentation as pages to site/, with one for each method
	$(BIN)/python scripts/make_docs.py site

lint: $(VENV)/.ready ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready ## mypy on workbench and widgets
	$(BIN)/mypy

# The workers share the cores, so each computes in one thread. Numba has to be told too: its first parallel loop sets
# OpenMP's number to its own, in torch as well, and threads that wait for each other on busy cores take thirty times as
# long. A file's tests stay in one worker because they share what is slow to set up, in the order of tests/conftest.py.
unit: $(VENV)/.ready ## pytest, the slow tests left out; PYTEST_ARGS="-k name" narrows it, JOBS=N sets the workers
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS) $(PYTEST_ARGS)

format: $(VENV)/.ready ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stub: $(VENV)/.ready ## write workbench/__init__.pyi, what editors and type checkers see
	$(BIN)/python scripts/make_stub.py

# Two stamps, so that a change in pyproject.toml doesn't look at 150 packages again. A stamp is
# written last: an interrupted installation goes on where it stopped.
$(VENV)/.locked: requirements.lock requirements-nodeps.lock
	@python='$(PYTHON)'; needs='workbench needs Python 3.11 or newer, and'; remedy='make PYTHON=/path/to/python3.11'; \
	if [ -z "$$python" ]; then \
		echo "$$needs none of python3.11, python3.12 and python3 is one: install it, or name it with $$remedy" >&2; exit 1; \
	elif ! command -v "$$python" >/dev/null; then \
		echo "$$needs there is no $$python: name another with $$remedy" >&2; exit 1; \
	elif ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "$$needs $$python is $$("$$python" --version 2>&1): name another with $$remedy" >&2; exit 1; \
	elif ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		"$$python" -m venv --clear $(VENV); fi
	@echo 'Installing about 150 packages (2 GB) into $(VENV): this happens once and takes some minutes.'
	$(PIP) install --no-compile -r requirements.lock
	$(PIP) install --no-compile --no-deps -r requirements-nodeps.lock
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# What is pinned stays pinned, and what is new in pyproject.toml is added; UPGRADE frees the names it lists.
# Wheels that only a CUDA build of torch brings are left to that build; the comment lines are kept.
UPGRADE ?=
FREED := $(if $(strip $(UPGRADE)),$(subst $() ,|,$(strip $(UPGRADE))),nothing)
lock: ## bring requirements.lock up to pyproject.toml; UPGRADE="name ..." frees names
	rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	grep -ivE '^($(FREED))==' requirements.lock > .lock-venv/pins.txt
	.lock-venv/bin/python -m pip install --no-compile -c .lock-venv/pins.txt '.[all]'
	grep '^#' requirements.lock > .lock-venv/new
	.lock-venv/bin/python -m pip freeze --exclude workbench | grep -vE '^(nvidia-|cuda-|triton==)' \
		| sed -E -e 's/^([^=]+==[^+]+)\+.*/\1/' -e "s/^(giotto-ph|pyflagser)==.*/& ; python_version < '3.13'/" >> .lock-venv/new
	mv .lock-venv/new requirements.lock && rm -rf .lock-venv

clean: ## remove reports, caches and build outputs
	rm -rf reports site build dist .lock-venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)
