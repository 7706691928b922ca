# make demo   one command from a clone to figures
# make test   style, types and the whole test suite; more arguments: make test PYTEST_ARGS="-k house"
# make lint   style and types only
# make bench  what is fast, as ratios measured in one run
# make docs   makes what the docs say of the code: the picture, tables and the glossary
# make notebooks  runs the notebooks and stores what they show
# make clean  removes the virtual environment and the caches; results/ is yours and stays
#
# The first call makes .venv and needs a network. PYTHON=/path/to/python chooses the interpreter.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$p" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo "$$p"; exit; }; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.DELETE_ON_ERROR:
.PHONY: demo test lint bench docs notebooks clean

demo: $(VENV)/.installed
	$(BIN)/computeplan run llama3-405b

test: lint
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/reliability.py
	$(BIN)/python benchmarks/step_grid.py
	$(BIN)/python benchmarks/schedules.py
	$(BIN)/python benchmarks/allocation.py
	$(BIN)/python benchmarks/power_year.py
	$(BIN)/python benchmarks/serving.py

docs: $(VENV)/.installed
	$(BIN)/python docs/make_docs.py

notebooks: $(VENV)/.installed-test
	$(BIN)/python docs/make_notebooks.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@ $(VENV)/.installed

$(VENV)/pyvenv.cfg:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No '$(PYTHON)' found. Install Python 3.11 or newer, or say: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' || { \
	  echo "computeplan needs Python 3.11 or newer, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)." >&2; \
	  echo "Install a newer one, or say: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: it lacks ensurepip or venv." >&2; \
	  echo "On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
