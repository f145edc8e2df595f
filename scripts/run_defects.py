#!/usr/bin/env python3
"""Plant every kind of defect in phantom scans, run the workflow on each, and write the table of what became of them."""

import json
import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import track

import dixonflow
from dixonflow.config import demo_config, parse_config
from dixonflow.errors import DixonflowError
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.phantom.defects.catalogue import DEFECTS
from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.system.tree_digest import tree_digest
from dixonflow.trials.defect_cohort import Cohort
from dixonflow.trials.defect_outcomes import COLUMNS, Baseline, clean_outcome, outcome, spread_between_scans, values_of
from dixonflow.trials.defect_page import defect_page
from dixonflow.trials.defect_runs import PARTICIPANTS, SESSIONS, DefectRuns, Measured, clean_scan, clean_scans
from dixonflow.trials.example_pictures import (
    EXAMPLES,
    example_cases,
    objection,
    picture_of_check,
    picture_of_delivery,
)
from dixonflow.trials.review_list import SCANS, resampled_grades, review_counts
from dixonflow.vocabulary import ScanId

CLEAN = clean_scans()
PACKAGE = Path(dixonflow.__file__).parent

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    folder: Annotated[Path, typer.Option(help="For raw data and results; what is finished there is not done again.")],
    table: Annotated[Path, typer.Option(help="The table of defects.")] = Path("docs/defects.csv"),
    page: Annotated[Path, typer.Option(help="The page that is made of it; more goes to its folder.")] = Path(
        "docs/defects.md"
    ),
    only: Annotated[list[str] | None, typer.Option(help="Names of defects; default: all.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Scans at a time, one CPU thread each.")] = os.cpu_count() or 1,
) -> None:
    """Run what is missing below the folder; with all defects there, write table and page."""
    forget_if_changed(folder)
    try:
        wanted = [each for each in DEFECTS if only is None or each.name in only]
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            _all(pool, [(_clean, folder, item) for item in CLEAN], "clean scans")
            cases = [
                (_planted, folder, DEFECTS.index(defect), number)
                for number in (2, 1, 0)  # gross ones first
                for defect in wanted
                if not _kept(folder, defect.name, number).exists()
            ]
            _all(pool, cases, "defects")
    except DixonflowError as error:
        sys.exit(f"run_defects: {error}")
    rows = _clean_rows(folder)
    rows += [json.loads(_kept(folder, each.name, number).read_text()) for each in wanted for number in range(3)]
    found = pd.DataFrame(rows)[list(COLUMNS)]
    typer.echo(found[found["outcome"].eq("slipped")].to_string(max_colwidth=60))
    typer.echo(found["outcome"].value_counts().to_string())
    if only is None:
        clean, _ = _clean_cohort(folder)
        review = review_counts(resampled_grades(_runs(folder).model, clean), SCANS)
        write_bytes(table, found.to_csv(index=False).encode())
        write_bytes(table.with_name("review_list.csv"), review.to_csv(index=False).encode())
        write_bytes(page, defect_page(found, review).encode())
        pictures = page.parent / "examples"
        examples = [_example(folder, name, found.iloc[place], pictures) for name, place in example_cases(found).items()]
        drawn = pd.DataFrame([each for each in examples if each], columns=list(EXAMPLES)).sort_values("name")
        write_bytes(pictures / "examples.csv", drawn.to_csv(index=False).encode())
        typer.echo(f"written to {page.parent}; now call scripts/make_check_page.py")


def _example(folder: Path, name: str, case: "pd.Series[Any]", pictures: Path) -> dict[str, Any] | None:
    """Draw what a check or a reason is about, in a case of the table; None where nothing can be seen."""
    place = next(place for place, each in enumerate(DEFECTS) if each.name == case["defect"])
    item, runs = clean_scan(place % PARTICIPANTS), _runs(folder)
    _, cohort = _clean_cohort(folder)
    home, found = runs.home_of(DEFECTS[place], case["strength"]), runs.planted(DEFECTS[place], case["strength"], item)
    row = {"name": name, "defect": case["defect"], "strength": case["strength"], "unit": case["unit"]}
    if found.reason:
        picture = picture_of_delivery(next((home / "raw").glob("*.zip")))
    else:
        said = objection(cohort.quality(item.scan, found), name)
        if said is None:
            return None
        row |= dict(zip(("structure", "value", "threshold"), said, strict=True))
        picture = picture_of_check(Results(home / "results"), item.scan, runs.model, name, said[0])
    if picture is None:
        return None
    write_bytes(pictures / f"{name}.png", picture)
    return row


@cache
def _clean_cohort(folder: Path) -> tuple[dict[ScanId, Measured], Cohort]:
    """The clean scans, and the cohort that they are; read once per process."""
    clean = {item.scan: _clean(folder, item) for item in CLEAN}
    return clean, Cohort(_runs(folder).model, clean)


def forget_if_changed(folder: Path) -> None:
    """Remove what other code found out; label maps stay, as long as the same network would see the same images."""
    now, stamp = tree_digest(PACKAGE), folder / "code.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == now:
        return
    shutil.rmtree(folder / "outcomes", ignore_errors=True)
    for measured in folder.glob("clean/*/measured.json"):
        measured.unlink()
    write_bytes(stamp, now.encode())


def _clean_rows(folder: Path) -> list[dict[str, Any]]:
    clean, cohort = _clean_cohort(folder)
    return [clean_outcome(place, cohort.graded(item.scan, clean[item.scan])[1]) for place, item in enumerate(CLEAN, 1)]


def _all(pool: ProcessPoolExecutor, calls: list[tuple[Any, ...]], name: str) -> None:
    running = [pool.submit(*call) for call in calls]
    try:
        for done in track(as_completed(running), name, total=len(running), console=Console(stderr=True)):
            done.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _kept(folder: Path, name: str, number: int) -> Path:
    return folder / "outcomes" / f"{name.replace(' ', '_')}-{number}.json"


@cache
def _runs(folder: Path) -> DefectRuns:
    config = parse_config(demo_config().model_dump() | {"segment": {"threads": 1, "device": "cpu"}})
    return DefectRuns(folder, config, load_model(MODELS / "demo.yaml", config.segment.weights))


def _clean(folder: Path, item: DemoScan) -> Measured:
    return _runs(folder).clean(item)


def _planted(folder: Path, place: int, number: int) -> None:
    defect = DEFECTS[place]
    item, strength = clean_scan(place % PARTICIPANTS), defect.strengths[number]
    clean, cohort = _clean_cohort(folder)
    _, objections = cohort.graded(item.scan, clean[item.scan])
    people = [[clean[clean_scan(person, each).scan] for each in range(SESSIONS)] for person in range(PARTICIPANTS)]
    spread = spread_between_scans([[found.measurements for found in of_person] for of_person in people])
    baseline = Baseline(values_of(clean[item.scan].measurements), spread, objections)
    found = _runs(folder).planted(defect, strength, item)
    graded, checks = (None, []) if found.reason else cohort.graded(item.scan, found)
    write_json(_kept(folder, defect.name, number), outcome(defect, strength, found.reason, graded, checks, baseline))


if __name__ == "__main__":
    app()
