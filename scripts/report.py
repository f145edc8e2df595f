#!/usr/bin/env python3
"""Show the tables as one HTML page."""

import sys

from dixonflow.command import CONFIG, ConfigOption, run, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.layout import Results
from dixonflow.model import load_model
from dixonflow.plan import MODELS
from dixonflow.report.page import ReportOptions, write_report


def main(config: ConfigOption = CONFIG) -> None:
    """Write results/report/report.html from results/tables/."""
    start_logging()
    try:
        settings = read_config(config)
        results = Results(settings.results)
        model = load_model(MODELS / f"{settings.segment.model}.yaml")
        options = ReportOptions(structures=model.structures, versions={"weights (SHA-256)": model.weights_hash})
        write_report(results.tables, results.contact_sheets, results.report / "report.html", options)
    except DixonflowError as error:
        sys.exit(f"report: {error}")


if __name__ == "__main__":
    run(main)
