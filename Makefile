# run, test, check and bench need nothing but Python 3.11 with its venv module, make and git.
# Everything installed goes to $(VENV), everything served to $(VAR).

PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV ?= .venv
BIN = $(VENV)/bin
PORT ?= 8080
VAR ?= var
# Names of trial, e.g. `make test TESTS=tests.http`; without it all tests run, LANES of them side by side.
TESTS ?=
LANES ?= 2

.PHONY: run test torture check format docs bench

run: $(VENV)/.installed
	@BIN='$(BIN)' PORT='$(PORT)' VAR='$(VAR)' exec sh scripts/run.sh

# Package managers that the tests drive and that need an environment each, $(VENV)/clients/NAME.
CLIENT_REQUIREMENTS = $(wildcard tests/clients/environments/*.txt)
CLIENT_PACKAGES = $(wildcard tests/clients/environments/*/package.json)
CLIENTS = $(CLIENT_REQUIREMENTS:tests/clients/environments/%.txt=$(VENV)/clients/%/.installed) \
    $(CLIENT_PACKAGES:tests/clients/environments/%/package.json=$(VENV)/clients/%/.installed)

test: $(VENV)/.installed-test $(CLIENTS)
	$(BIN)/python -m $(if $(TESTS),tests.support.runner $(TESTS),tests.support.lanes $(LANES))

# What `make test` does in small: 4 GiB bodies, 300 kills, 2000 requests of two daemons. Takes half an hour.
torture: $(VENV)/.installed-test
	PKGREGD_TORTURE_GIB=4 PKGREGD_TORTURE_KILLS=300 PKGREGD_TORTURE_REQUESTS=2000 $(BIN)/python -m tests.support.runner tests.torture

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.support.runner tests.test_imports

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The manual and docs/ as pages to open in a browser.
docs: $(VENV)/.installed
	$(BIN)/python scripts/docs.py build/docs

# Some of it: `make bench PARTS='great small'`; docs/performance.md tells the parts and what scales them.
bench: $(VENV)/.installed
	$(BIN)/python -m bench $(PARTS)

# Editable in `compat` mode: only a folder on sys.path lets twisted.plugin find twisted/plugins.
INSTALL = $(BIN)/python -m pip install --quiet --config-settings editable_mode=compat --editable

$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[test,postgres,s3]'
	touch $@ $(VENV)/.installed

$(VENV)/clients/%/.installed: tests/clients/environments/%.txt | $(VENV)/.installed-test
	$(BIN)/python -m venv --clear --without-pip $(@D)
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --quiet --requirement $<
	touch $@

$(VENV)/clients/%/.installed: tests/clients/environments/%/package.json
	mkdir -p $(@D)
	cp $< $(@D)/package.json
	cd $(@D) && npm install --ignore-scripts --no-audit --no-fund --silent
	touch $@
