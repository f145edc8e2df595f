"""Sets of structures that papers report means over.

- 40: the structures of MRSegmentator (evaluation/mappings.py of hhaentze/MRSegmentator, b6f76778: `channels`; what it
  calls spine has no sacrum and is `vertebrae` here).
- 32: the structures for which the VIBESegmentator paper reports the Dice of MRISegmenter on its internal test set
  (Graf et al. 2025, doi:10.1007/s00330-025-12035-9, tables 1 to 3).
- 24: those of MRSegmentator that lie completely in its T2-weighted images (same file: `T2_channels`).
- 13: those of AMOS without bladder and prostate or uterus (same file: `amos_to_mrseg`).
"""

from pathlib import Path

from dixonflow.evaluation.masks.mapping import check_names
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.system.package_table import package_table


def class_subset(name: str) -> frozenset[str]:
    """Structures of a subset.

    Parameters
    ----------
    name
        Its number of structures, or the path of a text file with one structure in each line.

    Raises
    ------
    EvaluationError
        If there is none of this name, or a structure is not in the vocabulary.
    """
    rows = package_table(__package__, "class_subsets.csv")
    found = frozenset(row["structure"] for row in rows if row["classes"] == name)
    if found:
        return found
    if not Path(name).is_file():
        known = ", ".join(dict.fromkeys(row["classes"] for row in rows))
        raise EvaluationError(
            f"--classes: there is no set {name}: known are {known}; for another one give a text file with one "
            "structure in each line"
        )
    try:
        lines = Path(name).read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"--classes: {name} is no readable text in UTF-8") from error
    if not lines:
        raise EvaluationError(f"--classes: {name} names no structure")
    check_names(name, lines)
    return frozenset(lines)
