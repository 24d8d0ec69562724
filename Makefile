# The first `make demo` or `make test` sets everything up: .venv, the pinned packages, the demo's models.

PYTHON ?= python3
# The index for PyTorch's CPU build, used if pip doesn't find it otherwise.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# How many tests run at the same time: at most four, because each worker may load a model of its own.
WORKERS ?= auto
# Groups of tests start in the order of tests/conftest.py: the longest first.
PARALLEL := --numprocesses $(WORKERS) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

BIN := .venv/bin
INSTALLED := .venv/installed.stamp
PROJECT := .venv/project.stamp

# vLLM and torch are 9,000 files: without byte code every start takes half a minute longer. Empty enables byte code.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-all docs lint setup models lock clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    compare a real model with two quantized copies (the first time: some minutes of set-up)"
	@echo "make test    check formatting, lint and types, and run every test but the slow ones, in minutes"
	@echo "make test-all  the same with every test, as in CI"
	@echo "make lint    the same without the tests"
	@echo "make docs    build the documentation's site in site/"
	@echo "make setup   set up .venv and models/, nothing else"
	@echo "make lock    pin requirements/cpu.txt again from cpu.in and overrides.txt"
	@echo "make clean   remove .venv, models/ and caches, but not finished runs (fidelity-store/)"

demo: setup
	$(BIN)/fidelity compare examples/base.yaml examples/w8a8-int8.yaml examples/w4a16.yaml

test: lint models
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-all: lint models
	$(BIN)/python -m pytest $(PARALLEL) --slow --override-ini=faulthandler_timeout=1800 $(PYTEST_ARGS)

lint: $(PROJECT)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(PROJECT)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

setup: $(PROJECT) models

models: $(PROJECT)
	@$(BIN)/python examples/make_models.py

$(PROJECT): $(INSTALLED) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(INSTALLED): requirements/cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
	    echo "fidelity's demo and tests need Python 3.11 to 3.14, but $(PYTHON) is another version: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null || { \
	    echo "vLLM on CPU needs libnuma.so.1: apt-get install libnuma1 (Debian, Ubuntu), dnf install numactl-libs (Fedora)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
	    echo "$(PYTHON) can't make a virtual environment: apt-get install python3-venv (Debian, Ubuntu)" >&2; exit 1; }
	$(BIN)/python requirements/pins.py install --torch-index $(TORCH_INDEX)
	@touch $@

lock:
	$(PYTHON) requirements/pins.py lock --torch-index $(TORCH_INDEX)

clean:
	rm -rf .venv models build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
