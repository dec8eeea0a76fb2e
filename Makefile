# `make demo` and `make test` each do the whole job on a machine that has only Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
STAMP := $(VENV)/.installed-all
TORCH := 2.13.0

.PHONY: setup demo test docs lint gpu-package gpu-rehearsal clean

setup: $(STAMP)

# What transcribes, 350 MB.
$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "softspoken needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# What trains, tests and documents as well, 2.4 GB.
$(STAMP): $(INSTALLED)
	$(BIN)/python -m pip install --quiet torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/softspoken demo

# Two to four workers; `.venv/bin/python -m pytest FILE` runs some tests in one process.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(STAMP)
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/mypy

# What a training needs on a machine without a network, in parts of at most 57 MB; see docs/how-to/train-elsewhere.md.
gpu-package: $(STAMP)
	$(BIN)/python tools/gpu_package.py --out build/gpu --backbone base tiny.en

# The same on a small scale, there and back: a small package, unpacked and trained on with what is installed here.
gpu-rehearsal: $(STAMP)
	rm -rf build/rehearsed
	$(BIN)/python tools/gpu_package.py --out build/rehearsal --talkers 3 --backbone tiny.en \
	  --python $$($(BIN)/python -c 'import platform; print(platform.python_version().rpartition(".")[0])')
	$(BIN)/python tools/gpu_session.py receive build/rehearsal/[0-9]* --into build/rehearsed/data
	$(BIN)/python tools/gpu_session.py run --into build/rehearsed/data --minutes 4 --out build/rehearsed/out --lane tiny.en --lane paper frames

clean:
	rm -rf $(VENV) softspoken-demo site
