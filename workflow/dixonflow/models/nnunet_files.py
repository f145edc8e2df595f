"""What is known of a model only when its weights are here: whether they are, and what their own files say."""

import math
import re
import reprlib
from pathlib import Path
from typing import Any

from dixonflow.errors import ModelError
from dixonflow.system.documents import DocumentError, read_json_file


def is_imported(folder: Path) -> bool:
    """Whether a network folder is complete: its metadata.json is written last."""
    return (folder / "metadata.json").is_file()


def trained_orientation(folder: Path) -> str:
    """Orientation that a VIBESegmentator network was trained on, like `LPS`.

    Its dataset.json names it, and inference_config.json, where there is one, overrules that (TPTBox
    segmentation/VibeSeg/inference_nnunet.py, 11e4e8a6).

    Raises
    ------
    ModelError
        If neither does, or it is no order of right-left, front-back and up-down: other orders of axes are not
        supported.
    """
    dataset = folder / "dataset.json"
    codes = _overrule(folder).get("model_expected_orientation", read_json(dataset).get("orientation"))
    try:
        orientation = "".join(codes or "")
    except TypeError:
        orientation = reprlib.repr(codes)
    if not re.fullmatch("[RL][AP][SI]", orientation):
        raise ModelError(f"{dataset}: 'orientation' must be like RAS or LPS, not {reprlib.repr(codes)}: not supported")
    return orientation


def trained_spacing_mm(folder: Path) -> tuple[float, float, float]:
    """Spacing (x, y, z) that images are resampled to for a VIBESegmentator network.

    That of its plans.json, which lists the network's axes: those of the image in reverse, transposed. `spacing` of
    dataset.json (z, y, x) overrules it, and `resolution_range` (x, y, z) both, of inference_config.json before that of
    dataset.json (TPTBox segmentation/VibeSeg/inference_nnunet.py, 11e4e8a6).

    Raises
    ------
    ModelError
        If a file is missing or says no spacing.
    """
    dataset = read_json(folder / "dataset.json")
    spacing = dataset.get("spacing")
    by_axis = spacing[::-1] if isinstance(spacing, list) else spacing
    stated = _overrule(folder).get("resolution_range", dataset.get("resolution_range", by_axis))
    if stated is not None:
        try:
            x, y, z = (float(length) for length in stated)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{folder}: the spacing {reprlib.repr(stated)} is not three numbers") from error
        if not all(0 < length < math.inf for length in (x, y, z)):
            raise ModelError(f"{folder}: the spacing {reprlib.repr(stated)} is not positive")
        return x, y, z
    plans = read_json(folder / "plans.json")
    configuration = str(read_json(folder / "metadata.json").get("configuration"))
    try:
        spacing = _inherited(plans["configurations"], configuration, "spacing")
        z, y, x = (float(spacing[axis]) for axis in plans["transpose_backward"])
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{folder / 'plans.json'}: cannot read the spacing of {configuration}: {error!r}") from error
    if not all(0 < length < math.inf for length in (x, y, z)):
        raise ModelError(f"{folder / 'plans.json'}: the spacing of {configuration} is not positive")
    return x, y, z


def _overrule(folder: Path) -> dict[str, Any]:
    path = folder / "inference_config.json"
    return read_json(path) if path.is_file() else {}


def _inherited(configurations: dict[str, Any], name: str, key: str) -> Any:
    """Entry of a configuration, or of the one that it inherits from."""
    for _ in configurations:  # a longer way leads round in a circle
        if key in configurations[name]:
            return configurations[name][key]
        name = configurations[name]["inherits_from"]
    raise KeyError(key)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a model folder's JSON files.

    Raises
    ------
    ModelError
        If the file is missing, is no JSON object, or larger than one of a network can be.
    """
    try:
        content = read_json_file(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except DocumentError as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} must hold a JSON object")
    return content
