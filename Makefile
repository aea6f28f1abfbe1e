# make demo: set up and explain photographs; make test: set up and test; make lint: style and types.
# make bench PHOTOGRAPHS=folder CAPTIONS=file: time the engine; features and training only if both are given.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("wordsight needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/python examples/demo.py

test: .venv/ready
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: .venv/ready
	$(BIN)/python benchmarks/engine.py
	$(if $(CAPTIONS),$(BIN)/python benchmarks/pipeline.py $(PHOTOGRAPHS) $(CAPTIONS))
	$(BIN)/python benchmarks/table.py

clean:
	rm -rf .venv demo build dist
