# make train   the headline run on the embedded digits          make test      the tests
# make check   format, lint, types                              make test-all  the slow ones too
# make test-elsewhere  the numerical tests as another machine would run them: a thread, AVX2, a path with a space and an umlaut
# make bench   speed and memory beside other projects, which it installs: python -m benchmarks $(ARGS)
# make chaos   kills training, fills its disk, breaks its files ..., and compares the end with that of an undisturbed run
# make cluster-up, make cluster-down   a SLURM cluster on this machine, for tests (Debian, root)
.DEFAULT_GOAL := train
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("difflab needs Python 3.11 or later, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/bench-installed: $(VENV)/installed benchmarks/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.lock
	@touch $@

.PHONY: setup train test test-all test-elsewhere bench check chaos cluster-up cluster-down
setup: $(VENV)/installed

train: setup
	$(BIN)/python train.py +experiment=cosine_adagn $(ARGS)

test: setup
	$(PYTEST) $(ARGS)

test-all: setup
	$(PYTEST) -m "slow or not slow" $(ARGS)

test-elsewhere: setup
	scripts/test_elsewhere.sh $(ARGS)

bench: $(VENV)/bench-installed
	$(BIN)/python -m benchmarks $(ARGS)

chaos: setup
	$(BIN)/python -m scripts.chaos $(ARGS)

cluster-up:
	@slurm/cluster/cluster.py install
	@slurm/cluster/cluster.py up $(ARGS)

cluster-down:
	@slurm/cluster/cluster.py down

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_architecture.py
