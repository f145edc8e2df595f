#!/usr/bin/env python3
"""Write docs/checks.md, the page of all checks and reasons, from the definitions that the tables are made of."""

import csv
from collections.abc import Mapping
from pathlib import Path

from dixonflow.cli.options import run
from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.vocabulary import Grade, Reason, Status

PAGE = Path(__file__).resolve().parent.parent / "docs/checks.md"
PICTURES = PAGE.parent / "examples"

_DECIDES = {
    "checked": "the structure, and composites that contain it",
    "all": "all of the scan",
    "sided": "structures on one side of the body; where it fails, all others are to be reviewed",
    "needs": "the structures that it compares",
    "cut_by_design": "structures that a whole-body scan cuts by design",
    "levels": "levels of vertebrae",
    "nothing": "none",
}


def check_page() -> str:
    """The page, Markdown."""
    lines = [
        "# Checks and reasons",
        "",
        "Written by `scripts/make_check_page.py` from what the tables are made of; the table `dictionary` of a run",
        "says the same. How checks become grades of values: [outputs.md](outputs.md#grades).",
        "",
        "## Checks",
        "",
    ]
    examples = {row["name"]: row for row in _examples()}
    for check in CHECKS.values():
        lines += [*_section(check), *([] if check.of_raters else [*_picture(check.name, examples), ""])]
    lines += ["## Why a value is missing", "", "| `missing_reason` | meaning |", "|---|---|"]
    lines += [f"| `{reason.value}` | {reason.description} |" for reason in MissingReason]
    lines += [
        "",
        "## Why a scan has no values",
        "",
        "What to do about each: [cluster.md](cluster.md). The pictures show the slices of water and",
    ]
    lines += ["fat in the raw data, each where its header places it.", ""]
    for reason in Reason:
        if reason.status is not Status.OK:
            lines += [f"### `{reason.value}`", "", f"{reason.description} ({reason.status.value})", ""]
            lines += [*_picture(reason.value, examples), ""] if reason.value in examples else []
    return "\n".join([*lines, ""])


def _examples() -> list[dict[str, str]]:
    with (PICTURES / "examples.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _picture(name: str, examples: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Example of a check or a reason, and what it shows."""
    if name not in examples:
        return ["No example: none of the [planted defects](defects.md) shows it."]
    row = examples[name]
    said = ""
    if row["value"]:
        structure = row["structure"].replace("_", " ")
        limit = f" (threshold {float(row['threshold']):.4g})" if row["threshold"] else ""
        said = f": {structure + ' ' if structure else ''}{float(row['value']):.4g}{limit}"
    planted = f"{row['defect']}, {float(row['strength']):g} {row['unit']}"
    return [f"![{name}]({PICTURES.name}/{name}.png)", "", f"*Planted: {planted}{said}.*"]


def _section(check: CheckDefinition) -> list[str]:
    unit = f" (in {check.unit})" if check.unit not in ("", "1") else ""
    fat = ", of these what is made of water and fat" if check.of_fat else ""
    touched = "; and structures that touch what it objects to, which `place` names" if check.with_touched else ""
    if check.threshold is not None:
        passes = f"{check.passes.replace('_', ' ')} {check.threshold:g}; else `{check.otherwise.value}`"
        passes += "; or where the cohort's threshold is stricter, that" if check.of_cohort else ""
    elif check.of_cohort or check.of_protocol:
        passes = f"as the definition says; else `{Grade.REVIEW.value}`"
    elif check.of == "cutoffs":
        passes = f"at least the volume in the model file; else `{check.otherwise.value}`"
    else:
        passes = "always"
    return [
        f"### `{check.name}`",
        "",
        f"{check.definition}{unit}",
        "",
        f"- **Passes**: {passes}. Source: {check.source}.",
        f"- **Decides on values**: {_DECIDES[check.decides]}{touched}{fat}.",
        f"- **What to do**: {check.advice}",
        *(["- It does not put a scan on the list of the report."] if not check.asks_for_a_look else []),
        "",
    ]


def main() -> None:
    """Write docs/checks.md; edits of it are lost."""
    PAGE.write_text(check_page(), encoding="utf-8")


if __name__ == "__main__":
    run(main)
