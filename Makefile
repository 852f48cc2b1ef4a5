# Two commands do everything from a bare Python 3.11+: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/installed
	$(BIN)/python -m builders.demo

# Style and types first, since they fail fastest; then every test; last the integration suite on a deployed phase.
test: .venv/installed
	$(BIN)/python -m ruff check src lambda tests benchmarks
	$(BIN)/python -m ruff format --check --quiet src lambda tests benchmarks
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile
	$(BIN)/python -m builders.demo -- $(BIN)/python -m pytest tests/integration

# Made anew when what it installs changes; a second call finds it and is quick.
.venv/installed: constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cloud,test]'
	touch $@

clean:
	rm -rf .venv .tox build
