"""`dixonflow retrain`: the steps from a finished run to label maps that a network is trained on."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dixonflow.cli.networks.retrain_network import evaluate_step, import_step, plan_step, train_step
from dixonflow.cli.networks.retrain_options import (
    PROJECT,
    ProjectOption,
    RoundOption,
    errors,
    last_round,
    refuse_round_of_test,
)
from dixonflow.config import read_config
from dixonflow.models.load import load_model, model_file
from dixonflow.retraining.annotation.export import export_cases
from dixonflow.retraining.annotation.returns import return_labels
from dixonflow.retraining.ledger import CaseSet, read_ledger
from dixonflow.retraining.nnunet_raw import write_dataset
from dixonflow.retraining.project import (
    TEST_ROUND,
    Project,
    RetrainingError,
    Settings,
    open_project,
    project_labels,
    start_project,
)
from dixonflow.retraining.propagate import propagate_labels
from dixonflow.retraining.selection.freeze import freeze_participants
from dixonflow.retraining.selection.select import Request, Source, select
from dixonflow.retraining.selection.strata import Stratum
from dixonflow.retraining.status import current_round, describe
from dixonflow.retraining.withdrawal import forget_withdrawn
from dixonflow.vocabulary import Contrast, ScanSequence

retrain_command = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Correct label maps and train a better network, in rounds. Each step can be repeated: it completes what is "
    "missing and changes nothing else. docs/retraining.md has the order.",
)

TestOption = Annotated[bool, typer.Option("--test", help="The frozen test participants, instead of a round.")]


@retrain_command.command("start")
def start(
    test_count: Annotated[
        int | None, typer.Option(min=1, help="How many test participants to draw and freeze.")
    ] = None,
    test_list: Annotated[
        Path | None, typer.Option(help="File with the ids of the test participants, one per line, in place of a draw.")
    ] = None,
    stratify: Annotated[
        list[Stratum] | None, typer.Option(help="Draw evenly from groups; may be given several times.")
    ] = None,
    config: Annotated[Path, typer.Option(help="Configuration of the finished run.")] = Path("results/config.json"),
    model: Annotated[str | None, typer.Option(help="Model whose label maps are proposed; the run's first.")] = None,
    contrast: Annotated[
        list[Contrast] | None, typer.Option(help="Images of a case, several times; those that the model takes.")
    ] = None,
    structure: Annotated[
        list[str] | None, typer.Option(help="Structures to train, several times; all of the model.")
    ] = None,
    add_structure: Annotated[
        list[str] | None, typer.Option(help="Structures that the model does not have; they get the next numbers.")
    ] = None,
    orientation: Annotated[str, typer.Option(help="In which training data is written, such as LPS.")] = "RAS",
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation, 3 or 5.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of all random choices.")] = 0,
    fill_holes: Annotated[
        list[str] | None, typer.Option(help="Fill holes of a structure in training label maps; several times.")
    ] = None,
    close_gap: Annotated[
        list[str] | None, typer.Option(help="Close gaps between two structures, as liver:stomach; several times.")
    ] = None,
    drop_outside_body: Annotated[
        bool, typer.Option("--drop-outside-body", help="Remove training labels outside the body.")
    ] = False,
    project: ProjectOption = PROJECT,
) -> None:
    """Start a project: write its settings and freeze the test participants, for ever."""
    with errors("start"):
        run = read_config(config)
        name = model or run.segment.models[0]
        proposes = load_model(model_file(name, run.segment.weights), run.segment.weights)
        content = {
            **{"config": config, "model": name, "orientation": orientation, "folds": folds, "seed": seed},
            **{"contrasts": tuple(contrast or proposes.contrasts_read), "channels": bool(proposes.channels)},
            "labels": project_labels(proposes, structure or (), add_structure or ()),
            "harmonise": _harmonise(fill_holes, close_gap, drop_outside_body=drop_outside_body),
        }
        try:
            settings = Settings.model_validate(content)
        except ValueError as error:
            raise RetrainingError(" ".join(str(error).split())) from error
        if test_count is None and test_list is None and not (project / "test").is_dir():
            raise RetrainingError("say with --test-count or --test-list who tests every round: it is never changed")
        made = start_project(project, settings)
        with made.locked():
            frozen = freeze_participants(made, count=test_count, named=test_list, by=stratify or ())
    print(f"{project}: {len(settings.labels)} structures, {len(frozen)} test participants frozen")


@retrain_command.command("select")
def select_step(
    source: Annotated[Source, typer.Argument(help="Where the order comes from.")],
    count: Annotated[int | None, typer.Option(help="How many scans at most.")] = None,
    stratify: Annotated[list[Stratum] | None, typer.Option(help="random: draw evenly from groups.")] = None,
    check: Annotated[list[str] | None, typer.Option(help="failures: checks that count; all by default.")] = None,
    usable: Annotated[
        bool, typer.Option("--usable", help="ratings: take usable label maps after faulty ones.")
    ] = False,
    file: Annotated[Path | None, typer.Option(help="list: file of scan names, one per line.")] = None,
    model: Annotated[str | None, typer.Option(help="Model whose label maps are proposed; that of the project.")] = None,
    test: TestOption = False,
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
) -> None:
    """Select scans for correction, worst first, or of the test set. Called again with other words, it adds."""
    with errors("select"):
        for given, of in (
            (stratify, Source.RANDOM),
            (check, Source.FAILURES),
            (usable, Source.RATINGS),
            (file, Source.LIST),
        ):
            if given and source is not of:
                raise RetrainingError(f"an option of {of} was given for {source}")
        opened = open_project(project)
        with opened.locked():
            number = _number(opened, round_number, test=test)
            request = Request(
                source,
                number,
                CaseSet.TEST if test else CaseSet.TRAIN,
                count,
                model or opened.settings.model,
                tuple(stratify or ()),
                tuple(check or ()),
                file,
                usable,
            )
            found = select(opened, request)
    print(f"{_where(number)}: {len(found.scans)} scans selected: {opened.selected(number)}")
    if found.passed_over:
        print(f"{found.passed_over} scans were passed over: they are in a set already, under this or another id")


@retrain_command.command("export")
def export_step(
    ct_model: Annotated[
        str | None, typer.Option(help="Model for CT that proposes, on water images made to resemble CT.")
    ] = None,
    test: TestOption = False,
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
) -> None:
    """Export images, proposals and label tables of the selected cases for ITK-SNAP, 3D Slicer and MONAI Label."""
    with errors("export"):
        opened = open_project(project)
        with opened.locked():
            number = last_round(opened, round_number, test=test)
            proposer = None
            if ct_model is not None:
                from dixonflow.retraining.pseudo_ct import CtProposer  # noqa: PLC0415 - torch takes seconds

                proposer = CtProposer(opened, opened.model(ct_model))
            exported = list(export_cases(opened, number, proposer))
    print(f"{_where(number)}: {len(exported)} cases exported to {opened.export(number)}")


@retrain_command.command("return")
def return_step(
    folder: Annotated[Path, typer.Argument(help="Folder, or file, of corrected label maps.")],
    by: Annotated[str, typer.Option(help="Who corrected them: letters and digits.")],
    own: Annotated[
        list[str] | None,
        typer.Option(
            help="Case that resembles another, or its proposal once moved or mirrored, more, and yet is right: "
            "of these, left and right alone are checked; several times."
        ),
    ] = None,
    test: TestOption = False,
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
) -> None:
    """Take corrected label maps back; each is checked, and accepted or refused with its reason."""
    with errors("return"):
        opened = open_project(project)
        with opened.locked():
            number = last_round(opened, round_number, test=test)
            found = []
            for each in return_labels(opened, number, folder, by, own or ()):
                found.append(each)
                print(f"{each.case}: {(each.reason and f'refused: {each.reason}') or 'accepted'}")
    if not found:
        print("every proposal came back unchanged: these cases stay open")
    refused = sum(not each.is_accepted for each in found)
    print(
        f"{_where(number)}: {len(found) - refused} accepted, {refused} refused: {opened.returned(number)}/returned.csv"
    )
    if refused:
        sys.exit(1)


@retrain_command.command("propagate")
def propagate_step(
    sequence: Annotated[ScanSequence, typer.Argument(help="Sequence of the same session.")],
    round_number: RoundOption = None,
    project: ProjectOption = PROJECT,
) -> None:
    """Bring corrected label maps onto the images of another sequence, by what the headers say."""
    with errors("propagate"):
        opened = open_project(project)
        with opened.locked():
            number = last_round(opened, round_number)
            found = list(propagate_labels(opened, number, sequence))
    for each in found:
        if each.reason:
            print(f"{each.case}: left out: {each.reason}")
    print(f"{_where(number)}: {sum(not each.reason for each in found)} label maps propagated to {sequence}")


@retrain_command.command("dataset")
def dataset_step(round_number: RoundOption = None, project: ProjectOption = PROJECT) -> None:
    """Write nnU-Net's raw data of a round: all corrected cases up to it, folds by participant, test cases apart."""
    with errors("dataset"):
        opened = open_project(project)
        with opened.locked():
            number = last_round(opened, round_number, test=False)
            found = write_dataset(opened, number)
    print(
        f"{found.folder}: {found.training} training cases of {found.participants} participants, {found.test} test cases"
    )
    for correction, voxels in found.changed.items():
        print(f"{correction}: {voxels} voxels changed")


@retrain_command.command("withdraw")
def withdraw_step(project: ProjectOption = PROJECT) -> None:
    """Remove all files and ids of participants on the run's list of withdrawn participants."""
    with errors("withdraw"):
        opened = open_project(project)
        with opened.locked():
            found = forget_withdrawn(opened)
    print(f"{len(found.cases)} cases removed, {found.files} files")
    if found.networks:
        print(f"networks that have learnt from them: {', '.join(found.networks)}: remove, plan and train them again")


retrain_command.command("plan")(plan_step)
retrain_command.command("train", context_settings={"allow_extra_args": True})(train_step)
retrain_command.command("import")(import_step)
retrain_command.command("evaluate")(evaluate_step)


@retrain_command.command("status")
def status_step(project: ProjectOption = PROJECT) -> None:
    """Show rounds and sets, and which cases are open."""
    with errors("status"):
        print("\n".join(describe(open_project(project))))


def _harmonise(fill_holes: list[str] | None, gaps: list[str] | None, *, drop_outside_body: bool) -> dict[str, Any]:
    pairs = [gap.split(":") for gap in gaps or ()]
    if any(len(pair) != 2 for pair in pairs):
        raise RetrainingError("--close-gap takes two structures, as liver:stomach")
    return {"fill_holes": fill_holes or (), "close_gaps": pairs, "drop_outside_body": drop_outside_body}


def _number(project: Project, asked: int | None, *, test: bool) -> int:
    """Round that scans are selected for."""
    refuse_round_of_test(asked, test=test)
    return TEST_ROUND if test else asked or current_round(read_ledger(project.ledger))


def _where(number: int) -> str:
    return "test cases" if number == TEST_ROUND else f"round {number}"
