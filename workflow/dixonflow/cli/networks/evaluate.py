"""`dixonflow evaluate`: label maps of a run, or of other systems, against reference masks."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dixonflow.analyse.covariates.match import COVARIATE_TABLE, covariates
from dixonflow.cli.options import CONFIG, ConfigOption, file_error, start_logging
from dixonflow.config import read_config
from dixonflow.config.cohort import CovariatesConfig
from dixonflow.errors import DixonflowError
from dixonflow.evaluation.masks.all_cases import evaluate_all
from dixonflow.evaluation.masks.case_files import FoundCase, find_cases
from dixonflow.evaluation.masks.case_table import has_predictions, is_case_table, read_case_table
from dixonflow.evaluation.masks.class_subsets import class_subset
from dixonflow.evaluation.masks.mapping_files import VOCABULARY, named_mapping
from dixonflow.evaluation.masks.pictures import draw_cases
from dixonflow.evaluation.masks.preparation import Options
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.systems import RunSystem, System, open_system
from dixonflow.evaluation.masks.write import check_folder, headline, write_all
from dixonflow.evaluation.outputs.box_plots import MOST_SYSTEMS
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import to_pandas


def evaluate_command(
    reference: Annotated[
        Path, typer.Argument(help="Folder of reference label maps, or a table of cases (.csv, .tsv, .parquet).")
    ],
    mapping: Annotated[
        str,
        typer.Option(
            help="What the labels of the reference mean: amos13, amos15, btcv13, chaosmr, kartukbb, kartgnc, a model "
            "such as totalsegmentatormr, vocabulary (names of files are structures), or your own .csv."
        ),
    ] = VOCABULARY,
    predictions: Annotated[
        str | None,
        typer.Option(
            help="Predictions: a folder, a table of cases, or the configuration or results folder of a run. Default: "
            "the table, where the reference is one with predictions; else the run of --config. NAME=PATH names them."
        ),
    ] = None,
    prediction_mapping: Annotated[
        str | None,
        typer.Option(help="What their labels mean, as --mapping; of a run the model. Default: the run's first model."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another run or system on the same cases, as --predictions; repeat it for several."),
    ] = None,
    against_mapping: Annotated[
        list[str] | None,
        typer.Option(help="What its labels mean, as --prediction-mapping; once for each --against, in their order."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the evaluation. Default: that of the reference.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder. Default: evaluation/<name> in the results folder.")
    ] = None,
    erode: Annotated[bool, typer.Option("--erode", help="Take the outermost voxels off every structure.")] = False,
    without_arms_and_legs: Annotated[
        bool, typer.Option("--without-arms-and-legs", help="Compare within the trunk.")
    ] = False,
    crop_mm: Annotated[
        float | None, typer.Option(min=0, help="Compare within this distance around the reference's labels (mm).")
    ] = None,
    join_lobes: Annotated[bool, typer.Option("--join-lobes", help="Compare lungs, not their lobes.")] = False,
    classes: Annotated[
        str | None, typer.Option(help="Set of structures: 40, 32, 24, 13, or a text file with one in each line.")
    ] = None,
    tolerance_mm: Annotated[float, typer.Option(help="Tolerance of the normalised surface distance (mm).")] = 3.0,
    no_surfaces: Annotated[
        bool, typer.Option("--no-surfaces", help="Leave out surface distances, which take most of the time.")
    ] = False,
    covariate_file: Annotated[
        Path | None, typer.Option("--covariates", help="File of sex and age. Default: the covariates of the run.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, help="Worst and best cases to draw of each structure.")] = 2,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    config: ConfigOption = CONFIG,
) -> None:
    """Compare predicted label maps with reference masks, structure by structure.

    Writes Dice, normalised surface distance, Hausdorff distance, volumes and components of every case and structure,
    their statistics, a table, box plots and pictures, and lists every case and structure that was not compared.
    """
    start_logging()
    try:
        options = Options(
            tolerance_mm=_finite("--tolerance-mm", tolerance_mm, above=0),
            surfaces=not no_surfaces,
            erode=erode,
            without_arms_and_legs=without_arms_and_legs,
            crop_mm=None if crop_mm is None else _finite("--crop-mm", crop_mm),
            join_lobes=join_lobes,
            classes=None if classes is None else class_subset(classes),
        )
        if name is not None and (Path(name).name != name or name == ".."):
            raise EvaluationError("--name is the name of a folder, not a path: --output takes one")
        known = named_mapping(mapping)
        cases = (
            read_case_table(reference, "reference", known) if is_case_table(reference) else find_cases(reference, known)
        )
        others = _paired(against or [], against_mapping or [])
        if predictions is None:
            predictions = str(reference if has_predictions(reference) else config)
        sources = [(predictions, prediction_mapping), *others]
        if len(sources) > MOST_SYSTEMS:
            raise EvaluationError(f"a figure shows {MOST_SYSTEMS} systems at most: give fewer of --against")
        systems = [_opened(*each) for each in sources]
        target = output or _results(config) / "evaluation" / (name or reference.resolve().stem)
        target.mkdir(parents=True, exist_ok=True)  # before hours of work, not after them
        check_folder(target)
        people = _covariates(cases, covariate_file, systems)
        evaluation = evaluate_all(cases, systems, options, jobs=jobs, progress=_progress)
        settings: dict[str, Any] = {
            "reference": {"mapping": known.name, "source": known.source},
            "systems": [
                {"name": each.name, "mapping": each.model.name if isinstance(each, RunSystem) else of or VOCABULARY}
                for each, (_, of) in zip(systems, sources, strict=True)
            ],
            "options": vars(options) | {"classes": classes},
        }
        drawn = draw_cases(evaluation.rows, cases, systems, pictures, jobs)
        written = write_all(target, evaluation, settings, covariates=people, pictures=drawn)
    except DixonflowError as error:
        sys.exit(f"evaluate: {error}")
    except OSError as error:
        sys.exit(f"evaluate: {file_error(error)}")
    print("\n".join([evaluation.counts(), *headline(evaluation, [system.name for system in systems])]))
    for warning in evaluation.warnings():
        print(f"evaluate: {warning}", file=sys.stderr)
    print(f"{len(written)} files in {target}")


def _finite(option: str, value: float, above: float = -1) -> float:
    if not above < value < float("inf"):
        raise EvaluationError(f"{option} must be a positive number")
    return value


def _paired(sources: Sequence[str], mappings: Sequence[str]) -> list[tuple[str, str | None]]:
    if mappings and len(mappings) != len(sources):
        raise EvaluationError(
            f"--against is given {len(sources)} times and --against-mapping {len(mappings)} times: give one for each"
        )
    named: Sequence[str | None] = mappings or [None] * len(sources)
    return list(zip(sources, named, strict=True))


def _opened(source: str, mapping: str | None) -> System:
    """Find predictions; NAME=PATH names them, unless a path of that spelling exists."""
    name, equals, path = source.partition("=")
    if not equals or Path(source).exists():
        return open_system(Path(source), mapping)
    if not name or not path:
        raise EvaluationError(f"{source}: give NAME=PATH")
    return open_system(Path(path), mapping, name)


def _results(config: Path) -> Path:
    """Results folder of the run, or the default one where there is no configuration."""
    return read_config(config).results if config != CONFIG or config.exists() else Path("results")


def _covariates(cases: Sequence[FoundCase], file: Path | None, systems: Sequence[System]) -> pd.DataFrame | None:
    """Sex and age of the participants, from a file or the table of a run."""
    if file is not None:
        scans = pd.DataFrame(
            [(case.participant, case.session) for case in cases], columns=["participant_id", "session_id"]
        )
        found = covariates(CovariatesConfig(file=file), scans, ()).rows
        if found.empty:
            raise EvaluationError(f"{file} has no values of any participant of the reference: are the ids the same?")
        return found
    for system in systems:
        if isinstance(system, RunSystem):
            path = system.results.tables / f"{COVARIATE_TABLE.name}.parquet"
            if path.is_file():
                return to_pandas(read_table(path, COVARIATE_TABLE))
    return None


def _progress(done: int, total: int) -> None:
    """Say how far it is, at every tenth."""
    tenth = 10 * done // total
    if tenth > 10 * (done - 1) // total:
        print(f"evaluate: {10 * tenth} % ({done} of {total} cases)", file=sys.stderr, flush=True)
