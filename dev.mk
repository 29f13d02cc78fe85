# The targets that people call; g.extension never comes here (see Makefile).
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON3 := tools/in-venv python3

OUT ?= build/world
SEED ?= 1
PORT ?= 8000
GROWTH ?= 0.003
SIZE ?= 30
YEARS ?= 2017-2023
JOBS ?= 3

.PHONY: help demo test check lint docs pages soak clients audit bench real simulate world serve judge dashboard matrix install tools env clean

help:     ## List these targets
	@echo "r.impervious: sealed land per NUTS region and year, from Sentinel-2"
	@grep -hE '^[a-z]+:.*## ' dev.mk | sed -E 's/:[^#]*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

demo:     ## Set up, then run the whole chain on a small made world and show it (DASHBOARD=1 opens the dashboard)
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.demo $(if $(DASHBOARD),--dashboard) $(if $(AGAIN),--again)

test:     ## Set up, then run every test (JOBS=3 at a time: tests wait for servers and browsers too)
	@tools/setup.sh test
	@$(PYTHON3) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: lint  ## Everything of make lint, and the tests that need no GRASS session
	@$(PYTHON3) -m pytest -m "not slow"

lint:     ## Lint, types, import rules, manual pages
	@tools/setup.sh test
	@$(PYTHON3) -m ruff check .
	@$(PYTHON3) -m ruff format --check .
	@tools/in-venv lint-imports --no-cache
	@$(PYTHON3) tools/rules.py
	@$(PYTHON3) tools/licences.py
	@$(PYTHON3) -m mypy
	@$(PYTHON3) tools/pages.py --check

docs:     ## Build the documentation site in build/docs; a broken link is an error
	@tools/setup.sh test
	@$(PYTHON3) tools/docs/build.py
	@echo "Written: build/docs/index.html"

pages:    ## Write the HTML form of the manual pages from their Markdown form
	@tools/setup.sh test
	@$(PYTHON3) tools/pages.py

soak:     ## Run the long forms of tests, about half an hour: 200 fetches killed at random moments, 1,800 damaged files, ten minutes of parsers
	@tools/setup.sh test
	@IMPERVIOUS_SOAK=1 $(PYTHON3) -m pytest -m soak

clients:  ## Read the files of RUN= (the demo's, else small ones) by programs of others: frictionless, CF checkers, xarray, GDAL, SDMX, terra
	@tools/setup.sh test
	@$(PYTHON3) -m testsuite.clients $(if $(RUN),--run "$(RUN)")

audit:    ## Ask a public database for known vulnerabilities of the locked packages (pip-audit); needs a network
	@tools/setup.sh test
	@$(PYTHON3) tools/audit.py $(if $(CI),--may-be-unreachable)

bench:    ## Measure against targets and peers (STAGE=fetch,change picks); writes build/bench.json
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.bench $(if $(STAGE),--stage "$(STAGE)")

real:     ## Run the chain on real data packs in DATA=DIR; packs that are missing are skipped
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.realrun $(if $(DATA),--data "$(DATA)")

simulate: ## What a continent costs: the chain on worlds of several sizes (SIZES=5,10,20 km), and the full extent on paper; writes build/simulate.json
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.simulate $(if $(SIZES),--sizes "$(SIZES)")

world:    ## Make a world of known truth in OUT= from SEED=; its sealed land grows by the share GROWTH= per year (SIZE=30 km, YEARS=2017-2023)
	@tools/setup.sh demo
	@$(PYTHON3) -m testsuite.world.make "$(OUT)" --seed "$(SEED)" --growth "$(GROWTH)" --size-km "$(SIZE)" --years "$(YEARS)"
	@echo "Serve it with: make serve OUT=$(OUT)"

serve:    ## Serve the world in OUT= by a STAC API and an S3 server on this machine, until Ctrl-C
	@tools/setup.sh demo
	@echo "Paste the lines 'export ...' below into another terminal. Then run r.s2.fetch there with stac= the address of the STAC API. Ctrl-C ends this."
	@$(PYTHON3) -m testsuite.world.serve "$(OUT)"

judge:    ## Compare a run, RUN=DIR, with the truth of the world in WORLD=, or of the world that make world makes from SEED=, GROWTH=, SIZE=, YEARS=
	@test -n "$(RUN)" || { echo "RUN= is missing. Name the folder of a run; for the demo: make judge RUN=build/demo WORLD=build/demo/world" >&2; exit 1; }
	@tools/setup.sh demo
	@mkdir -p build
	@$(PYTHON3) -m testsuite.world.judge $(WORLD) --run "$(RUN)" --seed "$(SEED)" --growth "$(GROWTH)" --size-km "$(SIZE)" --years "$(YEARS)" \
		$(if $(MASK),--mask "$(MASK)") --json build/judge.json --picture build/judge.png
	@echo "Written: build/judge.json, build/judge.png"

dashboard: ## Show the table of r.impervious.change in DATA=DIR in the browser (PORT=8000), until Ctrl-C
	@test -n "$(DATA)" || { echo "DATA= is missing. Name the folder of a table; for the demo: make dashboard DATA=build/demo/table" >&2; exit 1; }
	@tools/setup.sh demo
	@$(PYTHON3) -m dashboard --data "$(DATA)" --port "$(PORT)"

matrix:   ## Set up in a bare Debian 12 and 13, then test and demo there without a network (needs root; ON="bookworm trixie")
	@tools/matrix.sh $(ON)

install:  ## Install the tools into your GRASS (TOOLS="r.s2.ard ..." picks)
	@tools/install.sh $(TOOLS)

tools:    ## Print the names of the tools
	@echo $(SUBDIRS)

env:      ## Print the line that puts the Python with the packages first on PATH, to be evaluated by a shell
	@test -e "$$(tools/setup.sh --where)/.complete" || echo "The Python packages are not installed yet. Run make demo or tools/setup.sh." >&2
	@echo "export PATH=\"$$(tools/setup.sh --where)/bin:\$$PATH\""

clean:    ## Remove what was made here: build/ and caches; the virtual environment stays
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache testreport
	find . -name __pycache__ -prune -exec rm -rf {} +
