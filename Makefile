# Development. Each target makes .venv first where it is missing or out of date.
# ARGS goes to the program that the target runs.

PY := .venv/bin/python
INSTALLED := .venv/installed
PYTEST := $(PY) -m pytest -n 3 --dist loadgroup

# Packages are compiled at their first import. A shell that forbids writing the result would make
# every process compile them again, for two seconds each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:
	@echo "make run           PostgreSQL, Valkey, web, worker and beat until Ctrl-C (PORT=8000)"
	@echo "make manage        a manage.py command on the data of a running make run (ARGS=help)"
	@echo "make test          every test, on real servers (ARGS=\"-k quota -x\")"
	@echo "make test-fast     the tests of the apps: no browser, no process to start (ARGS as above)"
	@echo "make lint          style, types, imports, English, templates, migrations, deployment check"
	@echo "make format        what lint would have changed"
	@echo "make openapi       write docs/openapi.json, the description of the API"
	@echo "make fuzz          many more requests against docs/openapi.json (FUZZ_EXAMPLES=50)"
	@echo "make bench         every figure beside a control's; half an hour (ARGS=--trial)"
	@echo "                   ARGS=calls, first-token, idle-streams or startup: that part alone"
	@echo "                   ARGS=replies: what a reply costs, in time, CPU and memory"
	@echo "                   ARGS=context: how often the prefix of a long chat changes"
	@echo "                   ARGS=scale: what calls cost with a million messages"
	@echo "                   ARGS=back-office: what its pages cost with 5 million messages"
	@echo "                   ARGS=attacks: what one hostile user costs another"
	@echo "make backup        the database of make run, or DATABASE_URL, as a file in var/backups (FILE=...)"
	@echo "make restore       FILE=... back into the database; FORCE=1 replaces what is there"
	@echo "make requirements  resolve requirements/*.in into *.txt"
	@echo "make vendor        fetch the web pages' libraries into static/vendor (needs npm)"
	@echo "make clean         remove what was installed, and all data in var/"

$(INSTALLED): requirements/base.txt requirements/dev.txt
	@dev/scripts/install.sh

# exec: the signal that ends make reaches the program itself.
.PHONY: run
run: $(INSTALLED)
	@exec $(PY) -m dev.run

# On the data of a running `make run`: make manage ARGS="user_show --mobile +919812345678"
.PHONY: manage
manage: $(INSTALLED)
	@test -e var/environment || { echo "error: start it first: make run" >&2; exit 1; }
	@set -a; . var/environment; exec $(PY) manage.py $(ARGS)

.PHONY: test
test: $(INSTALLED)
	@dev/scripts/browser.sh
	@dev/scripts/newman.sh
	@dev/scripts/nginx.sh
	@exec $(PYTEST) $(ARGS)

APPS := accounts backoffice billing chatrooms files gemchat messaging privacy

# schemathesis is imported for most of a second in each process; tests of the apps use none of it.
.PHONY: test-fast
test-fast: $(INSTALLED)
	@exec $(PYTEST) -p no:schemathesis $(APPS) $(ARGS)

# Settings of a deployment, for the checks that need one.
DEPLOYED := set -a; . dev/lint.env; exec

# mypy takes two thirds of the time, so it runs beside the rest.
.PHONY: lint
lint: $(INSTALLED)
	@$(MAKE) --no-print-directory -j2 lint-types lint-others

.PHONY: lint-types
lint-types:
	@$(DEPLOYED) $(PY) -m mypy

.PHONY: lint-others
lint-others:
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -c "import importlinter.cli; importlinter.cli.lint_imports_command()"
	$(PY) -m dev.prose
	$(PY) -m djlint templates --lint --quiet
	@$(DEPLOYED) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING

.PHONY: format
format: $(INSTALLED)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

.PHONY: openapi
openapi: $(INSTALLED)
	@exec $(PY) -m dev.openapi

FUZZ_EXAMPLES ?= 50

.PHONY: fuzz
fuzz: $(INSTALLED)
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) exec $(PY) -m pytest tests/system/documents/test_contract.py -q -s $(ARGS)

# The control and the plots need packages that nothing else does.
.venv/installed-bench: $(INSTALLED) requirements/bench.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
		--requirement requirements/bench.txt
	@touch $@

.PHONY: bench
bench: .venv/installed-bench
	@exec $(PY) -m dev.bench $(ARGS)

.PHONY: backup
backup: $(INSTALLED)
	@exec $(PY) -m dev.backup backup $(FILE)

.PHONY: restore
restore: $(INSTALLED)
	@exec $(PY) -m dev.backup restore $(FILE) $(if $(FORCE),--force)

.PHONY: requirements
requirements: $(INSTALLED)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	cd requirements && for set in base s3 dev bench; do \
		../$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-header \
			--no-annotate --no-emit-index-url --no-emit-find-links $$set.in -o $$set.txt || exit; \
	done

.PHONY: vendor
vendor:
	@dev/scripts/vendor.sh

.PHONY: clean
clean:
	rm -rf .venv var dev/newman/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
