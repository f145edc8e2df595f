"""Vessel consistency, with the arithmetic of MRSegmentator's table 3."""

import numpy as np
import pytest
from synthetic_cohort import draw_cohort, write_cohort

from dixonflow.analyse.study_data import read_study_data
from dixonflow.analyse.vessels import vessel_consistency


def test_184_of_200_is_0_92(tmp_path):
    cohort = draw_cohort(210, {"aorta": 0.0, "portal_vein_and_splenic_vein": 0.0})
    pieces = np.ones(210)
    pieces[:16] = [2, 2, 3, 5] * 4
    pieces[200:] = np.nan  # not found: no image with any
    cohort.values["aorta"], cohort.values["portal_vein_and_splenic_vein"] = pieces, np.ones(210)
    data = read_study_data(write_cohort(tmp_path, cohort, measure="components"), ("components",))
    found = vessel_consistency(data)
    assert set(found["contrast"]) == {"all"}
    rows = found.set_index("structure")
    aorta = rows.loc["aorta"]
    assert (aorta["images"], aorta["in_one_piece"]) == (200, 184)
    assert aorta["consistency"] == pytest.approx(0.92)
    assert aorta["mean_pieces_of_others"] == pytest.approx(3.0)
    assert rows.at["portal_vein_and_splenic_vein", "consistency"] == 1
    assert np.isnan(rows.at["portal_vein_and_splenic_vein", "mean_pieces_of_others"])
