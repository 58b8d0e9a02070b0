# make book and make test are all that a reader needs; both set up .venv first, once.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DATA   ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help setup book html test lint recordings explorer picture repository clean

help:
	@echo "make book                     build the book; prints the file to open"
	@echo "make test                     run every test: the package, the chapters, the built pages"
	@echo "make lint                     ruff"
	@echo "make recordings DATA=archive  record what the book shows and is missing (without DATA: torchvision's CIFAR-10)"
	@echo "make explorer                 bundle src/explorer into the package again (needs node and npm)"
	@echo "make picture                  draw the picture of README.md again"
	@echo "make repository URL=https://github.com/OWNER/NAME   say where the project lives"
	@echo "make clean                    remove what was built; .venv stays"

setup: $(STAMP)

# The stamp is written last: an interrupted set-up starts again, a finished one is not repeated.
$(STAMP): requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "python3 -m venv does not work here; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 (after rm -r $(VENV))"; exit 1; }
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

book: setup
	@$(MAKE) --no-print-directory html
	@echo "Open $(CURDIR)/_build/html/index.html"

# The bare build, always from nothing: a kept page would hide a change of the package.
html:
	rm -rf _build
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter-book build . --all -W -n --keep-going

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .

recordings: setup
	$(BIN)/python -m resnet_dynamics record $(if $(DATA),--data "$(DATA)")

# The package carries the bundle, so that nobody else needs node.
explorer:
	cd src/explorer && npm ci --no-audit --no-fund --silent && node build.js

picture: setup
	MPLBACKEND=agg $(BIN)/python book/_picture.py

repository:
	$(PYTHON) book/_repository.py "$(URL)"

clean:
	rm -rf _build build .pytest_cache .ruff_cache
