# Thin on purpose: every command is a module of ops/ that the system's python3 can start.
PYTHON ?= python3

.PHONY: run test setup lint locks compose manage clean

run: ; @$(PYTHON) -m ops.run

test: ; @$(PYTHON) -m ops.test

setup: ; @$(PYTHON) -m ops.setup test

lint: ; @$(PYTHON) -m ops.test lint

# After a change of the extras in pyproject.toml; UPGRADE=1 takes newer versions too.
locks: ; @$(PYTHON) -m ops.lock $(if $(UPGRADE),--upgrade)

compose: ; @$(PYTHON) -m ops.compose

# make manage CMD="owner_link"
manage: ; @$(PYTHON) -m ops.manage $(CMD)

# Everything that set-up makes; var/ (your data, the models) stays.
clean: ; rm -rf .venv node_modules static/vendor
