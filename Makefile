# Development. Each target makes .venv first where it is missing or out of date.
# ARGS goes to pytest: make test ARGS="-k quota -x".

PY := .venv/bin/python
INSTALLED := .venv/installed

.PHONY: help
help:
	@echo "make run           PostgreSQL, Valkey, web, worker and beat until Ctrl-C (PORT=8000)"
	@echo "make test          every test, on real servers (ARGS=\"-k quota -x\")"
	@echo "make lint          style, types, imports, templates, migrations, deployment check"
	@echo "make format        what lint would have changed"
	@echo "make requirements  resolve requirements/*.in into *.txt"
	@echo "make clean         remove .venv and all data in var/"

$(INSTALLED): requirements/base.txt requirements/dev.txt
	@dev/install.sh

# exec: the signal that ends make reaches the program itself.
.PHONY: run
run: $(INSTALLED)
	@exec $(PY) -m dev.run

.PHONY: test
test: $(INSTALLED)
	@exec $(PY) -m pytest -n 2 --dist worksteal $(ARGS)
