# The targets that people call; g.extension never comes here (see Makefile).
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON3 := tools/in-venv python3

OUT ?= build/archive
SEED ?= 1
PORT ?= 8000
GROWTH ?= 0.003
SIZE ?= 30
YEARS ?= 2017-2023
JOBS ?= 2

.PHONY: help demo test check soak bench real archive serve judge dashboard matrix install env clean

help:     ## List these targets
	@echo "r.impervious: sealed land per NUTS region and year, from Sentinel-2"
	@grep -hE '^[a-z]+: .*## ' dev.mk | sed -E 's/:[^#]*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

demo:     ## Set up, then run the whole chain on a small made world and show it (DASHBOARD=1 opens the dashboard)
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.demo $(if $(DASHBOARD),--dashboard) $(if $(AGAIN),--again)

test:     ## Set up, then run every test (JOBS=2 at a time)
	@tools/setup.sh test
	@$(PYTHON3) -m pytest -n $(JOBS) --dist loadfile

check:    ## Lint, rules between rooms, and the tests that need no GRASS session
	@tools/setup.sh test
	@$(PYTHON3) -m ruff check .
	@$(PYTHON3) -m ruff format --check .
	@tools/in-venv lint-imports --no-cache
	@$(PYTHON3) -m pytest -m "not slow"

soak:     ## Run the long forms of tests, about ten minutes: 200 fetches killed at random moments, 1,200 damaged files
	@tools/setup.sh test
	@IMPERVIOUS_SOAK=1 $(PYTHON3) -m pytest -m soak

bench:    ## Measure against targets and peers (STAGE=fetch,change picks); writes build/bench.json
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.bench $(if $(STAGE),--stage "$(STAGE)")

real:     ## Run the chain on real data packs in DATA=DIR; absent packs are skipped with a word
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.realrun $(if $(DATA),--data "$(DATA)")

archive:  ## Make a world of known truth in OUT= from SEED=, its sealed land growing by the share GROWTH= a year (SIZE=30 km, YEARS=2017-2023)
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.archive.make "$(OUT)" --seed "$(SEED)" --growth "$(GROWTH)" --size-km "$(SIZE)" --years "$(YEARS)"
	@echo "Serve it with: make serve OUT=$(OUT)"

serve:    ## Serve the world in OUT= by a STAC API and an S3 server on this machine, until Ctrl-C
	@tools/setup.sh demo
	@echo "For another terminal: the lines 'export ...' below, then r.s2.fetch with stac= the address of the STAC API. Ctrl-C ends it."
	@$(PYTHON3) -m testsuite.archive.serve "$(OUT)"

judge:    ## Compare a run, RUN=DIR, with the truth of the world in WORLD=, or else of the one that make archive makes of SEED=, GROWTH=, SIZE=, YEARS=
	@test -n "$(RUN)" || { echo "RUN=: found none, expected the folder of a run. The demo's: make judge RUN=build/demo WORLD=build/demo/archive" >&2; exit 1; }
	@tools/setup.sh demo
	@mkdir -p build
	@$(PYTHON3) -m testsuite.archive.judge $(WORLD) --run "$(RUN)" --seed "$(SEED)" --growth "$(GROWTH)" --size-km "$(SIZE)" --years "$(YEARS)" \
		--json build/judge.json --picture build/judge.png
	@echo "Written: build/judge.json, build/judge.png"

dashboard: ## Show the table of r.impervious.change in DATA=DIR in the browser (PORT=8000), until Ctrl-C
	@test -n "$(DATA)" || { echo "DATA=: found none, expected the folder of a table. The demo's: make dashboard DATA=build/demo/table" >&2; exit 1; }
	@tools/setup.sh demo
	@$(PYTHON3) -m dashboard --data "$(DATA)" --port "$(PORT)"

matrix:   ## Set up in a bare Debian 12 and 13, then test and demo there without a network (needs root; ON="bookworm trixie")
	@tools/matrix.sh $(ON)

install:  ## Install the tools into your GRASS (TOOLS="r.s2.ard ..." picks)
	@tools/install.sh $(TOOLS)

env:      ## Print the line that puts the Python with the packages first on PATH, to be evaluated by a shell
	@test -e "$$(tools/setup.sh --where)/.complete" || echo "The Python packages are not set up yet: make demo does it, or tools/setup.sh alone." >&2
	@echo "export PATH=\"$$(tools/setup.sh --where)/bin:\$$PATH\""

clean:    ## Remove what was made here: build/ and caches; the virtual environment stays
	rm -rf build .pytest_cache .ruff_cache .hypothesis .import_linter_cache testreport
	find . -name __pycache__ -prune -exec rm -rf {} +
