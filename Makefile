# Everything a newcomer, a teacher and CI do. Needs only Python >= 3.11, make and a package registry.
.POSIX:

PYTHON ?= python3
LAB_FLAGS ?=
SPEAK ?=
VOILA_FLAGS ?=
PYTEST_FLAGS ?=
NOTEBOOKS ?= notebooks/*.ipynb
KIT_FLAGS ?=

IN_VENV = .venv/bin/python

# Compared with plain SimPy over random histories; run once, with checks.
LANES = tests/test_lanes.py tests/test_containers.py tests/test_queue_lane.py

help: ## show this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'
	@echo "PYTHON=/path/to/python3 names the Python that .venv is made from; SPEAK=es makes lab's copy Spanish;"
	@echo "LAB_FLAGS goes to JupyterLab, VOILA_FLAGS to Voila."

lab: ## set up, make your own copy of the notebooks in work/, open JupyterLab on it
	@venv=.venv extras=; $(INSTALL)
	@$(COMPILE_LANES)
	@speak='$(SPEAK)'; $(IN_VENV) -m simlib student-copy --work $${speak:+--lang "$$speak"}
	cd work && exec ../$(IN_VENV) -m jupyterlab 00-start-here.ipynb $(LAB_FLAGS)

test: ## set up, then every check: lint, format, types, tests, lanes with bounds checked, notebooks
	@test -d tests || { echo "This is a learner's copy: the tests are in the full repository." >&2; exit 1; }
	@venv=.venv extras='[test,cluster,aws]'; $(INSTALL)
	@$(COMPILE_LANES)
	@echo "== lint"
	@$(IN_VENV) -m ruff check .
	@echo "== format"
	@$(IN_VENV) -m ruff format --check .
	@echo "== types"
	@$(IN_VENV) -m mypy
	@echo "== tests"
	@$(IN_VENV) -m pytest tests --ignore=tests/browser $(LANES:%=--ignore=%) -n 2 --dist loadfile $(PYTEST_FLAGS)
	@echo "== tests of the lanes, every array index checked"
	@NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR="$$PWD/.venv/numba-boundscheck" \
		$(IN_VENV) -m pytest $(LANES) -n 2 --dist loadfile $(PYTEST_FLAGS)
	@echo "== notebooks"
	@: backwards, for the last ones take longest, and one process would end with them while the other has nothing to do
	@SIMLIB_LANG=en SIMLIB_HOME="$$(mktemp -d)" $(IN_VENV) -m pytest --nbval --nbval-cell-timeout=120 -n 2 --dist loadscope \
		--no-loadscope-reorder $$(ls -r notebooks/*.ipynb) $$(test ! -d solutions || echo solutions)

test-browser: ## the notebooks in a real browser (needs /usr/bin/chromium)
	@venv=.venv extras='[test,browser,app]'; $(INSTALL)
	@$(COMPILE_LANES)
	@$(IN_VENV) -m pytest tests/browser -n 2 --dist loadgroup $(PYTEST_FLAGS)

explorers: ## the explorers as an app of their own, in the browser (Voila)
	@venv=.venv extras='[app]'; $(INSTALL)
	@$(COMPILE_LANES)
	@$(IN_VENV) -m voila docs/explorers.ipynb --theme=light $(VOILA_FLAGS)

site: ## the whole course as pages to read offline, in build/site
	@test -d docs/site || { echo "This is a learner's copy: the site is built in the full repository." >&2; exit 1; }
	@venv=.venv extras=; $(INSTALL)
	@$(IN_VENV) docs/site/build.py

bench: ## measure the speed beside plain SimPy, Ciw, salabim and SimFaaS (in environments of its own)
	@venv=.venv-bench extras='[bench]'; $(INSTALL)
	@.venv-simfaas/bin/python -c 'import simfaas' 2>/dev/null || { "$(PYTHON)" -m venv .venv-simfaas && \
		.venv-simfaas/bin/python -m pip install --quiet --disable-pip-version-check simfaas==0.2.2; }
	@.venv-bench/bin/python benchmarks/speed.py
	@.venv-bench/bin/python benchmarks/serverless.py
	@.venv-bench/bin/python benchmarks/autoscaled.py
	@.venv-bench/bin/python benchmarks/scale.py

classroom: ## what each notebook takes of a classroom's machine: seconds, memory, its slider's answer
	@venv=.venv extras='[test]'; $(INSTALL)
	@$(COMPILE_LANES)
	@$(IN_VENV) benchmarks/notebooks.py --check

pins: ## make constraints.txt anew with today's releases (PYTHON must be a 3.11: what it gets, newer ones take too)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Pins are made with the oldest Python served: make pins PYTHON=/path/to/python3.11" >&2; exit 1; }
	@rm -rf .venv-pins && "$(PYTHON)" -m venv .venv-pins
	@.venv-pins/bin/python -m pip uninstall --quiet --yes setuptools
	@.venv-pins/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,browser,app,cluster,aws,bench]'
	@{ echo '# The whole environment, exactly: runtime and all extras. Made by `make pins`; do not edit by hand.'; \
	   echo '# After it, carry the new versions over to environment.yml (tests/test_environment.py says which).'; \
	   .venv-pins/bin/python -m pip list --format=freeze --exclude pip --exclude-editable \
	     --disable-pip-version-check | LC_ALL=C sort -f; } > constraints.txt.new
	@mv constraints.txt.new constraints.txt && rm -rf .venv-pins

outputs: ## run the notebooks anew and keep what they print (NOTEBOOKS names which)
	@venv=.venv extras='[test,cluster,aws]'; $(INSTALL)
	@$(COMPILE_LANES)
	@SIMLIB_LANG=en SIMLIB_HOME="$$(mktemp -d)" $(IN_VENV) -m jupyter nbconvert --log-level=WARN --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False $(NO_WIDGET_STATE) $(NOTEBOOKS)

pages: ## write the pages that are made from the course's data: glossary, outcomes, abstracts, core times
	@venv=.venv extras='[test,cluster,aws]'; $(INSTALL)
	@$(IN_VENV) -m simlib.course.pages

dist: ## build dist/simlib-….whl: the library with the course's notebooks, for pip install anywhere
	@venv=.venv extras=; $(INSTALL)
	@rm -rf build/wheel dist && mkdir -p build
	@$(IN_VENV) -m simlib student-copy build/wheel
	@mkdir build/wheel/simlib/course/handed_out
	@cp -R notebooks exercises constraints.txt build/wheel/simlib/course/handed_out
	@rm build/wheel/.gitignore # or the builder would leave out what it names
	@$(IN_VENV) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist ./build/wheel
	@ls dist/*.whl

offline-kit: dist ## dist/offline-kit/: all packages as files, for a room without a network (KIT_FLAGS goes to pip download)
	@mkdir -p dist/offline-kit/wheels
	@$(IN_VENV) -m pip download --quiet --disable-pip-version-check --only-binary=:all: -c constraints.txt \
		-d dist/offline-kit/wheels $(KIT_FLAGS) dist/*.whl
	@cp docs/teaching/offline-kit.txt dist/offline-kit/READ-ME.txt && cp constraints.txt dist/offline-kit
	@du -sh dist/offline-kit

format: ## put the code in its one form
	@venv=.venv extras='[test,cluster,aws]'; $(INSTALL)
	@$(IN_VENV) -m ruff check --fix . && $(IN_VENV) -m ruff format .

clean: ## remove what make built and every cache; work/ stays, it is yours
	rm -rf .venv .venv-bench .venv-simfaas .venv-pins .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how -------------------------------------------------------------------------------------------------------------

# One sentence for each way in which PYTHON may not do. Debian's python3 comes without ensurepip.
CHECK_PYTHON = \
	advice="install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 ..."; \
	"$(PYTHON)" -c '' 2>/dev/null || \
		{ echo "There is no Python at '$(PYTHON)': $$advice" >&2; exit 1; }; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "'$(PYTHON)' is older than Python 3.11: $$advice" >&2; exit 1; }; \
	"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "'$(PYTHON)' has no venv module: install it (Debian, Ubuntu: apt install python3-venv)," \
			"or name another Python: make PYTHON=/path/to/python3 ..." >&2; exit 1; }

# What an installation was made from; the folder too, for a moved one points to its old place.
STATE = { pwd -P; cat pyproject.toml constraints.txt; }

# Into $$venv with $$extras, only if something changed. Wanting extras keeps those that are there.
INSTALL = \
	"$$venv/bin/python" -c '' 2>/dev/null || { $(CHECK_PYTHON); rm -rf "$$venv"; "$(PYTHON)" -m venv "$$venv"; }; \
	$(STATE) | cmp -s - "$$venv/.installed$$extras" || { \
		echo "Installing simlib$$extras and what it needs into $$venv: a minute or two, once."; \
		"$$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$$extras" && \
		$(STATE) > "$$venv/.installed$$extras"; }

# Of a notebook's metadata only what says how to run it; the state of its sliders would be thousands of lines.
NO_WIDGET_STATE = --ClearMetadataPreprocessor.enabled=True --ClearMetadataPreprocessor.clear_cell_metadata=False \
	--ClearMetadataPreprocessor.preserve_nb_metadata_mask=kernelspec \
	--ClearMetadataPreprocessor.preserve_nb_metadata_mask=language_info

# Compiled once and cached beside the source, so that the first simulation of a lesson answers at once. numba itself
# watches lanes.py only, so the old machine code goes when anything it was made of has changed.
LANES_FROM = simlib/serving/*.py simlib/record.py constraints.txt
COMPILE_LANES = \
	cat $(LANES_FROM) | cmp -s - .venv/.lanes || { \
		echo "Compiling the lanes, once."; \
		rm -f simlib/serving/__pycache__/lanes.*.nb?; \
		$(IN_VENV) -m simlib doctor --compile --quiet && cat $(LANES_FROM) > .venv/.lanes; }

.PHONY: help lab test test-browser explorers site bench classroom pins outputs format clean
.PHONY: pages dist offline-kit
