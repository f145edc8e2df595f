"""Phenotype and covariate files of REGENIE and PLINK 2: one row per participant, NA where there is nothing.

REGENIE reads exactly one tab between columns and takes NA alone for missing (rgcgithub/regenie src/Pheno.cpp); PLINK 2
wants a # before FID (its documentation of phenotype files).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dixonflow.analyse.study_data import CODES, QUANTITY, Lost, StudyData, read_columns
from dixonflow.tables.columns import NAME_ENDINGS
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Status

BLOM = 3 / 8
"""Offset of Blom's normal scores (Blom 1958; Beasley, Erickson and Allison, Behav Genet 2009, 39:580-595)."""


class GeneticsFormat(StrEnum):
    """Programs for association studies."""

    REGENIE = "regenie"
    PLINK = "plink"


@dataclass(frozen=True)
class GeneticsFiles:
    """Content of the files.

    Attributes
    ----------
    phenotypes, covariates
        Text of the files.
    exclusions
        Participants and values that are left out, by reason and phenotype (empty for participants): `phenotype`,
        `reason`, `n`.
    """

    phenotypes: str
    covariates: str
    exclusions: pd.DataFrame


def genetics_files(
    data: StudyData,
    program: GeneticsFormat,
    without_scan: Mapping[str, int],
    *,
    normalise: bool,
    bridge: Mapping[str, str] | None = None,
) -> GeneticsFiles:
    """Make the files of a study.

    Parameters
    ----------
    data
        Values of the cohort; of a participant the scans of the first session count, by age, then by name: a row has
        one age.
    without_scan
        Number of participants none of whose scans is ok, by reason.
    normalise
        Whether values become normal scores of their ranks (Blom), ties the mean rank.
    bridge
        Ids of the genetic data by ours; participants without one are left out. None where the ids are the same.
    """
    scans = data.scans
    order = scans.assign(row=range(len(scans))).sort_values(
        ["participant_id", "age_years", "session_id", "sequence"], kind="stable"
    )
    first = order[order["session_id"].eq(order.groupby("participant_id")["session_id"].transform("first"))]
    people = sorted(first["participant_id"].unique())
    lost: list[tuple[str, str, int]] = [("", reason, n) for reason, n in without_scan.items()]
    lost.append(("", Lost.FURTHER_SCAN.value, len(scans) - len(first)))
    ids = {each: each for each in people}
    if bridge is not None:
        ids = {each: bridge[each] for each in people if each in bridge}
        lost.append(("", "not_in_bridge", len(people) - len(ids)))
    kept = sorted(ids, key=lambda each: ids[each])
    columns: dict[str, NDArray[np.float64]] = {}
    for number, quantity in data.quantities.iterrows():
        own = first[first["sequence"].eq(quantity["sequence"])].set_index("participant_id")["row"].reindex(kept)
        known = own.notna().to_numpy()
        values = np.full(len(kept), np.nan)
        places = own[known].astype(int)
        values[known] = data.values[places, int(str(number))]
        name = phenotype_name(quantity)
        lost.append((name, "no_scan_of_sequence", int((~known).sum())))
        codes = data.lost[places, int(str(number))]
        lost += [(name, each.value, int((codes == code).sum())) for each, code in CODES.items()]
        columns[name] = normal_scores(values) if normalise else values
    one = first.drop_duplicates("participant_id").set_index("participant_id").reindex(kept)
    own_ids = [ids[each] for each in kept]
    exclusions = pd.DataFrame(lost, columns=["phenotype", "reason", "n"])
    return GeneticsFiles(
        _text(own_ids, columns, program),
        _text(own_ids, _covariates(one), program),
        exclusions[exclusions["n"] > 0].reset_index(drop=True),
    )


def people_without_scan(tables: Path) -> dict[str, int]:
    """Number of participants none of whose scans is ok, by the reason of their first; the withdrawn are not counted.

    Raises
    ------
    ConfigError
        If the table of scans is not there.
    TableError
        If it is damaged.
    """
    rows = read_columns(tables / "scans.parquet", [*SCAN_KEYS, "status", "reason"]).to_pandas()
    rows = rows[rows["participant_id"].notna() & rows["status"].ne(Status.WITHDRAWN.value)]
    ok = set(rows.loc[rows["status"].eq(Status.OK.value), "participant_id"])
    lost = rows[~rows["participant_id"].isin(ok)].sort_values(SCAN_KEYS).drop_duplicates("participant_id")
    return {f"{status}: {reason}": int(n) for (status, reason), n in lost.groupby(["status", "reason"]).size().items()}


def phenotype_name(quantity: "pd.Series") -> str:
    """Name of a phenotype: that of the column of the wide table, with model and sequence."""
    ending = NAME_ENDINGS.get(str(quantity["unit"]), "")
    parts = [str(quantity[each]) for each in reversed(QUANTITY)]
    measure, structure, model, sequence = parts
    return "_".join(word for word in (structure, measure, ending, model, sequence) if word)


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores of the ranks of all values that are there: standard normal quantiles of (r - 3/8) / (n + 1/4)."""
    known = np.isfinite(values)
    scores = np.full(len(values), np.nan)
    if known.any():
        n = int(known.sum())
        scores[known] = stats.norm.ppf((stats.rankdata(values[known]) - BLOM) / (n - 2 * BLOM + 1))
    return scores


def _covariates(people: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    age = people["age_years"].to_numpy(float)
    sex = people["sex"].map({"female": 0.0, "male": 1.0}).to_numpy(float)
    numbers = {name: people[name].to_numpy(float) for name in ("height_cm", "weight_kg", "bmi_kg_per_m2")}
    return {"age_years": age, "age_squared": age**2, "male": sex, "age_x_male": age * sex, **numbers}


def _text(ids: list[str], columns: Mapping[str, NDArray[np.float64]], program: GeneticsFormat) -> str:
    head = "#FID" if program is GeneticsFormat.PLINK else "FID"
    lines = ["\t".join((head, "IID", *columns))]
    cells = [["NA" if np.isnan(value) else repr(float(value)) for value in column] for column in columns.values()]
    lines += ["\t".join((each, each, *row)) for each, row in zip(ids, zip(*cells, strict=True), strict=True)]
    return "\n".join(lines) + "\n"
