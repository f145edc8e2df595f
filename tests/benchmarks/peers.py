"""Which peers are there: installed, and what is used of them can be imported."""

import subprocess
from pathlib import Path

IMPORTED = {
    "dcm2niix": "dcm2niix",
    "nnunetv2": "nnunetv2.inference.predict_from_raw_data",
    "TotalSegmentator": "totalsegmentator.statistics",
    "TPTBox": "TPTBox.stitching",
    "SimpleITK": "SimpleITK",
    "scikit-image": "skimage.transform",
    "scipy": "scipy.ndimage",
    "panoptica": "panoptica",
    "surface-distance": "surface_distance",
    "torch": "torch",
}
"""Module that is imported of each peer, by its name on the package index."""

_ASK = """
import importlib, importlib.metadata, sys
importlib.import_module(sys.argv[2])
print(importlib.metadata.version(sys.argv[1]))
"""


def installed_versions(python: Path) -> dict[str, str | None]:
    """Version of each peer in the environment of `python`; None where it is missing or cannot be imported."""
    return {name: _version(python, name, module) for name, module in IMPORTED.items()}


def _version(python: Path, name: str, module: str) -> str | None:
    if not python.exists():
        return None
    asked = subprocess.run([python, "-c", _ASK, name, module], capture_output=True, text=True, check=False)
    return asked.stdout.split()[-1] if asked.returncode == 0 else None
