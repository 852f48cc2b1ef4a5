# Two commands do everything from a bare Python 3.11+: `make demo` and `make test`; `make harness` tests longer.

PYTHON ?= python3
BIN ?= .venv/bin
PART ?= 0/1
PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test harness style types checkov clean

demo: .venv/installed
	$(BIN)/python -m builders.demo

# Style and types first, since they fail fastest; then every test, the integration suite on a deployed phase with them.
test: .venv/installed style types
	$(BIN)/python -m pytest $(PARALLEL)

# Rotations and rollouts killed at every point, of which the tests take a sample, longer random stories, larger phases.
# PART=K/N takes every Nth of them, beginning with number K.
harness: .venv/installed
	$(BIN)/python -m pytest --whole --part $(PART) --numprocesses auto --dist worksteal

style:
	$(BIN)/python -m ruff check src lambda tests benchmarks tools
	$(BIN)/python -m ruff format --check --quiet src lambda tests benchmarks tools

# Each function is a program of its own, with the shared modules beside it as in its package.
types:
	"$(BIN)/python" -m mypy
	@python="$$(cd "$(BIN)" && pwd)/python"; for function in lambda/*/; do \
	  echo "mypy $$function"; \
	  (cd "$$function" && MYPYPATH=../shared "$$python" -m mypy --config-file ../../setup.cfg --cache-dir ../../.mypy_cache/functions .) || exit 1; \
	done

# checkov pins an old boto3, so it has an environment of its own.
checkov: .venv-checkov/installed
	.venv-checkov/bin/python -m checkov.main --directory templates --framework cloudformation --compact --quiet

.venv-checkov/installed: constraints-checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-checkov.txt checkov
	touch $@

# Made anew when what it installs changes; a second call finds it and is quick.
.venv/installed: constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cloud,migrate,test]'
	touch $@

clean:
	rm -rf .venv .venv-checkov .tox build
