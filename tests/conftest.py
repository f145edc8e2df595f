"""Fixtures of all tests."""

import os
from collections.abc import Generator
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


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, where several processes share the tests, those that share what is costly to make.

    That is the one run of the demo, and else what a module makes for its own tests.
    """
    for item in items:
        shares_demo = "demo_run" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("demo" if shares_demo else str(item.path)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: nothing may go unchecked there."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {report.longrepr}"
    return report
