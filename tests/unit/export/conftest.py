"""Tables that are exported."""

from pathlib import Path

import pytest
from synthetic_cohort import draw_cohort, write_cohort


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("run") / "tables", draw_cohort(40, {"liver": 0.2, "spleen": 0.0}))
