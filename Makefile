# Two commands do everything on a fresh machine with Python 3.11 to 3.13 and Node 20 to 24: `make demo` and `make test`.
SHELL := /bin/bash
# The first of these that starts; a virtual environment that exists keeps its own.
PYTHON ?= $(shell for v in 3.11 3.12 3.13; do python$$v -c '' 2>/dev/null && echo python$$v && exit; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
NODE := readfirst/local/node
PORTAL := portal_static
READER := tests/model/reader
STUDY ?=
SEED ?= 1
STUDIES ?= 12
MODEL_VERSION ?= $(shell sed -n 's/.*"version": "\(.*\)".*/\1/p' model_container/models/readfirst-chest/manifest.json)

.PHONY: help demo up test drawn adversary chaos check check-python docs policy interop bench env portal clean model sbom
help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/.made: requirements.txt requirements-dev.txt requirements-gateway.txt model_container/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || \
		{ echo "Readfirst needs Python 3.11, 3.12 or 3.13 ($(PYTHON) is none of them; set PYTHON=…)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(NODE)/node_modules/.made: $(NODE)/package.json $(NODE)/package-lock.json
	@command -v npm >/dev/null || { echo "Readfirst's local stack needs Node 20, 22 or 24 (npm not found)"; exit 1; }
	cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The portal is built where its sources are newer; the lock file decides what npm installs.
$(PORTAL)/node_modules/.made: $(PORTAL)/package.json $(PORTAL)/package-lock.json
	@command -v npm >/dev/null || { echo "The portal needs Node 20, 22 or 24 to be built (npm not found)"; exit 1; }
	cd $(PORTAL) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# What the API takes and answers, as types: made from its description, which `python -m tools.openapi` writes.
$(PORTAL)/generated/api-types.ts: $(PORTAL)/node_modules/.made $(PORTAL)/types.mjs function_app/http/openapi.json
	cd $(PORTAL) && npm run types --silent

$(PORTAL)/dist/index.html: $(PORTAL)/generated/api-types.ts $(PORTAL)/index.html $(PORTAL)/vite.config.ts \
		$(shell find $(PORTAL)/src $(PORTAL)/public -type f) readfirst/domain/addresses.json
	cd $(PORTAL) && npm run build --silent -- --logLevel error

portal: $(PORTAL)/dist/index.html ## Build the portal (portal_static/dist)

env: $(BIN)/.made $(NODE)/node_modules/.made ## Install everything the local stack needs

demo: env ## Start the stack, run a study from upload to alert, show the result (STUDY=folder takes yours)
	$(BIN)/readfirst demo $(STUDY)

up: env portal ## Start the stack and leave it running (Ctrl-C stops it)
	$(BIN)/readfirst up

check: $(BIN)/.made $(PORTAL)/generated/api-types.ts ## Formatting, lint, types, import directions, words
	@$(MAKE) --no-print-directory --jobs 2 check-python $(PORTAL)/node_modules/.checked

# Types, lint and layout of the portal, where something of it is newer than the last time that all was well.
$(PORTAL)/node_modules/.checked: $(PORTAL)/generated/api-types.ts $(shell find $(PORTAL)/src -name '*.ts') \
		$(addprefix $(PORTAL)/,vite.config.ts types.mjs tsconfig.json eslint.config.js .prettierrc.json .prettierignore)
	cd $(PORTAL) && npm run check --silent
	@touch $@

check-python: $(BIN)/.made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.words

$(READER)/node_modules/.made: $(READER)/package.json $(READER)/package-lock.json
	cd $(READER) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# What some tests drive beside the product: Debian's programs where we may install them, and in CI also torch and the
# other de-identifiers. Elsewhere the tests that miss something are skipped and say so; CI skips nothing.
DEBIAN := chromium dciodvfy storescu Orthanc
$(BIN)/.tools: $(BIN)/.made requirements-bench.txt model_container/requirements-bundles.txt model_container/training/requirements.txt
	@for tool in $(DEBIAN); do PATH=$$PATH:/usr/sbin command -v $$tool >/dev/null || missing=1; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium dicom3tools dcmtk orthanc orthanc-dicomweb >/dev/null; fi
	@if [ -n "$$CI" ]; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r model_container/requirements-bundles.txt \
			-r model_container/training/requirements.txt && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt && \
		$(MAKE) --no-print-directory .venv-checkov/bin/checkov .venv-job/.made; fi
	@touch $@

test: env portal $(READER)/node_modules/.made $(BIN)/.tools check ## All checks and all tests
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

drawn: $(BIN)/.made ## 2,000 drawn studies: nothing left out in silence, no mixture, closed books
	READFIRST_DRAWN=2000 $(BIN)/python -m pytest -q tests/drawn/test_drawn_studies.py

adversary: $(BIN)/.made ## 5,000 drawn headers and 300 pictures with a person hidden in them: nobody shows, nothing else changes
	READFIRST_ADVERSARY=5000 $(BIN)/python -m pytest -q tests/drawn/test_adversary.py

chaos: env ## A day of kills and weather, judged (minutes; SEED=1,2,3 STUDIES=12)
	$(BIN)/python -m tools.chaos --seed $(SEED) --studies $(STUDIES)

.venv-checkov/bin/checkov:
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

policy: $(BIN)/.made .venv-checkov/bin/checkov ## Checkov's rules on the evaluated deployments (needs the Bicep CLI)
	$(BIN)/python -m pytest -q tests/cloud/test_policy.py

# What the job's image installs, and nothing else: a test runs the image's files with it, and the SBOM lists it.
.venv-job/.made: model_container/requirements.txt
	$(PYTHON) -m venv .venv-job
	.venv-job/bin/python -m pip install --quiet --disable-pip-version-check -r model_container/requirements.txt
	@touch $@

.venv-sbom/bin/cyclonedx-py:
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0

sbom: .venv-job/.made .venv-sbom/bin/cyclonedx-py ## The job's software bill of materials (CycloneDX, build/)
	@mkdir -p build
	.venv-sbom/bin/cyclonedx-py environment .venv-job/bin/python --of JSON --output-reproducible -o build/readfirst-job.cdx.json

.venv-docs/.made: requirements-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

docs: .venv-docs/.made ## Render the documents (build/docs); a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

interop: env portal ## What programs of others make of our images and results; writes docs/interop.md (minutes)
	$(BIN)/python -m tools.interop

bench: env ## Print the performance tables
	$(BIN)/readfirst bench

model: env ## Train the default model from nothing (torch; minutes on free cores), calibrate and measure it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r model_container/training/requirements.txt
	$(BIN)/python -m model_container.training.train --out build/model
	$(BIN)/python -m model_container.training.package build/model model_container/models/readfirst-chest --version $(MODEL_VERSION)
	$(BIN)/python -m model_container.training.report model_container/models/readfirst-chest docs/model-card

clean: ## Remove what the commands made (not the stack's state in .readfirst)
	rm -rf $(VENV) .venv-checkov .venv-job .venv-sbom .venv-docs .venv-interop $(NODE)/node_modules $(PORTAL)/node_modules $(READER)/node_modules $(PORTAL)/dist $(PORTAL)/generated .mypy_cache .ruff_cache .pytest_cache
