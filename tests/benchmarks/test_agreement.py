"""The benchmark of the metrics on tiny maps: equal to what the package surface-distance gives."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import agreement


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agreement.prepare(tmp_path_factory.mktemp("agreement"), small=True)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # the package calls SciPy's old names
def test_surface_distances_equal_the_packages(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "CASES", 1)
    ours, theirs = agreement.ours(prepared)(), agreement.surface_distance(prepared)()
    verdict = agreement.compare(prepared, ours, theirs)
    assert verdict.equal, verdict.note
    assert 0.3 < np.nanmean(ours["dice"]) < 0.99
    spoilt = {name: values + 1e-3 for name, values in theirs.items()}
    assert not agreement.compare(prepared, ours, spoilt).equal


def test_without_a_peer_there_is_no_verdict(prepared: Path) -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        agreement.compare(prepared, {"dice": np.ones((5, 70))}, None)
