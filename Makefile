# Each target sets up what it needs: a virtual environment inside this folder, nothing global.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run side by side: most of them use one processor. Neighbours stay together, as they share networks, until one
# process has nothing left to do.
PROCESSES ?= 2
SIDE_BY_SIDE := -n $(PROCESSES) --dist worksteal
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-quick test-slow fuzz lint format docs wheel try-wheel clean

demo: $(VENV)/.installed
	$(BIN)/python examples/digits.py

test: lint
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# While you work: of every test its first case, and none that is long.
test-quick: $(VENV)/.installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --quick

# What `make test` leaves out: further cases, and what takes minutes.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

fuzz: $(VENV)/.installed
	$(BIN)/python tests/native/run_fuzz.py 60

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation site, in site/; warnings are errors.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html"

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

# What a release consists of, in dist/: source distribution and wheel.
wheel: $(VENV)/.installed-release
	$(BIN)/python release/build_wheel.py

# The wheel in empty environments, with the oldest and with the newest versions of all that it needs.
try-wheel: wheel
	$(BIN)/python release/try_wheel.py $(PYTHONS)

$(VENV)/.installed-release: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[release]"
	touch $@

NATIVE := $(wildcard snn_toolbox_tf/ops/*.cc snn_toolbox_tf/ops/*.h snn_toolbox_tf/ops/core/*.cc snn_toolbox_tf/ops/core/*.h)

# Installing compiles the native ops, too.
$(VENV)/.installed: pyproject.toml setup.py $(NATIVE)
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 10) or sys.exit('Python 3.10 or newer is needed, as in: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
