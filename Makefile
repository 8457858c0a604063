# Verbs for people; `make demo` and `make test` need nothing before them but python3.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.PHONY: setup demo test test-fast check bench soak clean

setup: $(VENV)/dev.stamp  ## everything for development

demo: $(VENV)/demo.stamp  ## the whole way of a frame, on embedded parts
	$(BIN)/fleetsift demo

test: $(VENV)/dev.stamp  ## every test
	$(BIN)/pytest

test-fast: $(VENV)/dev.stamp  ## the tests that take seconds
	$(BIN)/pytest -m "not slow"

check: $(VENV)/dev.stamp  ## lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp  ## what is measured, quickly
	$(BIN)/python -m benchmarks.engines --quick
	$(BIN)/python -m benchmarks.stream --quick

SEEDS ?= 2000
soak: $(VENV)/dev.stamp  ## random schedules of faults, counted by the oracle; SEEDS=20000 for a night
	$(BIN)/python -m tests.soak --seeds $(SEEDS)

clean:
	rm -rf $(VENV) demo-output

$(VENV)/uv.stamp:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

$(VENV)/demo.stamp: $(VENV)/uv.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/uv.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/demo.stamp $@
