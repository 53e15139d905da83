# Everything a person does here. A bare `make` lists it. Nothing needs root, a compiler, Node or a download but packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs clean

help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runs  ## install, train a network on digits, and write a report to look at
	$(BIN)/striate demo

test: $(VENV)/.tests  ## install, and run every test (under 10 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: $(VENV)/.checks  ## what must hold besides the tests: style, types, floors of the house, documented commands
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest docs

format: $(VENV)/.checks  ## put the code into the one format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.checks  ## write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

clean:  ## remove what was installed and built here; runs and data stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Each stamp says what the environment can do; pip is asked again only when what is wanted has changed.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Striate needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runs: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing (PyTorch the first time: some hundred megabytes, or gigabytes where its build has GPU libraries) ..."
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/.runs
	$(PIP) install --constraint constraints.txt --editable '.[onnx,test]'
	@touch $@

$(VENV)/.checks: $(VENV)/.tests
	$(PIP) install --constraint constraints.txt --editable '.[onnx,test,check]'
	@touch $@
