# Development. Each target makes .venv first where it is missing or out of date.
# ARGS goes to pytest: make test ARGS="-k quota -x".

PY := .venv/bin/python
INSTALLED := .venv/installed

# Packages are compiled when they are first imported. Where the shell forbids to keep that, every
# process would compile them anew, which takes each one two seconds more to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:
	@echo "make run           PostgreSQL, Valkey, web, worker and beat until Ctrl-C (PORT=8000)"
	@echo "make manage        a manage.py command on the data of a running make run (ARGS=help)"
	@echo "make backup        the database of make run, or DATABASE_URL, as a file in var/backups (FILE=...)"
	@echo "make restore       FILE=... back into the database; FORCE=1 replaces what is there"
	@echo "make test          every test, on real servers (ARGS=\"-k quota -x\")"
	@echo "make bench         every figure beside a control's; half an hour (ARGS=--trial)"
	@echo "make bench-replies what a reply costs, in time, CPU and memory (ARGS=--trial)"
	@echo "make bench-scale   what calls cost with a million messages (ARGS=--small)"
	@echo "make bench-back-office  what its pages cost with 5 million messages (ARGS=--small)"
	@echo "make bench-attacks what one hostile user costs another (ARGS=--trial)"
	@echo "make fuzz          many more requests against docs/openapi.json (FUZZ_EXAMPLES=50)"
	@echo "make openapi       write docs/openapi.json, the description of the API"
	@echo "make lint          style, types, imports, templates, migrations, deployment check"
	@echo "make format        what lint would have changed"
	@echo "make requirements  resolve requirements/*.in into *.txt"
	@echo "make vendor        fetch the web pages' libraries into static/vendor (needs npm)"
	@echo "make clean         remove what was installed, and all data in var/"

$(INSTALLED): requirements/base.txt requirements/dev.txt
	@dev/install.sh

# exec: the signal that ends make reaches the program itself.
.PHONY: run
run: $(INSTALLED)
	@exec $(PY) -m dev.run

# On the data of a `make run` that is up: make manage ARGS="user_show --mobile +919812345678"
.PHONY: manage
manage: $(INSTALLED)
	@test -e var/environment || { echo "error: start it first: make run" >&2; exit 1; }
	@set -a; . var/environment; exec $(PY) manage.py $(ARGS)

.PHONY: backup
backup: $(INSTALLED)
	@exec $(PY) -m dev.backup backup $(FILE)

.PHONY: restore
restore: $(INSTALLED)
	@exec $(PY) -m dev.backup restore $(FILE) $(if $(FORCE),--force)

.PHONY: test
test: $(INSTALLED)
	@dev/browser.sh
	@dev/newman.sh
	@exec $(PY) -m pytest -n 3 --dist loadgroup $(ARGS)

# The control and the plots need packages that nothing else does.
.venv/installed-bench: $(INSTALLED) requirements/bench.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
		--requirement requirements/bench.txt
	@touch $@

.PHONY: bench
bench: .venv/installed-bench
	@exec $(PY) -m dev.bench.performance $(ARGS)

FUZZ_EXAMPLES ?= 50

.PHONY: fuzz
fuzz: $(INSTALLED)
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) exec $(PY) -m pytest tests/test_contract.py -q -s $(ARGS)

.PHONY: openapi
openapi: $(INSTALLED)
	@exec $(PY) -m dev.openapi

.PHONY: bench-replies
bench-replies: $(INSTALLED)
	@exec $(PY) -m dev.bench.replies $(ARGS)

.PHONY: bench-scale
bench-scale: $(INSTALLED)
	@exec $(PY) -m dev.bench.scale $(ARGS)

.PHONY: bench-attacks
bench-attacks: $(INSTALLED)
	@exec $(PY) -m dev.bench.attacks $(ARGS)

.PHONY: bench-back-office
bench-back-office: $(INSTALLED)
	@exec $(PY) -m dev.bench.back_office $(ARGS)

# A deployment's settings, for the checks that hold for one.
DEPLOYED := DEBUG=false LOG_LEVEL=ERROR SECRET_KEY=lint-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-lint \
	JWT_SECRET=lint-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-jwt \
	OTP_SECRET=lint-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-otp \
	DATABASE_URL=postgres://lint@127.0.0.1:1/lint REDIS_URL=redis://127.0.0.1:1/0 \
	ALLOWED_HOSTS=chat.example.com SMS_BACKEND=twilio TWILIO_ACCOUNT_SID=lint \
	TWILIO_AUTH_TOKEN=lint TWILIO_FROM=+12025550100

.PHONY: lint
lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@$(DEPLOYED) $(PY) -m mypy
	$(PY) -c "import importlinter.cli; importlinter.cli.lint_imports_command()"
	$(PY) -m djlint templates --lint --quiet
	@$(DEPLOYED) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING

.PHONY: format
format: $(INSTALLED)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

.PHONY: requirements
requirements: $(INSTALLED)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	cd requirements && for set in base dev bench; do \
		../$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-header \
			--no-annotate --no-emit-index-url --no-emit-find-links $$set.in -o $$set.txt || exit; \
	done

.PHONY: vendor
vendor:
	@dev/vendor.sh

.PHONY: clean
clean:
	rm -rf .venv var dev/newman/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
