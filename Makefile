# make train    set everything up, then train an agent       (options: make train ARGS="--preset tiny")
# make test     set everything up, then lint, types and tests (options: make test ARGS="-k search")
.DEFAULT_GOAL := help
.PHONY: help train test setup lint types wheel constraints clean

BIN := .venv/bin
STAMP := .venv/.installed
ARGS ?=

help:
	@sed -n 's/^# //p' Makefile
	@echo "also: make setup lint types wheel constraints clean"

train: setup
	@$(BIN)/thinkact train $(ARGS)

test: setup lint types
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 $(ARGS)

setup: $(STAMP)
	@scripts/setup.sh --system-only

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh
	@touch $@

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/python scripts/typecheck.py

wheel: setup
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation -w dist .

# Pin the versions that are installed now. Do it after the tests passed with them.
constraints:
	@$(BIN)/python scripts/freeze.py

# Runs are kept: they are yours.
clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
