# Everything from nothing but python3 and make: the environment is made on the first call.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-tf217 lint clean

demo: .venv/installed
	$(BIN)/asap-tf demo --out demo

test: lint
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=90 --durations=10

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

.venv/installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/developed: .venv/installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

.venv-tf217/developed: setup.cfg pyproject.toml
	test -x .venv-tf217/bin/python || $(PYTHON) -m venv .venv-tf217
	.venv-tf217/bin/pip install --quiet --upgrade pip
	.venv-tf217/bin/pip install --quiet --editable '.[export]' tensorflow==2.17.1 pytest
	touch $@

clean:
	rm -rf .venv .venv-tf217 build dist demo *.egg-info
