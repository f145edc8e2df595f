"""Shells that start jobs run nothing but the job, whatever the paths are called."""

import getpass
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.utils import format_cli_arg

from dixonflow.errors import ConfigError
from dixonflow.run.job_shell import check_project_folder, check_slurm_folder, job_prefix, quote_spawned_commands
from dixonflow.run.user import set_user_name

ODD = """/x/it's "Körper" (neu) $(touch owned) `touch owned` [a]*? ; & | < > ! # ~ \\n %j"""


def run(command, folder, path="/usr/bin:/bin"):
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env={"PATH": path}, check=True, text=True, capture_output=True
    ).stdout


@pytest.fixture
def no_changes(monkeypatch):
    """Snakemake as it was, after the test."""
    from snakemake_interface_executor_plugins import utils

    monkeypatch.setattr(utils, "format_cli_value", utils.format_cli_value)
    registry = ExecutorPluginRegistry()
    for name in ("slurm", "slurm-jobstep", "local"):
        executor = registry.get_plugin(name).executor
        monkeypatch.setattr(executor, "get_python_executable", executor.get_python_executable)


def test_jobs_are_run_by_the_python_that_runs_snakemake_with_the_package_of_the_project(tmp_path):
    program = "import os, sys; print(sys.executable, os.environ['PYTHONPATH'], sep='\\n')"
    output = run(f"{job_prefix(ODD, ()).format()}python -c {shlex.quote(program)} 2> log", tmp_path)
    assert output.splitlines() == [sys.executable, f"{ODD}/workflow"]
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_path_of_python_is_quoted_too(tmp_path, monkeypatch):
    python = tmp_path / "it's {x} $(touch owned)"
    python.symlink_to("/bin/echo")
    monkeypatch.setattr(sys, "executable", str(python))
    assert run(f"{job_prefix(ODD, ()).format()}python here", tmp_path) == "here\n"
    assert list(tmp_path.iterdir()) == [python]


@pytest.mark.parametrize("method", ["conda", "apptainer"])
def test_an_environment_has_a_python_of_its_own(tmp_path, method):
    (tmp_path / "python").symlink_to("/bin/echo")
    assert (
        run(f"{job_prefix('/x', [method]).format()}python here", tmp_path, path=f"{tmp_path}:/usr/bin:/bin") == "here\n"
    )


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_words_of_spawned_commands_come_through_the_shell(text):
    with pytest.MonkeyPatch.context() as patch:
        from snakemake_interface_executor_plugins import utils

        patch.setattr(utils, "format_cli_value", utils.format_cli_value)
        quote_spawned_commands()
        assert shlex.split(format_cli_arg("--snakefile", text)) == ["--snakefile", text]
        assert shlex.split(format_cli_arg("--config", [text, "b"])) == ["--config", text, "b"]


def test_no_executor_calls_python_unquoted(no_changes, monkeypatch):
    quote_spawned_commands()
    quote_spawned_commands()  # once is enough
    monkeypatch.setattr(sys, "executable", ODD)
    registry = ExecutorPluginRegistry()
    for name in ("slurm-jobstep", "local"):
        assert shlex.split(registry.get_plugin(name).executor.get_python_executable(None)) == [ODD]


@pytest.mark.parametrize(
    ("folder", "methods", "problem"),
    [
        ("/x/a{b}", (), "braces"),
        ("/x/}", (), "braces"),
        ("/x/a:b", (), "a colon"),
        ("/x/a\nb", (), "a control character"),
        ("/x/a\x1b[1m", (), "a control character"),
        ("/x/\udcff", (), "bytes that are not UTF-8"),
        ("/x/it's", ["conda"], "one of "),
        ("/x/it's", ["apptainer"], "one of "),
        ("/x/$(touch owned)", ["conda"], "one of "),
        ("/x/`touch owned`", ["conda"], "one of "),
        ('/x/"', ["conda"], "one of "),
        ("/x/\\", ["conda"], "one of "),
    ],
)
def test_a_project_folder_that_cannot_be_taken_is_one_line(folder, methods, problem):
    with pytest.raises(
        ConfigError, match=f"^the path of the project folder contains {problem}.*: rename or move it"
    ) as error:
        check_project_folder(folder, methods)
    assert len(str(error.value).splitlines()) == 1
    str(error.value).encode()


def test_all_others_are_taken():
    check_project_folder(ODD, ())
    check_project_folder("/x/Körper (neu) [a]*? ; & | < > ! # ~ %j", ["conda"])
    check_slurm_folder(ODD.replace("%", "").replace("\\", ""))


@pytest.mark.parametrize("letter", ["%", "\\"])
def test_slurm_writes_no_log_where_its_own_signs_are_in_the_path(letter):
    with pytest.raises(ConfigError, match="which Slurm does not accept"):
        check_slurm_folder(f"/x/{letter}j")


def test_a_user_without_a_name_is_called_by_the_number(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    monkeypatch.setenv("LOGNAME", "")  # put back after the test
    set_user_name()
    assert getpass.getuser() == "54321"
