"""The file of reference centiles: small, without any participant, for other cohorts to apply."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dixonflow.analyse.centiles import CENTILES, SEXES, Curves
from dixonflow.errors import ConfigError
from dixonflow.measure.definitions import MEASURES
from dixonflow.system.atomic import write_json
from dixonflow.system.regular_file import read_regular

_FORMAT = "dixonflow-centiles-1"
_MOST_BYTES = 64 << 20
_ORDER = 4
"""Of cubic splines, which have so many knots at each end."""


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
    curves = TypeAdapter(Curves).validate_python(content)
    knots = curves.knots
    width = len(knots) - _ORDER + (curves.height_cm is not None)
    if (
        curves.sex not in SEXES
        or curves.n < 1
        or len(knots) < 2 * _ORDER
        or list(knots) != sorted(knots)
        or len(set(knots)) != len(knots) - 2 * (_ORDER - 1)
        or len({*knots[:_ORDER]}) > 1
        or len({*knots[-_ORDER:]}) > 1
        or [len(row) for row in curves.coefficients] != [width] * len(CENTILES)
    ):
        raise ValueError("a curve is not as it should be")
    return curves
