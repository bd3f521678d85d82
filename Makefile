# Everything runs in .venv, which each target makes first where it is missing. Only Python >= 3.11 and make are needed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv compiled fmt lint types arch unit check test test-differential test-tpch test-oracle test-chaos test-drivers test-mysql test-compiled demo bench bench-full clean

# The same answers whatever the machine's locale is.
export PYTHONUTF8 := 1
unexport PYTHONPATH PYTHONHOME

BIN := .venv/bin
STAMP := .venv/ready
DRIVERS := .venv/drivers
SERVER_TESTS := tests/wire tests/integration tests/differential tests/tpc tests/drivers tests/crash
PURE_TESTS := $(wildcard tests/unit tests/cases tests/wire)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP) ## the virtual environment in .venv

$(STAMP): pyproject.toml scripts/make-venv
	@scripts/make-venv .venv
	@touch $(STAMP)

# mysqlclient has to be compiled; where it cannot be, this says why and its tests are skipped
$(DRIVERS): $(STAMP) tests/drivers/set_up.py
	@$(BIN)/python -m tests.drivers.set_up
	@touch $(DRIVERS)

fmt: $(STAMP) ## format the code
	@$(BIN)/python -m ruff check --fix-only --quiet .
	@$(BIN)/python -m ruff format .

lint: $(STAMP) ## ruff
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check --quiet . || { echo "not formatted: run 'make fmt'"; exit 1; }

types: $(STAMP) ## mypy --strict
	@$(BIN)/python -m mypy

arch: $(STAMP) ## which room imports which (import-linter)
	@$(BIN)/lint-imports --no-logo

unit: $(STAMP) ## the tests that need no server
	@$(BIN)/python -m pytest -q $(PURE_TESTS)

check: lint types arch unit ## the quick part: lint, types, arch, unit

test: lint types arch $(DRIVERS) ## the whole suite, real MariaDB servers included
	@$(BIN)/python -m pytest

test-drivers: $(STAMP) ## the drivers of other languages, where their toolchain is installed
	@$(BIN)/python -m pytest -m other_language tests/drivers

test-differential: $(STAMP) ## ten thousand random queries and three thousand writes, compared with one server's answers (DBMESH_SEED, DBMESH_STATEMENTS, DBMESH_WRITES)
	@DBMESH_STATEMENTS=$${DBMESH_STATEMENTS:-10000} DBMESH_WRITES=$${DBMESH_WRITES:-3000} \
	  $(BIN)/python -m pytest -q tests/differential/test_queries.py tests/differential/test_faults.py tests/differential/test_writes.py

test-tpch: $(STAMP) ## TPC-H's queries at scale factor 0.01, compared with one server's answers
	@DBMESH_TPCH_SCALE=0.01 $(BIN)/python -m pytest -q tests/tpc/test_tpch.py

test-oracle: $(STAMP) ## a thousand random BASE transactions, undone: every byte as before (DBMESH_SAGAS)
	@DBMESH_SAGAS=$${DBMESH_SAGAS:-1000} $(BIN)/python -m pytest -q tests/integration/test_saga_oracle.py

test-chaos: $(STAMP) ## transactions in each mode while meshes, servers and packets fail (DBMESH_SEED, DBMESH_SEEDS, DBMESH_CHAOS_SECONDS)
	@$(BIN)/python -m pytest -q -s -m chaos tests/chaos

test-mysql: $(DRIVERS) ## the tests with servers once more, on MySQL 9 (fetched from Debian's unstable suite)
	@DBMESH_SERVER=mysql $(BIN)/python -m pytest $(SERVER_TESTS)

# A copy of the tree, so that no compiled module can outlive its source here; pip leaves its own in build, too.
COMPILED := build/compiled
compiled: $(STAMP) ## the compiled build (mypyc), in build/compiled; needs a C compiler
	rm -rf build
	DBMESH_COMPILE=1 $(BIN)/python -m pip install --quiet --no-deps --target $(COMPILED) .
	cp -r $(filter-out build dbmesh dist %.egg-info,$(wildcard * .ci .dockerignore .gitignore)) $(COMPILED)
	cd $(COMPILED) && PYTHONPATH=$(CURDIR)/$(COMPILED) $(CURDIR)/$(BIN)/python -m dbmesh --version

test-compiled: compiled ## the whole suite once more, on the compiled build
	@cd $(COMPILED) && PYTHONPATH=$(CURDIR)/$(COMPILED) $(CURDIR)/$(BIN)/python -m pytest

demo: $(STAMP) ## an online shop on real sharded servers, shown and verified step by step
	@$(BIN)/python -m dbmesh demo

fuzz: $(STAMP) ## hostile bytes for MINUTES=10, to the code that reads them and to a live mesh; SEED= repeats a run
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) ## CPU per query next to HAProxy's, in one run
	@$(BIN)/python -m benchmarks

bench-full: $(STAMP) ## all that is measured, at 8 and 32 clients, in about half an hour
	@$(BIN)/python -m benchmarks full

clean: ## remove what make made here
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find dbmesh tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
