# `make` makes everything from nothing, `make taste` one figure of it, `make test` checks it. `make help` lists the rest.

CORES ?= 2
# One more worker than cores: tests of killed jobs and of a cluster wait for much of their time.
PYTEST_ARGS ?= -n $(shell expr $(CORES) + 1) --dist loadfile --no-loadscope-reorder
export PYTHON

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
.PHONY: all taste ladder comparison env test test-slurm lint bench report archive restore explain export locks clean clean-results help

# A command goes through `python -m`: a .venv that was moved, or a path with spaces, breaks the scripts in .venv/bin.
python := .venv/bin/python
snakemake := $(python) -m snakemake
# A terminal gets one bar a rule, without the bars of single jobs; a log file gets plain lines.
ifneq ($(shell [ -t 2 ] && [ "$${TERM:-dumb}" != dumb ] && echo terminal),)
watched := --logger rich
export TQDM_DISABLE := 1
endif
# The part $(1) of the config with ARGS, which may have a --config of its own: of two, Snakemake takes the last alone.
with = $(if $(findstring --config ,$(ARGS)),$(subst --config ,--config with=$(1) ,$(ARGS)),--config with=$(1) $(ARGS))
# After a kill the same command goes on: rules/patches.smk clears the lock of a dead run, and asks for what else is
# --rerun-incomplete; where another run may hold the lock, one line names it and `snakemake --unlock`.
verdicts := PYTHONPATH=scripts $(python) -m implicit_sparsity.report.verdict_summary
run_kinds := workflow corpora compute figures archive model wheels

all: .venv/run.stamp ## everything in results/ that config.yaml asks for (CORES=2; ARGS="--configfile mine.yaml"); after a kill, again
	$(snakemake) -c$(CORES) all $(watched) $(ARGS)
	@$(verdicts)

taste: .venv/run.stamp ## one figure of it, in minutes: do domains share their neurons? (make goes on from there)
	$(snakemake) -c$(CORES) results/figures/overlap_by_layer.png $(watched) $(call with,taste)
	@echo "Look at results/figures/overlap_by_layer.png. What it shows: README.md. Everything else: make"

ladder: .venv/run.stamp ## and how overlap goes with width and routing, on small models trained here (8 minutes more)
	$(snakemake) -c$(CORES) all $(watched) $(call with,ladder)
	@$(verdicts)

comparison: .venv/run.stamp ## and every method with its controls at two or three learning rates (hours: docs/comparison.md)
	$(snakemake) -c$(CORES) all $(watched) $(call with,comparison)
	@$(verdicts)

env: .venv/run.stamp ## only the environment that the workflow runs in

test: lint ## style and tests (PYTEST_ARGS="-k name" for some)
	$(python) -m pytest $(PYTEST_ARGS)

test-slurm: .venv/dev.stamp ## the cluster profile on a real SLURM of one node (root on Debian; part of make test)
	timeout -k 30 900 $(python) -m pytest tests/slurm

lint: .venv/dev.stamp ## style of the Python and Snakemake files
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m snakefmt --check Snakefile rules
	$(snakemake) --lint

bench: .venv/dev.stamp ## speed against plain PEFT and transformers, in one run
	for benchmark in benchmarks/*.py; do PYTHONPATH=scripts $(python) "$$benchmark"; done

report: .venv/run.stamp ## results/report.html of a finished run
	$(snakemake) --report results/report.html $(ARGS)

archive: .venv/run.stamp ## the finished study as one file (config: archive; ARGS="--configfile mine.yaml" as for the run)
	$(snakemake) -c1 archive $(ARGS)

restore: .venv/run.stamp ## an archive into a new folder (ARCHIVE=study.tar.gz INTO=folder)
	PYTHONPATH=scripts $(python) -m implicit_sparsity.provenance.archiving "$(ARCHIVE)" $(if $(INTO),"$(INTO)")

export: .venv/run.stamp ## a checkpoint as a plain model folder (MODEL=smollm2 CHECKPOINT=lora.forward.seed0.stage4)
	@test -n "$(MODEL)" -a -n "$(CHECKPOINT)" || { echo "make export MODEL=smollm2 CHECKPOINT=lora.forward.seed0.stage4" >&2; exit 1; }
	$(snakemake) -c1 $(ARGS) "results/exports/$(MODEL)/$(CHECKPOINT)"

explain: ## where the numbers of a file come from, back to the corpus (FILE=results/figures/x.pdf ALL=1)
	@PYTHONPATH=scripts $(if $(wildcard $(python)),$(python),python3) -m implicit_sparsity.provenance.explaining "$(FILE)" $(if $(ALL),--all)

locks: .venv/dev.stamp ## envs/*.lock and *.yaml from envs/*.in (RELOCK=--upgrade for newer pins)
	$(python) envs/relock.py $(RELOCK)

clean: ## caches; never results/ or .venv/
	rm -rf .pytest_cache .ruff_cache
	find $(wildcard scripts tests benchmarks envs) -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: results/ and its records in .snakemake/ (make clean-results), .venv/ (rm -r .venv)."

clean-results: ## everything in results/, after CONFIRM=yes
	@du -sh results .snakemake 2>/dev/null || true
	@if [ "$(CONFIRM)" != yes ]; then echo "This deletes the above. To go on: make clean-results CONFIRM=yes" >&2; exit 1; fi
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf .snakemake

help: ## this list
	@echo 'ARGS="..." goes to snakemake: all, taste, ladder, comparison, report, archive, export'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

# The kinds are installed one stamp after the other, also under `make -j`: two pips must not write one .venv.
.venv/run.stamp: envs/venv.sh $(run_kinds:%=envs/%.lock) $(wildcard envs/plugins/*/*.py)
	bash envs/venv.sh $(run_kinds)
	touch $@

.venv/dev.stamp: .venv/run.stamp envs/dev.lock
	bash envs/venv.sh $(run_kinds) dev
	touch $@
