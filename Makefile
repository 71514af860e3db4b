# Everything from nothing but python3 and make: the environment is made on the first call.
# Python 3.12 where there is one, of pyenv too: from it on, coverage costs the tests nothing.
PYTHON ?= $(shell for p in python3.12 $(HOME)/.pyenv/versions/3.12.*/bin/python; do \
	$$p -c 'import ensurepip' 2> /dev/null && echo $$p && exit; done; echo python3)
BIN := .venv/bin

# pip's chatter is shown only where it fails.
quietly = $(1) > .pip.log 2>&1 || { cat .pip.log; exit 1; }

.PHONY: demo docs test test-tf217 lint clean

demo: .venv/installed
	$(BIN)/asap-tf demo --out demo

# The documentation as a site, build/site/index.html; a broken link or reference is an error.
docs: .venv/developed
	$(BIN)/mkdocs build --quiet

test: lint
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=95 --durations=10

# The last TensorFlow with TF-TRT: exports of the newest are opened there, and it exports itself.
test-tf217: export ASAP_TF_EXPORTED := build/tf217
test-tf217: .venv/developed .venv-tf217/developed
	rm -rf $(ASAP_TF_EXPORTED)
	$(BIN)/python -m pytest tests/tf217/export_on_newest.py
	.venv-tf217/bin/python -m pytest tests/tf217 tests/export tests/runtime

lint: .venv/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.venv/installed: setup.cfg pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(call quietly,$(BIN)/pip install --quiet --upgrade pip)
	@$(call quietly,$(BIN)/pip install --quiet --editable .)
	@touch $@

.venv/developed: .venv/installed
	@$(call quietly,$(BIN)/pip install --quiet --editable '.[dev]')
	@touch $@

.venv-tf217/developed: setup.cfg pyproject.toml
	@test -x .venv-tf217/bin/python || $(PYTHON) -m venv .venv-tf217
	@$(call quietly,.venv-tf217/bin/pip install --quiet --upgrade pip)
	@$(call quietly,.venv-tf217/bin/pip install --quiet --editable '.[export]' tensorflow==2.17.1 pytest)
	@touch $@

clean:
	rm -rf .venv .venv-tf217 build dist demo *.egg-info .pip.log
