"""Ways to run a network faster: seconds per patch of each, and in how many voxels its labels differ.

Each way computes the same patches of a phantom scan; the labels of a patch are the argmax of its scores, before
patches are blended.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window
from torch import nn

from dixonflow.segment import Predictor
from gpu.inputs import CONTRASTS, Device, Inputs, synchronize
from gpu.record import Budget, Row, Value

SECTION = "variants"

PATCHES, REPEATS = 4, 3

Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Way:
    """A way to run a network.

    Attributes
    ----------
    name
        What is changed.
    prepare
        Gives what is called with a batch of patches, from a copy of the network and the first batch.
    batch
        Patches per call.
    cuda_only
        There is no such thing on a CPU.
    autocast
        Half precision on CUDA, as the pipeline does.
    tuned
        cuDNN tries its algorithms and takes the fastest, which need not give the same numbers every time.
    tf32
        Products of float32 are rounded to TF32.
    """

    name: str
    prepare: Callable[[nn.Module, torch.Tensor], Network] = lambda network, _: network
    batch: int = 1
    cuda_only: bool = False
    autocast: bool = True
    tuned: bool = False
    tf32: bool = False


def channels_last(network: nn.Module, _: torch.Tensor) -> Network:
    """Channels as the fastest axis of weights and patches."""
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return lambda tiles: network(tiles.contiguous(memory_format=torch.channels_last_3d))


def compiled(network: nn.Module, _: torch.Tensor) -> Network:
    """torch.compile with its defaults."""
    torch.compiler.reset()
    made: Network = torch.compile(network)
    return made


def graph(network: nn.Module, tiles: torch.Tensor) -> Network:
    """One CUDA graph in place of one launch per kernel."""
    fixed = tiles.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # what is allocated or chosen at the first calls is no part of a graph
        for _ in range(3):
            network(fixed)
    torch.cuda.current_stream().wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        scores = network(fixed)

    def replay(batch: torch.Tensor) -> torch.Tensor:
        fixed.copy_(batch)
        captured.replay()
        return scores

    return replay


WAYS = (
    Way("as in the pipeline"),
    Way("the same again"),
    Way("cuDNN tuned, not deterministic", tuned=True),
    Way("CUDA graph", graph, cuda_only=True),
    Way("channels last", channels_last),
    Way("2 patches per batch", batch=2),
    Way("4 patches per batch", batch=4),
    Way("torch.compile", compiled),
    Way("float32", cuda_only=True, autocast=False),
    Way("float32 with TF32", cuda_only=True, autocast=False, tf32=True),
)


def check(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """Measure each way for each network of published size."""
    for network in inputs.plans:
        predictor = inputs.predictor(network, inputs.device)
        tiles = _patches(inputs, network, predictor)
        module = predictor._networks[0]
        reference: list[np.ndarray] = []
        for way in WAYS:
            if not budget.left:
                yield Row(SECTION, network, way.name, "skipped", note="out of time")
            elif way.cuda_only and inputs.device == "cpu":
                yield Row(SECTION, network, way.name, "skipped", note="needs CUDA")
            else:
                try:
                    values, labels = measure(way, module, tiles, inputs.device, budget)
                except (RuntimeError, NotImplementedError) as error:  # also what torch.compile raises
                    first = (str(error).strip() or type(error).__name__).splitlines()[0]
                    yield Row(SECTION, network, way.name, "failed", note=first[:300])
                    continue
                reference = reference or labels
                different = sum(int(np.count_nonzero(a != b)) for a, b in zip(reference, labels, strict=True))
                values |= {"differing_voxels": different, "voxels": sum(each.size for each in labels)}
                yield Row(SECTION, network, way.name, "measured", values)


def measure(
    way: Way, network: nn.Module, tiles: torch.Tensor, device: Device, budget: Budget
) -> tuple[dict[str, Value], list[np.ndarray]]:
    """Time a way on patches (patch, channel, a, b, c); gives its numbers and the labels of each batch's patches.

    Raises
    ------
    RuntimeError
        If the network cannot be run so, memory included.
    """
    batches: Sequence[torch.Tensor] = tiles.split(way.batch)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    cudnn = torch.backends.cudnn.flags(
        enabled=True, benchmark=way.tuned, deterministic=not way.tuned, allow_tf32=way.tf32
    )
    half = way.autocast and device == "cuda"
    with torch.inference_mode(), cudnn:
        started = time.perf_counter()
        with torch.autocast("cuda", enabled=half, cache_enabled=False):  # a graph keeps no weights that are freed
            prepared = way.prepare(deepcopy(network), batches[0])

        def call(batch: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cuda", enabled=half):  # for each patch, as in the pipeline
                return prepared(batch)

        labels = [each for batch in batches for each in _labels(call(batch))]  # the first call of each shape
        synchronize(device)
        start_s = time.perf_counter() - started
        seconds = []
        for repeat in range(REPEATS):
            if repeat and not budget.left:
                break
            started = time.perf_counter()
            for batch in batches:
                call(batch)
            synchronize(device)
            seconds.append((time.perf_counter() - started) / len(tiles))
    peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None
    values: dict[str, Value] = {
        "seconds_per_patch": statistics.median(seconds),
        "repeats": len(seconds),
        "first_calls_s": start_s,
        "gpu_peak_gb": peak,
    }
    return values, labels


def _labels(scores: torch.Tensor) -> list[np.ndarray]:
    return [each.argmax(0).to(torch.uint8).cpu().numpy() for each in scores]  # one at a time: argmax is int64


def _patches(inputs: Inputs, network: str, predictor: Predictor) -> torch.Tensor:
    """(patch, channel, a, b, c) on the device, spread over a scan."""
    image = inputs.image(CONTRASTS[0], network, whole=True)
    prepared = torch.from_numpy(predictor.prepare([image.voxels], image.spacing_mm)[0].image)
    patch = predictor.model.architecture.patch_size
    missing = [max(size - length, 0) for size, length in zip(patch, prepared.shape[1:], strict=True)]
    padded = torch.nn.functional.pad(prepared, [n for length in missing[::-1] for n in (0, length)])
    steps = compute_steps_for_sliding_window(tuple(padded.shape[1:]), patch, 0.5)
    corners = [(a, b, c) for a in steps[0] for b in steps[1] for c in steps[2]]
    chosen = [corners[round(number * (len(corners) - 1) / (PATCHES - 1))] for number in range(PATCHES)]
    parts = [
        padded[(slice(None), *(slice(low, low + size) for low, size in zip(corner, patch, strict=True)))]
        for corner in chosen
    ]
    return torch.stack(parts).to(predictor.device)
