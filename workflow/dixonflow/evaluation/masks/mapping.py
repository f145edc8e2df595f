"""What the labels of a data set or a system are called in the vocabulary of structures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dixonflow.evaluation.masks.problem import CaseProblem, EvaluationError
from dixonflow.models.anatomy import known_structures, structures

IGNORED = "ignored"
"""What a mapping calls a label that is not evaluated. A label that it does not name at all is an error."""

PROSTATE_OR_UTERUS = "prostate_or_uterus"
"""Label 15 of AMOS, by the participant's sex: no structure of the vocabulary, but no mistake in a mapping either."""

MAX_LABEL = 2**16 - 1

_SHOWN = 10


@cache
def structure_ids() -> dict[str, int]:
    """Number of every structure in the label maps that are compared, from 1."""
    return {name: number for number, name in enumerate([*structures(), PROSTATE_OR_UTERUS], start=1)}


@dataclass(frozen=True)
class LabelMapping:
    """Labels of a data set or a system.

    Attributes
    ----------
    name
        As the user names it.
    source
        Where the labels are published.
    ranges
        Lowest and highest label, and their structure or `IGNORED`.
    files
        Structure, or `IGNORED`, by the name of a file that holds it alone, without its ending. Names of the vocabulary
        need no entry.
    """

    name: str
    source: str
    ranges: tuple[tuple[int, int, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [*(name for _, _, name in self.ranges), *self.files.values()]
        check_names(self.name, names)
        last = 0
        for low, high, _ in sorted(self.ranges):
            if not 0 < low <= high <= MAX_LABEL:
                raise EvaluationError(
                    f"mapping {self.name}: label {low} to {high} is not a range between 1 and {MAX_LABEL}"
                )
            if low <= last:
                raise EvaluationError(f"mapping {self.name}: label {low} is named twice")
            last = high

    @property
    def structures(self) -> frozenset[str]:
        """Structures that its label numbers name."""
        return frozenset(name for _, _, name in self.ranges) - {IGNORED}

    def structure_of_file(self, stem: str) -> str | None:
        """Structure, or `IGNORED`, in the file of this name (without ending); None where the name is none of one."""
        known = stem in known_structures()
        return self.files.get(stem, stem if known else None)

    def recode(self, labels: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
        """Give each label the number of its structure (`structure_ids`), 0 to ignored ones.

        Parameters
        ----------
        labels
            Label map of any shape.

        Raises
        ------
        CaseProblem
            If the map holds labels that are not named: they are listed.
        """
        if not self.ranges:
            raise CaseProblem(f"the mapping {self.name} names no label numbers: give one that does")
        lookup = np.zeros(MAX_LABEL + 1, np.uint8)
        named = np.zeros(MAX_LABEL + 1, bool)
        named[0] = True
        for low, high, name in self.ranges:
            named[low : high + 1] = True
            lookup[low : high + 1] = 0 if name == IGNORED else structure_ids()[name]
        # plane by plane: bincount makes 8 bytes of every voxel
        counts = sum(
            (np.bincount(plane.ravel(), minlength=MAX_LABEL + 1) for plane in labels), np.zeros(MAX_LABEL + 1, np.int64)
        )
        unknown = np.flatnonzero((counts > 0) & ~named)
        if len(unknown):
            raise CaseProblem(f"labels that the mapping {self.name} does not name: {_listed(map(str, unknown))}")
        recoded: NDArray[np.uint8] = lookup[labels]
        return recoded


def check_names(mapping: str, names: Iterable[str]) -> None:
    """Check that names are structures of the vocabulary, or `IGNORED`. Raises EvaluationError."""
    known = {*structure_ids(), IGNORED}
    unknown = sorted(set(names) - known)
    if unknown:
        close = get_close_matches(unknown[0], known, 1)
        hint = f"; is {unknown[0]} {close[0]}?" if close else ""
        raise EvaluationError(
            f"mapping {mapping}: not in the vocabulary of structures (docs/models.md), nor {IGNORED}: "
            f"{_listed(unknown)}{hint}"
        )


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
