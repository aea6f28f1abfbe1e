# make demo: set up and explain photographs; make check: the quick tests of every day (90 s); make test: all tests;
# make lint: style and types; make docs: the documentation site, into site/.
# make bench PHOTOGRAPHS=folder CAPTIONS=file: time the engine; features and training only if both are given.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check test lint docs bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("wordsight needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/python examples/demo.py

check: .venv/ready
	$(BIN)/python -m pytest -m 'not slow and not starter and not shared'

test: .venv/ready
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: .venv/ready
	$(BIN)/python benchmarks/engine.py
	$(if $(CAPTIONS),$(BIN)/python benchmarks/pipeline.py $(PHOTOGRAPHS) $(CAPTIONS))
	$(BIN)/python benchmarks/table.py

clean:
	rm -rf .venv demo build dist site
