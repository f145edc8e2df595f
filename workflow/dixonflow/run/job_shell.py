"""How jobs are started: by shells, to which no path may mean anything but itself, and with which Python."""

import shlex
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from snakemake_interface_common.settings import SettingsEnumBase
from snakemake_interface_executor_plugins import utils  # type: ignore[import-untyped]
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry  # type: ignore[import-untyped]

from dixonflow.errors import ConfigError
from dixonflow.system.lifetime import PARENT_VARIABLE
from dixonflow.system.path_text import unprintable

_WITH_OWN_PYTHON = {"conda", "apptainer"}
"""Snakemake's names of what gives jobs a Python of their own."""

_snakemake_format_value = utils.format_cli_value


def check_project_folder(folder: str, deployment_methods: Iterable[str]) -> None:
    """Check that jobs can be started in the folder of the project.

    Parameters
    ----------
    deployment_methods
        Snakemake's names of those that are switched on.

    Raises
    ------
    ConfigError
        With what has to go from its path.
    """
    problem = unprintable(folder)
    if not problem and ("{" in folder or "}" in folder):
        problem = "braces, which Snakemake interprets as wildcards"
    elif ":" in folder:  # Python makes no virtual environment there either
        problem = "a colon, which separates the folders of PYTHONPATH"
    elif set("'\"$`\\") & set(folder) and _WITH_OWN_PYTHON & set(deployment_methods):
        problem = "one of ' \" $ ` \\, which Snakemake does not quote for conda and Apptainer"
    _refuse(folder, problem)


def check_slurm_folder(folder: str) -> None:
    """Check that Slurm can write its logs below the folder in which Snakemake is called. Raises ConfigError.

    In the name of a log it replaces `%j` and the like, and takes backslashes out: the job ends before it has begun.
    """
    odd = "a percent sign" if "%" in folder else "a backslash" if "\\" in folder else ""
    _refuse(folder, odd and f"{odd}, which Slurm does not accept in log names")


def _refuse(folder: str, problem: str) -> None:
    if problem:
        raise ConfigError(f"the path of the project folder contains {problem}: rename or move it: {folder!a}")


def job_prefix(project: str, deployment_methods: Iterable[str]) -> str:
    """What stands before the command of every job, which begins with `python`.

    Jobs in a conda environment find the package too. A script takes the place of its shell, so that it ends with the
    Snakemake that runs it (`dixonflow.system.lifetime`). It is run by the Python that runs Snakemake, also where its
    virtual environment is not activated.

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


def quote_spawned_commands() -> None:
    """Have every word of the command quoted with which an executor calls Snakemake again, as Slurm's does in each job.

    Snakemake quotes most of them by Python's `repr`. What holds an apostrophe stands in double quotes then, in which
    the shell runs `$(...)`, and backslashes are doubled. The path of Python is not quoted at all.
    """
    utils.format_cli_value = _format_value
    registry = ExecutorPluginRegistry()
    for name in registry.get_registered_plugins():
        executor = registry.get_plugin(name).executor
        python_of = getattr(executor, "get_python_executable", None)  # that of dry runs calls nothing
        if python_of is not None and not hasattr(python_of, "__wrapped__"):
            executor.get_python_executable = _quoted(python_of)


def _quoted(python_of: Callable[[Any], str]) -> Callable[[Any], str]:
    @wraps(python_of)
    def quoted(executor: Any) -> str:
        return shlex.quote(python_of(executor))

    return quoted


def _format_value(value: Any, quote: bool = False, base64_encode: bool = False) -> str:
    if quote and not base64_encode and isinstance(value, str) and not isinstance(value, SettingsEnumBase):
        return shlex.quote(value)
    return str(_snakemake_format_value(value, quote, base64_encode))
