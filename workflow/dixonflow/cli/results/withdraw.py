"""`dixonflow withdraw`: take participants who withdraw out of all results."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, file_error, start_logging
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.withdrawn import check_zeros, read_withdrawn
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.paths import Results
from dixonflow.privacy.cohort_list import add_to_list, read_cohort_list
from dixonflow.privacy.withdrawal import withdraw, write_certificate
from dixonflow.run.lock import RunLock, read_run


def withdraw_command(
    cohort_list: Annotated[
        Path | None,
        typer.Option("--list", help="List that the cohort sent: one id a line. Without it, the list in force counts."),
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Remove images, pictures, records, logs, exports and rows of withdrawn participants; no scan is computed again.

    The ids are added to the list that cohort.withdrawn names. Call it while no run is active; then run the workflow,
    which rebuilds the tables and the report without them. What was removed, and what stays, is in a certificate.
    """
    start_logging()
    try:
        settings = read_config(config)
        listed, results = settings.cohort.withdrawn, settings.paths
        if listed is None:
            raise ConfigError("name a file in cohort.withdrawn first: it keeps the participants out of every later run")
        ids, negative = read_cohort_list(cohort_list) if cohort_list else ([], 0)
        known = {entry.scan.participant for shard in read_shards(results.shards) for entry in shard.scans}
        check_zeros(ids, known)
        RunLock(results).take()
        added = add_to_list(listed, ids)
        certificate = withdraw(results, read_withdrawn(listed), _project(results), listed)
        path = write_certificate(results, certificate)
    except DixonflowError as error:
        sys.exit(f"withdraw: {error}")
    except OSError as error:
        sys.exit(f"withdraw: {file_error(error)}; call the same command again")
    removed = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in sorted(certificate.removed.items()))
    print(f"{added} ids added to {listed}" + (f"; {negative} negative ids have no data" if negative else ""))
    print(f"removed: {removed or 'nothing'}")
    print(f"certificate: {path}")
    if certificate.left:
        sys.exit(f"withdraw: {len(certificate.left)} files still hold an id: the certificate names them")


def _project(results: Results) -> Path:
    """Folder in which the workflow was called last; this one where there was no call."""
    run = read_run(results)
    folder = Path(run.folder) if run is not None else Path.cwd()
    return folder if folder.is_dir() else Path.cwd()
