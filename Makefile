# Needs Python 3.11 or newer with pip, and make. Everything else is installed into .venv by these rules.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
STAMP := $(VENV)/.installed
# Tools that start other tools (a compiler's ninja, Prefect's workers) find them in the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Label Studio's own environment; one that is there already may be named.
export EXPERTAD_LABEL_STUDIO ?= $(CURDIR)/.venv-label-studio

.DEFAULT_GOAL := help
.PHONY: help demo review test check soak lint bench clean label-studio

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25" 

$(STAMP)-base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(STAMP)-dev: $(STAMP)-base
	$(PIP) --editable '.[annotation,training,dev]'
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0
	@touch $@

$(STAMP)-review: $(STAMP)-base
	$(PIP) --editable '.[annotation]'
	@touch $@

# Made in a minute or more when it is missing, half made or of other pins; else this takes no time.
label-studio: $(STAMP)-base
	@$(BIN)/python -m annotation.environment >/dev/null

# Pages are tested in a real browser. Where this may install one, it does; elsewhere the tests say what is missing.
$(STAMP)-browser: | $(VENV)/bin/python
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
		|| echo "Chromium is not here and could not be installed; the browser tests will say so."
	@touch $@

demo: $(STAMP)-base ## build the sample data set into ./workspace, from nothing
	$(BIN)/expertad build
	@echo "Now open workspace/report.html, or read workspace/dataset/README.md."

review: $(STAMP)-review label-studio ## start Label Studio for ./workspace, where people judge drafts
	$(BIN)/expertad review serve

lint: $(STAMP)-dev ## format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint ## lint and the quick tests
	$(BIN)/python -m pytest -q -m "not slow and not server and not browser and not training and not soak"

test: $(STAMP)-dev $(STAMP)-browser label-studio ## every test but the long ones
	$(BIN)/python -m pytest -q -m "not soak"

soak: $(STAMP)-dev label-studio ## the long tests: many kills, thousands of samples
	$(BIN)/python -m pytest -q -m soak --timeout 3600

bench: $(STAMP)-dev ## measure speed and memory, as ratios in one run
	$(BIN)/python -m benchmarks

clean: ## remove what the rules above made
	rm -rf $(VENV) .venv-label-studio .venv-label-studio.lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
