# make paint    two minutes: the classic net learns the Mona Lisa; painting, film and a look at its neurons
# make test     lint, types and all tests
# make sanitize the native engine's check program under sanitizers: memory, undefined behaviour, threads
# make check    the whole proof: format, lint, types, the wheel built, installed and tested
# make page     the playground's page from page/ into the package (needs node 20; what it makes is committed)
# make stub     the types of the native module, src/sfumato/_native.pyi, after a change in native/bind.cc
# make bench    speed as ratios, A and B alternating in one process
# make clean    remove what this file made
#
# Each target sets up what it needs (tools/environment.py) and does nothing twice. PYTHON=... picks another
# interpreter (3.11 or later).

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	if $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
BIN := .venv/bin
WHEEL := build/wheel-venv
comma := ,
SET_UP = $(PYTHON) tools/environment.py

# Another torch must not slip in through a dependency; the constraint reaches nested installs through this variable.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SANITIZED := build/check-address+undefined/.passed build/check-thread/.passed

.PHONY: paint test lint sanitize check wheel page stub bench clean python for-paint for-test with-browser
.DELETE_ON_ERROR:

# Training and watching are planned for so long; film and neurons follow.
BUDGET := 115s
paint: for-paint
	@echo "Now the network of the 2012 post learns the Mona Lisa, planned for $(BUDGET) of training and watching; then its"
	@echo "film is made and each of its 1,200 neurons is drawn, some seconds more. Ctrl-C saves what there is."
	@echo "All 500 epochs of the post, some minutes up to half an hour: $(BIN)/sfumato paint"
	@$(BIN)/sfumato paint --budget $(BUDGET)
	@$(BIN)/sfumato atlas last

test: lint with-browser
	$(BIN)/python -m pytest -n 2

lint: for-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tools

sanitize: $(SANITIZED)

# Once for each state of native/; without a compiler it fails, because nothing was proved.
build/check-%/.passed: CMakeLists.txt $(wildcard native/*.* native/check/*) | for-test
	$(BIN)/cmake --log-level=WARNING -S . -B $(@D) -G Ninja -D CMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	  -D SFUMATO_CHECK=ON -D "SFUMATO_SANITIZE=$(subst +,$(comma),$*)"
	+$(BIN)/ninja --quiet -C $(@D)
	$(@D)/check
	@touch $@

check: wheel lint with-browser
	$(BIN)/ruff format --check .
	@find src native -name '*.py' -o -name '*.cc' -o -name '*.h' | xargs wc -l | sort -n | tail -n 12
	$(WHEEL)/bin/python -m pytest -n 2

# Built from the source distribution, which so proves to be whole. The wheel's environment sees the packages of .venv
# through a path file, so nothing is downloaded twice; the editable install stays invisible there, because path files
# on such a path are not read.
wheel: for-test
	rm -rf dist $(WHEEL)
	$(BIN)/python -c "import scikit_build_core.build as build; build.build_sdist('dist')"
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist dist/*.tar.gz
	$(BIN)/python -m venv --without-pip $(WHEEL)
	$(BIN)/python -c "import glob, pathlib, sysconfig; [pathlib.Path(found, 'shared.pth').write_text( \
	  sysconfig.get_path('purelib')) for found in glob.glob('$(WHEEL)/lib/*/site-packages')]"
	$(BIN)/pip --python $(WHEEL)/bin/python install --quiet --no-deps --ignore-installed dist/*.whl
	$(WHEEL)/bin/python -c "import sfumato; assert 'wheel-venv' in sfumato.__file__, sfumato.__file__"

# The built page lies in the repository, so that neither `pip install .` nor `make paint` needs node; a test holds the
# two together.
page: page/node_modules/.package-lock.json
	cd page && npm run --silent check && npm test --silent && npm run --silent build

page/node_modules/.package-lock.json: page/package.json page/package-lock.json
	@command -v npm >/dev/null || { echo "the playground's page is built with node 20 or later and npm; none was found."; \
	  echo "hint: https://nodejs.org (Debian 12 has 18); all else works without, the built page is in the repository"; exit 1; } >&2
	cd page && npm ci --silent --no-audit --no-fund

stub: for-test
	$(BIN)/python -m nanobind.stubgen --quiet --module sfumato._native --output-file src/sfumato/_native.pyi

bench: for-test
	$(BIN)/python benchmarks/eager.py

clean:
	rm -rf .venv build dist page/node_modules .pytest_cache .mypy_cache .ruff_cache

for-paint: python
	@$(SET_UP) paint

for-test: python
	@$(SET_UP) compiler headers test

with-browser: for-test
	@$(SET_UP) browser

python:
	@test -n "$(PYTHON)" || { echo "sfumato needs Python 3.11 or later; none was found on PATH."; \
	  echo "hint: install it (Debian: apt install python3-venv), or: make PYTHON=/path/to/python3.11"; exit 1; } >&2
