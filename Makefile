# One task list for people and for CI.
VENV := .venv
RUN := $(VENV)/bin/python -m
# A machine without a screen draws the window on a virtual one and leaves a picture of it.
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,--headless)
OUT ?= runs/demo
# Compiled modules are kept, whatever the shell says: the tests start some hundred processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check unit bench pictures setup judges nvrtc lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

demo: setup  ## the whole loop on a simulated beamline, in about three minutes
	$(VENV)/bin/operando demo $(SCREEN) --out $(OUT)

test: check unit  ## everything that must hold: style, types, layers, tests

check: setup  ## style, types and layers
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

# A fixture that several tests share is not made anew when one of them is tried again: that takes a process of its own. What is
# wrong fails there too; what passes there lost a race, and is a defect to mend: the first closing line names it.
unit: setup judges  ## the tests alone, one file at a time on each of two cores
	$(RUN) pytest --cache-clear -n 2 --dist loadfile --no-loadscope-reorder --durations=25 --durations-min=8 || \
	  $(RUN) pytest --last-failed --last-failed-no-failures none

bench: setup  ## figures against named peers, into bench.json and bench.png
	$(VENV)/bin/operando bench --json bench.json --plot bench.png

pictures: setup  ## the pictures of README and tour anew, from a demo without a screen
	test -f $(OUT)/monitor.png || $(VENV)/bin/operando demo --headless --out $(OUT)
	$(VENV)/bin/python docs/pictures.py $(OUT)

setup: $(VENV)/ready  ## the environment

judges: setup  ## programs of others that some tests ask, in an environment of their own
	./setup.sh judges

nvrtc: setup  ## NVIDIA's compiler, with which a test compiles the kernels of the GPU; it needs no GPU
	./setup.sh nvrtc

$(VENV)/ready: setup.sh requirements.txt pyproject.toml
	./setup.sh

lock:  ## pin both requirements.txt anew from requirements.in (wants uv)
	uv pip compile -q --universal --python-version 3.11 --only-binary :all: --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links requirements.in -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --only-binary :all: --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links tests/judges/requirements.in -o tests/judges/requirements.txt

clean:  ## forget the environment and what runs left
	rm -rf $(VENV) .judges .nvrtc runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
