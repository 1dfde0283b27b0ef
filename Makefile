# Two commands do everything, set-up included: `make verify` (the main job) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= out
EFFORT ?= quick
WORKERS ?= 2
# By a folder on the path, not by a finder: a script beside a clone that is called ufm would import the clone's folder.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	--config-settings editable_mode=compat --editable

# One thread a process: tests and claims run in parallel processes, and threads would compete with them.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: setup verify test test-full lint proofs bench claims docs notebooks clean

# What the first run of either command would make beside its work: packages, loops that Numba compiles, their types.
setup: $(VENV)/.prepared

verify: $(STAMP)
	$(BIN)/ufm verify --effort $(EFFORT) --out $(OUT)

# Many tests start processes that import ufm: compiled once, for all of them. Other packages' plugins of
# pytest would have their packages rewritten, and ufm's own: those that the suite needs are named.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --disable-plugin-autoload -p xdist.plugin -p _hypothesis_pytestplugin
PYTEST += -n $(WORKERS) --dist worksteal

# Types are checked beside the tests: mypy has one process, and the tests leave none of the cores idle.
test: $(VENV)/.prepared style compiled
	@$(BIN)/mypy ufm proofs_check > $(VENV)/types.log 2>&1 & types=$$!; \
	$(PYTEST) $(PYTEST_ARGS); tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.log; \
	[ $$tests = 0 ] && [ $$types = 0 ]

# The laws that `make test` tries on a sample of instances, on all of them.
test-full: $(STAMP) compiled
	UFM_TESTS=full $(PYTEST) $(PYTEST_ARGS)

.PHONY: compiled
compiled: $(STAMP)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q -j $(WORKERS) ufm proofs_check

.PHONY: style
style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint: style
	$(BIN)/mypy ufm proofs_check

# Every step of every theorem checked by Coq, and the steps of the false variants refused; an interrupted run goes on.
PROOFS_ARGS ?=
proofs: $(STAMP)
	$(BIN)/python -m proofs_check.coq_steps --store $(OUT)/proofs --workers $(WORKERS) --mutants $(PROOFS_ARGS)

# Times against the peers', in the same run: a table of ratios in out/benchmarks.
BENCH_EFFORT ?= quick
bench: $(STAMP)
	$(INSTALL) '.[bench]'
	$(BIN)/python -m benchmarks --effort $(BENCH_EFFORT) --out $(OUT)/benchmarks

# The table of claims, generated from the verdicts of the last run: of every claim after `make verify EFFORT=full`.
claims: $(STAMP)
	$(BIN)/python -m ufm.report.readme $(OUT)/report.json docs/claims.md

# The site, in out/docs: generated pages, strict links, no network when it is read; looked at in a browser, if there is one.
docs: $(STAMP)
	$(INSTALL) '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs $(OUT)/docs
	$(BIN)/python docs/browse.py $(OUT)/docs

# Run the notebooks and keep their outputs; make those of the guides.
notebooks: $(STAMP)
	$(BIN)/python notebooks/execute.py
	$(BIN)/python notebooks/guides.py

# Made when missing, and again whenever the requirements change.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ufm needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[test]'
	@touch $(STAMP)

$(VENV)/.prepared: $(STAMP)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python tests/helpers/prepare.py
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) *.egg-info .pytest_cache .ruff_cache .hypothesis
