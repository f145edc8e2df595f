"""Every check has an example picture, and those that no planted defect shows say what they show."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.trials.further_examples import write_further_examples

EXAMPLES = Path(__file__).parents[3] / "docs/examples"


def test_every_check_has_a_picture() -> None:
    with (EXAMPLES / "examples.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert {name for name, check in CHECKS.items() if not (check.of_raters or check.of_comparators)} <= set(rows)
    for name in rows:
        with Image.open(EXAMPLES / f"{name}.png") as picture:
            assert picture.size[0] > 100


def test_the_pictures_are_those_of_the_docs_and_the_checks_object(tmp_path: Path) -> None:
    rows = write_further_examples(tmp_path)
    with (EXAMPLES / "examples.csv").open(encoding="utf-8", newline="") as file:
        kept = {row["name"]: row for row in csv.DictReader(file)}
    assert len(rows) == 14
    for row in rows:
        name, check = row["name"], CHECKS[row["name"]]
        assert (tmp_path / f"{name}.png").exists()
        assert float(kept[name]["value"]) == pytest.approx(row["value"], rel=1e-3)
        if check.threshold is not None:
            assert check.grade(row["value"]).value != "pass", name
