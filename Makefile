# The commands of the project. `make demo` and `make test` need Python 3.11 or newer and nothing else.

PYTHON ?= python3
ARGS ?=

.PHONY: demo test chaos fuzz record bench lint style types arrows secrets audit requirements clean

# Fresh machine to a running product; ARGS=--once ends it after the first table.
demo: .venv/requirements.stamp
	.venv/bin/python -m operations.demo $(ARGS)

test: .venv/requirements-dev.stamp
	.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

# Histories for the replay gate, of branches that have none. REASON="…" records all anew: docs/changing-running-code.md.
record: export REASON := $(REASON)
record: .venv/requirements-dev.stamp
	@.venv/bin/python -m tests.replay.record --reason "$$REASON"

# Thousands of runs in which somebody is killed; ARGS=--help says what can be chosen.
chaos: .venv/requirements-dev.stamp
	.venv/bin/python -m tests.chaos $(ARGS)

# Thousands of bad inputs through every door: RUNS so many examples of one to four, SEED to repeat them, ARGS for pytest.
fuzz: .venv/requirements-dev.stamp
	@echo "seed $(SEED)"
	TERMINS_FUZZ=$(RUNS) .venv/bin/python -m pytest tests/system/test_bad_input.py -k any_input --capture=no \
		--hypothesis-seed=$(SEED) $(ARGS)

fuzz: RUNS ?= 3000
fuzz: SEED := $(or $(SEED),$(shell date +%s))

# What a case costs, beside a minimal claim on the bare SDK; ARGS=--quick for a look, ARGS=--help for the rest.
bench: .venv/requirements-dev.stamp
	.venv/bin/python -m bench $(ARGS)

lint: style types arrows

style: .venv/requirements-dev.stamp
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/requirements-dev.stamp
	.venv/bin/mypy

# Who may import whom.
arrows: .venv/requirements-dev.stamp
	.venv/bin/lint-imports

# Fails for what is not in .secrets.baseline; ARGS=--accept takes what is found into it, after a person looked at it.
secrets: .venv/requirements-dev.stamp
	@.venv/bin/python .ci/find_secrets.py $(ARGS)

# Known vulnerabilities of the locked packages; says so where nobody can be asked.
audit: .venv/requirements-dev.stamp
	@.venv/bin/python .ci/audit.py --requirement requirements.txt $(ARGS)

# After a change in one of the .in files. What is locked stays as it is unless the change asks for another version.
requirements: .venv/requirements-dev.stamp
	.venv/bin/uv pip compile $(COMPILE) requirements.in -o requirements.txt
	.venv/bin/uv pip compile $(COMPILE) -c requirements.txt requirements-dev.in -o requirements-dev.txt

# The library of Fides' dataset language asks for an older pydantic than everything else; it works with this one.
COMPILE = --override overrides.txt --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each lock file, so that pip runs only when the lock has changed. Twice quiet: its warnings name indexes.
.venv/%.stamp: %.txt | .venv/bin/pip
	@echo "Installing $< …"
	@.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r $<
	@touch $@

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Termins needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true). Say which: make PYTHON=python3.11 …" >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv || { \
		rm -rf .venv; \
		echo "$(PYTHON) could not make an environment; on Debian and Ubuntu its venv is a package of its own (python3-venv)." >&2; \
		exit 1; }
