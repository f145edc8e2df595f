"""Mappings by name: published ones, those of the models, and the user's own files."""

import csv
import re
from functools import cache
from pathlib import Path

from dixonflow.errors import ModelError
from dixonflow.evaluation.masks.mapping import LabelMapping
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.text_table import text_table
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.system.package_table import package_table
from dixonflow.system.regular_file import read_regular

VOCABULARY = "vocabulary"
"""Mapping of files that are named after the structures, and of label maps with a BIDS lookup table (dseg.tsv)."""

NOT_NAMED = "n/a"
"""What BIDS tables have where there is no value: such a label is not named."""

MAX_TABLE_BYTES = 2**22

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


@cache
def published_mappings() -> dict[str, LabelMapping]:
    """Mappings of published data sets, by name."""
    rows = package_table(__package__, "label_mappings.csv")
    sources = {row["mapping"]: row["source"] for row in package_table(__package__, "mapping_sources.csv")}
    return {
        name: LabelMapping(name, source, tuple(_range(each) for each in rows if each["mapping"] == name))
        for name, source in sources.items()
    }


def _range(row: dict[str, str]) -> tuple[int, int, str]:
    low, _, high = row["label"].partition("-")
    return int(low), int(high or low), row["structure"]


def known_mappings() -> list[str]:
    """Names that `named_mapping` takes."""
    models = sorted(path.stem for path in MODELS.glob("*.yaml"))
    return [VOCABULARY, *published_mappings(), *models]


def named_mapping(name: str) -> LabelMapping:
    """Give a mapping by its name, or read it from a file.

    Parameters
    ----------
    name
        A published data set, a model, `vocabulary`, or the path of a CSV or TSV file.

    Raises
    ------
    EvaluationError
        If there is none, or the file is wrong.
    """
    if name == VOCABULARY:
        return LabelMapping(VOCABULARY, "models/structures.csv")
    if name in published_mappings():
        return published_mappings()[name]
    path = MODELS / f"{name}.yaml"
    if re.fullmatch(r"[a-z0-9]+", name) and path.is_file():
        try:
            return mapping_of_model(load_model(path))
        except ModelError as error:
            raise EvaluationError(str(error)) from error
    if Path(name).suffix.lower() in (".csv", ".tsv"):
        return read_mapping(Path(name))
    raise EvaluationError(
        f"there is no mapping {name}: give a .csv or .tsv file, or one of {', '.join(known_mappings())}"
    )


def mapping_of_model(model: Model) -> LabelMapping:
    """Give the labels of a model; files may have the names of its authors or those of the vocabulary."""
    if model.finds_swaps:
        raise EvaluationError(f"the labels of {model.name} are no structures")
    labels = tuple((label, label, rule.name) for label, rule in model.labels.items())
    files = {name: rule.name for rule in model.labels.values() for name in (rule.published_name, *rule.also_published)}
    return LabelMapping(model.name, model.sources.get("labels", model.title), labels, files)


def read_mapping(path: Path) -> LabelMapping:
    """Read a mapping: columns `label` and `structure`, or `index` and `name` of a BIDS lookup table.

    Labels are numbers, ranges such as 55-70, or names of files without their ending; a structure is one of the
    vocabulary, or `ignored`.

    Raises
    ------
    EvaluationError
        If the file cannot be read or names something twice or not at all.
    """
    rows, columns = _rows(path)
    for label, structure in (("label", "structure"), ("index", "name")):
        if label in columns and structure in columns:
            break
    else:
        raise EvaluationError(f"mapping {path}: needs the columns label and structure (or index and name, as in BIDS)")
    ranges, files = [], {}
    for number, row in rows:
        key, name = (row.get(label) or "").strip(), (row.get(structure) or "").strip()
        if not key or not name:
            raise EvaluationError(f"mapping {path}: line {number} needs a {label} and a {structure}")
        if name == NOT_NAMED:
            continue
        if found := _RANGE.fullmatch(key):
            low, high = int(found[1]), int(found[2] or found[1])
            if low or high:  # 0 is background everywhere
                ranges.append((low, high, name))
        elif key in files:
            raise EvaluationError(f"mapping {path}: {key} is named twice")
        else:
            files[key] = name
    if not ranges and not files:
        raise EvaluationError(f"mapping {path}: names no label")
    return LabelMapping(path.name, str(path), tuple(ranges), files)


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Lines of a mapping by their numbers, and its columns."""
    try:
        text = read_regular(path, MAX_TABLE_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise EvaluationError(f"there is no mapping {path}") from error
    except OSError as error:
        raise EvaluationError(f"mapping {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"mapping {path} is not text in UTF-8") from error
    try:
        names, lines = text_table(text, f"mapping {path}")
        return [(number, dict(zip(names, cells, strict=True))) for number, cells in lines], names
    except csv.Error as error:
        raise EvaluationError(f"mapping {path} cannot be read: {error}") from error
