"""Rows of `quality` about the raw data of scans, made from the list of scans: nothing is measured again for them."""

import json
import math
from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.rawdata.repeated_stations import count_repeated
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.schema import to_arrow
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Grade

SAME_SIZE = 0.005
"""Voxel sizes that differ by less than this part are the same."""

FEWEST_OTHERS = 10
"""With fewer other scans of the layout nothing is usual."""


def raw_values(cohort: pd.DataFrame) -> pd.DataFrame:
    """Values of the checks of raw data.

    Parameters
    ----------
    cohort
        The list of scans, those without ids left out.

    Returns
    -------
    DataFrame
        One column per check, NaN for no value, by participant, session and sequence.
    """
    repeated = cohort["reading"].fillna("").map(count_repeated).astype(float)
    sizes = cohort["acquisitions"].fillna("").map(_voxel_sizes)
    groups = [cohort["layout"], cohort["sequence"]]
    known = sizes.where(sizes.ne(""))
    others = known.groupby(groups).transform("count") - 1
    alike = known.groupby([*groups, sizes]).transform("count") - 1
    shares = (alike / others).where(known.notna() & others.ge(FEWEST_OTHERS))
    values = pd.DataFrame({"repeated_stations": repeated, "usual_voxel_size": shares})
    return values.set_axis(pd.MultiIndex.from_frame(cohort[SCAN_KEYS]))


def _voxel_sizes(acquisitions: str) -> str:
    """Voxel sizes of all stations as a text that is equal for equal ones; empty where the headers were not read."""
    stations = json.loads(acquisitions or "[]")
    steps = [[_step(size) for size in station["spacing_mm"]] for station in stations]
    return json.dumps(steps) if steps else ""


def _step(size_mm: float) -> int | None:
    """Size in steps of which one makes no difference; None for what is no size, as headers of excluded scans say."""
    return round(math.log(size_mm) / SAME_SIZE) if math.isfinite(size_mm) and size_mm > 0 else None


def with_raw_checks(rows: pa.Table, values: pd.DataFrame, models: Mapping[str, Sequence[str]]) -> pa.Table:
    """Rows of `quality` of whole scans, with those of the checks of raw data.

    Parameters
    ----------
    rows
        Of any number of scans.
    values
        As `raw_values` gives them.
    models
        Names of the models, by the value of the sequence.
    """
    scans = rows.select(SCAN_KEYS).group_by(SCAN_KEYS).aggregate([]).to_pandas()
    scans = scans.assign(model=[list(models[sequence]) for sequence in scans["sequence"]]).explode("model")
    own = values.loc[pd.MultiIndex.from_frame(scans[SCAN_KEYS])]
    parts = [rows]
    for name in values.columns:
        check, found = CHECKS[name], own[name].to_numpy(float)
        grades = [Grade.PASS.value if math.isnan(value) else check.grade(value).value for value in found.tolist()]
        added = scans.assign(check=name, structure="", value=found, threshold=check.threshold, grade=grades, place="")
        added = added.astype({"value": "Float64", "threshold": "Float64"})
        parts.append(to_arrow(added[list(QUALITY.names)], QUALITY).select(rows.column_names).cast(rows.schema))
    return pa.concat_tables(parts)
