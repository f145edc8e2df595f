"""Which values of the tables a study is made of, and that every scan is used or counted as lost."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_cohort import draw_cohort, write_cohort

from dixonflow.analyse.ageing import study_ageing
from dixonflow.analyse.centiles import fit_centiles, fit_losses
from dixonflow.analyse.study_data import QUANTITY, read_study_data


def counted(losses: pd.DataFrame, structure: str) -> dict[str, int]:
    """Losses that count for a quantity: its own and those of scans."""
    own = losses[losses["structure"].isin(["", structure])]
    assert not own.duplicated([*QUANTITY, "reason"]).any()
    return dict(zip(own["reason"], own["n"], strict=True))


@pytest.mark.parametrize(
    ("column", "entries", "reason"),
    [
        ("value", [np.nan, np.inf, -np.inf], "not_measured"),
        ("grade", [None, "FAIL", "fail "], "not_graded"),
        ("grade", ["fail", "fail", "fail"], "failed_check"),
        ("grade", ["review", "review", "review"], "to_review"),
    ],
)
def test_only_numbers_with_a_grade_that_is_known_are_used(column, entries, reason, tmp_path):
    folder = write_cohort(tmp_path, draw_cohort(60, {"liver": 0.0}))
    path = folder / "measurements.parquet"
    rows = pq.read_table(path)
    new = [*entries, *rows[column].to_pylist()[3:]]
    rows = rows.set_column(rows.schema.get_field_index(column), column, pa.array(new))
    pq.write_table(rows, path)
    data = read_study_data(folder)
    assert np.isfinite(data.values).sum() == 57
    assert counted(data.losses, "liver") == {reason: 3}
    with_review = read_study_data(folder, with_review=True)
    assert np.isfinite(with_review.values).sum() == (60 if reason == "to_review" else 57)


def test_a_scan_without_a_row_is_lost_too(tmp_path):
    folder = write_cohort(tmp_path, draw_cohort(60, {"liver": 0.0, "spleen": 0.0}))
    path = folder / "measurements.parquet"
    pq.write_table(pq.read_table(path).slice(2), path)
    assert counted(read_study_data(folder).losses, "liver") == {"not_measured": 2}


def test_used_and_lost_values_of_ageing_are_all_scans(tmp_path):
    cohort = draw_cohort(100, {"liver": 0.3, "spleen": 0.0, "aorta": 0.0})
    cohort.values["liver"][:10] = np.nan
    cohort.values["spleen"][15:] = np.nan
    cohort.values["aorta"][5:] = 7.0
    cohort.people.loc[:4, "age_years"] = [np.nan, np.nan, np.nan, 17.0, 17.0]
    study = study_ageing(read_study_data(write_cohort(tmp_path, cohort)))
    assert study.correlations["structure"].tolist() == ["liver"]
    scans = {"age_unknown": 3, "age_outside": 2}
    assert counted(study.losses, "liver") == scans | {"not_measured": 5}
    assert study.correlations["n"].tolist() == [90]
    assert counted(study.losses, "spleen") == scans | {"not_measured": 85, "too_few_values": 10}
    assert counted(study.losses, "aorta") == scans | {"values_all_equal": 95}


def test_used_and_lost_values_of_centiles_are_all_scans(tmp_path):
    cohort = draw_cohort(1000, {"liver": 0.3, "spleen": 0.0, "aorta": 0.0})
    cohort.values["liver"][:10] = np.nan
    cohort.values["liver"][10:14] = 0.0
    cohort.values["spleen"][150:] = np.nan
    cohort.values["aorta"][:] = 7.0
    cohort.people.loc[5:7, "age_years"] = np.nan
    cohort.people.loc[8, "sex"] = None
    cohort.people.loc[20:21, "height_cm"] = np.nan
    data = read_study_data(write_cohort(tmp_path, cohort))
    curves, losses = fit_centiles(data), fit_losses(data)
    scans = {"age_unknown": 3, "sex_unknown": 1, "height_unknown": 2}
    liver = counted(losses, "liver")
    assert 10 <= liver["age_outside"] <= 24
    assert liver == scans | {"not_measured": 6, "value_not_positive": 4, "age_outside": liver["age_outside"]}
    assert sum(each.n for each in curves) + sum(liver.values()) == 1000
    assert counted(losses, "spleen") == scans | {"not_measured": 850, "too_few_values": 144}
    assert counted(losses, "aorta") == scans | {"values_all_equal": 994}


def test_further_scans_are_lost_to_centiles(tmp_path):
    cohort = draw_cohort(500, {"liver": 0.3})
    data = read_study_data(write_cohort(tmp_path, cohort))
    later = data.scans.assign(session_id="3", age_years=data.scans["age_years"] + 3)
    both = type(data)(
        pd.concat([data.scans, later], ignore_index=True),
        data.quantities,
        np.concatenate([data.values] * 2),
        np.concatenate([data.lost] * 2),
    )
    lost = counted(fit_losses(both), "liver")
    assert lost["further_scan_of_participant"] == 500
    assert sum(each.n for each in fit_centiles(both)) + sum(lost.values()) == 1000
    same = data.scans.assign(age_years=55.0)
    alike = counted(fit_losses(type(data)(same, data.quantities, data.values, data.lost)), "liver")
    assert alike == {"ages_too_alike": 500}
