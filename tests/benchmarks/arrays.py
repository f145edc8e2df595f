"""Arrays that go from one process to another as files, and what is said of them."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Verdict:
    """Whether outputs are equal; how far, or why not."""

    equal: bool
    note: str


def write_arrays(folder: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write each array as `<name>.npy`."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def read_arrays(folder: Path) -> Arrays:
    """Read all arrays of a folder."""
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}


def make_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder of inputs, whole or not at all; nothing is done where it is there."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        try:
            fill(temporary)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary)
            raise
    return folder


def equal_labels(ours: NDArray[np.generic], theirs: NDArray[np.generic], one_in: int | None = None) -> Verdict:
    """Compare label maps: all voxels equal, or all but at most one in `one_in`."""
    if ours.shape != theirs.shape:
        return Verdict(False, f"shapes {ours.shape} and {theirs.shape}")
    different = int(np.count_nonzero(ours != theirs))
    allowed = ours.size // one_in if one_in else 0
    note = f"{different} of {ours.size} voxels differ" if different else "identical"
    return Verdict(different <= allowed and bool(ours.any()), note if ours.any() else "no label in the output")


def both(*verdicts: Verdict) -> Verdict:
    """Join verdicts: equal where all are; each note once."""
    return Verdict(all(verdict.equal for verdict in verdicts), "; ".join(dict.fromkeys(v.note for v in verdicts)))
