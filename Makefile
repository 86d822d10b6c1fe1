# Everything a person types. `make demo` and `make test` set up all that they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check fix lock setup test-deps bench golden docs soak wire

demo: setup
	$(BIN)/handsel up --demo

test: setup
	$(BIN)/pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	! grep -n '://' requirements.lock.txt

fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The stamp is newer than the lock as long as the environment fits it.
setup: .venv/stamp
.venv/stamp: requirements.lock.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# uv is needed here and nowhere else.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock.txt
