"""Verdicts of the checks whose threshold follows from the cohort, given to rows of the table `quality`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.tables.cohort_threshold import cohort_thresholds_of, unusual_below
from dixonflow.tables.shards import SCAN_KEYS, SHARD_KEYS, joined, shard_by_shard
from dixonflow.vocabulary import Grade

_KEY = ("check", "structure", "model")
_OF_PROTOCOL = [check.name for check in CHECKS.values() if check.of_protocol]


def cohort_thresholds(
    files: Mapping[str, Path], scans: pd.DataFrame, checks: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], float | None]:
    """Threshold of every check, structure and model whose threshold follows from the cohort.

    Takes 30 bytes for each value, 225 MB for 100,000 scans and 75 structures.

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
    By check, structure and model: that of the cohort, or the check's own where that is stricter or too few scans have a
    value; None where there is neither.
    """
    keys = sorted(key for key in checks if CHECKS[key[0]].of_cohort)
    numbers, values, scan_numbers = [np.empty(0, np.uint16)], [np.empty(0, np.float64)], [np.empty(0, np.int32)]
    of_cohort = pc.field("check").isin([check.name for check in CHECKS.values() if check.of_cohort])
    first = 0
    for piece in shard_by_shard(files, scans, [*_KEY, "value"], of_cohort):
        known = piece.append_column("number", _number(piece, keys)).drop_null()
        ids = pc.dictionary_encode(joined(known, SHARD_KEYS)).combine_chunks()
        numbers.append(known["number"].to_numpy().astype(np.uint16))
        values.append(known["value"].to_numpy())
        scan_numbers.append(ids.indices.to_numpy().astype(np.int32) + first)
        first += len(ids.dictionary)
    number, value, scan = (np.concatenate(parts) for parts in (numbers, values, scan_numbers))
    thresholds: dict[tuple[str, str, str], float | None] = {}
    # each check has a bound of its own: a scan may have values of the one and not of the other
    for name in sorted({key[:1] + key[2:] for key in keys}):
        places = [place for place, key in enumerate(keys) if key[:1] + key[2:] == name]
        own = {place: number == place for place in places}
        sign = _sign(name[0])
        found = cohort_thresholds_of(
            {place: sign * value[rows] for place, rows in own.items()},
            {place: scan[rows] for place, rows in own.items()},
            CHECKS[name[0]].smallest_spread,
        )
        limit = CHECKS[name[0]].threshold
        for place, bound in found.items():
            both = [each for each in (bound, None if limit is None else sign * limit) if each is not None]
            thresholds[keys[place]] = sign * max(both) if both else None
    return thresholds


def _sign(check: str) -> int:
    """-1 for a check that large values fail: it is judged like one of small values, mirrored."""
    return -1 if CHECKS[check].passes == "at_most" else 1


def with_verdicts(rows: pa.Table, thresholds: Mapping[tuple[str, str, str], float | None]) -> pa.Table:
    """Rows of `quality` with the thresholds of the cohort; values beyond theirs ask for a review.

    Parameters
    ----------
    rows
        As `measure` made them: these checks with their own threshold, if they have one, and its verdict.
    thresholds
        From `cohort_thresholds`.
    """
    keys = list(thresholds)
    number = _number(rows, keys)
    bound = pc.take(pa.array([thresholds[key] for key in keys], pa.float64()), number)
    threshold = pc.if_else(pc.is_valid(number), bound, rows["threshold"])
    sign = pc.take(pa.array([_sign(check) for check, *_ in keys], pa.int8()), number)
    unusual = pc.fill_null(pc.less(pc.multiply(rows["value"], sign), pc.multiply(bound, sign)), False)
    passed = pc.equal(rows["grade"], Grade.PASS.value)
    grade = pc.if_else(pc.and_(unusual, passed), Grade.REVIEW.value, rows["grade"])
    for name, column in (("threshold", threshold), ("grade", grade)):
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def _number(rows: pa.Table, keys: list[tuple[str, str, str]]) -> pa.ChunkedArray:
    """Place of each row's check, structure and model in `keys`; null where it is none of them."""
    names = pa.table({name: pa.array([key[place] for key in keys], pa.string()) for place, name in enumerate(_KEY)})
    return pc.index_in(joined(rows, _KEY), value_set=joined(names, _KEY).combine_chunks())


def with_verdicts_of_protocol(rows: pa.Table, thresholds: pd.DataFrame, layouts: pd.DataFrame) -> pa.Table:
    """Rows of `quality` with the thresholds of the scans of the same layout; values below theirs ask for a review.

    Parameters
    ----------
    rows
        Of any scans.
    thresholds
        From `protocol_thresholds`.
    layouts
        Columns of `SCAN_KEYS` and layout, of all scans.
    """
    known = pc.is_in(rows["check"], value_set=pa.array(_OF_PROTOCOL, pa.string()))
    if not pc.any(known).as_py():
        return rows
    own = rows.filter(known).to_pandas().merge(layouts, on=SCAN_KEYS, how="left", validate="many_to_one")
    own = own.drop(columns="threshold").merge(thresholds, on=["check", "model", "layout"], how="left")
    own = own.astype({"value": float, "threshold": float})
    own.loc[own["value"].lt(own["threshold"]), "grade"] = Grade.REVIEW.value
    judged = pa.Table.from_pandas(own[rows.column_names], rows.schema.remove_metadata(), preserve_index=False)
    return pa.concat_tables([rows.filter(pc.invert(known)), judged.cast(rows.schema)])


def protocol_thresholds(files: Mapping[str, Path], scans: pd.DataFrame, layouts: pd.DataFrame) -> pd.DataFrame:
    """Threshold of every check whose threshold follows from the scans of the same layout.

    Parameters
    ----------
    files, scans
        As of `cohort_thresholds`, scans of one sequence.
    layouts
        As of `with_verdicts_of_protocol`.

    Returns
    -------
    Columns check, model, layout and threshold; no row where too few scans have a value.
    """
    wanted = pc.field("check").isin(_OF_PROTOCOL)
    pieces = [piece.to_pandas() for piece in shard_by_shard(files, scans, ["check", "model", "value"], wanted)]
    columns = ["check", "model", "layout", "threshold"]
    if not pieces:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(pieces).merge(scans[SCAN_KEYS].merge(layouts, on=SCAN_KEYS), on=SHARD_KEYS, how="left")
    found = [
        (*key, unusual_below(group["value"].dropna().to_numpy(float)))
        for key, group in rows.groupby(["check", "model", "layout"], sort=True)
    ]
    return pd.DataFrame([row for row in found if row[-1] is not None], columns=columns)
