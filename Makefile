# Set-up is part of every target: a clean machine needs Python >= 3.11, make and a C compiler, nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= runs/demo
MINUTES ?= 1
export UV_NO_PROGRESS = 1

.PHONY: demo demo-multilabel test check fuzz docs format clean
.DELETE_ON_ERROR:

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "radiolucent needs Python 3.11 or newer; try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "uv>=0.5"

# One stamp a set of extras; uv resolves against the tested versions in constraints.txt.
$(VENV)/.%: $(BIN)/uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[$*]"
	@touch $@

demo: $(VENV)/.all
	$(BIN)/radiolucent demo --out $(OUT)

# Three findings, any of them on a film: a report a label.
demo-multilabel: $(VENV)/.all
	$(BIN)/radiolucent demo --labels 3 --out $(OUT)-labels

test: $(VENV)/.all,test,check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.all,test,check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# Damaged files for every reader: films, manifests and checkpoints for MINUTES each, then formats of readings.
fuzz: $(VENV)/.all,test
	$(BIN)/python scripts/fuzz.py --minutes $(MINUTES)
	$(BIN)/python scripts/fuzz_annotations.py --minutes $(MINUTES)

docs: $(VENV)/.all,docs
	$(BIN)/mkdocs build --strict

format: $(VENV)/.all,test,check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache
