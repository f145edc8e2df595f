"""Times one call in this process: `python -m benchmarks.worker MODULE FUNCTION PREPARED OUTPUT`.

The function loads what the call needs. The call is made once uncounted, as in a shard, where tables and matrices of the
first scan serve the next ones, and once counted. Runs in our environment and in the peers'.
"""

import gc
import importlib
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.arrays import write_arrays


def reset_peak_memory() -> None:
    """Reset the peak of the resident memory; Linux only, elsewhere it is that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_mb() -> float:
    """Largest resident memory since `reset_peak_memory`, MB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(module: str, function: str, prepared: Path, output: Path) -> None:
    """Time the call and leave its arrays and figures in `output`."""
    call = getattr(importlib.import_module(f"benchmarks.{module}"), function)(prepared)
    call()
    gc.collect()
    reset_peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    arrays = call()
    figures = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_mb": peak_memory_mb()}
    write_arrays(output, arrays)
    (output / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
