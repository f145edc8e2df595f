"""The networks alone, by OpenVINO and by torch, both in this project's environment, with labels of each.

The demo network sees a phantom, which it was trained on; a network of the size of published ones has random weights,
whose scores are nearer to each other than those of trained ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, equal_labels, make_once
from benchmarks.harness import FunctionBenchmark, Measured, Setting
from benchmarks.networks import DEFAULT, TINY, write_model_folder

ONE_IN = 100_000


@dataclass(frozen=True)
class BackendBenchmark(FunctionBenchmark):
    """OpenVINO and torch in turn, on the same network."""

    def _theirs(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        return self._run(setting.ours, self.peer_function, prepared, output, setting)


def prepare_demo(inputs: Path, small: bool) -> Path:
    """Two patches of the phantom's abdomen on the grid of the demo network."""
    from dixonflow.importing.backend_comparison import compared_part
    from dixonflow.models.load import MODELS, load_model
    from dixonflow.segment import Predictor, SegmentOptions

    def fill(folder: Path) -> None:
        model = load_model(MODELS / "demo.yaml")
        (folder / "model").symlink_to(model.weights)
        options = SegmentOptions(interpolate="nearest", device="cpu", orientation=model.orientation)
        image = compared_part(Predictor(model.weights, options), model).image
        np.save(folder / "image.npy", image[:, : image.shape[1] // 2] if small else image)

    return make_once(inputs / f"backend-demo{'-small' if small else ''}", fill)


def prepare_default(inputs: Path, small: bool) -> Path:
    """One patch of smooth noise for a network of nnU-Net's default planner with 73 classes."""
    from scipy.ndimage import gaussian_filter

    plan = TINY if small else DEFAULT

    def fill(folder: Path) -> None:
        write_model_folder(folder, plan)
        noise = gaussian_filter(np.random.default_rng(0).normal(size=plan.patch), 2.0)
        np.save(folder / "image.npy", (noise / noise.std())[None].astype(np.float32))

    return make_once(inputs / f"backend-default{'-small' if small else ''}", fill)


def ours(prepared: Path) -> Callable[[], Arrays]:
    """By OpenVINO."""
    return _labels(prepared, "openvino")


def by_torch(prepared: Path) -> Callable[[], Arrays]:
    """By torch."""
    return _labels(prepared, "torch")


def _labels(prepared: Path, backend: str) -> Callable[[], Arrays]:
    import os

    from dixonflow.segment import Predictor, SegmentOptions
    from dixonflow.segment.preprocess import PreprocessedImage

    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    options = SegmentOptions(interpolate="nearest", device="cpu", backend=backend, threads=threads)  # type: ignore[arg-type]
    predictor = Predictor(prepared / "model", options)
    image: NDArray[np.float32] = np.load(prepared / "image.npy")
    a, b, c = image.shape[1:]
    part = PreprocessedImage(image, (1.0, 1.0, 1.0), (a, b, c), (slice(0, a), slice(0, b), slice(0, c)), ())

    def run() -> Arrays:
        found = predictor.infer([part])
        if found.fallback:
            raise RuntimeError(found.fallback)
        return {"labels": found.labels}

    return run


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """At most one voxel in 100,000 has another label."""
    assert theirs is not None
    return equal_labels(ours["labels"], theirs["labels"], ONE_IN)
