"""Verdicts of the checks whose threshold follows from the cohort, given to rows of the table `quality`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.measure.checks import CHECKS
from dixonflow.measure.cohort_threshold import cohort_threshold
from dixonflow.tables.shards import joined, shard_by_shard
from dixonflow.vocabulary import Grade

_KEY = ("check", "structure", "model")


def cohort_thresholds(
    files: Mapping[str, Path], scans: pd.DataFrame, checks: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], float | None]:
    """Threshold of every check, structure and model whose threshold follows from the cohort.

    Takes 20 bytes for each value, 150 MB for 100,000 scans and 75 structures.

    Parameters
    ----------
    files
        Rows of `quality` of each shard.
    scans
        participant_id, session_id and shard of the scans that count. Their order and their shards change nothing.
    checks
        Check, structure and model of the rows that every scan has, those with other thresholds included.

    Returns
    -------
    By check, structure and model; None where too few scans have a value.
    """
    keys = sorted(key for key in checks if CHECKS[key[0]].of_cohort)
    numbers, values = [np.empty(0, np.uint16)], [np.empty(0, np.float64)]
    of_cohort = pc.field("check").isin([check.name for check in CHECKS.values() if check.of_cohort])
    for piece in shard_by_shard(files, scans, [*_KEY, "value"], of_cohort):
        known = piece.append_column("number", _number(piece, keys)).drop_null()
        numbers.append(known["number"].to_numpy().astype(np.uint16))
        values.append(known["value"].to_numpy())
    number, value = np.concatenate(numbers), np.concatenate(values)
    return {key: cohort_threshold(value[number == place].tolist()) for place, key in enumerate(keys)}


def with_verdicts(rows: pa.Table, thresholds: Mapping[tuple[str, str, str], float | None]) -> pa.Table:
    """Rows of `quality` with the thresholds of the cohort; values below theirs ask for a review.

    Parameters
    ----------
    rows
        As `measure` made them: these checks without a threshold, and passed.
    thresholds
        From `cohort_thresholds`.
    """
    keys = list(thresholds)
    number = _number(rows, keys)
    bound = pc.take(pa.array([thresholds[key] for key in keys], pa.float64()), number)
    threshold = pc.if_else(pc.is_valid(number), bound, rows["threshold"])
    below = pc.fill_null(pc.less(rows["value"], bound), False)
    grade = pc.if_else(below, Grade.REVIEW.value, rows["grade"])
    for name, column in (("threshold", threshold), ("grade", grade)):
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def _number(rows: pa.Table, keys: list[tuple[str, str, str]]) -> pa.ChunkedArray:
    """Place of each row's check, structure and model in `keys`; null where it is none of them."""
    names = pa.table({name: pa.array([key[place] for key in keys], pa.string()) for place, name in enumerate(_KEY)})
    return pc.index_in(joined(rows, _KEY), value_set=joined(names, _KEY).combine_chunks())
