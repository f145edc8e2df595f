"""The steps of `dixonflow retrain` that train and judge a network: plan, train, import, evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from dixonflow.retraining.evaluate_round import evaluate_round
from dixonflow.retraining.import_round import import_trained, model_name
from dixonflow.retraining.nnunet.jobs import train_in_jobs
from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.settings import read_settings
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.workspace import workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import open_project
from dixonflow.retraining.rounds import StopRule

ProjectOption = Annotated[Path, typer.Option("--project", help="Folder of the retraining project.")]
RoundOption = Annotated[int, typer.Option("--round", min=1, max=99, help="Number of the round.")]
FinalOption = Annotated[
    bool,
    typer.Option("--final", help="The final model: from random weights, on the corrected cases of all rounds so far."),
]
NameOption = Annotated[
    str | None, typer.Option(help="Name of the model; by default retrained<round>, or retrainedfinal.")
]
PROJECT = Path("retraining")


def plan_step(round_number: RoundOption, project: ProjectOption = PROJECT, final: FinalOption = False) -> None:
    """Plan the network and preprocess the cases with nnU-Net, as training.yaml of the project says."""
    opened = open_project(project)
    with opened.locked():
        workspace = workspace_of(opened, round_number, final=final)
        plan_training(opened, workspace, read_settings(opened.root), dataset_folder(opened, round_number))
    typer.echo(f"{workspace.root}: planned and preprocessed")


def train_step(
    context: typer.Context,
    round_number: RoundOption,
    project: ProjectOption = PROJECT,
    final: FinalOption = False,
    fold: Annotated[
        str | None,
        typer.Option(help="Train this fold alone, in this process. By default all, each in a job of Snakemake."),
    ] = None,
) -> None:
    """Train the folds, each in a job with one GPU; options after -- go to snakemake, such as -- --profile slurm.

    Call the same command again after an interruption: finished folds stay, and others resume at their last checkpoint.
    """
    opened = open_project(project)
    workspace = workspace_of(opened, round_number, final=final)
    if fold is None:
        train_in_jobs(opened, workspace, context.args, final=final)
        typer.echo(f"{workspace.root}: all folds are trained")
    else:
        typer.echo(train_fold(workspace, fold, opened.settings.seed))


def import_step(
    round_number: RoundOption, project: ProjectOption = PROJECT, final: FinalOption = False, name: NameOption = None
) -> None:
    """Import the trained network as a model that segment.models of a configuration can name."""
    opened = open_project(project)
    chosen = name or model_name(round_number, final=final)
    with opened.locked():
        found = import_trained(opened, workspace_of(opened, round_number, final=final), chosen, final=final)
    typer.echo(f"{found.model.weights.parent}: {'imported' if found.new else 'already imported, unchanged'}")


def evaluate_step(
    round_number: RoundOption,
    project: ProjectOption = PROJECT,
    final: FinalOption = False,
    name: NameOption = None,
    stop_gain: Annotated[
        float, typer.Option(min=0, max=1, help="Stop when rounds gain less mean Dice than this ...")
    ] = StopRule().gain,
    stop_rounds: Annotated[
        int, typer.Option(min=1, max=20, help="... in so many rounds in a row.")
    ] = StopRule().rounds,
) -> None:
    """Compare the model of a round with the last one on the frozen test participants."""
    opened = open_project(project)
    chosen = name or model_name(round_number, final=final)
    rule = StopRule(gain=stop_gain, rounds=stop_rounds)
    with opened.locked():
        result = evaluate_round(opened, round_number, chosen, rule, final=final)
    typer.echo(
        f"{result.model}: mean Dice {result.mean_dice:.4f} ({result.dice_low:.4f} to {result.dice_high:.4f}), "
        f"{result.test_cases} test cases of {result.test_participants} participants"
    )
    if result.gain is not None:
        typer.echo(
            f"{result.gain:+.4f} ({result.gain_low:+.4f} to {result.gain_high:+.4f}) over {result.compared_with}"
        )
    typer.echo(result.advice)
