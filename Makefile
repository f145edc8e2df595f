# The commands of this project. Each does its own set-up.
.PHONY: install demo edits run status test fuzz slurm-test verify-models check bench lock clean
.DEFAULT_GOAL := help

CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Snakemake ends with a traceback where neither this nor the list of users names a home folder.
export HOME ?= /nonexistent
# One thread per job: Snakemake runs as many jobs as there are cores.
export OMP_NUM_THREADS ?= 1

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

install: ## set up .venv (a few minutes the first time)
	@scripts/check_folder.sh
	@scripts/install.sh

demo: install ## run the whole pipeline on the demo cohort
	@python scripts/make_demo_cohort.py --jobs $(CORES)
	@snakemake --cores $(CORES)

run: install ## run the experiment in config.yaml on this machine
	@snakemake --cores $(CORES)

status: install ## how far the run in config.yaml is
	@python -m dixonflow status

slurm-test: install ## install Slurm from Debian's packages (as root) and run the tests that need it
	@scripts/install_slurm.sh
	@python -m pytest tests/slurm

# One model: make verify-models VERIFY=mrsegmentator; with conditions of use: make verify-models VERIFY=--consent
verify-models: install ## import the published models and run one scan with each (needs the internet)
	@python -m dixonflow verify-models $(VERIFY)

# Some 40 minutes: make test runs one sequence of five.
edits: install ## edit a finished cohort at random, ten sequences of ten, against runs from scratch
	@DIXONFLOW_EDITS="10 10" python -m pytest tests/workflow/test_edits.py

test: install ## run the tests
	@python -m pytest

# One reader: make fuzz FUZZ='--target checkpoint'; a short run: make fuzz FUZZ_SECONDS=60
FUZZ_SECONDS ?= 3600
fuzz: install ## feed damaged files to all readers (an hour; Linux only)
	@python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(FUZZ)

# Lint opens no raw data: any folder and file stand in for the demo cohort, which need not be there.
check: install ## lint, types, formatting
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-cache >/dev/null || lint-imports --no-cache
	@snakefmt --check --line-length 120 Snakefile workflow/rules
	@snakemake --lint --config results=.snakemake/lint "cohort={sources: [{layout: bids, folder: tests}], withdrawn: LICENSE}"

# One benchmark: make bench BENCH=stitch-nako; tiny inputs, to try them: make bench BENCH=--small
bench: install ## compare speed and memory with other programs (over an hour, 12 GB of memory)
	@tests/benchmarks/install_peers.sh
	@PYTHONPATH=tests:tests/helpers python -m benchmarks $(BENCH)

lock: install ## resolve envs/requirements.in anew into the lock file and the conda environments
	@scripts/lock.sh

clean: ## remove the virtual environment and caches; results and demo stay
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis
