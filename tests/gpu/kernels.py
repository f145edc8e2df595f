"""Where the time of an image goes: its three steps, and the kernels of the second by kind (torch's profiler)."""

import time
from collections import Counter
from collections.abc import Iterator

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from gpu.inputs import CONTRASTS, Device, Inputs, synchronize
from gpu.record import Budget, Row, Value

SECTION = "kernels"

KINDS = {
    "copies": ("memcpy", "memset", "copy", "aten::to", "clone", "contiguous"),
    "norms": ("norm", "reduce_meanvar", "welford"),
    "convolutions": ("conv", "cudnn", "gemm", "xmma", "cutlass", "implicit", "dgrad", "fprop", "mkldnn"),
    "products": ("matmul", "aten::mm", "bmm", "einsum"),
    "sums and reductions": ("reduce", "argmax", "aminmax", "max", "sum", "add", "mul", "div"),
}
"""Parts of kernels' names, the first kind that matches; all others are `other`."""

MOST = 5
"""Kernels that are named one by one."""


def check(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """Measure one whole image with each network of published size."""
    for network in inputs.plans:
        if not budget.left:
            yield Row(SECTION, network, "steps of an image", "skipped", note="out of time")
            continue
        predictor = inputs.predictor(network, inputs.device)
        image = inputs.image(CONTRASTS[0], network, whole=True)
        predictor.infer(predictor.prepare([image.voxels], image.spacing_mm))  # first calls are no part of it
        started = time.perf_counter()
        prepared = predictor.prepare([image.voxels], image.spacing_mm)
        ready = time.perf_counter()
        inferred = predictor.infer(prepared)
        computed = time.perf_counter()
        predictor.restore(prepared[0], inferred)
        steps: dict[str, Value] = {
            "prepare_s": ready - started,
            "infer_s": computed - ready,
            "restore_s": time.perf_counter() - computed,
            "image_voxels": image.voxels.size,
        }
        yield Row(SECTION, network, "steps of an image", "measured", steps)
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (inputs.device == "cuda")
        with profile(activities=activities) as profiled:
            started = time.perf_counter()
            predictor.infer(prepared)
            synchronize(inputs.device)
            wall_s = time.perf_counter() - started
        yield from _rows(network, seconds_by_name(profiled, inputs.device), wall_s)


def seconds_by_name(profiled: profile, device: Device) -> Counter[str]:
    """Seconds of each kernel on the GPU; on a CPU of each operator, without what it calls."""
    seconds: Counter[str] = Counter()
    for event in profiled.key_averages():
        if device == "cuda" and event.device_type == DeviceType.CUDA:
            seconds[event.key] += event.self_device_time_total / 1e6
        elif device == "cpu":
            seconds[event.key] += event.self_cpu_time_total / 1e6
    return seconds


def kind_of(kernel: str) -> str:
    """Give the kind of a kernel by its name."""
    name = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other")


def _rows(network: str, seconds: Counter[str], wall_s: float) -> Iterator[Row]:
    kinds: Counter[str] = Counter({"all together": seconds.total()})
    for name, value in seconds.items():
        kinds[kind_of(name)] += value
    note = f"of {wall_s:.3g} s with the profiler, which takes time itself"
    for kind, value in kinds.most_common():
        yield Row(SECTION, network, kind, "measured", {"kernel_s": value, "share_of_wall": value / wall_s}, note)
    for name, value in seconds.most_common(MOST):
        values: dict[str, Value] = {"kernel_s": value, "share_of_wall": value / wall_s}
        yield Row(SECTION, network, f"`{name[:90]}`", "measured", values, note)
