"""`dixonflow analyse`: studies of the tables of a run."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dixonflow.analyse.shareable import record_shareable
from dixonflow.cli.options import CONFIG, ConfigOption, file_error, start_logging
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError
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

    measure: tuple[str, ...]
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
        _check_options(study, options)
        folder = tables or read_config(config).paths.tables
        if study is StudyName.ALL:
            print(f"analyses  {_all(folder, output or folder.parent / 'analyses', options)}")
            return
        target = output or folder.parent / "analyses" / study.value
        written = _STUDIES[study](folder, target, options)
        record_shareable(target, written)
    except DixonflowError as error:
        sys.exit(f"analyse: {error}")
    except OSError as error:
        sys.exit(f"analyse: {file_error(error)}")
    print(f"{study.value}: {len(written)} files in {target}")


def _check_options(study: StudyName, options: Options) -> None:
    """Raise ConfigError for an option that the study would not heed."""
    for field in fields(options):
        takers = _TAKERS[field.name]
        if getattr(options, field.name) and study not in (*takers, StudyName.ALL):
            raise ConfigError(f"--{field.name.replace('_', '-')} is an option of {', '.join(takers)} alone")


_OF_VALUES = (StudyName.AGEING, StudyName.CENTILES, StudyName.CHANGE)
_TAKERS: dict[str, tuple[StudyName, ...]] = {
    "measure": _OF_VALUES,
    "with_review": (*_OF_VALUES, StudyName.INDICES),
    "by_sex": (StudyName.AGEING,),
    "adjust_height": (StudyName.AGEING,),
    "mixed_models": (StudyName.AGEING,),
    "reference": (StudyName.CENTILES,),
    "repeatability": (StudyName.CHANGE,),
}
"""Studies that heed an option."""


def _ageing(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.ageing import study_ageing  # noqa: PLC0415 - statsmodels takes seconds
    from dixonflow.analyse.figures.ageing_figures import write_figures  # noqa: PLC0415
    from dixonflow.analyse.study_data import STUDIED, read_study_data  # noqa: PLC0415

    data = read_study_data(tables, options.measure or STUDIED, with_review=options.with_review)
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
    return [*_write(target, parts), *write_figures(study, target)]


def _loss(tables: Path, target: Path, _options: Options) -> list[Path]:
    from dixonflow.analyse.figures.loss_figure import write_flow  # noqa: PLC0415
    from dixonflow.analyse.loss import study_loss  # noqa: PLC0415

    study = study_loss(tables)
    parts = {"flow": study.flow, "groups": study.groups, "tests": study.tests}
    if study.values is not None:
        parts["values"] = study.values
    written = _write(target, parts)
    return [*written, *write_flow(study.flow, study.values, target)]


def _centiles(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.centile_file import read_centiles, write_centiles  # noqa: PLC0415
    from dixonflow.analyse.centile_scores import (  # noqa: PLC0415
        apply_centiles,
        apply_losses,
        centile_rows,
        check_fit_together,
    )
    from dixonflow.analyse.centiles import fit_centiles, fit_losses  # noqa: PLC0415
    from dixonflow.analyse.figures.centile_figures import write_charts  # noqa: PLC0415
    from dixonflow.analyse.study_data import STUDIED, read_study_data  # noqa: PLC0415

    data = read_study_data(tables, options.measure or STUDIED, with_review=options.with_review)
    if options.reference is None:
        curves = fit_centiles(data)
        file = target / "centiles.json"
        write_centiles(file, curves)
        written = [file, *_write(target, {"centiles": centile_rows(curves)}), *write_charts(curves, target)]
        scores, losses = apply_centiles(curves, data), fit_losses(data)
    else:
        curves, written = read_centiles(options.reference), []
        check_fit_together(curves, data)
        scores = apply_centiles(curves, data)
        losses = apply_losses(data, scores)
    return [*written, *_write(target, {"z_scores": scores, "losses": losses})]


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
    parts = {"indices": rows, "ukb_fields": ukb_rows(rows), "definitions": definition_rows(), "losses": data.losses}
    return _write(target, parts)


def _change(tables: Path, target: Path, options: Options) -> list[Path]:
    from dixonflow.analyse.change import ERROR_COLUMNS, check_units, read_repeatability, study_change  # noqa: PLC0415
    from dixonflow.analyse.study_data import STUDIED, read_study_data  # noqa: PLC0415
    from dixonflow.evaluation.repeatability import phantom_repeatability  # noqa: PLC0415

    errors = read_repeatability(options.repeatability) if options.repeatability else phantom_repeatability()
    data = read_study_data(tables, options.measure or STUDIED, with_review=options.with_review, needs_covariates=False)
    if options.repeatability:
        check_units(errors, data)
    study = study_change(data, errors)
    parts = {
        "changes": study.changes,
        "summary": study.summary,
        "repeatability": errors[list(ERROR_COLUMNS)],
        "losses": data.losses,
    }
    return _write(target, parts)


def _vessels(tables: Path, target: Path, _options: Options) -> list[Path]:
    from dixonflow.analyse.study_data import read_study_data  # noqa: PLC0415
    from dixonflow.analyse.vessels import MEASURES_OF_CONSISTENCY, vessel_consistency  # noqa: PLC0415

    data = read_study_data(tables, tuple(MEASURES_OF_CONSISTENCY), needs_covariates=False)
    return _write(target, {"consistency": vessel_consistency(data), "losses": data.losses})


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
    if not any(each.written for each in finished):
        raise ConfigError(f"no study could be done: {finished[0].problem}")
    page = write_page(target, finished)
    record_shareable(target, [page, *(path for each in finished for path in each.written)])
    return page


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
        "From the first to the last visit of each participant, next to the measurement error of repeated scans of the "
        "phantom. Means need 10 participants.",
    ),
}


def _write(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Write tables of a study as Parquet, by name."""
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, rows in tables.items():
        write_bytes(paths[name], rows.to_parquet(index=False, compression="zstd"))
    return list(paths.values())


_STUDIES: dict[StudyName, Callable[[Path, Path, Options], list[Path]]] = {
    StudyName.AGEING: _ageing,
    StudyName.LOSS: _loss,
    StudyName.CENTILES: _centiles,
    StudyName.INDICES: _indices,
    StudyName.CHANGE: _change,
    StudyName.VESSELS: _vessels,
}
