# Each target sets itself up: a virtual environment in .venv, from the constraints that are known to work.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint check bench kills clean

demo: .venv/installed
	$(BIN)/textvae interpolate --model textvae/pretrained/tatoeba "I am tired." "She wants to learn how to swim."

test: .venv/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 8

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: .venv/installed
	$(BIN)/python -m tests.perf.bench --page docs/speed.md

kills: .venv/installed
	TEXTVAE_KILLS=50 $(BIN)/python -m pytest tests/test_kills.py

clean:
	rm -rf .venv dist

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
