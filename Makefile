# make demo: set up and explain photographs; make check: the quick tests of every day (90 s); make test: all tests;
# make lint: style, types, known vulnerabilities; make docs: the documentation site, into site/.
# make lowest: the quick tests with the oldest versions of what wordsight needs that pyproject.toml allows (PyTorch stays).
# make bench PHOTOGRAPHS=folder CAPTIONS=file: time the engine; features and training only if both are given.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check test lowest lint docs bench clean

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

# Old packages warn of what is new, so warnings are no errors here. Tools and extras are of today.
.venv/lowest/ready: .venv/ready
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python --resolution lowest-direct torch==$$($(@D)/bin/python -c 'import torch; print(torch.__version__.split("+")[0])') --editable .
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python pytest beartype hypothesis datasets webdataset braceexpand scikit-image scikit-learn
	touch $@

lowest: .venv/lowest/ready
	.venv/lowest/bin/python -m pytest -W default -m 'not slow and not starter and not shared' --ignore tests/report/test_browser.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python .ci/advisories

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: .venv/ready
	$(BIN)/python benchmarks/engine.py
	$(if $(CAPTIONS),$(BIN)/python benchmarks/pipeline.py $(PHOTOGRAPHS) $(CAPTIONS))

clean:
	rm -rf .venv demo build dist site
