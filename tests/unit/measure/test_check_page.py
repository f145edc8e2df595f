"""The page of checks and reasons says what the tables are made of."""

import runpy
from pathlib import Path

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.vocabulary import Reason

ROOT = Path(__file__).parents[3]


def test_the_page_is_current():
    page = runpy.run_path(str(ROOT / "scripts/make_check_page.py"))["check_page"]()
    assert page == (ROOT / "docs/checks.md").read_text(), "run scripts/make_check_page.py"
    for check in CHECKS.values():
        assert f"### `{check.name}`" in page
        assert check.definition in page
        assert len(check.advice) > 10
    for reason in list(Reason)[1:]:
        assert f"### `{reason.value}`" in page
