# One short target a verb; CI runs the same commands as the README and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 20000
CHARTS ?= benchmarks/out
SIZE ?= full

.PHONY: demo native test plain simulate mutants faults bench takeovers lint lock clean

demo: $(VENV)/.ready
	$(BIN)/tidegate demo

# The fold, the facts, the workers and the gateway's client, compiled; found by the hash of the sources.
native: $(VENV)/.ready-dev
	$(BIN)/python -m schemas.native_build

# First plain, as a machine without a compiler runs it and as bugs can be planted in it, while it is compiled; then all on the twin.
test: $(VENV)/.ready-dev lint
	$(MAKE) --no-print-directory --jobs 2 native plain
	$(BIN)/pytest

plain: $(VENV)/.ready-dev
	TIDEGATE_PLAIN=1 $(BIN)/pytest -q tests/unit tests/property tests/simulation

# The product's own workers in virtual time, with faults, on all cores; the first red seed is shown as small as it stays red.
simulate: $(VENV)/.ready-dev native
	$(BIN)/python -m tests.simulation.play --seeds $(SEEDS)

# Plants one bug after another in the plain sources: each has to be found.
mutants: $(VENV)/.ready-dev
	$(BIN)/python -m tests.simulation.matrix

# Every fault suite at full size: hours. Writes docs/reliability.md; `make faults SIZE=sample` takes half an hour.
faults: $(VENV)/.ready-dev native
	$(BIN)/python -m tests.fault.faults --size $(SIZE)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Small sizes, some five minutes in all; `make bench CHARTS=docs/charts` keeps the charts. Kafka comes last: it needs Java and Maven.
bench: $(VENV)/.ready-dev native
	$(BIN)/python -m benchmarks.intake --engine sqlite --rounds 3 --messages 10000 --chart $(CHARTS)/intake-sqlite.svg
	$(BIN)/python -m benchmarks.drain --engine sqlite --rounds 3 --messages 4000 --chart $(CHARTS)/drain-sqlite.svg
	$(BIN)/python -m benchmarks.keys --engine sqlite --rounds 1 --chart $(CHARTS)/keys-sqlite.svg
	$(BIN)/python -m benchmarks.hold --messages 10000 --chart $(CHARTS)/hold.svg
	$(BIN)/python -m benchmarks.rebuild --chart $(CHARTS)/rebuild.svg
	$(BIN)/python -m benchmarks.start --chart $(CHARTS)/start.svg
	$(BIN)/python -m benchmarks.wire --chart $(CHARTS)/wire.svg
	$(BIN)/python -m benchmarks.intake --engine kafka --rounds 3 --messages 10000 --chart $(CHARTS)/intake-kafka.svg
	$(BIN)/python -m benchmarks.drain --engine kafka --rounds 3 --messages 4000 --chart $(CHARTS)/drain-kafka.svg

# Twenty minutes; the test run takes a few of each kind.
takeovers: $(VENV)/.ready-dev native
	$(BIN)/python -m tests.fault.takeovers --engine sqlite
	$(BIN)/python -m tests.fault.takeovers --engine kafka

# Hash-locked, and made so that the files name no registry.
lock: $(VENV)/.ready-dev
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra build pyproject.toml -o requirements.txt
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra build --extra dev pyproject.toml -o requirements-dev.txt

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidegate needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.ready-dev: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.ready

clean:
	rm -rf $(VENV) .kafka
