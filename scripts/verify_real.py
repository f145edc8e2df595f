#!/usr/bin/env python
"""Run public real scans from raw data to tables, and say what differs from what is expected.

Needs the internet, and a model whose weights are imported (dixonflow import-model).
"""

import hashlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dixonflow.aggregate.build import read_scans
from dixonflow.cli.options import CONFIG, ConfigOption, run, weights_folder
from dixonflow.errors import DixonflowError, ModelError
from dixonflow.importing.download import download
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import ScanSequence

LIST = Path(__file__).with_name("real_data.json")
_PAGE_BYTES = 1 << 22


def address_of(item: dict[str, Any]) -> str:
    """Address of a file; where only a page is known that links to it, the first fitting link. Raises ModelError."""
    if "url" in item:
        return str(item["url"])
    page = item["page"]
    try:
        with urllib.request.urlopen(page, timeout=60) as answer:
            text = answer.read(_PAGE_BYTES).decode("utf-8", "replace")
    except (OSError, urllib.error.URLError) as error:
        raise ModelError(f"{page} cannot be read: {error}") from error
    found = re.search(item["link"], text)
    if found is None:
        raise ModelError(f"{page} has no link like {item['link']}: open it, and place the file by hand")
    return str(urllib.parse.urljoin(page, found[0]))


def fetched(item: dict[str, Any], folder: Path) -> Path:
    """Fetch a file to its place in a raw folder, unless it is there. Raises ModelError."""
    target = folder / "raw" / str(item["layout"]) / str(item["file"])
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        download(address_of(item), target)
    wanted = item.get("sha256")
    if wanted and hashlib.sha256(target.read_bytes()).hexdigest() != wanted:
        raise ModelError(f"{target} is not the file that was expected (SHA-256): remove it and try again")
    return target


def results_of(items: list[dict[str, Any]], folder: Path, model: str, weights: Path, cores: int) -> Results:
    """Run the workflow on all files. Raises ModelError."""
    sequences: dict[str, set[str]] = {}
    for item in items:
        sequences.setdefault(item["layout"], set()).add(item["expect"]["sequence"])
    sources = [
        {"layout": layout, "folder": str(folder / "raw" / layout), "sequences": sorted(wanted)}
        for layout, wanted in sequences.items()
    ]
    settings = {
        "results": str(folder / "results"),
        "cohort": {"sources": sources, "withdrawn": None, "covariates": None},
        "segment": {"models": [model], "consent": [model], "weights": str(weights.resolve())},
    }
    write_json(folder / "config.json", settings)
    log = folder / "snakemake.log"
    with log.open("a", encoding="utf-8") as file:
        command = ["snakemake", "--cores", str(cores), "--configfile", str(folder / "config.json")]
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if ended != 0:
        raise ModelError(f"the run failed: {log} says why")
    return Results(folder / "results")


def differences(item: dict[str, Any], path: Path, scans: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """What differs from the expectation, one line each."""
    of_file = scans[[str(path).startswith(source) for source in scans["source"]]]
    of_file = of_file[of_file["sequence"].eq(item["expect"]["sequence"])]
    if len(of_file) != 1:
        return [f"{len(of_file)} scans instead of one"]
    (scan,) = of_file.to_dict("records")
    if scan["status"] != "ok":
        return [f"{scan['status']} at stage {scan['last_stage']}, {scan['reason']}: {scan['message']}"]
    wanted = item["expect"].items()
    found = [f"{name} is {scan[name]}, not {value}" for name, value in wanted if scan[name] != value]
    keys = ["participant_id", "session_id", "sequence"]
    own = rows[rows[keys].eq([scan[key] for key in keys]).all(axis=1) & rows["measure"].eq("volume")]
    measured = own["value"].fillna(own["value_before_grade"])  # a value that failed a check was measured too
    return found if measured.gt(0).any() else [*found, "no structure was found"]


def main(
    model: Annotated[str, typer.Option(help="An imported model that takes all the scans.")] = "vibesegmentator100",
    data: Annotated[Path, typer.Option("--list", help="Which scans, and what is expected of them.")] = LIST,
    folder: Annotated[Path, typer.Option(help="Folder for the scans and the results.")] = Path("verified/real"),
    config: ConfigOption = CONFIG,
    cores: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Fetch public scans, run cohort to measure with an imported model, and print what differs from expectation."""
    failed = False
    try:
        weights = weights_folder(config)
        used = load_model(MODELS / f"{model}.yaml", weights)
        if not used.is_imported:
            raise ModelError(f"{model} is not imported: run dixonflow import-model {model}")
        items, paths = [], []
        for item in json.loads(data.read_text(encoding="utf-8")):
            if not used.takes(ScanSequence(item["expect"]["sequence"])):
                print(f"{item['name']}: left out, {model} does not take {item['expect']['sequence']}")
                continue
            try:
                paths.append(fetched(item, folder))
                items.append(item)
            except ModelError as error:
                failed = True
                print(f"{item['name']}: NOT FETCHED\n    {error}")
        if items:
            results = results_of(items, folder, model, weights, cores)
            scans, rows = read_scans(results.scan_table), pd.read_parquet(results.tables / "measurements.parquet")
            for item, path in zip(items, paths, strict=True):
                found = differences(item, path, scans, rows)
                failed |= bool(found)
                print("\n    ".join([f"{item['name']}: {'DIFFERENT' if found else 'as expected'}", *found]))
            print(f"tables and report: {results.root}")
    except DixonflowError as error:
        sys.exit(f"verify-real: {error}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
