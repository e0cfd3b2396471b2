# The two commands of a newcomer are `make quickstart` and `make test`; each makes .venv first where it must.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export HF_HUB_DISABLE_TELEMETRY = 1
# The tests whose code runs in the compiled core.
CORE_TESTS := tests/test_kernels.py tests/core tests/terms tests/index tests/retrieval tests/corpus/test_cutting.py tests/corpus/test_units.py

.DEFAULT_GOAL := help
.PHONY: docs help install quickstart quickstart-full test test-slow bench lint lint-core sanitize format clean

help: ## Show these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(READY) ## Make .venv with the package and its development extras

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(wildcard core/* core/*/*)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

quickstart: $(READY) ## Two textbooks, two students and one table from real data (8 to 10 minutes)
	$(BIN)/hornbook quickstart

quickstart-full: $(READY) ## The same with three seeds and twice the tokens (under an hour)
	$(BIN)/hornbook quickstart --full

test: $(READY) ## Unit tests (under 5 minutes)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not slow"

test-slow: $(READY) ## Tests with several processes, faults and whole runs (under 25 minutes)
	@# The report is looked at in a browser; where none can be had, that test says so and is skipped.
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq chromium; } || true
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow --ignore tests/slow/test_cluster.py
	HF_HUB_OFFLINE=1 timeout 600 $(BIN)/python -m pytest -m slow tests/slow/test_cluster.py

bench: $(READY) ## Distillation and augmentation beside the obvious ways, retrieval beside search engines (three minutes)
	$(BIN)/python benchmarks/distil_step.py --quick
	$(BIN)/python benchmarks/retrieval.py --quick
	$(BIN)/python benchmarks/augment.py --quick

docs: $(READY) ## The documentation as a site in build/site, with the reports of our experiments
	for rows in laptop-table2 laptop-figure2 laptop-table3; do \
		$(BIN)/hornbook report docs/results/$$rows.json || exit 1; \
	done
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'zensical>=0.0.70'
	.venv-docs/bin/zensical build --clean

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
