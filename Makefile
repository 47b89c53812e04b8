# `make help` lists the targets. Every target that runs something sets up what it needs first.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTHON := $(BIN)/python
CODE := $(wildcard src tests jobs scripts bench)

# Compiled bytecode halves every start of Python (torch, mlflow, pyspark: 5 s), in the driver and in each Spark worker.
unexport PYTHONDONTWRITEBYTECODE
# spark-submit, spark-class and horovodrun look for their Python on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo test test-faults test-services test-look test-connect test-archive test-wheel test-matrix run-docs check unit format lint types lock reference docs bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## venv with the locked packages, Horovod, Delta's jars; seconds when nothing changed
	@bash scripts/setup.sh

demo: setup ## the whole main job on a data set of the project's own
	@$(PYTHON) -m sparknlp_ft.demo

test: setup ## all tests but those with a target of their own: unit (spread over two processes), Spark, real Horovod ranks
	@$(PYTHON) -m pytest tests/unit -n 2
	@$(PYTHON) -m pytest tests --ignore tests/unit --ignore tests/faults --ignore tests/services --ignore tests/archive --ignore tests/look

test-faults: setup ## ranks and commands killed, stopped, interrupted at named points of real runs
	@$(PYTHON) -m pytest tests/faults

test-services: setup ## whole jobs with S3 and MLflow's server on this machine, a Volume's rules, a cluster's bare workers (fetches 0.7 GB of jars)
	@$(PYTHON) -S scripts/fetch_jars.py s3
	@$(PYTHON) -m pytest tests/services

test-look: setup ## reports in headless Chromium, which it looks for or installs by apt-get: nothing overflows, nothing is asked of a network
	@bash scripts/get_chromium.sh
	@$(PYTHON) -m pytest tests/look

test-connect: setup ## ingest and score on a Spark Connect server of this machine
	@$(PYTHON) -m pytest tests/spark/sources/test_ingest.py tests/spark/scoring/test_score.py --connect

test-archive: setup ## score on workers that have nothing, with an environment shipped as an archive (downloads 3 GB, takes 45 GB of disk)
	@$(PYTHON) -m pytest tests/archive

test-wheel: setup ## the wheel in an environment that has a cluster's Spark and torch: both stay what they were (downloads 0.7 GB)
	@$(PYTHON) scripts/try_wheel.py

test-matrix: setup ## the wheel on Spark 3.5, 4.0, 4.1, 4.2, each in an environment of its own; SPARK=3.5 for one (downloads 0.4 GB each)
	@$(PYTHON) scripts/test_matrix.py $(if $(SPARK),--spark $(SPARK))

check: setup lint types unit ## what a change must pass: format, lint, types, unit tests

unit: setup ## the tests that need no Java
	@$(PYTHON) -m pytest tests/unit -n 2

format: setup ## rewrite the code in the project's format
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

lint: setup ## ruff: format and rules
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)

types: setup ## mypy on src
	@$(BIN)/mypy

lock: setup ## resolve pyproject.toml to requirements.lock anew
	@bash scripts/lock.sh

reference: setup ## write conf/reference.yaml from the configuration's models
	@$(PYTHON) scripts/write_reference.py

run-docs: setup ## run every command that README and docs show, but those that need more than this machine
	@$(PYTHON) scripts/run_docs.py

docs: ## the documentation as a site, in build/site
	@bash scripts/docs.sh

bench: setup ## side-by-side benchmarks; each prints a table, and with --json FILE writes it
	@for file in $(wildcard bench/*.py); do $(PYTHON) -m bench.$$(basename $$file .py) || exit 1; done

clean: ## remove what runs and tools left behind (not the venv)
	rm -rf demo_run lake runs mlflow spark-warehouse metastore_db derby.log build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
