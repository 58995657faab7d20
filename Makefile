# Everything a person does in this repository. `make` alone lists it. Needs Python 3.11 to 3.13 with venv and pip, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install --require-hashes --no-deps --only-binary :all:
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock'

RUN_READY := $(VENV)/.ready-run
TEST_READY := $(VENV)/.ready-test
CHECK_READY := $(VENV)/.ready-check
POSTGRESQL_READY := $(VENV)/.ready-postgresql
FUZZ_READY := $(VENV)/.ready-fuzz

JOBS ?= 2
TEST_JOBS ?= 3
REPLAYED = $(if $(SERVERS),--servers $(SERVERS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))
TESTS ?= tests
BENCHES ?= $(subst /,.,$(patsubst bench/%.py,%,$(sort $(shell grep -rl --include='*.py' '^if __name__ ==' bench))))

.DEFAULT_GOAL := help
.PHONY: help setup run first-bill replay replay-all upgrade-test kill-test absence-test simulate planted-bugs oracles bench test fuzz check gates format lock clean
.SUFFIXES:

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(RUN_READY) ## install the product into .venv, from the lock file
	@echo "ready: $(BIN)/tally --help"

run: $(RUN_READY) ## start server, worker and an agent on this machine, with a live table (RUN_SECONDS=n ends it by itself)
	@$(BIN)/tally up $(if $(RUN_SECONDS),--seconds $(RUN_SECONDS))

first-bill: $(RUN_READY) ## meter three real workloads and bill them to the cent: make first-bill OUT=dir
	@test -n "$(OUT)" || { echo "say where to put the bills: make first-bill OUT=dir" >&2; exit 2; }
	@$(BIN)/python -m tools.first_bill --out "$(OUT)"

replay: $(RUN_READY) ## send a folder of recorded samples, write its usage: make replay SAMPLES=dir OUT=usage.json [STORE=sqlite|postgresql] [SERVERS=n] [KILLS=n] [SEED=n]
	@test -n "$(SAMPLES)" && test -n "$(OUT)" || { echo "say what to send and where to write: make replay SAMPLES=dir OUT=usage.json" >&2; exit 2; }
	@if [ "$(STORE)" = postgresql ]; then $(MAKE) --no-print-directory $(POSTGRESQL_READY); fi
	@$(BIN)/python -m tools.replay --samples "$(SAMPLES)" --out "$(OUT)" --store "$(or $(STORE),sqlite)" $(REPLAYED)

replay-all: $(RUN_READY) $(POSTGRESQL_READY) ## replay every scenario of ../shared/samples on both stores and compare it with its truth (SEED=n ONLY=scenario)
	@$(BIN)/python -m tools.replay_all --jobs $(JOBS) $(if $(ONLY),--only $(ONLY)) $(if $(STORE),--store $(STORE)) $(REPLAYED)

upgrade-test: $(RUN_READY) $(POSTGRESQL_READY) ## upgrade servers of an earlier commit while they are at work, and lose nothing (FROM=commit)
	@$(BIN)/python -m tools.live.upgrade $(if $(FROM),--from $(FROM))

kill-test: $(RUN_READY) ## kill agents, server, worker and PostgreSQL with -9 and lose nothing: make kill-test KILLS=200 [STORE=sqlite|postgresql] [SEED=n]
	@if [ "$(STORE)" = postgresql ]; then $(MAKE) --no-print-directory $(POSTGRESQL_READY); fi
	@$(BIN)/python -m tools.kill --kills $(or $(KILLS),200) --store "$(or $(STORE),sqlite)" --seed $(or $(SEED),1)

absence-test: $(RUN_READY) ## keep the server away for a day at 200 resources, then bill it to the unit: HOURS=n RESOURCES=n LIMIT_MIB=n (needs 6 GiB of disk)
	@$(BIN)/python -m tools.live.absence --resources $(or $(RESOURCES),200) --hours $(or $(HOURS),24) $(if $(LIMIT_MIB),--limit-mib $(LIMIT_MIB))

oracles: $(RUN_READY) ## run cases whose results come from elsewhere through the product's pure functions: make oracles CASES=dir (ONLY=topic/kind)
	@test -n "$(CASES)" || { echo "say which cases to run: make oracles CASES=dir" >&2; exit 2; }
	@$(BIN)/python -m tests.oracles.run "$(CASES)" $(if $(ONLY),--only $(ONLY))

simulate: $(RUN_READY) ## live through worlds of faults in virtual time and audit them: make simulate RUNS=2000 [SEED=n] [JOBS=n]
	@$(BIN)/tally simulate --seed $(or $(SEED),1) --runs $(or $(RUNS),200) --jobs $(JOBS)

planted-bugs: $(RUN_READY) ## plant bugs in a copy of the product and see that the simulation catches each ([BUG=name])
	@$(BIN)/python -m tests.simulation.planted $(BUG)

bench: $(TEST_READY) ## measure what it costs; `make -s bench` prints only lines of JSON
	@set -e; for script in $(BENCHES); do $(BIN)/python -m bench.$$script; done

test: $(TEST_READY) $(POSTGRESQL_READY) ## run every test (TESTS=path runs some), under 10 minutes on 2 cores
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup -q $(TESTS)

fuzz: $(FUZZ_READY) ## fuzz the decoders, guided by coverage, each for SECONDS=20 (ONLY=target)
	@$(BIN)/python -m tests.fuzz.guided --seconds $(or $(SECONDS),20) $(if $(ONLY),--only $(ONLY))

check: $(CHECK_READY) ## lint, types, import contracts, wire messages, house rules, docs
	@$(BIN)/python -m tools.check

gates: $(CHECK_READY) ## break each rule on purpose and see that `make check` catches it
	@$(BIN)/python -m tools.gates

format: $(CHECK_READY) ## rewrite the sources as the formatter wants them
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet .

lock: $(CHECK_READY) ## choose versions anew within the bounds of pyproject.toml (UPGRADE=1: the newest)
	@$(LOCK) $(if $(UPGRADE),--upgrade) --extra server --extra build pyproject.toml -o requirements/run.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --extra server --extra build --extra tracing --extra parquet --extra test -c requirements/run.lock pyproject.toml -o requirements/test.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --extra server --extra build --extra tracing --extra parquet --extra test --extra dev -c requirements/test.lock pyproject.toml -o requirements/check.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --extra server --extra build --extra tracing --extra parquet --extra test --extra test-postgresql -c requirements/test.lock pyproject.toml -o requirements/postgresql.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --extra server --extra build --extra tracing --extra parquet --extra test --extra fuzz -c requirements/test.lock pyproject.toml -o requirements/fuzz.lock

clean: ## remove what was installed and built here
	rm -rf $(VENV) build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What is installed speaks on stderr, so that `make -s bench` prints nothing of its own.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python %d.%d is not supported: Tallystick needs 3.11, 3.12 or 3.13. Say which: make PYTHON=python3.12" % v)'
	@echo "making $(VENV) with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv $(VENV)

$(RUN_READY): requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "installing the product" >&2
	@$(INSTALL) -r requirements/run.lock >&2
	@$(PIP) install --no-deps --no-build-isolation --editable . >&2
	@touch $@

$(TEST_READY): requirements/test.lock $(RUN_READY)
	@echo "installing what the tests need" >&2
	@$(INSTALL) -r requirements/test.lock >&2
	@touch $@

$(CHECK_READY): requirements/check.lock $(TEST_READY)
	@echo "installing what the checks need" >&2
	@$(INSTALL) -r requirements/check.lock >&2
	@touch $@

$(FUZZ_READY): requirements/fuzz.lock $(TEST_READY)
	@echo "installing the fuzzer" >&2
	@$(INSTALL) -r requirements/fuzz.lock >&2
	@touch $@

$(POSTGRESQL_READY): requirements/postgresql.lock tools/postgresql.sh $(RUN_READY)
	@sh tools/postgresql.sh $(INSTALL) -r requirements/postgresql.lock >&2
	@touch $@
