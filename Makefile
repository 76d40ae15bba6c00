# `make demo` and `make test` need Python 3.11 or newer and a package index, nothing else.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# What the demonstration trains and measures; every setting is an ordinary option of `run`. Fewer
# epochs than `run` would take, so that it is quick.
DEMO := runs/demo --model minilm --task stdlib-docs \
	--widths 1,.5,.25 --depths 1,.5 --teacher-epochs 5 --width-epochs 2 --depth-epochs 3 \
	--half-width .1 --front-half-width .05

.PHONY: demo test pages docs clean
.DEFAULT_GOAL := test

demo: $(READY)
	$(BIN)/paretobert run $(DEMO)
	$(BIN)/paretobert query runs/demo --params 15M
	$(BIN)/paretobert query runs/demo --flops 2G
	$(BIN)/paretobert query runs/demo --latency 50ms --params 20M

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# torch comes first, on its own, so that an index or folder with a build for this machine is
# asked for exactly the tested version and nothing else can choose another.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("paretobert needs Python 3.11 or newer; choose one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(shell grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,hub,parquet,onnx,openvino,postgresql,multi-gpu,test]'
	mkdir -p .venv/typing && ln -sfn ../.. .venv/typing/paretobert
	touch $@

# The pages with numbers, from their templates and the committed files that hold these.
pages:
	$(PYTHON) docs/pages.py

# The tutorial, executed, and the pages; a warning is an error.
docs: .venv/.docs-ready
	OMP_NUM_THREADS=1 $(BIN)/python docs/execute.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.venv/.docs-ready: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
