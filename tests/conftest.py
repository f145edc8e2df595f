"""Fixtures of all tests."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Shared machines are slow at times: how long an example takes says nothing about the code.
settings.register_profile("dixonflow", deadline=None)
settings.load_profile("dixonflow")

SHARE_THE_DEMO = ("test_demo.py", "test_demo_analyses.py", "test_truth.py", "test_two_models.py")
"""Modules of tests that use the fixture `demo_run`."""

WITHOUT_CLUSTER = ("test_local_faults.py", "test_whole_files.py")
"""Modules of tests/slurm that do not use the fixture `cluster`, of which a machine has one."""

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real images; `DIXONFLOW_SHARED_DATA` or `../shared/data` beside the repository."""
    folder = Path(os.environ.get("DIXONFLOW_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "totalsegmentator").is_dir():
        pytest.skip(f"the real images are not there: {folder}")
    return folder


class Together(LoadFileScheduling):
    """Gives the tests of a module to one process, and those that share the run of the demo or the cluster."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", maxsplit=1)[0]
        folder, _, name = module.rpartition("/")
        if folder.endswith("slurm") and name not in WITHOUT_CLUSTER:
            return "cluster"
        return "demo" if name in SHARE_THE_DEMO else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Say how several processes share the tests (`make test`)."""
    return Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: nothing may go unchecked there."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {report.longrepr}"
    return report
