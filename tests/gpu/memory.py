"""Memory that runs out on purpose: in a process, whose next image must be right, and under the segment command."""

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from benchmarks.harness import BenchmarkError
from benchmarks.shard import check_outcomes

from dixonflow.execution.outcome import read_outcomes
from dixonflow.paths import Results
from dixonflow.run.resources import job_mb
from dixonflow.segment import Predictor
from dixonflow.segment.preprocess import PreprocessedImage
from dixonflow.vocabulary import Reason, Stage
from gpu.inputs import CONTRASTS, Device, Inputs, label_maps, synchronize
from gpu.labels import GROSS
from gpu.record import Budget, Row, Value

SECTION = "memory"
NETWORK = "default"

ROOM_FOR_WEIGHTS = 1.5
"""Memory of the segment command on a GPU, as a multiple of the weights: a patch's features do not fit."""

ROOM = 400_000_000
"""Bytes that a process on a CPU is left, where a thread without any would not start."""

SCAN_MB = 1
"""The same for a scan on a CPU: less than torch takes."""


def check(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """Run out of memory, and recover."""
    yield from _in_a_process(inputs)
    if budget.left:
        yield from _under_the_command(inputs, budget)
    else:
        yield Row(SECTION, NETWORK, "segment command", "skipped", note="out of time")


def _in_a_process(inputs: Inputs) -> Iterator[Row]:
    predictor = inputs.predictor(NETWORK, inputs.device)
    image = inputs.image(CONTRASTS[0], NETWORK)
    prepared = predictor.prepare([image.voxels], image.spacing_mm)
    wanted = predictor.infer(prepared).labels
    if inputs.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        predictor.infer(prepared)
        synchronize(inputs.device)
        peak = torch.cuda.max_memory_reserved()
        yield Row(SECTION, NETWORK, "peak with scores on the GPU", "measured", {"gpu_gb": peak / 1e9})
        yield _less_and_less(predictor, prepared, wanted, peak)
    else:
        yield Row(SECTION, NETWORK, "scores summed on the host", "skipped", note="needs CUDA")
    too_large = prepared if inputs.device == "cuda" else [_endless(prepared[0])]
    values: dict[str, Value] = {}
    try:
        with _little_memory(inputs.device, _in_use(inputs.device)):
            predictor.infer(too_large)
        yield Row(SECTION, NETWORK, "no memory is left", "failed", note="it computed all the same")
    except MemoryError as error:
        again = predictor.infer(prepared).labels
        values = {"differing_voxels": int(np.count_nonzero(again != wanted)), "voxels": wanted.size}
        note = f"MemoryError ({str(error)[:60]} ...); the next image is computed"
        yield Row.checked(SECTION, NETWORK, "no memory is left", not values["differing_voxels"], values, note)


def _less_and_less(predictor: Predictor, prepared: list, wanted: np.ndarray, peak: int) -> Row:
    """Lower the limit until scores no longer fit; labels must be the same with their sums on the host."""
    for part in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        try:
            with _little_memory("cuda", round(part * peak)):
                inferred = predictor.infer(prepared)
        except MemoryError:
            note = f"at {part:.0%} of the peak neither fits"
            return Row(SECTION, NETWORK, "scores summed on the host", "failed", note=note)
        if inferred.out_of_memory:
            different = int(np.count_nonzero(inferred.labels != wanted))
            values: dict[str, Value] = {"gpu_gb": part * peak / 1e9, "differing_voxels": different}
            values["voxels"] = wanted.size
            passed = inferred.scores_device == "cpu" and different <= GROSS * wanted.size
            return Row.checked(SECTION, NETWORK, "scores summed on the host", passed, values)
    return Row(SECTION, NETWORK, "scores summed on the host", "failed", note="30 % of the peak suffice")


def _endless(image: PreprocessedImage) -> PreprocessedImage:
    """An image whose labels alone need more than a CPU is given; its own voxels are never touched."""
    shape = (image.network_shape[0], 6000, 6000)
    box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return replace(image, image=np.zeros((1, *shape), np.float32), box=box)


def _in_use(device: Device) -> int:
    """Bytes that this process has; on a CPU with room for threads and what they allocate."""
    if device == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize() + ROOM


@contextmanager
def _little_memory(device: Device, limit: int) -> Iterator[None]:
    """Give this process so many bytes, of the GPU or of addresses; what it has it keeps."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _under_the_command(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """All scans fail with the reason, or the command ends with one line that names it; the next one segments them."""
    shard = inputs.shard(NETWORK)
    with tempfile.TemporaryDirectory(dir=inputs.folder, prefix="memory-") as temporary:
        results, package, name = shard.start_run(Path(temporary))
        command = shard.command(results, name)
        if inputs.device == "cuda":
            limited = [*_with_little_memory(inputs), *command]
        else:
            limited = [*command, "--memory-mb", str(job_mb(inputs.scans, n_models=1) + SCAN_MB)]
        try:
            shard.run(limited, package, budget.left)
            rows = read_outcomes(Results(results).outcomes(Stage.SEGMENT, name))
            reasons = sorted({row.reason.value for row in rows})
            note = f"{len(rows)} scans, reasons: {', '.join(reasons)}"
            passed = reasons == [Reason.OUT_OF_MEMORY.value]
        except BenchmarkError as error:  # memory ran out before the first scan
            if not budget.left:
                raise
            note = str(error).strip().splitlines()[-1]
            passed = "memory" in note
        values: dict[str, Value] = {"label_maps": len(label_maps(results))}
        yield Row.checked(SECTION, NETWORK, "segment command without memory", passed, values, note)
        shard.run(command, package, budget.left)
        values = {"scans": inputs.scans, "label_maps": len(label_maps(results))}
        complete = len(label_maps(results)) == inputs.scans * len(CONTRASTS)
        note = "" if complete else f"{inputs.scans * len(CONTRASTS)} label maps were expected"
        try:
            check_outcomes(results, name)
        except BenchmarkError as error:
            complete, note = False, str(error)
        yield Row.checked(SECTION, NETWORK, "the same with memory", complete, values, note)


def _with_little_memory(inputs: Inputs) -> list[str]:
    """Give what stands before a command that gets GPU memory for the networks, and too little for a patch."""
    networks = inputs.predictor(NETWORK, "cpu").model.networks
    weights = sum(each.numel() * each.element_size() for network in networks for each in network.parameters())
    part = ROOM_FOR_WEIGHTS * weights / torch.cuda.get_device_properties(0).total_memory
    return ["env", f"PYTORCH_CUDA_ALLOC_CONF=per_process_memory_fraction:{part:.8f}"]
