"""Disk space, checked before it is needed: a full disk is said before hours of download, not after."""

import shutil
from pathlib import Path

from dixonflow.errors import ModelError

_RESERVE = 64 * 2**20
"""Bytes that stay free: other programs write too."""


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that a folder's disk has room.

    Parameters
    ----------
    folder
        Existing folder.
    needed
        Bytes.
    purpose
        What needs them, for the message.

    Raises
    ------
    ModelError
        If less is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE:
        raise ModelError(
            f"too little disk space in {folder}: {purpose} needs {readable(needed + _RESERVE)}, {readable(free)} are "
            "free. Free some and run the same command again"
        )


def readable(number: int) -> str:
    """Bytes for a person, in decimal units."""
    value, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
