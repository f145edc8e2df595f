"""`dixonflow release`: what may leave a protected environment, and citable versions of the tables."""

import csv
import hashlib
import io
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dixonflow.aggregate.build import read_scans
from dixonflow.analyse.disclosure import LIMIT
from dixonflow.analyse.shareable import shareable
from dixonflow.cli.options import CONFIG, ConfigOption, file_error, start_logging
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.config import Config, read_config
from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.export.frozen import Described, pack_release
from dixonflow.export.source import read_bridge
from dixonflow.models.load import load_models
from dixonflow.models.runnable import models_by_sequence
from dixonflow.paths import Results
from dixonflow.privacy.cohort_list import read_cohort_list
from dixonflow.privacy.egress import CheckedFile, check_release
from dixonflow.privacy.known_people import known_people
from dixonflow.report.methods import methods_of
from dixonflow.run.lock import RunLock
from dixonflow.system.atomic import write_bytes
from dixonflow.system.versions import versions
from dixonflow.tables import SCHEMA_VERSION


def release_command(
    folder: Annotated[Path | None, typer.Argument(help="Folder that is to leave, with aggregates alone.")] = None,
    ids: Annotated[
        Path | None, typer.Option(help="Further ids to look for, one per line, such as those of other applications.")
    ] = None,
    seen: Annotated[
        Path | None,
        typer.Option(help="Files that somebody has looked at, such as own figures: what sha256sum prints of them."),
    ] = None,
    analyses: Annotated[
        Path | None, typer.Option(help="Folder of the studies; by default that of the run in the configuration.")
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
            RunLock(settings.paths).take()
            other_ids = read_bridge(bridge) if bridge else None
            target = pack_release(settings.paths, pack, _described(settings), _withdrawn(settings), other_ids)
            print(f"release: {target}; sha256sum -c SHA256SUMS checks it")
            return
        assert folder is not None
        if bridge is not None:
            raise ConfigError("--bridge goes with --pack")
        known = shareable(analyses or settings.paths.root / "analyses") | (_digests(seen) if seen else frozenset())
        _check(folder, ids, limit, settings, known)
    except DixonflowError as error:
        sys.exit(f"release: {error}")
    except OSError as error:
        sys.exit(f"release: {file_error(error)}")


def _check(folder: Path, ids: Path | None, limit: int, settings: Config, known: frozenset[str]) -> None:
    further = read_cohort_list(ids)[0] if ids else []
    people = known_people(settings.paths, _withdrawn(settings), further)
    files, objections = check_release(folder, people, limit, known)
    if objections:
        for each in objections:
            print(f"{each.path}: {each.problem}")
        sys.exit(f"release: {len({each.path for each in objections})} files must not leave")
    receipt = _write_receipt(settings.paths, files)
    print(f"release: nothing was found in {len(files)} files; list with checksums: {receipt}")


def _withdrawn(settings: Config) -> frozenset[str]:
    listed = settings.cohort.withdrawn
    return read_withdrawn(listed) if listed else frozenset()


def _digests(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8, as sha256sum writes it") from error
    words = [line.split(maxsplit=1)[0].lower() for line in lines if line.strip()]
    if wrong := [number for number, word in enumerate(words, 1) if not re.fullmatch("[0-9a-f]{64}", word)]:
        raise ConfigError(f"{path}, line {wrong[0]}: not a line of sha256sum")
    return frozenset(words)


def _write_receipt(results: Results, files: list[CheckedFile]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "bytes", "sha256"])
    writer.writerows((each.path, each.bytes, each.sha256) for each in files)
    content = text.getvalue().encode()
    digest = hashlib.sha256(content).hexdigest()[:8]
    receipt = results.root / "egress" / f"{datetime.now(UTC):%Y-%m-%d}_{digest}.csv"
    write_bytes(receipt, content)
    return receipt


def _described(settings: Config) -> Described:
    scans = read_scans(settings.paths.scan_table)
    models = load_models(settings)
    of_sequence = models_by_sequence(models, settings)
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
