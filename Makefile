# The two commands of a newcomer are `make quickstart` and `make test`; each makes .venv first where it must.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# pip's way to ask for --no-compile, here and where it builds: Python compiles what is imported.
export PIP_NO_COMPILE = 0
export HF_HUB_DISABLE_TELEMETRY = 1
# The tests whose code runs in the compiled core.
CORE_TESTS := tests/test_kernels.py tests/core tests/terms tests/index tests/retrieval tests/corpus/test_cutting.py tests/corpus/test_units.py

.DEFAULT_GOAL := help
.PHONY: bench browser clean docs format help install lint lint-core quickstart quickstart-full sanitize test test-loaders test-slow wheel-check

help: ## Show these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(READY) ## Make .venv with the package and its development extras

$(READY): pyproject.toml requirements-dev.txt constraints.txt CMakeLists.txt $(wildcard core/* core/*/*)
	$(PYTHON) -m venv .venv
	@# The pins are a full list: without resolving and byte-compiling, this takes half the time. Where a pin does not
	@# fit (another system or Python), the second command resolves as usual.
	-$(PIP_INSTALL) --no-deps --requirement requirements-dev.txt
	$(PIP_INSTALL) --constraint constraints.txt --editable '.[dev]'
	@touch $@

quickstart: $(READY) ## Two textbooks, two students and one table from real data (10 to 12 minutes)
	$(BIN)/hornbook quickstart

quickstart-full: $(READY) ## The same with three seeds and twice the tokens (under an hour)
	$(BIN)/hornbook quickstart --full

test: $(READY) ## Unit tests (under 5 minutes)
	@# Two processes of one thread each: the models are too small for more. A test that hangs fails with its traceback.
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --timeout 300 --numprocesses 2 --dist loadfile

browser: $(READY) ## Install Playwright and Chromium (apt, as root) for the slow test of report pages
	$(PIP_INSTALL) --constraint constraints.txt playwright
	command -v chromium >/dev/null || apt-get install -y -qq chromium

test-slow: $(READY) ## Tests with several processes, faults and whole runs (under 25 minutes)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow --timeout 900 --ignore tests/slow/test_cluster.py --ignore tests/slow/test_loaders.py
	HF_HUB_OFFLINE=1 timeout 600 $(BIN)/python -m pytest -m slow tests/slow/test_cluster.py

# Where the programs that load exports are installed, each in an environment of its own.
LOADERS ?= $(HOME)/.cache/hornbook/loaders
IN_LOADERS = python -m pip install --quiet --disable-pip-version-check torch==2.13.0

test-loaders: $(READY) browser ## Exports in other programs (needs npm, 3 GB and minutes; HORNBOOK_EXPORT=DIR: yours too)
	mkdir -p $(LOADERS)/node
	npm install --prefix $(LOADERS)/node --no-audit --no-fund --ignore-scripts @huggingface/transformers@4.3.2
	$(PYTHON) -m venv $(LOADERS)/sentence-transformers
	$(LOADERS)/sentence-transformers/bin/$(IN_LOADERS) sentence-transformers==6.2.0
	$(PYTHON) -m venv $(LOADERS)/infinity
	$(LOADERS)/infinity/bin/$(IN_LOADERS) 'infinity-emb[server,torch,optimum]==0.0.78'
	HF_HUB_OFFLINE=1 HORNBOOK_LOADERS=$(LOADERS) $(BIN)/python -m pytest -m slow tests/slow/test_loaders.py

wheel-check: $(READY) ## Build sdist and wheel, install the wheel without a compiler, make a textbook with it
	tools/wheel_check.sh

bench: $(READY) ## Distillation and augmentation beside the obvious ways, retrieval beside search engines (three minutes)
	$(PIP_INSTALL) --constraint constraints.txt blingfire bm25s tantivy
	$(BIN)/python benchmarks/distil_step.py --quick
	$(BIN)/python benchmarks/retrieval.py --quick
	$(BIN)/python benchmarks/augment.py --quick

docs: $(READY) ## The documentation as a site in build/site, with the reports of our experiments
	for rows in laptop-table2 laptop-figure2 laptop-table3 laptop-projected; do \
		$(BIN)/hornbook report docs/results/$$rows.json || exit 1; \
	done
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'zensical>=0.0.70' 'mkdocstrings-python>=2.0'
	.venv-docs/bin/zensical build --clean

lint: $(READY) ## ruff, mypy, docstrings, spelling and words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pydoclint --quiet src
	$(BIN)/codespell src core docs recipes *.md
	$(BIN)/python tools/check_words.py

# Packages of .venv, but a core of its own. HORNBOOK_KERNELS=compiled refuses to run without one.
lint-core: $(READY) ## Compile the core with warnings as errors (one minute)
	$(PYTHON) -m venv build/lint-core
	build/lint-core/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-installed \
		-C build-dir=build/lint-core/cmake -C cmake.define.HORNBOOK_WERROR=ON .
	HORNBOOK_KERNELS=compiled build/lint-core/bin/python -c 'import hornbook._core'

sanitize: $(READY) ## Tests of the compiled core under AddressSanitizer and UBSan (under 5 minutes)
	$(PYTHON) -m venv build/sanitize
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		>$$(build/sanitize/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/packages.pth
	build/sanitize/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-installed \
		-C build-dir=build/sanitize/cmake -C cmake.build-type=Debug -C cmake.define.HORNBOOK_SANITIZE=ON .
	@# CPython frees little before it exits, so leaks are not looked for. ASan finds no C++ exceptions without libstdc++.
	cxx=$${CXX:-c++}; \
	LD_PRELOAD="$$($$cxx -print-file-name=libasan.so) $$($$cxx -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 HORNBOOK_KERNELS=compiled HF_HUB_OFFLINE=1 \
		build/sanitize/bin/python -m pytest --capture=sys -m "not slow" $(CORE_TESTS)

format: $(READY) ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv and caches
	rm -rf .venv .venv-docs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
