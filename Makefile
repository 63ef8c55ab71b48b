# make run    the notebooks, in order (profile: smoke, or G2G_PROFILE)
# make test   all of it proved: lint, library, notebooks, what they wrote
# Both set up .venv first, when it is absent or the requirements changed.

PY := .venv/bin/python
NOTEBOOKS = $(sort $(wildcard notebooks/[0-9A]*.ipynb)) $(sort $(wildcard notebooks/solutions/[0-9A]*.ipynb))
# two processes of one thread each are faster than one of two
TWO = OMP_NUM_THREADS=1 $(PY) -m pytest -n 2
TEST = G2G_PROFILE=smoke G2G_PLAIN=1 G2G_DATA= G2G_OUTPUTS=$(CURDIR)/outputs/test G2G_CACHE=$(CURDIR)/outputs/test/cache
unexport MPLBACKEND
export OMP_WAIT_POLICY = PASSIVE  # threads that spin while they wait starve each other on a busy machine
# glibc: keep freed blocks for the next step; given back to the system, their pages cost a third of a step on a CPU
export MALLOC_MMAP_MAX_ = 0
export MALLOC_TOP_PAD_ = 268435456
export MALLOC_TRIM_THRESHOLD_ = 17179869184

.PHONY: help setup run test lint test-library test-notebooks test-slow notebooks report site bench gpu-check badges test-alone test-colab clean

help:
	@sed -n 's/^# //p' Makefile
	@echo "also:       notebooks report site bench gpu-check badges test-slow test-alone test-colab clean"

setup:
	@cat requirements.txt constraints.txt | cmp -s - .venv/installed || sh tools/install.sh

run: setup
	@$(PY) tools/execute.py run

test: lint test-library test-notebooks

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check -q app g2g report tools tests benchmarks docs

test-library: setup
	$(TWO) tests -m "not slow" --ignore=tests/after

# One set of smoke runs, made afresh (a run is found by its recipe and data, not by the code that made it), then looked at.
test-notebooks: setup
	rm -rf outputs/test
	$(TEST) $(TWO) --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider $(NOTEBOOKS)
	$(TEST) $(PY) -m pytest tests/after

test-slow: setup
	$(PY) -m pytest tests -m slow --ignore=tests/after

notebooks: badges
	@$(PY) tools/execute.py save $(NB)

report: setup
	$(PY) -m report build

# make site   the book, in outputs/site; with it, where npm is installed, the page that colors in the browser
site: setup
	@cmp -s docs/site/requirements.txt .venv/installed-site || $(PY) -m pip install -q -r docs/site/requirements.txt -c constraints.txt
	@cp docs/site/requirements.txt .venv/installed-site
	@if [ ! -f web/package.json ]; then echo "web/ is absent: the page that colors in the browser is left out"; \
	elif command -v npm >/dev/null; then $(PY) tools/export_onnx.py && npm --prefix web ci && npm --prefix web run build; \
	else echo "npm is not installed: the page that colors in the browser is left out"; fi
	rm -rf outputs/site
	$(PY) docs/site/collect.py
	$(PY) -m sphinx -q -b html -n -W --keep-going -c docs/site outputs/site-src outputs/site
	@echo "the book: outputs/site/index.html"

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

# make gpu-check   where there is a GPU: what docs/training.md has not measured yet, in half an hour; it may be interrupted
gpu-check: setup
	G2G_TEST_GPU=1 $(PY) -m pytest tests/test_loaders.py -k gpu
	$(PY) -m tools.gpu_check

badges: setup
	@$(PY) tools/stamp.py

test-alone: setup
	@$(PY) tools/colab_check.py $(NB)

test-colab: setup
	@$(PY) tools/colab_check.py --colab $(NB)

clean:
	rm -rf outputs .pytest_cache .ruff_cache
	@echo "kept: data/cache (prepared photos), .venv"
