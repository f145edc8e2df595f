"""One script that checks and measures a GPU, at most ten minutes on one: `make gpu-check`.

    PYTHONPATH=tests:tests/helpers python -m gpu.run
    PYTHONPATH=tests:tests/helpers python -m gpu.run --device cpu --small  # tries the script; its numbers mean nothing

It needs this repository, which holds the demo's weights, the packages of envs/requirements.lock and torch with CUDA; it
fetches nothing. SimpleITK and imagecodecs (80 MB) are imported by nnU-Net and not used here: on a machine without
internet, to which little can be copied, an empty module in the place of each is enough.

Networks have the size of published ones (nnU-Net's default and ResEnc-L plans, 73 classes) and random weights, except
the demo's. Rows are saved as they are found, in `<results>/gpu-check.json` and, as tables, in `gpu-check.md`. Each
section has a part of the time; what does not fit is a row that says so. The status is 1 if a check failed.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from benchmarks.harness import BenchmarkError, Setting
from benchmarks.phantom_scan import phantom_scan

from gpu import kernels, labels, memory, resume, throughput, variants
from gpu.inputs import Inputs, machine
from gpu.record import Budget, Recorder, Row, State

ROOT = Path(__file__).resolve().parents[2]

Section = Callable[[Inputs, Budget], Iterator[Row]]

SECTIONS: dict[str, tuple[float, Section]] = {
    labels.SECTION: (0.15, labels.check),
    memory.SECTION: (0.1, memory.check),
    resume.SECTION: (0.1, resume.check),
    kernels.SECTION: (0.1, kernels.check),
    variants.SECTION: (0.15, variants.check),
    throughput.SECTION: (0.4, throughput.check),
}
"""Part of the time of each section, in order; what one leaves goes to those after it."""


def prepare(inputs: Inputs) -> Iterator[Row]:
    """Make the scan, the networks and the shard."""
    started = time.monotonic()
    phantom_scan(inputs.folder, "nako", inputs.setting.small)
    for network in inputs.plans:
        inputs.shard(network)
    yield Row("prepare", "all", "phantom scan and networks", "measured", {"seconds": time.monotonic() - started})


def run(inputs: Inputs, recorder: Recorder, chosen: list[str], seconds: float) -> None:
    """Run sections, each within its part of what is left of the time; an error ends its section."""
    whole = Budget.of(seconds)
    for row in prepare(inputs):
        recorder.add(row)
    for number, name in enumerate(chosen):
        share, section = SECTIONS[name]
        left = sum(SECTIONS[each][0] for each in chosen[number:])
        budget = Budget.of(whole.left * share / left)
        started = time.monotonic()
        try:
            for row in section(inputs, budget):
                recorder.add(row)
        except Exception as error:  # whatever it is, the other sections can still be run
            first = (str(error).strip() or "no message").splitlines()[0]
            note = f"{type(error).__name__}: {first}"[:600]
            stopped = isinstance(error, BenchmarkError) and not budget.left
            state: State = "skipped" if stopped else "failed"
            recorder.add(Row(name, "all", "the section", state, note=f"out of time: {note}" if stopped else note))
        recorder.add(Row(name, "all", "time of the section", "measured", {"seconds": time.monotonic() - started}))
        if inputs.device == "cuda":
            torch.cuda.empty_cache()


def main(
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the script.")] = "cuda",
    small: Annotated[bool, typer.Option("--small", help="A tiny scan and tiny networks.")] = False,
    sections: Annotated[str, typer.Option(help="Which ones, separated by commas.")] = ",".join(SECTIONS),
    minutes: Annotated[float, typer.Option(min=0.1, help="For all sections together.")] = 10.0,
    scans: Annotated[int, typer.Option(min=1, help="Scans of a shard, three contrasts each.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of every library, on all sides.")] = 4,
    peers: Annotated[Path, typer.Option(help="Python that has the other programs.")] = Path(sys.executable),
    results: Annotated[Path, typer.Option(help="Folder of gpu-check.json and of the inputs.")] = ROOT / "results",
) -> None:
    """Check and measure the segment stage on a GPU."""
    if device not in ("cpu", "cuda"):
        sys.exit("--device is cuda or cpu")
    chosen = [name.strip() for name in sections.split(",")]
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        sys.exit(f"--sections: there is no {unknown[0]!r}, only {', '.join(SECTIONS)}")
    if device == "cuda" and small:
        sys.exit("--small is for --device cpu: tiny networks fit into any memory, and say nothing about a GPU")
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no NVIDIA GPU here: nothing was measured. To try the script: --device cpu --small")
    folder = results.resolve() / "benchmark-inputs"
    folder.mkdir(parents=True, exist_ok=True)
    setting = Setting(Path(sys.executable), peers, threads, small)
    inputs = Inputs(folder, "cuda" if device == "cuda" else "cpu", setting, scans)
    name = "gpu-check-small" if small else "gpu-check"
    recorder = Recorder(results.resolve(), name, machine(inputs.device) | {"small": small, "threads": threads})
    run(inputs, recorder, chosen, minutes * 60)
    print(f"rows      {recorder.json}\ntables    {recorder.page}")
    if recorder.failed:
        sys.exit(f"{len(recorder.failed)} of {len(recorder.rows)} rows failed")


if __name__ == "__main__":
    typer.run(main)
