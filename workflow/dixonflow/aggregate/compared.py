"""Agreement with label maps of other programs: its rows in `quality`, made of what `dixonflow compare` has found."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.aggregate.rated import ModelsOfSequence
from dixonflow.comparators.agreement_table import AGREEMENT, Presence
from dixonflow.comparators.mining import below_threshold, thresholds
from dixonflow.execution.label_map_keys import label_map_keys
from dixonflow.paths import Results
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.parquet import check_file
from dixonflow.tables.schema import to_arrow
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Grade

log = logging.getLogger(__name__)

COMPARATOR_CHECK = "comparator_agreement"


@dataclass(frozen=True)
class Comparator:
    """A comparator.

    Attributes
    ----------
    name, path
        Its name and its file.
    limits
        Its thresholds, by structure and model.
    """

    name: str
    path: Path
    limits: pd.DataFrame


@dataclass(frozen=True)
class Comparators:
    """All comparators of a run.

    Attributes
    ----------
    each
        Each of them.
    keys
        Keys of the label maps that the tables are made of, by participant, session, sequence and model.
    """

    each: tuple[Comparator, ...]
    keys: Mapping[tuple[str, ...], frozenset[str]]


def read_comparators(results: Results, ok: pd.DataFrame, models: ModelsOfSequence) -> Comparators:
    """Read what the rows of `quality` need of the comparators of a run.

    Parameters
    ----------
    ok
        Scans with values, and their shards.

    Raises
    ------
    TableError
        If a file is damaged.
    """
    found = []
    for path in results.agreements():
        check_file(path, AGREEMENT)
        columns = ["structure", "model", "presence", "dice"]
        texts = columns[:3]
        rows = pq.read_table(path, columns=columns, read_dictionary=texts).to_pandas()
        found.append(Comparator(path.parent.name, path, thresholds(rows)))
    if not found:
        return Comparators((), {})
    of_sequence = {sequence.value: [model.name for model in each] for sequence, each in models.items()}
    keys: dict[tuple[str, ...], frozenset[str]] = {}
    for (shard, sequence), _ in ok.groupby(["shard", "sequence"], sort=True):
        for model in of_sequence[str(sequence)]:
            for scan, own in label_map_keys(results, str(shard), model).items():
                keys[scan.participant, scan.session, scan.sequence.value, model] = own.equal
    return Comparators(tuple(found), keys)


def with_comparators(rows: pa.Table, comparators: Comparators) -> pa.Table:
    """Rows of `quality` of whole scans with those of their agreement with comparators.

    Where there are several the one that is furthest below its threshold counts. What was compared with another label
    map than the present one counts for nothing, until it is compared again.
    """
    if not comparators.each or not rows.num_rows:
        return rows
    scans = rows.select(SCAN_KEYS).group_by(SCAN_KEYS).aggregate([]).to_pandas()
    participants = pa.array(scans["participant_id"].unique())
    parts = []
    for comparator in comparators.each:
        columns = [*SCAN_KEYS, "structure", "model", "presence", "dice", "label_map_key"]
        which = pc.field("participant_id").isin(participants)
        own = pq.read_table(comparator.path, columns=columns, filters=which).to_pandas()
        own = own[own["structure"].ne("") & own["presence"].ne(Presence.NEITHER.value)]
        own = own.merge(scans, on=SCAN_KEYS).merge(comparator.limits, on=["structure", "model"], how="left")
        parts.append(own.assign(place=comparator.name))
    every = pd.concat(parts, ignore_index=True)
    label_maps = every[[*SCAN_KEYS, "model", "label_map_key"]].itertuples(index=False, name=None)
    current = [key in comparators.keys.get(tuple(scan), ()) for *scan, key in label_maps]
    is_current = pd.Series(current, every.index, dtype=bool)
    if stale := len(every[~is_current].drop_duplicates([*SCAN_KEYS, "place"])):
        log.warning("%d comparisons are with label maps that are others now: call dixonflow compare again", stale)
    every = every[is_current]
    if every.empty:
        return rows
    every = every.assign(
        grade=below_threshold(every).map({True: Grade.REVIEW.value, False: Grade.PASS.value}),
        margin=every["dice"] - every["threshold"].fillna(0),
    )
    keys = [*SCAN_KEYS, "structure", "model"]
    every["passed"] = every["grade"].eq(Grade.PASS.value)
    every = every.sort_values([*keys, "passed", "margin", "place"], kind="stable").drop_duplicates(keys)
    added = every.assign(check=COMPARATOR_CHECK, value=every["dice"])
    added = added.astype({"value": "Float64", "threshold": "Float64"})
    own_rows = to_arrow(added[list(QUALITY.names)], QUALITY).select(rows.column_names).cast(rows.schema)
    return pa.concat_tables([rows, own_rows])
