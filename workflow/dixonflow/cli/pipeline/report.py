"""Write the report, one HTML page."""

import sys
from functools import partial
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.models.load import load_models
from dixonflow.models.runnable import models_by_sequence
from dixonflow.report.close_ups import CloseUps
from dixonflow.report.methods import methods_of
from dixonflow.report.page import ReportOptions, write_report
from dixonflow.system.versions import versions
from dixonflow.tables.wide import wide_tables


def report_command(
    config: ConfigOption = CONFIG,
    without_ids: Annotated[
        bool, typer.Option("--without-ids", help="Write report_without_ids.html, which names no participant.")
    ] = False,
) -> None:
    """Write results/report/report.html from results/tables/."""
    start_logging()
    try:
        settings = read_config(config)
        results = settings.paths
        models = load_models(settings)
        weights = {f"weights of {model.name} (SHA-256)": model.weights_hash for model in models}
        of_sequence = models_by_sequence(models, settings)
        wide = [each.table.name for used in of_sequence.values() for each in wide_tables(used)]
        first = next(iter(of_sequence.values()))[0]
        methods = partial(methods_of, config=settings, models=of_sequence, versions=versions())
        options = ReportOptions(
            structures=first.structures, wide=wide, versions=weights, methods=methods, with_ids=not without_ids
        )
        output = results.report / ("report_without_ids.html" if without_ids else "report.html")
        close_ups = CloseUps(results, of_sequence)
        write_report(results.tables, results.contact_sheets, output, options, close_ups)
    except DixonflowError as error:
        sys.exit(f"report: {error}")
