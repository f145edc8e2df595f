#!/usr/bin/env python3
"""Plant every kind of defect in phantom scans, run the workflow on each, and write the table of what became of them."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dixonflow.errors import DixonflowError
from dixonflow.paths import Results
from dixonflow.phantom.defects.catalogue import DEFECTS
from dixonflow.system.atomic import write_bytes
from dixonflow.trials.defect_folder import DefectFolder
from dixonflow.trials.defect_outcomes import COLUMNS, clean_outcome, outcome
from dixonflow.trials.defect_page import defect_page
from dixonflow.trials.defect_runs import PARTICIPANTS, clean_scan, clean_scans
from dixonflow.trials.example_pictures import (
    EXAMPLES,
    example_cases,
    objection,
    picture_of_check,
    picture_of_delivery,
)
from dixonflow.trials.further_examples import write_further_examples
from dixonflow.trials.parallel import run_all
from dixonflow.trials.review_list import SCANS, resampled_grades, review_counts

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
    kept = _folder(folder)
    kept.forget_if_changed()
    try:
        run_all(jobs, _clean, [(folder, place) for place in range(len(clean_scans()))], "clean scans")
        wanted = [place for place, each in enumerate(DEFECTS) if only is None or each.name in only]
        cases = [
            (folder, place, DEFECTS[place].strengths[number])
            for number in (2, 1, 0)  # gross ones first
            for place in wanted
            if not kept.outcome_path(DEFECTS[place], DEFECTS[place].strengths[number]).exists()
        ]
        run_all(jobs, _planted, cases, "defects")
    except DixonflowError as error:
        sys.exit(f"run_defects: {error}")
    rows = [
        clean_outcome(place, kept.cohort.graded(scan, measured)[1])
        for place, (scan, measured) in enumerate(kept.clean.items(), 1)
    ]
    rows += [kept.kept(DEFECTS[place], strength) for place in wanted for strength in DEFECTS[place].strengths]
    found = pd.DataFrame(rows)[list(COLUMNS)]
    typer.echo(found[found["outcome"].eq("slipped")].to_string(max_colwidth=60))
    typer.echo(found["outcome"].value_counts().to_string())
    if only is None:
        review = review_counts(resampled_grades(kept.runs.model, kept.clean), SCANS)
        write_bytes(table, found.to_csv(index=False).encode())
        write_bytes(table.with_name("review_list.csv"), review.to_csv(index=False).encode())
        write_bytes(page, defect_page(found, review).encode())
        pictures = page.parent / "examples"
        examples = [_example(kept, name, found.iloc[place], pictures) for name, place in example_cases(found).items()]
        examples += write_further_examples(pictures)
        drawn = pd.DataFrame([each for each in examples if each], columns=list(EXAMPLES)).sort_values("name")
        write_bytes(pictures / "examples.csv", drawn.to_csv(index=False).encode())
        typer.echo(f"written to {page.parent}; now call scripts/make_check_page.py")


def _example(kept: DefectFolder, name: str, case: "pd.Series[Any]", pictures: Path) -> dict[str, Any] | None:
    """Draw what a check or a reason is about, in a case of the table; None where nothing can be seen."""
    place = next(place for place, each in enumerate(DEFECTS) if each.name == case["defect"])
    item, runs = clean_scan(place % PARTICIPANTS), kept.runs
    home, found = runs.home_of(DEFECTS[place], case["strength"]), runs.planted(DEFECTS[place], case["strength"], item)
    row = {"name": name, "defect": case["defect"], "strength": case["strength"], "unit": case["unit"]}
    if found.reason:
        picture = picture_of_delivery(next((home / "raw").glob("*.zip")))
    else:
        said = objection(kept.cohort.quality(item.scan, found), name)
        if said is None:
            return None
        row |= dict(zip(("structure", "value", "threshold"), said, strict=True))
        picture = picture_of_check(Results(home / "results"), item.scan, runs.model, name, said[0])
    if picture is None:
        return None
    write_bytes(pictures / f"{name}.png", picture)
    return row


@cache
def _folder(path: Path) -> DefectFolder:
    return DefectFolder(path)


def _clean(folder: Path, place: int) -> None:
    _folder(folder).runs.clean(clean_scans()[place])


def _planted(folder: Path, place: int, strength: float) -> None:
    kept, defect, item = _folder(folder), DEFECTS[place], clean_scan(place % PARTICIPANTS)
    found = kept.runs.planted(defect, strength, item)
    graded, checks = (None, []) if found.reason else kept.cohort.graded(item.scan, found)
    kept.keep(defect, strength, outcome(defect, strength, found.reason, graded, checks, kept.baseline(item)))


if __name__ == "__main__":
    app()
