"""Small runs in folders whose names mean something to a shell, by users without a name or a home folder."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from project_copy import ROOT, copy_project
from small_cohort import SCANS, make_small_cohort

SNAKEMAKE = (str(Path(sys.executable).parent / "snakemake"), "--cores", "2")
"""As it is called where its virtual environment is not activated."""

NOBODY = ("unshare", "--user", "--map-user=54321", "--map-group=54321")
"""A user whose number no list holds, and to whom modes apply as they do not to root."""

PROJECT = """it's "Körper" (neu) $(touch owned) `touch owned` [a]*? ; & | < > ! # ~ \\n %j"""
RAW = "-raw $HOME 'x' {shard} \\"
RESULTS = [
    ("-x 'q' \"r\" $(touch owned) `touch owned`; touch owned & Körper", "all"),
    ("'$(touch owned)'", "cohort"),
    ("~neu\\", "cohort"),
]
"""Results folders, and the rule up to which the workflow runs there."""


class Project:
    """A copy of the project with one small scan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        copy_project(folder)
        self.configure(results="results")

    def configure(self, results: str, folder: str = RAW) -> None:
        cohort = {"sources": [{"layout": "bids", "folder": folder}], "withdrawn": f"{RAW}/withdrawn"}
        content = {"results": results, "cohort": cohort}
        (self.folder / "config.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def call(self, *command: str, user: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [*user, *command],
            cwd=self.folder,
            env=environment | variables,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def refuses(self, line: str, *options: str, user: Sequence[str] = ()) -> None:
        """The run ends before its first job, with one line that says why."""
        run = self.call(*SNAKEMAKE, *options, user=user, HOME="/nonexistent")
        assert run.returncode == 1, run.stdout
        assert [each for each in run.stdout.splitlines() if line in each] != [], run.stdout
        assert "Traceback" not in run.stdout
        assert "Execute" not in run.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("odd") / PROJECT)
    make_small_cohort(project.folder / RAW, {SCANS[0]: 6.0})
    (project.folder / RAW / "withdrawn").touch()
    return project


@pytest.fixture
def nobody():
    if subprocess.run([*NOBODY, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this system makes no user namespaces")
    return NOBODY


@pytest.mark.parametrize(("results", "rule"), RESULTS)
def test_no_path_means_anything_to_a_shell(project, results, rule):
    temporary = project.folder.parent / "t'm $(touch owned)"
    temporary.mkdir(exist_ok=True)
    project.configure(results)
    before = set(project.folder.iterdir()) | {project.folder / ".snakemake", project.folder / results}
    run = project.call(*SNAKEMAKE, "--until", rule, HOME=str(temporary), TMPDIR=str(temporary))
    assert run.returncode == 0, run.stdout
    assert (project.folder / results / "logs/cohort.log").exists()
    assert (project.folder / results / "tables/datapackage.json").exists() == (rule == "all")
    assert set(project.folder.iterdir()) == before
    assert not list(project.folder.parent.rglob("owned*"))


@pytest.mark.slow
def test_a_user_without_a_name_and_with_a_home_that_cannot_be_written(project, nobody, tmp_path):
    tmp_path.chmod(0o555)
    results = "[ab]*?~#!|&<(x)> \\n $HOME"
    project.configure(results)
    run = project.call(*SNAKEMAKE, user=nobody, HOME=str(tmp_path))
    assert run.returncode == 0, run.stdout
    assert (project.folder / results / "tables/datapackage.json").exists()
    status = project.call(sys.executable, "-m", "dixonflow", "status", user=nobody)
    assert status.returncode == 0, status.stdout


def test_a_results_folder_that_cannot_be_written(project, nobody):
    project.configure("locked")
    locked = project.folder / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    project.refuses("config: results: locked/cohort/look_again cannot be written: Permission denied", user=nobody)
    locked.chmod(0o755)
    (locked / "tables").mkdir()
    (locked / "tables").chmod(0o555)
    project.refuses("dixonflow: config: results: locked/tables cannot be written: ", user=nobody)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("results: Körper".encode("latin-1"), "config: config.yaml cannot be read: it is not in UTF-8"),
        (b"results: " + b"[" * 5000 + b"]" * 5000, "config: config.yaml cannot be read: it is nested too deeply"),
        (b"results: 2026-13-45", "does not fit its type (month must be in 1..12)"),
    ],
)
def test_a_configuration_that_is_none(project, content, line):
    (project.folder / "config.yaml").write_bytes(content)
    project.refuses(line)


CONDA = """#!/bin/sh
# what Snakemake asks of conda, and an environment that is this one under another name
case "$*" in
  "info --json") echo '{{"conda_prefix": "{prefix}", "platform": "linux-64"}}' ;;
  --version) echo conda 25.1.0 ;;
  "config --get"*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  *create*)
    for word; do [ "$before" = --prefix ] && target=$word; before=$word; done
    mkdir -p "$target/bin"
    printf '#!/bin/sh\\necho "$@" >> {prefix}/asked\\nexec {python} "$@"\\n' > "$target/bin/python"
    chmod +x "$target/bin/python"
    ;;
esac
"""


def test_jobs_in_a_conda_environment_are_run_by_its_python(tmp_path):
    conda = tmp_path / "conda/bin"
    conda.mkdir(parents=True)
    (conda / "conda").write_text(CONDA.format(prefix=conda.parent, python=sys.executable))
    (conda / "conda").chmod(0o755)
    (conda / "activate").write_text('PATH="$1/bin:$PATH"')
    project = Project(tmp_path / "a (b); touch owned")
    make_small_cohort(project.folder / RAW, {SCANS[0]: 6.0})
    (project.folder / RAW / "withdrawn").touch()
    options = ("--until", "cohort", "--software-deployment-method", "conda")
    run = project.call(*SNAKEMAKE, *options, PATH=f"{conda}:/usr/bin:/bin", HOME=str(tmp_path))
    assert run.returncode == 0, run.stdout
    assert (conda.parent / "asked").read_text().startswith("-m dixonflow cohort --config results/config.json")
    assert not list(tmp_path.rglob("owned*"))


@pytest.mark.parametrize("name", ["a{b}", "a:b", "a\tb"])
def test_a_project_folder_that_cannot_be_taken(tmp_path, name):
    Project(tmp_path / name).refuses("the path of the project folder contains ")
