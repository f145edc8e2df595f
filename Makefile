# The commands of this project. Each runs the setup first.
.PHONY: install demo run status test defects retraining-loop edits fuzz slurm-test slurm-test-ci verify-models verify-real check docs bench gpu-check test-versions lock image wheels clean
.DEFAULT_GOAL := help

CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Snakemake fails with a traceback if neither HOME nor the user database names a home folder.
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
	@python -m dixonflow analyse all

run: install ## run the experiment in config.yaml on this machine
	@snakemake --cores $(CORES)

status: install ## show the progress of the run in config.yaml
	@python -m dixonflow status

slurm-test: install ## install Slurm from Debian's packages (as root) and run the tests that need it (some 45 minutes)
	@scripts/install_slurm.sh
	@python -m pytest -n 2 --no-loadscope-reorder tests/slurm

slurm-test-ci: install ## the same with one test of each kind of fault
	@scripts/install_slurm.sh
	@python -m pytest -n 2 --no-loadscope-reorder tests/slurm -m "not slow"

# One model: make verify-models VERIFY=mrsegmentator; with conditions of use: make verify-models VERIFY=--consent
verify-models: install ## import the published models and run one scan with each (needs internet access)
	@python -m dixonflow verify-models $(VERIFY)

# Another model: make verify-real VERIFY='--model mrsegmentator'
verify-real: install ## fetch public real scans, run an imported model on them, print what differs (needs internet access)
	@python scripts/verify_real.py $(VERIFY)

# About 40 minutes; make test-all runs one sequence of three.
edits: install ## compare random edits of a finished cohort (ten sequences of ten) with runs from scratch
	@DIXONFLOW_EDITS="10 10" python -m pytest tests/workflow/test_edits.py

# Two at a time; tests that share a run or a trained network stay together (tests/conftest.py).
test: install ## run the tests
	@python -m pytest -n 2 --no-loadscope-reorder -m "not slow"

test-all: install ## run all tests, further cases of what `make test` tests too
	@python -m pytest -n 2 --no-loadscope-reorder

# One reader: make fuzz FUZZ='--target checkpoint'; a short run: make fuzz FUZZ_SECONDS=60
FUZZ_SECONDS ?= 3600
fuzz: install ## feed damaged files to all readers (one hour; Linux only)
	@python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(FUZZ)

# Over an hour; what is finished below the folder is not done again.
DEFECTS ?= results/defects
retraining-loop: install ## several rounds of retraining on phantoms (an hour or more); call it again to resume
	@OMP_NUM_THREADS=1 python scripts/run_retraining_loop.py

defects: install ## plant every kind of defect in phantom scans and write docs/defects.md
	@OMP_NUM_THREADS=1 python scripts/run_defects.py --folder $(DEFECTS)
	@OMP_NUM_THREADS=1 python scripts/run_patches.py --folder $(DEFECTS)

# Some 15 minutes; what is finished below the folder is not done again.
REPEATS ?= results/repeats
repeats: install ## scan phantoms again, at another breath, and write how much every measure differs
	@OMP_NUM_THREADS=1 python scripts/run_repeats.py --folder $(REPEATS)

# Lint opens no raw data: any folder and file can replace the demo cohort, which need not exist.
check: install ## lint, types, formatting
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-cache >/dev/null || lint-imports --no-cache
	@snakefmt --check Snakefile workflow/rules
	@codespell README.md CONTRIBUTING.md CHANGELOG.md config.yaml docs envs profiles scripts tests workflow
	@snakemake --lint --config results=.snakemake/lint "cohort={sources: [{layout: bids, folder: tests}], withdrawn: LICENSE, covariates: null}"

# Neither -q nor -v: both switch off a part of what MkDocs checks.
docs: install ## build the documentation site (.site/), check its links, examples and the issue forms
	@rumdl check --no-cache --enable MD051,MD057 README.md CONTRIBUTING.md CHANGELOG.md docs
	@check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	@python -m pytest --doctest-modules --doctest-glob='*.md' workflow/dixonflow README.md docs/*.md
	@NO_MKDOCS_2_WARNING=1 mkdocs build -f docs/site/mkdocs.yml
	@echo "site      .site/index.html"

# One benchmark: make bench BENCH=stitch-nako; a quick test on tiny inputs: make bench BENCH=--small
bench: install ## compare speed and memory with other programs (over an hour, 12 GB of memory)
	@tests/benchmarks/install_peers.sh
	@PYTHONPATH=tests:tests/helpers python -m benchmarks $(BENCH)

# Without a GPU, to try it: make gpu-check GPU_CHECK='--device cpu --small'
gpu-check: install ## check and measure the segment stage on an NVIDIA GPU, at most ten minutes
	@PYTHONPATH=tests:tests/helpers python -m gpu.run $(GPU_CHECK)

# Each in an environment of its own; over an hour, several GB.
test-versions: install ## run the unit tests with Python 3.11 to 3.13, lowest and newest versions of the dependencies
	@scripts/test_versions.sh

# For GPUs: make image TORCH=cuda
image: ## build an image of the project for places without internet access (docker, podman, buildah or apptainer)
	@TORCH=$(TORCH) scripts/build_image.sh

wheels: install ## pack all that make install installs into wheels/, for machines without internet access
	@TORCH=$(TORCH) scripts/pack_wheels.sh

lock: install ## update the lock file and the conda environments from pyproject.toml
	@scripts/lock.sh

clean: ## remove the virtual environment and caches, not results and demo
	rm -rf .venv .venv-peers .venv-versions .site .mypy_cache .ruff_cache .pytest_cache .hypothesis
