"""Memory of the predictor: what happens when it runs out, and that it does not grow with the image."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunet_reference import body
from tiny_model import TinyModel

from dixonflow.segment import Predictor


class RunsOutOfMemory(torch.nn.Module):
    """A network that raises an error at some of its calls, as when other processes fill the device."""

    def __init__(self, network: torch.nn.Module, error: Exception, at: set[int]) -> None:
        super().__init__()
        self.network, self.error, self.at, self.calls = network, error, at, 0

    def forward(self, tile: torch.Tensor) -> Any:
        self.calls += 1
        if self.calls in self.at:
            raise self.error
        return self.network(tile)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.00 GB)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_an_image_for_which_memory_ran_out_is_segmented_with_scores_on_the_host(
    error: Exception, build_model: Callable[..., TinyModel]
) -> None:
    predictor, image, spacing = Predictor(build_model().folder), body((24, 22, 30)), (2.4, 3.0, 3.0)
    network = predictor.model.networks[0]
    prepared = predictor.prepare([image], spacing)
    undisturbed = predictor.infer(prepared, each=True)
    assert undisturbed.provenance() == {"scores_device": predictor.device.type, "out_of_memory": False}
    predictor._networks = (RunsOutOfMemory(network, error, {2}),)
    inferred = predictor.infer(prepared, each=True)
    assert inferred.provenance() == {"scores_device": "cpu", "out_of_memory": True}
    np.testing.assert_array_equal(inferred.labels, undisturbed.labels)
    np.testing.assert_array_equal(inferred.each, undisturbed.each)
    assert not predictor.infer(prepared).out_of_memory
    predictor._networks = (RunsOutOfMemory(network, error, {2, 4}),)
    with pytest.raises(MemoryError, match="also with the scores on the host"):
        predictor.infer(prepared)


def test_other_errors_of_the_device_are_not_taken_for_memory(build_model: Callable[..., TinyModel]) -> None:
    predictor = Predictor(build_model().folder)
    network = RunsOutOfMemory(predictor.model.networks[0], RuntimeError("CUDA error: device-side assert"), {1})
    predictor._networks = (network,)
    with pytest.raises(RuntimeError, match="device-side"):
        predictor.predict(body((24, 22, 30)), (3.0, 3.0, 3.0))
    assert network.calls == 1


def test_labels_are_restored_without_the_image(build_model: Callable[..., TinyModel]) -> None:
    predictor, image, spacing = Predictor(build_model().folder), body((24, 22, 30)), (2.4, 3.0, 3.0)
    prepared = predictor.prepare([image], spacing)[0]
    inferred = predictor.infer([prepared])
    light = prepared.without_image()
    assert light.image.nbytes == 0
    assert light.network_shape == prepared.network_shape
    np.testing.assert_array_equal(predictor.restore(light, inferred), predictor.restore(prepared, inferred))


def peak_of_inference(folder: Path, rows: int) -> int:
    """In a process of its own, whose allocator gives large blocks back at once: what came before does not count."""
    script = Path(__file__).parents[2] / "helpers" / "peak_of_inference.py"
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder), str(rows)]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def test_memory_does_not_grow_with_the_rows_of_the_image(build_model: Callable[..., TinyModel]) -> None:
    classes, patch = 64, (16, 64, 64)
    folder = build_model(classes=classes, patch=patch).folder
    few, many = (peak_of_inference(folder, rows) for rows in (48, 144))
    plane = 128 * 128
    growth = 2 * classes * plane * (144 - 48)  # of the scores, were they kept
    assert many > classes * patch[0] * plane  # half of the sums, or nothing was measured
    assert many - few < growth / 5
