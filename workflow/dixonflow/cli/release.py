"""`dixonflow release`: what may leave a protected environment, and citable versions of the tables."""

import csv
import hashlib
import io
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dixonflow.aggregate.build import read_scans
from dixonflow.analyse.disclosure import LIMIT
from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.config import Config, read_config
from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.export.frozen import Described, pack_release
from dixonflow.export.source import read_bridge
from dixonflow.models.load import load_models
from dixonflow.models.runnable import models_for, sequences_of
from dixonflow.paths import Results
from dixonflow.privacy.cohort_list import read_cohort_list
from dixonflow.privacy.egress import check_release
from dixonflow.privacy.known_people import known_people
from dixonflow.report.methods import methods_of
from dixonflow.system.atomic import write_bytes
from dixonflow.system.versions import versions
from dixonflow.tables import SCHEMA_VERSION


def release_command(
    folder: Annotated[Path | None, typer.Argument(help="Folder that is to leave, with aggregates alone.")] = None,
    ids: Annotated[
        Path | None, typer.Option(help="Further ids to look for, one per line, such as those of other applications.")
    ] = None,
    limit: Annotated[int, typer.Option(min=2, help="Smallest count that may leave.")] = LIMIT,
    pack: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Pack the tables as a citable version, for use inside.")
    ] = None,
    bridge: Annotated[
        Path | None, typer.Option(help="With --pack: file of two columns, our ids and those to write instead.")
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Check that a folder holds nothing of a single participant, or pack a version of the tables.

    Nothing in the folder is changed. If all of it may leave, a list of its files with checksums is kept in the results.
    """
    start_logging()
    try:
        if (folder is None) == (pack is None):
            raise ConfigError("name the folder that is to leave, or a version with --pack")
        settings = read_config(config)
        if pack is not None:
            target = pack_release(settings.paths, pack, _described(settings), read_bridge(bridge) if bridge else None)
            print(f"release: {target}; sha256sum -c SHA256SUMS checks it")
            return
        assert folder is not None
        if bridge is not None:
            raise ConfigError("--bridge goes with --pack")
        _check(folder, ids, limit, settings)
    except DixonflowError as error:
        sys.exit(f"release: {error}")
    except OSError as error:
        sys.exit(f"release: {error.filename}: {error.strerror}")


def _check(folder: Path, ids: Path | None, limit: int, settings: Config) -> None:
    listed = settings.cohort.withdrawn
    withdrawn = read_withdrawn(listed) if listed else frozenset()
    further = read_cohort_list(ids)[0] if ids else []
    people = known_people(settings.paths, withdrawn, further)
    files, findings = check_release(folder, people, limit)
    if findings:
        for finding in findings:
            print(f"{finding.path}: {finding.problem}")
        wrong = len({finding.path for finding in findings})
        sys.exit(f"release: {wrong} of {len(files)} files must not leave")
    receipt = _write_receipt(settings.paths, folder, files)
    print(f"release: nothing was found in {len(files)} files; list with checksums: {receipt}")


def _write_receipt(results: Results, folder: Path, files: list[Path]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "bytes", "sha256"])
    for path in files:
        data = path.read_bytes()
        writer.writerow([path.relative_to(folder).as_posix(), len(data), hashlib.sha256(data).hexdigest()])
    content = text.getvalue().encode()
    digest = hashlib.sha256(content).hexdigest()[:8]
    receipt = results.root / "egress" / f"{datetime.now(UTC):%Y-%m-%d}_{digest}.csv"
    write_bytes(receipt, content)
    return receipt


def _described(settings: Config) -> Described:
    scans = read_scans(settings.paths.scan_table)
    models = load_models(settings)
    of_sequence = {each: models_for(each, models, settings) for each in sequences_of(settings)}
    methods = methods_of(scans, settings, of_sequence, versions())
    counts = Counter(zip(scans["status"].astype(str), scans["reason"].astype(str), strict=True))
    provenance: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "versions": versions(),
        "models": [
            {"name": each.name, "title": each.title, "sha256": each.weights_hash, "licence": each.licence}
            for each in models
        ],
        "scans": [{"status": status, "reason": reason, "n": n} for (status, reason), n in sorted(counts.items())],
        "configuration": settings.model_dump(mode="json"),
    }
    return Described(provenance, "\n\n".join(["# Methods", *methods.paragraphs]) + "\n", methods.bibtex)
