# Everything this project does, from nothing but Python and make. `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PORT ?= 8000
PDF ?= _build/regrob.pdf
PRESET ?= quick
FIGURES ?= fig2 fig4 fig5 fig6 fig7 cost
RESULTS ?= _build/results/$(PRESET)
PAPER ?= _build/results/paper
PROVED ?= _build/results/proved
ONLY ?=
SHUFFLE ?= 1
MINUTES ?= 9
DEVICE ?= cuda
FROM ?=
CHECK ?=
TORCH ?= torch==2.13.0

BIN := $(VENV)/bin
READY := $(VENV)/.ready
PAGE := _build/html/index.html
# A machine with a GPU need not have the environment: any Python with torch will do there.
GPU_PYTHON = $(if $(wildcard $(READY)),$(BIN)/python,$(PYTHON))
say = @printf '\n== %s\n'
# What an extra names is put beside the package, which stays as it is: others may be running it.
define with_extra
@$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*extras["$(1)"], sep="\n")' \
  | $(BIN)/python -m pip install -qq -c requirements.lock -r /dev/stdin
endef

# One thread a process: tests and notebooks run side by side.
export OMP_NUM_THREADS ?= 1
unexport MPLBACKEND # the notebooks choose their own
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help book test unit notebooks-test proofs hypotheses browser pdf serve lint format notebooks bench gpu results paper paper-run proved proved-run cluster integrations picture lock clean

help: ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{ printf "  make %-15s %s\n", $$1, $$2 }'

$(READY): pyproject.toml requirements.lock
	$(say) "Setting up $(VENV) from requirements.lock"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) must be Python 3.11 or newer. Name one that is: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing about 150 packages, torch among them: some minutes the first time."
	@$(BIN)/python -m pip install -qq -c requirements.lock -e '.[dev,bench]'
	@$(BIN)/python -m pip check
	@touch $@

book: $(READY) ## execute every notebook that was not just tested, and build the pages
	$(say) "Executing every notebook that has changed since it was tested, $(JOBS) at a time"
	@$(BIN)/python book/_tools/notebooks.py fill --jobs $(JOBS)
	$(say) "Building the package's wheel, for the readers' notebooks"
	@rm -rf _build/wheel && $(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w _build/wheel .
	$(say) "Building the pages; warnings are errors"
	@REGROB_EXECUTED='$(CURDIR)/_build/executed' $(BIN)/jupyter-book build . --all -W -n --keep-going
	$(say) "The book is ready. Open this page, or run make serve:"
	@echo "$(CURDIR)/$(PAGE)"

test: unit notebooks-test ## run every test: units, properties, doctests, notebooks
	$(say) "All tests passed"

unit: $(READY) ## run the tests without the notebooks' (SHUFFLE=n for another order)
	$(say) "Unit, property and documentation tests, in a shuffled order, $(JOBS) at a time"
	@REGROB_KEEP_OUTPUTS=1 $(BIN)/python -m pytest -q -n $(JOBS) --shuffle $(SHUFFLE)

notebooks-test: $(READY) ## run every notebook and compare its stored outputs
	$(say) "Notebooks: every cell runs, every stored output is compared"
	@REGROB_KEEP_OUTPUTS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadscope --nbval --nbval-current-env book/*.ipynb

proofs: $(READY) ## compile the formal proofs with Coq and record them (CHECK=1: compare only)
	$(say) "The formal proofs, $(JOBS) at a time"
	@$(BIN)/python book/_tools/proofs.py --jobs $(JOBS) $(if $(CHECK),--check)

browser: $(READY) ## open every built page in Chromium, run readers' notebooks (after make book)
	$(say) "Opening every built page in Chromium; running two readers' notebooks elsewhere"
	@$(BIN)/python -m pytest -q -n $(JOBS) tests/test_browser.py tests/test_living.py tests/test_live_cells.py \
	  tests/test_policy.py tests/test_built_furniture.py tests/test_readers.py

pdf: $(READY) ## print the built book into one PDF with Chromium (after make book)
	$(say) "Printing every page with Chromium"
	@$(BIN)/python book/_tools/pdf.py $(PDF)

serve: ## show the built book at http://localhost:8000 (PORT=n for another)
	@test -f $(PAGE) || { echo "There is no built book yet: run make book first."; exit 1; }
	$(say) "The book is at http://localhost:$(PORT); Ctrl-C ends it"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lint: $(READY) ## check style, types, the direction of imports and the notebooks' stored form
	$(say) "Style (ruff)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --exclude '*.ipynb' .
	@$(BIN)/ruff format --check --line-length 79 book/*.ipynb
	@$(BIN)/ruff check --select E501 --line-length 79 book/*.ipynb
	$(say) "Types (mypy --strict)"
	@$(BIN)/mypy --strict regrob book/_tools
	$(say) "Imports run downwards (import-linter)"
	@$(BIN)/lint-imports --no-cache
	$(say) "Stored form of the notebooks"
	@$(BIN)/python book/_tools/notebooks.py check

format: $(READY) ## rewrite the code in the project's style
	$(say) "Formatting"
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format --exclude '*.ipynb' .
	@$(BIN)/ruff format --line-length 79 book/*.ipynb

notebooks: format ## format and run the notebooks again, and store what is compared
	$(say) "Executing the notebooks, $(JOBS) at a time"
	@$(BIN)/python book/_tools/notebooks.py run --jobs $(JOBS)

hypotheses: $(READY) ## have Z3 look for numbers that refute each polynomial claim without a hypothesis
	$(say) "Dropping the hypotheses of polynomial claims, one at a time"
	@$(BIN)/python book/_tools/hypotheses.py

bench: $(READY) ## measure speed, with Foolbox and adv-lib as the peers
	$(say) "Installing adv-lib; its visdom builds only with a setuptools that still has pkg_resources"
	@$(BIN)/python -m pip install -qq 'setuptools<81' wheel
	@$(BIN)/python -m pip install -qq -c requirements.lock --no-build-isolation visdom
	@$(BIN)/python -m pip install -qq -c requirements.lock -e '.[dev,bench,peers]'
	$(say) "Measuring speed, with Foolbox and adv-lib as the peers"
	@$(BIN)/python -m regrob bench

gpu: ## check, measure and sweep on a GPU: MINUTES=9 OUT=folder (FROM=folder to go on; DEVICE=cpu rehearses)
	@test -n "$(OUT)" || { echo "Name a folder for what comes back: make gpu OUT=folder"; exit 2; }
	@$(GPU_PYTHON) -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))' || \
	  { echo "$(GPU_PYTHON) has no torch. Name a Python that has: make gpu PYTHON=python3.12 OUT=$(OUT)"; exit 2; }
	@$(GPU_PYTHON) -m regrob.bench.gpu --out '$(OUT)' --minutes $(MINUTES) --device $(DEVICE) \
	  $(if $(FROM),--from '$(FROM)')

results: $(READY) ## compute and draw the experiments' results (PRESET=quick, standard or paper)
	$(say) "Computing the results of preset $(PRESET) into $(RESULTS)"
	@set -e; for figure in $(FIGURES); do \
	  $(BIN)/python -m regrob sweep $$figure --preset $(PRESET) --out $(RESULTS) --jobs $(JOBS); done
	@$(BIN)/python -m regrob.figures.draw_all $(RESULTS)
	@echo "Stored results live in book/results; copy the csv and json files there to put these in their place."

paper: $(READY) ## store what is finished at the paper's own scale, and say how far it is (PAPER=folder)
	$(say) "The experiments at the paper's own scale, in $(PAPER)"
	@$(BIN)/python -m regrob paper --out $(PAPER)

paper-run: $(READY) ## go on with them at low priority, for days (JOBS=n; needs REGROB_DATA)
	$(say) "Going on with the paper's own scale in $(PAPER); kill it at any instant, run it again to go on"
	@OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python -m regrob paper --run --out $(PAPER) --jobs $(JOBS)

proved: $(READY) ## store what is finished of the proofs of what penalties buy, and say how far they are
	$(say) "What penalties buy in proof, in $(PROVED)"
	@$(BIN)/python -m regrob proved --out $(PROVED)

proved-run: $(READY) ## go on with them at low priority, for days (JOBS=n; ONLY=network; needs REGROB_DATA)
	$(say) "Going on with the proofs in $(PROVED); kill it at any instant, run it again to go on"
	@OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python -m regrob proved --run --out $(PROVED) --jobs $(JOBS) \
	  $(if $(ONLY),--only $(ONLY))

cluster: $(READY) ## run a sweep on a real Dask and a real Ray, and compare
	$(say) "Installing Dask and Ray; one sweep on each"
	$(call with_extra,cluster)
	@$(BIN)/python -m pytest -q -m extra tests/test_backends.py

integrations: $(READY) ## the book's loops in other frameworks; networks of other packages, examined
	$(say) "Installing Lightning, Transformers and timm; training in two, networks of all"
	$(call with_extra,integrations)
	@REGROB_REQUIRE_INTEGRATIONS=1 $(BIN)/python -m pytest -q -m extra tests/test_integrations.py tests/test_examination.py

picture: $(READY) ## draw the README's picture
	$(say) "Drawing book/_static/figure_1.svg"
	@$(BIN)/python book/_tools/picture.py

lock: ## resolve every dependency afresh and rewrite requirements.lock (TORCH= to move torch)
	$(say) "Resolving all dependencies in a fresh environment; some minutes"
	@rm -rf _build/lock && $(PYTHON) -m venv _build/lock
	@_build/lock/bin/python -m pip install -qq 'setuptools<81' wheel
	@_build/lock/bin/python -m pip install -qq --no-build-isolation visdom
	@_build/lock/bin/python -m pip install -qq '.[dev,bench,peers,cluster,integrations]' '$(TORCH)'
	@{ sed -n '/^#/p' requirements.lock; \
	   _build/lock/bin/python -m pip freeze --all --exclude pip --exclude regrob \
	   | sed -E -e 's/\+cpu$$//' -e '/^(nvidia|cuda|triton)/d'; } > _build/new.lock
	@mv _build/new.lock requirements.lock && rm -rf _build/lock
	@echo "requirements.lock is new. Try it: make test book"

clean: ## remove the environment and everything built
	$(say) "Removing $(VENV), _build and caches"
	@rm -rf $(VENV) _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
