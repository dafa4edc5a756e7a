# Two commands do everything: `make demo` runs a whole rotation, `make test` passes the tests. Both install what they need into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
# Not "auto": the servers that the tests start are processes of their own, beside pytest's.
WORKERS ?= 2
# Real-time scheduling, which takes root; RT= does without.
RT ?= --rt
RESULTS = benchmarks/results

.PHONY: demo test sim long lint install clean benchmarks chaos

demo: $(STAMP)
	$(BIN)/bennu lab demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# A hundred thousand seeded stories, on all cores: hours on a small machine (docs/simulation.md). SEEDS= and FIRST= choose others.
SEEDS ?= 100000
FIRST ?= 0
sim: $(STAMP)
	$(BIN)/python -m tests.sim.seeds --first $(FIRST) --seeds $(SEEDS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every failpoint, every failing call, every seam of a sleep, every damaged input: an hour or more.
long: $(STAMP)
	$(BIN)/python -m pytest -m long -n $(WORKERS) --dist worksteal

# About half an hour, with the machine to itself.
benchmarks: $(STAMP)
	$(BIN)/python -m benchmarks.switchover --runs 100 --modes aof,volatile --rate 1100 $(RT) --out $(RESULTS)/loopback.json
	$(BIN)/python -m benchmarks.switchover --runs 20 --modes aof --ways bennu --rate 1100 --tool-delay-ms 10 --explain 5 $(RT) --out $(RESULTS)/rtt-20ms.json
	$(BIN)/python -m benchmarks.lab_rotations --rotations 30 --out $(RESULTS)/lab-rotations.json

# A rotation in the lab killed at every failpoint, and the way back from S7: an hour or more. CHAOS='--from met' keeps the places met in a folder, and goes on from there.
chaos: $(STAMP)
	$(BIN)/python -m tests.chaos.chain --out $(RESULTS)/chaos-forward.json $(CHAOS)
	$(BIN)/python -m tests.chaos.chain --back --out $(RESULTS)/chaos-back.json $(CHAOS)

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bennu needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist bennu.egg-info .mypy_cache .ruff_cache .import_linter_cache
