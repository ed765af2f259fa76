# make train   the headline run on the embedded digits          make test      the tests
# make check   format, lint, types                              make test-all  the slow ones too
# make test-elsewhere  the numerical tests as another machine would run them: a thread, AVX2, a path with a space and an umlaut
# make docs    the pages of docs/ and an API reference as a site, in build/docs
# make bench   speed and memory beside other projects, which it installs: python -m benchmarks $(ARGS)
# make chaos   kills training, fills its disk, breaks its files ..., and compares the end with that of an undisturbed run
# make cluster-up, make cluster-down   a SLURM cluster on this machine, for tests (Debian, root)
# make locks   the exact versions anew, with uv on the PATH; ARGS=--upgrade: the latest
#
# Variables
#   ARGS         for the command: make train ARGS='seed=1 network.width=32', make test ARGS=tests/samplers
#   PYTHON       what .venv is made with, Python 3.11 or later
#   TORCH_INDEX  where torch and torchvision come from. With the index address that pytorch.org shows for CPU, the environment has none of
#                CUDA's libraries and is a quarter as large. It is remembered in .venv; without it they come from pip's own index
.DEFAULT_GOAL := train
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
REMEMBERED := $(shell cat $(VENV)/torch-index 2>/dev/null)
TORCH_INDEX ?= $(REMEMBERED)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := uv pip compile $(ARGS) --quiet --universal --fork-strategy fewest --python-version 3.11 --no-emit-index-url --no-annotate
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# A lock is given as constraints: what difflab requires is installed in exactly that version. A build of torch that does not require CUDA's
# libraries thus brings none, although the lock knows their versions.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("difflab needs Python 3.11 or later, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	$(PYTHON) -m venv $(CLEARED) $(VENV)
	$(if $(TORCH_INDEX),$(INSTALL) --no-deps --index-url '$(TORCH_INDEX)' --constraint requirements.lock torch torchvision)
	$(INSTALL) --constraint requirements.lock --editable .
	@printf '%s' '$(TORCH_INDEX)' > $(VENV)/torch-index
	@touch $@

ifneq ($(TORCH_INDEX),$(REMEMBERED))  # another build of torch: the environment is made anew
.PHONY: $(VENV)/installed
CLEARED := --clear
endif

$(VENV)/dev-installed: $(VENV)/installed requirements-dev.lock
	$(INSTALL) --constraint requirements-dev.lock --editable '.[dev]'
	@touch $@

$(VENV)/bench-installed: $(VENV)/dev-installed benchmarks/requirements.lock
	$(INSTALL) --constraint benchmarks/requirements.lock --editable '.[bench]'
	@touch $@

.PHONY: setup dev train test test-all test-elsewhere docs bench check chaos cluster-up cluster-down locks
setup: $(VENV)/installed

dev: $(VENV)/dev-installed

train: setup
	$(BIN)/python train.py +experiment=cosine_adagn $(ARGS)

test: dev
	$(PYTEST) $(ARGS)

test-all: dev
	$(PYTEST) -m "slow or not slow" $(ARGS)

test-elsewhere: dev
	scripts/test_elsewhere.sh $(ARGS)

# the variables leave out a note on the future of mkdocs that Material prints on each start
docs: dev
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet
	@echo build/docs/index.html

bench: $(VENV)/bench-installed
	$(BIN)/python -m benchmarks $(ARGS)

chaos: dev
	$(BIN)/python -m scripts.chaos $(ARGS)

cluster-up:
	@slurm/cluster/cluster.py install
	@slurm/cluster/cluster.py up $(ARGS)

cluster-down:
	@slurm/cluster/cluster.py down

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_architecture.py

locks:
	$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(LOCK) --extra bench -c requirements-dev.lock pyproject.toml -o benchmarks/requirements.lock
