"""The steps of `dixonflow retrain` that train and judge a network: plan, train, import, evaluate.

What needs torch is imported in the steps: it takes seconds, and the other steps do without it.
"""
# ruff: noqa: PLC0415

from typing import Annotated

import typer

from dixonflow.cli.networks.retrain_options import PROJECT, ProjectOption, RoundOption, errors, last_round
from dixonflow.retraining.project import open_project

FinalOption = Annotated[
    bool,
    typer.Option("--final", help="The final model: from random weights, on the corrected cases of all rounds so far."),
]
NameOption = Annotated[
    str | None, typer.Option(help="Name of the model; by default retrained<round>, or retrainedfinal.")
]


def plan_step(round_number: RoundOption = None, project: ProjectOption = PROJECT, final: FinalOption = False) -> None:
    """Plan the network and preprocess the cases with nnU-Net, as training.yaml of the project says.

    The data set of the round is brought up to date first: label maps that came back since are in it.
    """
    from dixonflow.retraining.nnunet.plan import plan_training
    from dixonflow.retraining.nnunet.settings import read_settings
    from dixonflow.retraining.nnunet.workspace import workspace_of
    from dixonflow.retraining.nnunet_raw import write_dataset

    with errors("plan"):
        opened = open_project(project)
        number = last_round(opened, round_number)
        with opened.locked():
            workspace = workspace_of(opened, number, final=final)
            settings = read_settings(opened.root)
            plan_training(opened, workspace, settings, write_dataset(opened, number).folder)
    print(f"{workspace.root}: planned and preprocessed")


def train_step(
    context: typer.Context,
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
    final: FinalOption = False,
    fold: Annotated[
        str | None,
        typer.Option(help="Train this fold alone, in this process. By default all, each in a job of Snakemake."),
    ] = None,
) -> None:
    """Train the folds, each in a job with one GPU; what follows -- goes to snakemake, such as -- --profile slurm.

    Call the same command again after an interruption: finished folds stay, and others resume at their last checkpoint.
    """
    with errors("train"):
        opened = open_project(project)
        number = last_round(opened, round_number)
        if fold is None:
            from dixonflow.retraining.nnunet.jobs import train_in_jobs

            train_in_jobs(opened, number, context.args, final=final)
        else:
            from dixonflow.retraining.nnunet.train import train_fold
            from dixonflow.retraining.nnunet.training_cases import check_not_withdrawn
            from dixonflow.retraining.nnunet.workspace import checked_fold, workspace_of

            workspace = workspace_of(opened, number, final=final)
            chosen = checked_fold(workspace.settings, opened.settings.folds, fold)
            check_not_withdrawn(opened, workspace)
            train_fold(workspace, chosen, opened.settings.seed)
    print(f"round {number}: {'all folds are' if fold is None else f'fold {fold} is'} trained")


def import_step(
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
    final: FinalOption = False,
    name: NameOption = None,
) -> None:
    """Import the trained network as a model that segment.models of a configuration can name."""
    from dixonflow.retraining.import_round import import_trained, model_name
    from dixonflow.retraining.nnunet.workspace import workspace_of

    with errors("import"):
        opened = open_project(project)
        number = last_round(opened, round_number)
        chosen = name or model_name(number, final=final)
        with opened.locked():
            found = import_trained(opened, workspace_of(opened, number, final=final), chosen, final=final)
    print(f"{found.model.weights.parent}: {'imported' if found.new else 'already imported, unchanged'}")


def evaluate_step(
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
    final: FinalOption = False,
    name: NameOption = None,
    stop_gain: Annotated[
        float, typer.Option(min=0, max=1, help="Stop when rounds gain less mean Dice than this ...")
    ] = 0.005,
    stop_rounds: Annotated[int, typer.Option(min=1, max=20, help="... so many rounds in a row.")] = 2,
) -> None:
    """Compare the model of a round with the last one on the frozen test participants."""
    from dixonflow.retraining.evaluate_round import evaluate_round
    from dixonflow.retraining.import_round import model_name
    from dixonflow.retraining.rounds import StopRule

    with errors("evaluate"):
        opened = open_project(project)
        number = last_round(opened, round_number)
        rule = StopRule(gain=stop_gain, rounds=stop_rounds)
        with opened.locked():
            result = evaluate_round(opened, number, name or model_name(number, final=final), rule, final=final)
    print(
        f"{result.model}: mean Dice {result.mean_dice:.4f}{_interval(result.dice_low, result.dice_high, '.4f')}, "
        f"{result.test_cases} test cases of {result.test_participants} participants"
    )
    if result.gain is not None:
        interval = _interval(result.gain_low, result.gain_high, "+.4f")
        print(f"{result.gain:+.4f}{interval} over {result.compared_with}")
    if not final:
        print(result.advice)


def _interval(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
