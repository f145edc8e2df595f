"""How jobs are started: by shells, to which no path may mean anything but itself, and with which Python."""

import shlex
import sys
from collections.abc import Iterable
from functools import wraps
from typing import Any

from snakemake_interface_common.settings import SettingsEnumBase
from snakemake_interface_executor_plugins import utils

from dixonflow.errors import ConfigError
from dixonflow.lifetime import PARENT_VARIABLE
from dixonflow.path_text import unprintable

_WITH_OWN_PYTHON = {"conda", "apptainer"}
"""Snakemake's names of what gives jobs a Python of their own."""

_snakemake_format_value = utils.format_cli_value


def check_project_folder(folder: str, deployment_methods: Iterable[str], executor: str) -> None:
    """Check that jobs can be started in the folder of the project.

    Parameters
    ----------
    deployment_methods
        Snakemake's names of those that are switched on.
    executor
        Snakemake's name of what starts the jobs.

    Raises
    ------
    ConfigError
        With what has to go from its path.
    """
    problem = unprintable(folder)
    if not problem and ("{" in folder or "}" in folder):
        problem = "braces, which Snakemake takes for wildcards"
    elif ":" in folder:  # Python makes no virtual environment there either
        problem = "a colon, which parts the folders of PYTHONPATH"
    elif "'" in folder and _WITH_OWN_PYTHON & set(deployment_methods):
        problem = "an apostrophe, which Snakemake does not quote for conda and Apptainer"
    elif "%" in folder and executor == "slurm":
        problem = "a percent sign, which Slurm replaces in the names of its logs"
    if problem:
        raise ConfigError(f"the path of the project folder holds {problem}: rename or move it: {folder!a}")


def job_prefix(project: str, deployment_methods: Iterable[str]) -> str:
    """What stands before the command of every job, which begins with `python`.

    Jobs in a conda environment find the package too. A script takes the place of its shell, so that it ends with the
    Snakemake that runs it (`dixonflow.lifetime`). It is run by the Python that runs Snakemake, also where its virtual
    environment is not activated.

    Parameters
    ----------
    project
        Folder of the project, without braces.
    deployment_methods
        Snakemake's names of those that are switched on: a conda environment or a container has a Python of its own.
    """
    packages = shlex.quote(f"{project}/workflow")
    python = "python" if _WITH_OWN_PYTHON & set(deployment_methods) else shlex.quote(sys.executable)
    python = python.replace("{", "{{").replace("}", "}}")  # Snakemake formats the text
    return f'export PYTHONPATH={packages} {PARENT_VARIABLE}=$PPID; python() {{{{ exec {python} "$@"; }}}}; '


def quote_spawned_commands(executor: type[Any]) -> None:
    """Have every word of the command quoted with which an executor calls Snakemake again, as Slurm's does in each job.

    Snakemake quotes most of them by Python's `repr`. What holds an apostrophe stands in double quotes then, in which
    the shell runs `$(...)`, and backslashes are doubled. The path of Python is not quoted at all.

    Parameters
    ----------
    executor
        Class of the executor, of the run or in one of its jobs.
    """
    utils.format_cli_value = _format_value
    python = executor.get_python_executable
    if not hasattr(python, "__wrapped__"):

        @wraps(python)
        def quoted(self: Any) -> str:
            return shlex.quote(python(self))

        executor.get_python_executable = quoted


def _format_value(value: Any, quote: bool = False, base64_encode: bool = False) -> str:
    if quote and not base64_encode and isinstance(value, str) and not isinstance(value, SettingsEnumBase):
        return shlex.quote(value)
    return str(_snakemake_format_value(value, quote, base64_encode))
