"""`dixonflow analyse`: studies of the tables of a run."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.measure.definitions import MEASURES
from dixonflow.system.atomic import write_bytes


class StudyName(StrEnum):
    """The studies."""

    AGEING = "ageing"
    LOSS = "loss"
    CENTILES = "centiles"
    INDICES = "indices"
    CHANGE = "change"
    VESSELS = "vessels"
    ALL = "all"


@dataclass(frozen=True)
class Options:
    """What the studies are asked for, beyond the tables."""

    measures: tuple[str, ...]
    with_review: bool
    by_sex: bool
    adjust_height: bool
    mixed_models: bool
    reference: Path | None
    repeatability: Path | None


def analyse_command(
    study: Annotated[StudyName, typer.Argument(help="The study.")],
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the tables; by default that of the run in the configuration.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default analyses/<study> next to the tables.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(help="Measure to look at; may be given several times."),
    ] = None,
    with_review: Annotated[
        bool, typer.Option("--with-review", help="Use values that a person should look at first, too.")
    ] = False,
    by_sex: Annotated[bool, typer.Option("--by-sex", help="Women and men apart, too.")] = False,
    adjust_height: Annotated[bool, typer.Option("--adjust-height", help="Adjust for height and sex.")] = False,
    mixed_models: Annotated[
        bool, typer.Option("--mixed-models", help="Use all scans of a participant, in mixed models.")
    ] = False,
    reference: Annotated[
        Path | None, typer.Option(help="centiles: file of another cohort to apply, instead of fitting to this one.")
    ] = None,
    repeatability: Annotated[
        Path | None,
        typer.Option(help="change: CSV with structure, measure, unit, sd_within; by default that of the phantom."),
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Run a study on the tables: Parquet tables and figures for a paper.

    A value that failed a check, is cut or should be looked at is not used; what is left out is counted by reason.
    """
    start_logging()
    options = Options(tuple(measure or ()), with_review, by_sex, adjust_height, mixed_models, reference, repeatability)
    try:
        folder = tables or read_config(config).paths.tables
        if study is StudyName.ALL:
            print(f"analyses  {_all(folder, output or folder.parent / 'analyses', options)}")
            return
        target = output or folder.parent / "analyses" / study.value
        written = _STUDIES[study](folder, target, options)
    except DixonflowError as error:
        sys.exit(f"analyse: {error}")
    except OSError as error:
        sys.exit(f"analyse: {error.filename} cannot be written: {error.strerror}")
    print(f"{study.value}: {len(written)} files in {target}")


def _ageing(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.ageing import study_ageing  # noqa: PLC0415 - statsmodels takes seconds
    from dixonflow.analyse.figures.ageing_figures import write_figures  # noqa: PLC0415
    from dixonflow.analyse.study_data import STUDIED, check_measures, read_study_data  # noqa: PLC0415

    check_measures(options.measures, MEASURES)
    data = read_study_data(tables, options.measures or STUDIED, with_review=options.with_review)
    study = study_ageing(
        data,
        by_sex=options.by_sex,
        adjust_for=("sex", "height_cm") if options.adjust_height else (),
        mixed_models=options.mixed_models,
    )
    parts = {
        "correlations": study.correlations,
        "quartiles": study.quartiles,
        "pairs": study.pairs,
        "losses": study.losses,
    }
    if options.mixed_models:
        parts["repeats"] = study.repeats
    written = [write_study_table(rows, target / f"{name}.parquet") for name, rows in parts.items()]
    return [*written, *write_figures(study, target)]


def _loss(tables: Path, target: Path, _options: Options) -> list[Path]:
    from dixonflow.analyse.figures.loss_figure import write_flow  # noqa: PLC0415
    from dixonflow.analyse.loss import study_loss  # noqa: PLC0415

    study = study_loss(tables)
    parts = {"flow": study.flow, "groups": study.groups, "tests": study.tests}
    written = [write_study_table(rows, target / f"{name}.parquet") for name, rows in parts.items()]
    return [*written, *write_flow(study.flow, target)]


def _centiles(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.centile_file import read_centiles, write_centiles  # noqa: PLC0415
    from dixonflow.analyse.centiles import apply_centiles, centile_rows, fit_centiles  # noqa: PLC0415
    from dixonflow.analyse.figures.centile_figures import write_charts  # noqa: PLC0415
    from dixonflow.analyse.study_data import STUDIED, check_measures, read_study_data  # noqa: PLC0415

    check_measures(options.measures, MEASURES)
    data = read_study_data(tables, options.measures or STUDIED, with_review=options.with_review)
    written = []
    if options.reference is None:
        curves = fit_centiles(data)
        write_centiles(target / "centiles.json", curves)
        written = [
            target / "centiles.json",
            write_study_table(centile_rows(curves), target / "centiles.parquet"),
            *write_charts(curves, target),
        ]
    else:
        curves = read_centiles(options.reference)
    return [*written, write_study_table(apply_centiles(curves, data), target / "z_scores.parquet")]


def _indices(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.indices import (  # noqa: PLC0415
        MEASURES_OF_INDICES,
        definition_rows,
        index_rows,
        ukb_rows,
    )
    from dixonflow.analyse.study_data import first_model, read_study_data  # noqa: PLC0415

    data = read_study_data(tables, MEASURES_OF_INDICES, with_review=options.with_review, needs_covariates=False)
    rows = index_rows(data, first_model(tables))
    parts = {"indices": rows, "ukb_fields": ukb_rows(rows), "definitions": definition_rows()}
    return [write_study_table(part, target / f"{name}.parquet") for name, part in parts.items()]


def _change(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.change import (  # noqa: PLC0415
        phantom_repeatability,
        read_repeatability,
        study_change,
    )
    from dixonflow.analyse.study_data import STUDIED, check_measures, read_study_data  # noqa: PLC0415

    check_measures(options.measures, MEASURES)
    errors = read_repeatability(options.repeatability) if options.repeatability else phantom_repeatability()
    data = read_study_data(tables, options.measures or STUDIED, with_review=options.with_review, needs_covariates=False)
    study = study_change(data, errors)
    parts = {"changes": study.changes, "summary": study.summary, "repeatability": errors}
    return [write_study_table(rows, target / f"{name}.parquet") for name, rows in parts.items()]


def _vessels(tables: Path, target: Path, _options: Options) -> list[Path]:
    from dixonflow.analyse.study_data import read_study_data  # noqa: PLC0415
    from dixonflow.analyse.vessels import vessel_consistency  # noqa: PLC0415

    # what was found in pieces is what this is about, whatever a check says of it
    data = read_study_data(tables, ("components",), with_review=True, needs_covariates=False)
    return [write_study_table(vessel_consistency(data), target / "consistency.parquet")]


def _all(tables: Path, target: Path, options: Options) -> Path:
    """Run every study that the tables allow, and write the page of all."""
    from dixonflow.analyse.page import Finished, write_page  # noqa: PLC0415

    finished = []
    for study, (title, text) in _TITLES.items():
        try:
            written, problem = _STUDIES[study](tables, target / study.value, options), ""
        except DixonflowError as error:
            written, problem = [], str(error)
        finished.append(Finished(study.value, title, text, written, problem))
    return write_page(target, finished)


_TITLES = {
    StudyName.LOSS: (
        "Who was lost",
        "Scans from the raw folders to those that are analysed, with the reasons, and whom they lose.",
    ),
    StudyName.INDICES: (
        "Body composition",
        "Compartments between landmarks, ratios and height-normalised indices, of values that passed.",
    ),
    StudyName.AGEING: (
        "Ageing",
        "Spearman's correlation of every quantity with age, largest first, and medians by quartile of age. Quantities "
        "with fewer than 20 values are left out.",
    ),
    StudyName.CENTILES: (
        "Reference centiles",
        "Centiles by age, sex and height, of quantities with 200 values and more of a sex.",
    ),
    StudyName.VESSELS: (
        "Vessels",
        "Share of the images with a vessel in which it is one piece, before surplus pieces are removed.",
    ),
    StudyName.CHANGE: (
        "Change between visits",
        "From one visit to the next, next to the measurement error of repeated scans of the phantom. Means need 10 "
        "pairs.",
    ),
}


def write_study_table(rows: pd.DataFrame, path: Path) -> Path:
    """Write a table of a study as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, rows.to_parquet(index=False, compression="zstd"))
    return path


_STUDIES: dict[StudyName, Callable[[Path, Path, Options], list[Path]]] = {
    StudyName.AGEING: _ageing,
    StudyName.LOSS: _loss,
    StudyName.CENTILES: _centiles,
    StudyName.INDICES: _indices,
    StudyName.CHANGE: _change,
    StudyName.VESSELS: _vessels,
}
