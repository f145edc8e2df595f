"""Reads one input and says what is wrong: an exception that nobody declared, too much time, too much memory."""

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from targets import Target

MAX_SECONDS = 2.0
"""Processor time for one input."""
MAX_BYTES = 300 << 20
"""Memory for one input, beyond what the process has before."""
MAX_MESSAGE = 2000

_HERE = Path(__file__).resolve().parent
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class CheckValue:
    """What is wrong with how an input was read.

    Attributes
    ----------
    key
        The same for what has the same cause.
    detail
        For a person.
    """

    key: str
    detail: str


def examine(target: Target, data: bytes, folder: Path) -> CheckValue | None:
    """Read an input; None where all is well.

    Memory is measured on Linux only.
    """
    before = _reset_peak()
    started = time.process_time()
    found = _read(target, data, folder)
    seconds = time.process_time() - started
    taken = _peak() - before
    if found is None and seconds > MAX_SECONDS:
        found = CheckValue("time", f"{seconds:.1f} s of processor time")
    if found is None and taken > MAX_BYTES:
        found = CheckValue("memory", f"{taken >> 20} MB")
    return found


def _read(target: Target, data: bytes, folder: Path) -> CheckValue | None:
    try:
        target.read(data, folder)
    except target.allowed as error:
        message = str(error)
        if not message or len(message) > MAX_MESSAGE or (len(message.splitlines()) > 1 and not target.lines):
            return CheckValue(f"message {type(error).__name__} {_place(error)}", message[:MAX_MESSAGE])
    except Exception as error:  # just what is looked for
        return CheckValue(f"{type(error).__name__} {_place(error)}", "".join(traceback.format_exception(error)))
    return None


def _place(error: Exception) -> str:
    """Innermost line of ours, and the one that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/dixonflow/" in frame.filename] or frames
    last = frames[-1]
    return " ".join(dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (ours[-1], last)))


def _field(name: str) -> int:
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name)), 0)


def _reset_peak() -> int:
    """Have the kernel forget the process's peak, and give the memory that it has now."""
    if _CLEAR.exists():
        _CLEAR.write_text("5", encoding="ascii")
    return _field("VmRSS:")


def _peak() -> int:
    return _field("VmHWM:")
