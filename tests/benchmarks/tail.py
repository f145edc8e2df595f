"""What follows the network on one scan of full size: merge, postprocess, measure, write. Nobody to compare with."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, make_once
from benchmarks.phantom_scan import phantom_scan, stitched_contrasts


def prepare(inputs: Path, small: bool) -> Path:
    """Make the label maps of three contrasts: the truth, moved by a voxel, with surplus pieces."""
    scan = phantom_scan(inputs, "nako", small)

    def fill(folder: Path) -> None:
        truth = np.load(scan / "labels.npy")
        for number, contrast in enumerate(("water", "in_phase", "opposed_phase")):
            rng = np.random.default_rng(number)
            labels = np.roll(truth, number - 1, axis=number)
            _strew(labels, np.unique(truth), rng)
            np.save(folder / f"{contrast}.npy", np.asfortranarray(labels))

    return make_once(inputs / f"{scan.name}-label-maps", fill)


def _strew(labels: NDArray[np.uint8], present: NDArray[np.uint8], rng: np.random.Generator) -> None:
    for label in np.repeat(present[present > 0], 10):
        low = [int(rng.integers(0, n - 4)) for n in labels.shape]
        labels[tuple(slice(start, start + int(rng.integers(1, 5))) for start in low)] = label


def ours(prepared: Path) -> Callable[[], Arrays]:
    """The stages' own functions on one scan in memory; the final label map is written."""
    from dixonflow.imaging.nifti import write_nifti
    from dixonflow.measure.field_of_view import StationBox
    from dixonflow.measure.scan import measure
    from dixonflow.merge.strategies import merge
    from dixonflow.models.load import MODELS, load_model
    from dixonflow.postprocess.label_map import postprocess
    from dixonflow.vocabulary import Contrast

    scan = prepared.with_name(prepared.name.removesuffix("-label-maps"))
    model = load_model(MODELS / "demo.yaml")
    maps = {contrast: np.load(prepared / f"{contrast}.npy") for contrast in model.input_contrasts}
    images, affine = stitched_contrasts(scan)
    contrasts = {Contrast(name): image for name, image in images.items()}
    report = json.loads((scan / "stitched.json").read_text(encoding="utf-8"))
    boxes = [StationBox.from_record(station) for station in report["stations"]]
    spacing_mm = np.diag(affine)[:3].tolist()
    voxel_mm3 = float(np.prod(spacing_mm))

    def call() -> Arrays:
        final = postprocess(merge(maps, model, voxel_mm3), model, spacing_mm).labels
        measured = measure(final, contrasts, affine, boxes, model)
        with tempfile.TemporaryDirectory() as folder:
            write_nifti(Path(folder) / "labels.nii.gz", final, affine)
        return {"labels": final, "values": measured.measurements["value"].to_numpy(float, na_value=np.nan)}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Check that there is a result."""
    structures, values = len(np.unique(ours["labels"])) - 1, int(np.isfinite(ours["values"]).sum())
    note = f"seconds of the processor; {structures} structures, {values} values; no peer"
    return Verdict(structures > 20 and values > 1000, note)
