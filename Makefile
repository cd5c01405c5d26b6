# Needs python3 (3.11 or later) with venv, and a C compiler for the compiled build; each verb sets up what it uses.

PYTHON   ?= python3
PACKAGES := core journal replicas tools
PARALLEL := -n 2

# One seed drives which third of the tests the compiled build runs, and what hypothesis tries.
LOCKSTEP_SEED     ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
LOCKSTEP_SEED     := $(LOCKSTEP_SEED)
LOCKSTEP_CHECKOUT := $(CURDIR)
export LOCKSTEP_SEED LOCKSTEP_CHECKOUT
unexport PYTHONPATH PYTHONHOME

SOURCES  := $(shell find $(PACKAGES) -name '*.py')
BIN      := .venv/bin
COMPILED := $(CURDIR)/.venv-compiled/bin
TREE     := build/compiled
ROUNDS   ?= 20
NIGHT    := LOCKSTEP_NIGHT=1
NO_COMPILER = $(BIN)/python -c 'import setup; print(setup.compiler_problem())'

.DEFAULT_GOAL := help
.PHONY: help demo debian check test test-interpreted test-compiled compiled bench drill night clean FORCE

help:  ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 12

demo: .venv/ready  ## a whole trading day in one terminal
	$(BIN)/lockstep demo

debian:  ## as root on Debian, install what some tests use: strace, PostgreSQL; elsewhere those tests say what they lack
	@if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo "Not root on Debian: nothing installed."; \
	elif ! command -v strace >/dev/null || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq strace postgresql >/dev/null; fi

check: .venv/ready  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: test-interpreted  ## all tests interpreted, then a third of them compiled; LOCKSTEP_SEED=n repeats a run
	@problem=$$($(NO_COMPILER)); if [ -n "$$problem" ]; \
	then echo "The interpreted build alone was tested: $$problem"; \
	else $(MAKE) --no-print-directory test-compiled LOCKSTEP_PART=third; fi

test-interpreted: .venv/ready
	LOCKSTEP_EXPECT_BUILD=interpreted $(BIN)/python -m pytest $(PARALLEL)

# The tests run from a copy without the packages beside it: only the installed wheel can be imported.
test-compiled: compiled
	@rm -rf build/compiled-tests && mkdir -p build/compiled-tests
	@cp -R $(wildcard tests docs examples *.md Makefile pyproject.toml setup.py) build/compiled-tests
	@find build/compiled-tests -name __pycache__ -prune -exec rm -rf {} +
	cd build/compiled-tests && \
	LOCKSTEP_EXPECT_BUILD=compiled LOCKSTEP_PART=$(LOCKSTEP_PART) $(COMPILED)/python -m pytest $(PARALLEL)

night: .venv/ready  ## everything on both builds, the long tests too
	$(NIGHT) $(MAKE) --no-print-directory test-interpreted
	$(NIGHT) $(MAKE) --no-print-directory test-compiled

compiled: build/compiled.ready  ## build and install the compiled engine, in .venv-compiled

bench: compiled  ## measure the compiled engine
	cd build && $(COMPILED)/lockstep bench

drill: .venv/ready  ## kill and stop nodes under load for twenty rounds; ROUNDS=n, LOCKSTEP_SEED=n repeats the faults
	@problem=$$($(NO_COMPILER)); if [ -n "$$problem" ]; \
	then $(BIN)/lockstep drill --rounds $(ROUNDS) --seed $(LOCKSTEP_SEED); \
	else $(MAKE) --no-print-directory compiled && cd build && $(COMPILED)/lockstep drill --rounds $(ROUNDS) --seed $(LOCKSTEP_SEED); fi

clean:  ## remove all that the verbs have made
	rm -rf .venv .venv-compiled build dist *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(PACKAGES) tests -name __pycache__ -prune -exec rm -rf {} +

# ---- how things are made

define new_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Lockstep needs Python 3.11 or later, $(PYTHON) is older: try make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "$(PYTHON) cannot make virtual environments: on Debian, apt-get install python3-venv"; exit 1; }
rm -rf .venv
$(PYTHON) -m venv .venv
endef

.venv/ready: pyproject.toml
	$(new_venv)
	LOCKSTEP_PURE=1 $(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[test,dev]'
	@touch $@

# Changes when a module comes or goes, which no time of a file tells.
build/modules: FORCE
	@mkdir -p build && echo $(sort $(SOURCES)) | cmp -s - $@ || { rm -rf $(TREE) && echo $(sort $(SOURCES)) > $@; }

# The build tree is a copy, so that no .so ever stands beside the sources. What mypyc made is kept in it: a change
# outside core compiles nothing again. What setuptools copied is not: it would keep modules that are gone.
build/compiled.ready: build/modules setup.py pyproject.toml LICENSE $(SOURCES) .venv/ready .venv-compiled/made
	@problem=$$($(NO_COMPILER)); if [ -n "$$problem" ]; then echo "No compiled build: $$problem"; exit 1; fi
	@mkdir -p $(TREE) && rm -rf $(addprefix $(TREE)/,$(PACKAGES)) $(TREE)/*.whl
	@cp -pR $(PACKAGES) setup.py pyproject.toml LICENSE $(TREE)
	@find $(TREE)/build/lib* -name '*.py' -delete 2>/dev/null || true
	LOCKSTEP_COMPILED=1 $(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-build-isolation --no-deps \
		-w $(TREE) ./$(TREE)
	$(COMPILED)/python -m pip install -qq --disable-pip-version-check "$$(echo $(TREE)/*.whl)[test]"
	$(COMPILED)/python -m pip install -qq --disable-pip-version-check --force-reinstall --no-deps $(TREE)/*.whl
	@touch $@

.venv-compiled/made: .venv/ready
	rm -rf .venv-compiled
	$(BIN)/python -m venv .venv-compiled
	@touch $@
