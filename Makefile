# Two commands do everything from a bare Python 3.11+: `make demo` and `make test`; `make harness` tests longer.

PYTHON ?= python3
BIN ?= .venv/bin
PART ?= 0/1
# Each file of a release is known by its hash. A folder has none, so the project itself is installed alone, by the
# setuptools that is there by then.
HASHED = install --quiet --disable-pip-version-check --require-hashes --no-deps
EDITABLE = install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test pytest harness fuzz benchmark style types checkov nag locks clean

demo: .venv/installed
	$(BIN)/python -m builders.demo

# Style first, since it fails fastest; then the types beside every test, the integration suite on a deployed phase with
# them. Either one's failure is that of the whole, which make tells in its last lines.
test: .venv/installed style
	@$(MAKE) --no-print-directory --jobs=2 types pytest

pytest: .venv/installed
	$(BIN)/python -m pytest $(PARALLEL)

# Rotations and rollouts killed at every point, of which the tests take a sample, longer random stories, more
# examples of every property, larger phases.
# PART=K/N takes every Nth of them, beginning with number K.
harness: .venv/installed
	$(BIN)/python -m pytest --whole --part $(PART) --numprocesses auto --dist worksteal

# The build and its lint against the plain ways, as ratios; RUNS="--runs 9 --page" writes docs/performance.md.
benchmark: .venv/installed
	$(BIN)/python -m benchmarks.build $(RUNS)

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

# checkov pins an old boto3, so it has an environment of its own; most of its modules are never imported, nor compiled.
checkov: .venv-checkov/installed
	.venv-checkov/bin/python -m checkov.main --directory templates --framework cloudformation --compact --quiet --skip-download

.venv-checkov/installed: constraints-checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip $(HASHED) --no-compile -r constraints-checkov.txt
	touch $@

fuzz: .venv/installed
	$(BIN)/python -m tools.fuzz

# cdk-nag is a library of npm's.
nag: .venv/installed build/cdk_nag/installed
	$(BIN)/python -m tools.cdk_nag

build/cdk_nag/installed: tools/cdk_nag/package.json tools/cdk_nag/package-lock.json
	@command -v npm >/dev/null || { echo "make nag needs Node.js with npm; install it (Debian: npm)"; exit 2; }
	mkdir -p build/cdk_nag && cp $^ build/cdk_nag
	npm ci --ignore-scripts --no-audit --no-fund --silent --prefix build/cdk_nag
	touch $@

# Made anew when what it installs changes; a second call finds it and is quick.
.venv/installed: constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip $(HASHED) -r constraints.txt
	$(BIN)/python -m pip $(EDITABLE)
	touch $@

# Writes the constraints anew after a change of setup.cfg: the releases that are in them stay where they fit, those of all
# systems and Python versions, with the hashes of all their files. UPGRADE=--upgrade takes the newest releases.
UPGRADE ?=
COMPILE = .venv-locks/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make locks" $(UPGRADE)

locks: .venv-locks/installed
	echo setuptools | $(COMPILE) setup.cfg - --extra cloud --extra migrate --extra second-opinion --extra test -o constraints.txt > /dev/null
	echo checkov | $(COMPILE) - -o constraints-checkov.txt > /dev/null
	echo uv | $(COMPILE) - -o constraints-locks.txt > /dev/null

.venv-locks/installed: constraints-locks.txt
	$(PYTHON) -m venv .venv-locks
	.venv-locks/bin/python -m pip $(HASHED) -r constraints-locks.txt
	touch $@

clean:
	rm -rf .venv .venv-checkov .venv-locks .tox build
