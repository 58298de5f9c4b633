# make paint    train the classic net on the Mona Lisa and film it
# make test     lint, types and all tests
# make sanitize the native engine's check program under sanitizers: memory, undefined behaviour, threads
# make check    the whole proof: format, lint, types, the wheel built, installed and tested
# make bench    speed as ratios, A and B alternating in one process
# make clean    remove what this file made
#
# Each target sets up .venv if it must and does nothing twice. PYTHON=... picks another interpreter (3.11 or later).

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	if $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
BIN := .venv/bin
WHEEL := build/wheel-venv
comma := ,

# A machine without a compiler gets the package without its native engine; that is said, not hidden.
NATIVE = $(BIN)/python -c "import sfumato._native" 2>/dev/null || \
	echo "note: no C++20 compiler or no Python headers here, so the native engine is not built; PyTorch does the work" >&2

# Another torch must not slip in through a dependency; the constraint reaches nested installs through this variable.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Editable: a change in src/ needs no new install, a change in these files does.
BUILT_FROM := pyproject.toml CMakeLists.txt constraints.txt $(wildcard native/*)
PAINTS := .venv/.can-paint
TESTS := .venv/.can-test
SANITIZED := build/check-address+undefined/.passed build/check-thread/.passed

.PHONY: paint test lint sanitize check wheel bench clean
.DELETE_ON_ERROR:

paint: $(PAINTS)
	$(BIN)/sfumato paint

test: lint
	$(BIN)/python -m pytest -n 2

lint: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/mypy

sanitize: $(SANITIZED)

# Once for each state of native/; without a compiler it fails, because nothing was proved.
build/check-%/.passed: CMakeLists.txt $(wildcard native/*) | $(TESTS)
	$(BIN)/cmake --log-level=WARNING -S . -B $(@D) -G Ninja -D CMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	  -D SFUMATO_CHECK=ON -D "SFUMATO_SANITIZE=$(subst +,$(comma),$*)"
	+$(BIN)/ninja --quiet -C $(@D)
	$(@D)/check
	@touch $@

check: wheel lint
	$(BIN)/ruff format --check .
	@find src native -name '*.py' -o -name '*.cc' -o -name '*.h' | xargs wc -l | sort -n | tail -n 12
	$(WHEEL)/bin/python -m pytest -n 2

# The wheel's environment sees the packages of .venv through a path file, so nothing is downloaded twice; the
# editable install stays invisible there, because path files on such a path are not read.
wheel: $(TESTS)
	rm -rf dist $(WHEEL)
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m venv --without-pip $(WHEEL)
	$(BIN)/python -c "import glob, pathlib, sysconfig; [pathlib.Path(found, 'shared.pth').write_text( \
	  sysconfig.get_path('purelib')) for found in glob.glob('$(WHEEL)/lib/*/site-packages')]"
	$(BIN)/pip --python $(WHEEL)/bin/python install --quiet --no-deps --ignore-installed dist/*.whl
	$(WHEEL)/bin/python -c "import sfumato; assert 'wheel-venv' in sfumato.__file__, sfumato.__file__"

bench: $(TESTS)
	$(BIN)/python benchmarks/eager.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "sfumato needs Python 3.11 or later with its venv module; none was found on PATH."; \
	  echo "hint: install python3.11 (Debian: python3.11-venv too), or: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	$(PYTHON) -m venv .venv

$(PAINTS): .venv/bin/python $(BUILT_FROM)
	$(BIN)/python -m pip install --quiet -e ".[video]"
	@$(NATIVE)
	@touch $@

# What tests need includes what painting needs.
$(TESTS): .venv/bin/python $(BUILT_FROM)
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@$(NATIVE)
	@touch $(PAINTS) $@
