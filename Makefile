# make demo / make test / make check: each sets up what it needs, in its own virtual environment.
# Another interpreter: make PYTHON=python3.12 test. Another torch build (CUDA): install it into .venv first.
# The newest interpreter that the pinned CPU build of torch is made for comes first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
PYTEST  = OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: setup demo test check format clean

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/easyedit-split demo --out demo-out

test: $(STAMP)
	$(PYTEST) -n 2 $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo-out
