"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines are slow at times: how long an example takes says nothing about the code.
settings.register_profile("dixonflow", deadline=None)
settings.load_profile("dixonflow")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real images; `DIXONFLOW_SHARED_DATA` or `../shared/data` beside the repository."""
    folder = Path(os.environ.get("DIXONFLOW_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "totalsegmentator").is_dir():
        pytest.skip(f"the real images are not there: {folder}")
    return folder
