# Everything needs only Python 3.11 or newer and make:
#
#   make demo    sets up .venv and searches for the best student on handwritten digits
#   make test    sets up .venv and checks everything that takes no more than minutes
#
# PYTHON=/path/to/python3.12 chooses the interpreter.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
READY := .venv/.ready

# Numerical libraries would otherwise start a thread a core in each of several test processes.
test test-slow: export OMP_NUM_THREADS = 1
# Hundreds of tests start a process of ours, which would else compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

QUICK := not slow and not browser and not gpu
SLOW := (slow or browser) and not gpu

.DELETE_ON_ERROR:
.PHONY: demo test test-slow lint types format clean

demo: $(READY)
	$(BIN)/retort demo

test: $(READY) lint types
	$(BIN)/pytest -m "$(QUICK) and not ray" -n auto --dist worksteal
	$(BIN)/pytest -m "$(QUICK) and ray"

# What `make test` leaves out. Takes many minutes; the browser tests need a Chromium. A file's tests
# share what they prepare, so they stay in one process.
test-slow: $(READY)
	$(BIN)/pytest -m "$(SLOW) and not ray" -n auto --dist loadfile
	$(BIN)/pytest -m "$(SLOW) and ray"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "retort needs Python 3.11 or newer, but $(or $(PYTHON),python3) is older or missing;" \
			"install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,postgresql]'
	@touch $@
