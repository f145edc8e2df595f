"""Write the report, one HTML page."""

import sys

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.models.load import load_models
from dixonflow.models.runnable import models_for, sequences_of
from dixonflow.paths import Results
from dixonflow.report.page import ReportOptions, write_report
from dixonflow.tables.wide import wide_tables


def report_command(config: ConfigOption = CONFIG) -> None:
    """Write results/report/report.html from results/tables/."""
    start_logging()
    try:
        settings = read_config(config)
        results = Results(settings.results)
        models = load_models(settings)
        weights = {f"weights of {model.name} (SHA-256)": model.weights_hash for model in models}
        of_sequences = [models_for(each, models, settings) for each in sequences_of(settings)]
        wide = [each.table.name for used in of_sequences for each in wide_tables(used)]
        options = ReportOptions(structures=of_sequences[0][0].structures, wide=wide, versions=weights)
        write_report(results.tables, results.contact_sheets, results.report / "report.html", options)
    except DixonflowError as error:
        sys.exit(f"report: {error}")
