# make demo: the founding case, from nothing to a verdict.   make test: everything that is checked.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARTEFACTS ?= artefacts
FUZZ_RUNS ?= 20000
DRAWS  ?= 20
BOARDS ?= 400

.PHONY: index demo docs man kernel lab test lint bench soak fuzz floors screenshots algo clean

demo: $(VENV)/.installed
	$(BIN)/h5diag demo --out h5diag-demo

# The search's kernel beside its source, for a checkout that is used without being installed.
kernel:
	$(PYTHON) hatch_build.py

lab: $(VENV)/.installed
	$(BIN)/h5diag lab

# The documentation as a site in site/: tutorials are the notebooks, run; the reference is made from the code.
docs: $(VENV)/.docs-installed
	$(BIN)/python docs/make_site.py

man: $(VENV)/.installed
	$(BIN)/h5diag help --man > h5diag.1

test: $(VENV)/.test-installed
	$(BIN)/pytest -n auto --dist worksteal

index: $(VENV)/.installed
	$(BIN)/python -c "from h5diag.chip.files import write_index; write_index()"

lint: $(VENV)/.test-installed
	$(BIN)/ruff check h5diag tests benchmarks data
	$(BIN)/mypy

bench: $(VENV)/.bench-installed
	$(BIN)/python benchmarks/locate_bench.py --draws $(DRAWS) --write
	$(BIN)/python benchmarks/speed_bench.py --boards $(BOARDS) --write
	for f in board files firmware flashtest; do $(BIN)/python benchmarks/$${f}_bench.py || exit 1; done

soak: $(VENV)/.test-installed
	for f in tests/soak_*.py benchmarks/soak_*.py benchmarks/flash_models.py; do $(BIN)/python $$f || exit 1; done

fuzz: $(VENV)/.fuzz-installed
	for f in tests/fuzz/fuzz_[!c]*.py; do $(BIN)/python $$f --runs $(FUZZ_RUNS) || exit 1; done
	$(BIN)/python tests/fuzz/fuzz_cases.py --runs $(FUZZ_RUNS) --state .fuzz/cases.json

# The lowest versions that pyproject.toml names, in an environment of their own.
floors:
	$(PYTHON) tests/floors.py .floors

screenshots: $(VENV)/.test-installed
	$(BIN)/python docs/make_screenshots.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	@echo 'installing h5diag and what it needs into $(VENV): about 500 MB, a minute or two'
	$(BIN)/pip install --progress-bar on -e .
	touch $@

$(VENV)/.test-installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet -e '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.docs-installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet -e '.[docs]'
	touch $@

$(VENV)/.bench-installed: $(VENV)/.test-installed
	$(BIN)/pip install --quiet -e '.[test,bench,fleet]'
	touch $@

$(VENV)/.fuzz-installed: $(VENV)/.test-installed
	$(BIN)/pip install --quiet -e '.[test,fuzz]'
	touch $@

# The flash algorithm that runs in the chip's SRAM, from its source (needs gcc-arm-none-eabi 12.2).
algo:
	sh h5diag/probe/flashtest/algorithm/build.sh && chmod 644 h5diag/probe/flashtest/algorithm/flash_algorithm.bin

clean:
	rm -rf $(VENV) .floors .fuzz h5diag-demo $(ARTEFACTS) .bench h5diag/measure/locate/_kernel.*
