# Each target makes .venv when it is missing and installs what it needs; a second run does no set-up.
.PHONY: demo test lint bench clean

BIN := .venv/bin
# Tests wait more than they compute. One file is one worker's: its tests share their servers.
WORKERS ?= 3
BENCHMARKS := invoke http cold_start images sqs mappings hooks schedules proxy

demo: .venv/.all
	@$(BIN)/python -m examples.demo $(ARGS)

test: .venv/.dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: .venv/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: .venv/.dev
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis

.venv/.%: pyproject.toml
	@scripts/setup $*
