"""Fixtures of the unit tests."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Layout

if TYPE_CHECKING:
    from file_server import FileServer
    from tiny_model import TinyModel

# helper modules that assert: their failures say what was compared, as those of tests do
pytest.register_assert_rewrite("imported_system", "published_weights", "scan_reading")


@pytest.fixture
def make_shard_scan():
    """Make an entry of a shard list from a scan id."""
    return lambda scan: RawScan(scan, Layout.UKB, Path(f"{scan.participant}.zip"), "0" * 64)


@pytest.fixture
def shard(tmp_path, make_shard_scan):
    """Three scans and a stage that counts its work."""
    from counting_shard import Shard

    return Shard(tmp_path, make_shard_scan)


@pytest.fixture
def build_model(tmp_path: Path) -> "Callable[..., TinyModel]":
    """Make tiny networks with random weights, each in a model folder of its own."""
    from tiny_model import TinyModel, tiny_dataset, tiny_plans  # takes torch and nnU-Net, which few tests need

    numbers = itertools.count()

    def make(*, folds: int = 1, classes: int = 4, axes: tuple[int, ...] | None = None, **plans: Any) -> TinyModel:
        channels = plans.get("channels", 1)
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return TinyModel(folder, tiny_plans(**plans), tiny_dataset(classes=classes, channels=channels), folds, axes)

    return make


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trainings of three systems by nnU-Net's own trainer."""
    from published_weights import train_all

    return train_all(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def archives(trainings: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as the systems publish them."""
    from published_weights import publish

    return publish(trainings, tmp_path_factory.mktemp("archives"))


@pytest.fixture
def served(archives: Path, tmp_path: Path) -> Path:
    """A copy of the archives that a test may spoil."""
    return Path(shutil.copytree(archives, tmp_path / "served"))


@pytest.fixture
def server(served: Path) -> "Iterator[FileServer]":
    """A server of these archives."""
    from file_server import FileServer

    with FileServer(served) as running:
        yield running


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Where imported models belong."""
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other copies of weights, no proxy, no pauses between tries."""
    from dixonflow.importing import download

    for name in ("VIBESEG_WEIGHTS_PATH", "MRSEG_WEIGHTS_PATH", "TOTALSEG_WEIGHTS_PATH", "TOTALSEG_HOME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("nnUNet_results", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "_PAUSE_S", 0.0)
