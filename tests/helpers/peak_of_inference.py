"""Prints by how many bytes `Predictor.infer` raises the memory of this process: model folder and rows of the image."""

import sys
from pathlib import Path

import numpy as np

from dixonflow.segment import Predictor, SegmentOptions


def peak_resident_bytes() -> int:
    """Largest resident memory of this process since the last reset."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(folder: str, rows: str) -> None:
    predictor = Predictor(Path(folder), SegmentOptions(tile_step=1.0))
    image = np.random.default_rng(0).normal(100, 20, (128, 128, int(rows))).astype(np.float32)
    # the first brings code and buffers into memory that stay
    predictor.infer(predictor.prepare([image[:, :, :16]], (3.0, 3.0, 3.0)))
    prepared = predictor.prepare([image], (3.0, 3.0, 3.0))
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_resident_bytes()
    predictor.infer(prepared)
    print(peak_resident_bytes() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
