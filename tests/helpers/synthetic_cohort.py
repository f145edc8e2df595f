"""Tables of a cohort without images: values drawn from stated distributions, in the schema of a run.

Logarithms of volumes are normal, with a stated Spearman correlation with age: the ranks of age go through a Gaussian
copula. Sexes differ by a factor, and heights and weights are those of a European cohort.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import stats

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.measure.definitions import MEASURES
from dixonflow.tables.definitions import FILE_COUNTS, QUALITY, SCANS
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.schema import arrow_schema
from dixonflow.vocabulary import Stage

PUBLISHED = {"liver": -0.096, "kidneys": -0.15, "adrenal_glands": 0.32, "aorta": 0.64}
"""Correlations with age of volumes, as TotalSegmentator's papers report them."""


@dataclass(frozen=True)
class Cohort:
    """Covariates and values of a synthetic cohort.

    Attributes
    ----------
    people
        One row per participant: participant_id, age_years, sex, height_cm, weight_kg.
    values
        Volume in mL of each structure, by name.
    """

    people: pd.DataFrame
    values: dict[str, NDArray[np.float64]]


def draw_cohort(
    n: int, correlations: Mapping[str, float], seed: int = 0, *, sex_factor: float = 1.15, spread: float = 0.2
) -> Cohort:
    """Draw a cohort; ages are between 40 and 80 years."""
    rng = np.random.default_rng(seed)
    age = np.round(rng.uniform(40, 80, n), 1)
    male = rng.random(n) < 0.5
    height = np.round(np.where(male, rng.normal(176, 7, n), rng.normal(163, 6.5, n)), 1)
    weight = np.round((height / 100) ** 2 * rng.lognormal(np.log(26), 0.15, n), 1)
    ranks = stats.norm.ppf((stats.rankdata(age) - 0.5) / n)
    values = {}
    for name, rho in correlations.items():
        r = 2 * np.sin(np.pi * rho / 6)  # Pearson's correlation of normal variables with this one of Spearman
        logarithm = spread * (r * ranks + np.sqrt(1 - r**2) * rng.normal(size=n))
        values[name] = 100 * np.exp(logarithm) * np.where(male, sex_factor, 1.0)
    people = pd.DataFrame(
        {
            "participant_id": [f"{1000000 + number}" for number in range(n)],
            "age_years": age,
            "sex": np.where(male, "male", "female"),
            "height_cm": height,
            "weight_kg": weight,
        }
    )
    return Cohort(people, values)


def write_cohort(folder: Path, cohort: Cohort, *, measure: str = "volume", session: str = "2") -> Path:
    """Write scans, measurements, covariates and a table of checks without rows; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = cohort.people["participant_id"].astype(str)
    stages = {f"{stage.value}_status": "ok" for stage in Stage} | {f"{stage.value}_reason": "none" for stage in Stage}
    scans = pd.DataFrame({"participant_id": ids, "session_id": session, "sequence": "dixon", "layout": "ukb"})
    scans = scans.assign(source="raw/" + ids, raw_key="k", shard="a1", n_stations=6, n_slices=300, status="ok",
                         reason="none", message="", note="", last_stage="measure", content_key="k", scan_grade="pass",
                         scan_grade_decided_by=None, values_failed=0, values_to_review=0, n_files=1,
                         n_files_superseded=0, n_files_repeated=0, **stages)  # fmt: skip
    for name in SCANS.names:
        if name not in scans:
            scans[name] = None
    scans = scans.astype({"n_stations": "Int64", "n_slices": "Int64", "values_failed": "Int64",
                          "values_to_review": "Int64", **dict.fromkeys(FILE_COUNTS, "Int64")})  # fmt: skip
    write_table(folder / "scans.parquet", SCANS, scans[list(SCANS.names)])
    write_measurements(folder, cohort, measure=measure, session=session)
    pq.write_table(arrow_schema(QUALITY).empty_table(), folder / "quality.parquet")
    people = cohort.people.assign(session_id=session, centre="11025", scan_date="2020-01-01")
    people["bmi_kg_per_m2"] = people["weight_kg"] / (people["height_cm"] / 100) ** 2
    write_table(folder / "covariates.parquet", COVARIATE_TABLE, people[list(COVARIATE_TABLE.names)])
    return folder


def write_measurements(folder: Path, cohort: Cohort, *, measure: str, session: str) -> None:
    """Write the values without the check of rows, which takes longer than a study of them."""
    definition, n = MEASURES[measure], len(cohort.people)
    ids = pa.array(cohort.people["participant_id"].tolist(), pa.string())
    parts = []
    for name, values in sorted(cohort.values.items()):
        missing = ~np.isfinite(values)
        columns = {
            "participant_id": ids,
            "session_id": session,
            "sequence": "dixon",
            "structure": name,
            "measure": measure,
            "value": pa.array(values, pa.float64(), mask=missing),
            "unit": definition.unit,
            "definition": definition.key,
            "missing_reason": pa.array(np.where(missing, "not_found", None), pa.string()),
            "model": "demo",
            "grade": pa.array(np.where(missing, None, "pass"), pa.string()),
            "decided_by": pa.nulls(n, pa.string()),
            "value_before_grade": pa.nulls(n, pa.float64()),
        }
        arrays = [pa.repeat(each, n) if isinstance(each, str) else each for each in columns.values()]
        parts.append(pa.table(arrays, names=list(columns)))
    table = pa.concat_tables(parts).select(list(MEASUREMENTS.names)).cast(arrow_schema(MEASUREMENTS))
    pq.write_table(table, folder / "measurements.parquet", compression="zstd")
