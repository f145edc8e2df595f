"""What is fuzzed: every reader of files that come from outside, or that a crash may have left half written."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

Mutate = Callable[[bytes, int], bytes]
"""Changes bytes, to at most so many."""


def plain(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Change bytes without regard to what they mean."""
    del random
    return mutate(data, longest)


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes
    ----------
    read
        Reads an input, with a folder to write it to; what is there already may be anything.
    allowed
        The exceptions that its docstring declares. Their messages have one line, unless `lines`.
    seeds
        Makes inputs that are read without an error; gets an empty folder.
    mutate
        Changes an input so that it stays readable as far as to what is inside.
    longest
        Bytes of an input.
    """

    read: Callable[[bytes, Path], None]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[Path], list[bytes]]
    mutate: Callable[[bytes, int, Random, Mutate], bytes] = plain
    longest: int = 1 << 16
    lines: bool = False


MODULES = {
    "scan_zip": "scan_targets",
    "other_zip": "scan_targets",
    "single_image": "scan_targets",
    "dicom_header": "scan_targets",
    "dicom_forms": "scan_targets",
    "dicom_pixels": "scan_targets",
    "manifest": "scan_targets",
    "sidecar": "scan_targets",
    "nifti_four": "scan_targets",
    "nifti": "scan_targets",
    "bids_session": "scan_targets",
    "import_archive": "weight_targets",
    "checkpoint": "weight_targets",
    "plans": "weight_targets",
    "model_yaml": "weight_targets",
    "backends": "weight_targets",
    "configuration": "list_targets",
    "withdrawn": "list_targets",
    "included": "list_targets",
    "shard_list": "list_targets",
    "records": "list_targets",
}
"""Module of each target: only what a target needs is imported, and is measured."""


def load(name: str) -> Target:
    """Import a target."""
    target = getattr(importlib.import_module(MODULES[name]), name.upper())
    assert isinstance(target, Target)
    return target
