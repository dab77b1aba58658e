# One word each: make demo | run | test | lint | docs | bench | chaos | crash | soak. Needs git, make and Python 3.11 with pip and venv, or uv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

bin := .venv/bin
python := $(bin)/python
installed := .venv/installed

# Whatever virtualenv the caller's shell is in has no say here.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH UV_PYTHON UV_PROJECT_ENVIRONMENT

# Tests and lint see no key, address or `.env` of yours.
sealed := $(python) -m config.environment DJANGO_SETTINGS_MODULE=config.settings_test

# What production would have, with secrets good for nothing but the check.
production := env -i PATH="$$PATH" ENV_FILE= SCRIPTS_ENV_FILE= DEBUG=false \
	DATABASE_URL=postgres://nobody@127.0.0.1/nothing PUBLIC_URL=https://operations.example.com \
	SECRET_KEY=only-for-the-deploy-check-0123456789-abcdefghijklmnopqrstuvwxyz \
	ENCRYPTION_KEY=b25seS1mb3ItdGhlLWRlcGxveS1jaGVjay0wMTIzNDU= \
	NOTION_API_KEY=check GEMINI_API_KEY=check KIE_API_KEY=check ELEVENLABS_API_KEY=check ELEVENLABS_VOICE_ID=check \
	GOOGLE_CLIENT_ID=check GOOGLE_CLIENT_SECRET=check SLACK_WEBHOOK_URL=https://hooks.example.com/check

# The modules a mistake in which costs money or loses a video: every line and branch of them is tested.
crucial := production/stages.py,production/lifecycle.py,production/takes.py,production/dispatch.py,production/ledger.py

.PHONY: help demo run test bench chaos crash soak lint format types docs requirements clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-14s%s\n", $$1, $$2}' Makefile

demo: $(installed) ## one video from Notion row to YouTube against local stand-ins; CLIPS=18 TOPIC="..." PORT=8000
	@$(python) -m config.demo $${CLIPS:+--clips "$$CLIPS"} $${TOPIC:+--topic "$$TOPIC"} $${PORT:+--port "$$PORT"}

run: $(installed) ## the same stack, staying up for you; PORT=8000; keys in .env turn single vendors real
	@$(python) -m config.run $${PORT:+--port "$$PORT"}

# Tracing every script, sandbox and browser process costs half as much time again: CI pays it, and so may you (CI=1).
measured := $(if $(CI),--cov --cov-report=)

test: $(installed) ## all tests on two cores; CI=1 measures coverage too
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		echo "Chromium is not installed: the browser tests are skipped."
	@$(sealed) $(python) -m pytest -n 3 --dist load --maxschedchunk 1 $(measured) $(ARGS)
ifdef CI
	@$(bin)/coverage report --skip-covered --fail-under=80
	@$(bin)/coverage report --include=$(crucial) --fail-under=100
endif

chaos: $(installed) ## everything of ours is killed while the vendors misbehave; KILLS=100 LIMIT=420 AWAY=60 VIDEOS=20 CHANNELS=5 SEED=7
	@$(python) -m config.environment $(python) -m tests.chaos $${KILLS:+--kills "$$KILLS"} $${LIMIT:+--seconds "$$LIMIT"} \
		$${VIDEOS:+--videos "$$VIDEOS"} $${CHANNELS:+--channels "$$CHANNELS"} $${SEED:+--seed "$$SEED"} \
		$${AWAY:+--away "$$AWAY"}

crash: $(installed) ## one video, stopped at each commit and each vendor call in turn; ONLY=createTask picks points
	@$(python) -m tests.crash $${ONLY:+--only "$$ONLY"}

soak: $(installed) ## an hour of videos and kills; memory, files, connections and the line stay flat; HOURS=0.05
	@$(python) -m config.environment $(python) -m tests.chaos.soak $${HOURS:+--hours "$$HOURS"}

bench: $(installed) ## ours beside named peers, measured here; ONLY=webhook,memory picks; SMOKE=1 is quick and claims nothing
	@$(python) -m benchmarks $${ONLY:+--only "$$ONLY"} $${SMOKE:+--smoke}

lint: $(installed) types ## format, rules, types, imports, migrations, deploy check
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/lint-imports
	@$(sealed) $(python) manage.py makemigrations --check --dry-run
	@$(production) $(python) manage.py check --deploy --fail-level WARNING

types: $(installed) ## mypy, strict
	@$(sealed) $(bin)/mypy .

format: $(installed) ## let ruff write
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .

docs: $(installed) ## the generated reference in docs/
	@$(sealed) $(python) manage.py docs

requirements: ## pin the newest versions pyproject.toml allows, with hashes
	@command -v uv >/dev/null || { echo "uv is missing: install it (https://docs.astral.sh/uv) to pin versions"; exit 1; }
	@$(compile) pyproject.toml --output-file requirements.txt
	@$(compile) pyproject.toml --group dev --output-file requirements-dev.txt

compile = uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-emit-find-links --no-header

clean: ## remove .venv and everything made at run time
	@rm -rf .venv var .coverage .*_cache

# uv where there is one (it also brings Python 3.11 along), else the Python that is there. The list is whole, so pip
# looks for nothing else: with hashes it would refuse what one package wants plain and another with extras.
$(installed): requirements-dev.txt
	@echo "Installing into .venv, once: a minute or two …"
	@rm -rf .venv
	@if command -v uv >/dev/null; then \
		uv venv --quiet --python 3.11 .venv && \
		uv pip install --quiet --python $(python) --require-hashes -r requirements-dev.txt; \
	elif found=$$(for python in python3.11 python3 python; do \
			$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && \
			echo $$python && break; done); then \
		$$found -m venv .venv && \
		$(python) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt; \
	else \
		echo "Python 3.11 with pip and venv is missing: install it (Debian: python3.11-venv) or uv, then again."; \
		exit 1; \
	fi
	@touch $@
