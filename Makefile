# `make demo` and `make test` need nothing but Python 3.11 or newer and make: each sets up .venv
# itself, and installs again only when pyproject.toml or constraints.txt has changed.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

.PHONY: demo test coverage docs install clean

demo: .venv/installed
	$(BIN)/striate train digits

test: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --cov -n auto --maxprocesses 4 --dist loadfile

# Everything, the slow tests too, with the lines of src/ that any process of theirs has run.
coverage: .venv/installed
	$(BIN)/pytest -m '' --cov --cov-fail-under 90 -n auto --maxprocesses 4 --dist loadfile

docs: .venv/installed
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "Open build/docs/index.html"

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "striate needs Python 3.11 or newer on the PATH (or make PYTHON=...)."; exit 2; }
	@echo "Setting up .venv (once; several minutes where torch must be downloaded) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
