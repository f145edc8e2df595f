"""One grade per value: the worst of the checks of its structure, of its scan and of its parts.

The checks are rows of `quality`. What each decides is said in its definition; here that is turned into verdicts on
values, and a value that failed is set apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.compartments.landmark import level_model
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.measure_definition import MeasureDefinition
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.structures import cut_by_design
from dixonflow.models.anatomy import structures as vocabulary
from dixonflow.models.model import Model
from dixonflow.ratings.effects import ANSWERED_BY_STRUCTURE, RATING, GoodRatings, spoilt_compartments
from dixonflow.tables.measurements import GRADED
from dixonflow.tables.shards import SCAN_KEYS, joined
from dixonflow.vocabulary import Grade, ScanSequence

_ORDER = tuple(CHECKS)
_SEVERITY = {Grade.REVIEW.value: 1, Grade.FAIL.value: 2}
_GROUPS = ("all", "fat", "levels")
"""Measures that a check decides on: all of the structure, those made of water and fat, levels of vertebrae."""


def objections_of(quality: pa.Table) -> pa.Table:
    """Rows of `quality` that did not pass, with what is needed to grade by them."""
    columns = [*SCAN_KEYS, "check", "structure", "model", "grade", "place"]
    rows = quality.filter(pc.not_equal(quality["grade"], Grade.PASS.value)).select(columns)
    return rows.cast(pa.schema([(name, pa.string()) for name in columns]))


class Grading:
    """Verdicts on the values of all scans.

    Parameters
    ----------
    objections
        Rows of `objections_of`, of all scans.
    models
        The models of each sequence, as they are used on its scans.
    good
        What raters found good.
    """

    def __init__(
        self,
        objections: pa.Table,
        models: Mapping[ScanSequence, Sequence[Model]],
        good: GoodRatings | None = None,
    ) -> None:
        self._objections = objections
        self._good = good or GoodRatings()
        self._scans = joined(objections, SCAN_KEYS)
        self._models = models

    def graded(self, rows: pa.Table) -> pa.Table:
        """Rows of measurements of any scans with the columns `GRADED`; failed values are null and set apart."""
        scans = joined(rows, SCAN_KEYS)
        here = self._objections.filter(pc.is_in(self._scans, value_set=scans.unique()))
        codes = np.zeros(rows.num_rows, np.int32)
        if here.num_rows:
            touched = pc.is_in(scans, value_set=joined(here, SCAN_KEYS).unique()).to_numpy()
            codes[touched] = _worst(rows.filter(pa.array(touched)), self._verdicts(here))
        there = rows["value"].is_valid().to_numpy()
        codes[~there] = 0
        severity, check = codes // len(_ORDER), len(_ORDER) - 1 - codes % len(_ORDER)
        failed = pa.array(severity == 2)
        grades = np.array([grade.value for grade in (Grade.PASS, Grade.REVIEW, Grade.FAIL)], object)[severity]
        grades[~there] = None
        decided = np.array(_ORDER, object)[check]
        decided[severity == 0] = None
        columns: dict[str, pa.Array | pa.ChunkedArray] = {name: rows[name] for name in rows.column_names}
        nothing = pa.nulls(rows.num_rows, pa.float64())
        columns["value_before_grade"] = pc.if_else(failed, rows["value"], nothing)
        columns["value"] = pc.if_else(failed, nothing, rows["value"])
        columns["missing_reason"] = pc.if_else(failed, MissingReason.FAILED_CHECK.value, rows["missing_reason"])
        columns["grade"], columns["decided_by"] = pa.array(grades, pa.string()), pa.array(decided, pa.string())
        return pa.table(columns).select([*rows.column_names, *(column.name for column in GRADED)])

    def _verdicts(self, objections: pa.Table) -> Mapping[str, Mapping[str, int]]:
        """Worst verdict, as a code, on each scan, model and structure, for each group of measures."""
        found: dict[str, dict[str, int]] = {group: {} for group in _GROUPS}
        for *scan, check, structure, name, grade, place in objections.to_pandas().itertuples(index=False, name=None):
            definition = CHECKS[check]
            verdicts, of_scan = found[_group(definition)], self._models[ScanSequence(scan[2])]
            own = next(model for model in of_scan if model.name == name)
            names = [structure, *place.split(", ")] if definition.with_touched else [structure]
            answered = self._answered(scan, name, check, structure, grade, definition.needs or names)
            if answered.issuperset(definition.needs or names) or structure in answered:
                continue
            for model in of_scan:
                if check == RATING:
                    severities = _spoilt(structure, grade, own, model, of_scan)
                else:
                    left = [each for each in names if each not in answered]
                    reached = _reached(check, left, own) if model is own else _inherited(check, left, own, model)
                    severities = dict.fromkeys(reached, _SEVERITY[grade])
                if definition.decides == "levels" and _has_levels_of(own, model, of_scan):
                    for each in _between_vertebrae(model):
                        key = "\t".join((*scan, model.name, each))
                        code = _code(_SEVERITY[grade], _ORDER.index(check))
                        found["all"][key] = max(found["all"].get(key, 0), code)
                # by its own check, or by that of a model that has the structures for it
                is_judged = model is own or not set(definition.needs) <= set(model.structures)
                if is_judged and definition.decides == "sided" and grade == Grade.FAIL.value:
                    severities = dict.fromkeys(names_of(model), _SEVERITY[Grade.REVIEW.value]) | severities
                for each, severity in severities.items():
                    if check in ANSWERED_BY_STRUCTURE and severity == 1 and self._good.is_good(scan, model.name, each):
                        continue
                    key = "\t".join((*scan, model.name, each))
                    verdicts[key] = max(verdicts.get(key, 0), _code(severity, _ORDER.index(check)))
        return found

    def _answered(
        self, scan: Sequence[str], model: str, check: str, structure: str, grade: str, names: Sequence[str]
    ) -> frozenset[str]:
        """Those of the structures of an objection in which a rater sees no fault; all where it counts no more."""
        if self._good.answer(scan, model, check, structure, grade):
            return frozenset(names)
        if check not in ANSWERED_BY_STRUCTURE or grade != Grade.REVIEW.value:
            return frozenset()
        return frozenset(each for each in names if self._good.is_good(scan, model, each))


def _worst(rows: pa.Table, verdicts: Mapping[str, Mapping[str, int]]) -> NDArray[np.int32]:
    """Worst verdict on each row, as a code; 0 where there is no objection."""
    keys = joined(rows, [*SCAN_KEYS, "model", "structure"])
    names = pc.dictionary_encode(rows["measure"]).combine_chunks()
    measures = [MEASURES[name] for name in names.dictionary.to_pylist()]
    index = names.indices.to_numpy()
    worst = np.zeros(rows.num_rows, np.int32)
    for group, own in verdicts.items():
        place = pc.index_in(keys, value_set=pa.array(list(own), pa.string()))
        codes = np.array([*own.values(), 0], np.int32)[pc.fill_null(place, len(own)).to_numpy()]
        counts = np.array([_is_of(measure, group) for measure in measures], bool)[index]
        np.maximum(worst, np.where(counts, codes, 0), out=worst)
    return worst


def _code(severity: int, check: int) -> int:
    """Worse verdicts are larger, and of equal ones the check that comes first."""
    return severity * len(_ORDER) + len(_ORDER) - 1 - check


def _group(check: CheckDefinition) -> str:
    return "levels" if check.decides == "levels" else "fat" if check.of_fat else "all"


def _is_of(measure: MeasureDefinition, group: str) -> bool:
    return measure.is_graded and (group == "all" or (measure.of_fat if group == "fat" else measure.of_vertebrae))


def _reached(check: str, structures: Sequence[str], model: Model) -> Iterable[str]:
    """Structures and composites whose values a check of `structures` decides on."""
    definition = CHECKS[check]
    if definition.decides == "checked":
        return _with_composites(structures, model, definition)
    return _reached_by_scan(definition, model.name, tuple(model.structures), tuple(_wholes(model).items()))


def _inherited(check: str, structures: Sequence[str], own: Model, other: Model) -> Iterable[str]:
    """What the objection of a check to one model decides on in another one that cannot make it.

    What is wrong with the scan is wrong for all models, also for those without the structures that show it.
    """
    definition = CHECKS[check]
    if set(definition.needs) <= set(other.structures):
        return ()
    if definition.decides == "checked":
        unknown = [name for name in other.structures if name not in own.structures]
        return _with_composites([name for name in structures if name in other.structures] or unknown, other, definition)
    reached = _reached(check, structures, other)
    return [name for name in reached if name in names_of(other)]


@cache
def _reached_by_scan(
    check: CheckDefinition,
    _model: str,
    names: tuple[str, ...],
    wholes: tuple[tuple[str, tuple[str, ...]], ...],
) -> tuple[str, ...]:
    every = (*names, *(name for name, _ in wholes))
    match check.decides:
        case "all" | "levels":
            return every
        case "sided":
            return tuple(name for name in every if name in vocabulary() and vocabulary()[name].side != "none")
        case "cut_by_design":
            return tuple(name for name in every if name in cut_by_design())
        case "needs":
            return (*check.needs, *(name for name, parts in wholes if set(parts) & set(check.needs)))
        case _:
            return ()


def _spoilt(structure: str, grade: str, own: Model, model: Model, models: Sequence[Model]) -> dict[str, int]:
    """How bad values of a model are, by structure, for a rating of a structure of `own`, or of all of it."""
    severity = _SEVERITY[grade]
    reached = dict.fromkeys(spoilt_compartments(own, structure, model, models), severity)
    if model is own:
        # a fault of a whole may lie in any of its parts
        reached |= dict.fromkeys(own.composites.get(structure, ()), _SEVERITY[Grade.REVIEW.value])
        chosen = _with_composites([structure], own, CHECKS[RATING]) if structure else names_of(own)
        reached |= dict.fromkeys(chosen, severity)
    return reached


def _with_composites(names: Iterable[str], model: Model, check: CheckDefinition) -> tuple[str, ...]:
    chosen, wholes = set(names), _wholes(model) if check.of_compartments else dict(model.composites)
    return (*chosen, *(name for name, parts in wholes.items() if chosen & set(parts)))


def _wholes(model: Model) -> dict[str, tuple[str, ...]]:
    """What values are made of: of a composite its parts, of a compartment its source with its parts, and its bones."""
    return dict(model.composites) | {
        each.name: (each.source, *each.parts, *(name for name in each.where.bones if name in model.structures))
        for each in compartments_of(model)
    }


def names_of(model: Model) -> tuple[str, ...]:
    """All structures, composites and compartments of a model."""
    return (*model.structures, *_wholes(model))


def _between_vertebrae(model: Model) -> list[str]:
    return [each.name for each in compartments_of(model) if each.where.needs_vertebrae]


def _has_levels_of(own: Model, model: Model, models: Sequence[Model]) -> bool:
    """Whether the compartments of a model are delimited by the vertebrae of `own`."""
    chosen = level_model([model, *(each for each in models if each.name != model.name)])
    return chosen is not None and chosen.name == own.name


def scan_grades(objections: pa.Table, good: GoodRatings | None = None) -> pd.DataFrame:
    """Grade of each scan to which a check objects that asks for a look: columns of `SCAN_KEYS`, `scan_grade`, and
    `scan_grade_decided_by`, the checks in the order of the table.

    A scan fails if a check of the whole scan fails; what concerns single structures asks for a review.
    """
    rows = (good or GoodRatings()).unanswered_of_scans(objections.to_pandas())
    rows = rows[rows["check"].map({name: check.asks_for_a_look for name, check in CHECKS.items()}).astype(bool)]
    of_scan = rows["structure"].eq("").astype(bool)
    rows = rows.assign(fails=rows["grade"].eq(Grade.FAIL.value) & of_scan, place=rows["check"].map(_ORDER.index))
    rows = rows.sort_values([*SCAN_KEYS, "fails", "place"], ascending=[True, True, True, False, True])
    rows = rows.drop_duplicates([*SCAN_KEYS, "check"])
    found = rows.groupby(SCAN_KEYS, sort=True).agg(fails=("fails", "any"), scan_grade_decided_by=("check", ", ".join))
    found["scan_grade"] = np.where(found["fails"], Grade.FAIL.value, Grade.REVIEW.value)
    graded: pd.DataFrame = found.reset_index()[[*SCAN_KEYS, "scan_grade", "scan_grade_decided_by"]]
    return graded
