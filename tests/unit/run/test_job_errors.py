"""What a user sees of a job that died, by Snakemake itself with the quietness of the profile."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]

SNAKEFILE = """
from snakemake.logging import logger
from dixonflow.run.job_errors import JobErrors
logger.addHandler(JobErrors())

rule all:
    input: "bad.txt", "good.txt"

rule bad:
    output: "bad.txt"
    log: "logs/bad.log"
    shell: "printf 'a\\\\nb\\\\nc\\\\nd\\\\ne\\\\n\\\\nstitch: there is no folder\\\\n' > {log}; exit 1"

rule good:
    output: "good.txt"
    log: "logs/good.log"
    shell: "echo all is well > {log}; touch {output}"
"""


def test_a_job_that_died_is_named_with_the_end_of_its_log(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    quiet = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())["quiet"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going", "--quiet", *quiet]
    run = subprocess.run(command, cwd=tmp_path, check=False, text=True, capture_output=True)
    assert run.returncode == 1
    expected = [
        "dixonflow: a job of bad died",
        "  logs/bad.log ends with:",
        *(f"    {line}" for line in ("b", "c", "d", "e", "stitch: there is no folder")),
    ]
    assert "\n".join(expected) + "\n" in run.stderr
    assert run.stderr.count("dixonflow:") == 1
    assert "all is well" not in run.stderr


def test_the_snakefile_says_it():
    assert "logger.addHandler(JobErrors())" in (ROOT / "Snakefile").read_text()
