"""The file of reference centiles: small, without any participant, for other cohorts to apply."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dixonflow.analyse.centiles import CENTILES, SEXES, Curves
from dixonflow.errors import ConfigError
from dixonflow.measure.definitions import MEASURES
from dixonflow.system.atomic import write_json
from dixonflow.system.regular_file import read_regular

_FORMAT = "dixonflow-centiles-1"
_MOST_BYTES = 64 << 20


class _Entry(BaseModel):
    """Curves as they stand in the file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    sequence: str
    model: str
    structure: str
    measure: str
    unit: str
    sex: str
    n: int = Field(ge=1)
    logarithmic: bool
    knots: tuple[float, ...] = Field(min_length=8)
    height_cm: float | None
    coefficients: tuple[tuple[float, ...], ...]
    crossings: float


def write_centiles(path: Path, curves: Sequence[Curves]) -> None:
    """Write curves."""
    definitions = {each.measure: MEASURES[each.measure].key for each in curves}
    content = {
        "format": _FORMAT,
        "centiles": list(CENTILES),
        "definitions": definitions,
        "curves": [asdict(each) for each in curves],
    }
    write_json(path, content)


def read_centiles(path: Path) -> list[Curves]:
    """Read a file of curves.

    Raises
    ------
    ConfigError
        If it cannot be read, is not such a file, or its measures are defined in another way here.
    """
    try:
        content = json.loads(read_regular(path, _MOST_BYTES))
        return [_curves(entry) for entry in _checked(path, content)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is no file of centiles, or a damaged one: {type(error).__name__}") from error


def _checked(path: Path, content: Any) -> list[Any]:
    if content["format"] != _FORMAT or tuple(content["centiles"]) != CENTILES:
        raise ConfigError(f"{path} is no file of centiles of this version")
    for measure, key in content["definitions"].items():
        known = MEASURES.get(measure)
        if known is None or known.key != key:
            raise ConfigError(f"{path}: {measure} is defined as {key} there, and not here: fit the centiles again")
    entries: list[Any] = content["curves"]
    return entries


def _curves(content: Any) -> Curves:
    try:
        entry = _Entry.model_validate(content)
    except ValidationError as error:
        raise ValueError("a curve is not as it should be") from error
    width = len(entry.knots) - 4 + (entry.height_cm is not None)
    if (
        entry.sex not in SEXES
        or list(entry.knots) != sorted(entry.knots)
        or entry.knots[0] >= entry.knots[-1]
        or [len(row) for row in entry.coefficients] != [width] * len(CENTILES)
    ):
        raise ValueError("a curve is not as it should be")
    return Curves(**entry.model_dump())
