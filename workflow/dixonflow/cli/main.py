"""The command `dixonflow`.

Each command is imported when it is called: only those that need torch or pandas wait for them.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import dixonflow
from dixonflow.run.user import set_user_name
from dixonflow.system.lifetime import end_with_snakemake

COMMANDS = {
    "stage": ("pipeline", "Run a stage on a shard, or on one scan by hand."),
    "cohort": ("pipeline", "Find every scan in the raw folders and assign the complete ones to shards."),
    "aggregate": ("pipeline", "Collect the rows of all shards in the tables; check that no scan was lost."),
    "report": ("pipeline", "Write the report, one HTML page."),
    "rerun": ("pipeline", "Have the next run process named scans again."),
    "move-folders": (
        "pipeline",
        "Move the folders of participants in results/derivatives/ to where the configuration has them.",
    ),
    "calibrate": ("results", "Fit the scanner's fat fraction to the signal fat fraction, for each structure."),
    "analyse": ("results", "Run a study on the tables: ageing, centiles, change, indices, loss, vessels."),
    "export": ("results", "Write tables for Stata, SPSS, CSV, Excel, REGENIE or PLINK."),
    "review": ("results", "Show a page on this machine on which raters judge scans."),
    "release": (
        "results",
        "Check a folder that is to leave a protected environment, or pack a citable version of the tables.",
    ),
    "withdraw": ("results", "Remove what results hold of withdrawn participants; nothing is computed again."),
    "status": ("pipeline", "Show the progress of a run, or propose resources for the next one."),
    "estimate": ("pipeline", "Estimate hours, memory, jobs and disk space of a run from a pilot run."),
    "compare": ("networks", "Compare label maps of another program with those of a run; list where they disagree."),
    "import-model": ("networks", "Import the published weights of a segmentation model."),
    "compare-backends": ("networks", "Compare what computes networks on a CPU with torch, for segment.backend: auto."),
    "evaluate": ("networks", "Compare label maps with reference masks: Dice, surface distances, volumes, statistics."),
    "retrain": ("networks", "Correct label maps and train a better network, in rounds."),
    "verify-models": (
        "networks",
        "Import published models, compare them with the model files, run one scan with each.",
    ),
}
"""Commands, each with its package and its first line of help."""


class _OnDemand(TyperGroup):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of a run."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        found: Callable[..., None] | typer.Typer = getattr(
            import_module(f"dixonflow.cli.{COMMANDS[cmd_name][0]}.{name}"), f"{name}_command"
        )
        if isinstance(found, typer.Typer):  # a command of several steps
            app = found
        else:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            app.command(cmd_name)(found)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dixonflow {dixonflow.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Whole-body Dixon MRI of a cohort to tables of organ volumes and fat compartments.

    Snakemake calls these commands; `dixonflow COMMAND --help` explains each.
    """


def main() -> None:
    """Run the command line.

    Unexpected errors come as plain tracebacks: typer's own show the values of variables, participant ids among them.
    """
    end_with_snakemake()
    set_user_name()
    app = typer.Typer(
        cls=_OnDemand, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None
    )
    app.callback()(_root)
    sys.exit(app())
