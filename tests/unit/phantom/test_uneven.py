"""Bodies that are not even inside: what is unevenly spread, and what their truth says."""

from dataclasses import replace

import numpy as np
import pytest

from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.anatomy.tissue import tissue_table, water_and_fat
from dixonflow.phantom.demo_scans import DEMO_SCANS, UNEVEN_SCANS
from dixonflow.phantom.scanner.protocol import ukb_protocol
from dixonflow.phantom.truth import true_fat_fractions, truth_on_grid, truth_table

LIVER, PANCREAS, MUSCLE, SPLEEN = Structure.LIVER, Structure.PANCREAS, Structure.GLUTEUS_MAXIMUS_LEFT, Structure.SPLEEN


@pytest.fixture(scope="module")
def body():
    participant = replace(draw_participant(31), uneven=True)
    return participant, render_anatomy(participant, 2.5)


@pytest.fixture(scope="module")
def fractions(body):
    participant, anatomy = body
    water, fat = water_and_fat(anatomy, participant, with_texture=False)
    return {
        label: (fat[inside] / (water + fat)[inside]).astype(float)
        for label in (LIVER, PANCREAS, MUSCLE, SPLEEN)
        if (inside := anatomy.labels == label).any()
    }


def test_means_and_medians_differ_where_fat_is_uneven_and_only_there(body, fractions):
    participant, anatomy = body
    even = tissue_table(participant).fat_fraction
    np.testing.assert_allclose(fractions[SPLEEN], even[SPLEEN], atol=1e-6)
    for label in (PANCREAS, MUSCLE):
        assert fractions[label].mean() - np.median(fractions[label]) > 0.02, "skewed by streaks and septa"
        assert np.median(fractions[label]) == pytest.approx(even[label], abs=0.005)
    assert fractions[LIVER].std() > 0.01
    right, left = (
        np.median(fractions[LIVER][part]) for part in (slice(-2000, None), slice(0, 2000))
    )  # the x axis comes first
    assert right > left
    water, fat = water_and_fat(anatomy, participant, with_texture=False)
    plain = water_and_fat(anatomy, replace(participant, uneven=False), with_texture=False)
    np.testing.assert_allclose(water + fat, sum(plain), rtol=1e-5)


def test_the_truth_says_mean_and_median_of_the_whole_and_of_the_eroded_structure(body, fractions):
    participant, anatomy = body
    truth = truth_table(participant, anatomy, ukb_protocol(0.35)).set_index("id")
    for label, values in fractions.items():
        assert truth.fat_fraction[label] == pytest.approx(values.mean(), abs=1e-5)
        assert truth.fat_fraction_median[label] == pytest.approx(np.median(values), abs=1e-5)
    same = true_fat_fractions(
        participant, anatomy, anatomy.labels, anatomy.affine, {"pancreas": [PANCREAS], "both": [PANCREAS, LIVER]}
    )
    assert same.loc["pancreas", "whole_mean"] == pytest.approx(fractions[PANCREAS].mean(), abs=1e-5)
    assert same.loc["pancreas", "whole_median"] == pytest.approx(np.median(fractions[PANCREAS]), abs=1e-5)
    both = np.concatenate([fractions[PANCREAS], fractions[LIVER]])
    assert same.loc["both", "whole_mean"] == pytest.approx(both.mean(), abs=1e-5)

    affine = anatomy.affine.copy()
    affine[:3, :3] *= 2
    affine[:3, 3] += anatomy.spacing_mm / 2
    x, y, z = (size // 2 for size in anatomy.labels.shape)
    coarse = truth_on_grid(anatomy, (x, y, z), affine)
    found = true_fat_fractions(participant, anatomy, coarse, affine, {"spleen": [SPLEEN], "nothing": [199]})
    even = tissue_table(participant).fat_fraction[SPLEEN]
    assert found.loc["spleen", "eroded_median"] == pytest.approx(even, abs=1e-3)
    assert found.loc["spleen", "whole_mean"] > even + 0.02, "its outermost voxels share the fat around it"
    assert found.loc["nothing"].isna().all()


def test_the_second_cohort_is_other_people():
    assert len({item.scan for item in (*DEMO_SCANS, *UNEVEN_SCANS)}) == len(DEMO_SCANS) + len(UNEVEN_SCANS)
    assert not {item.seed for item in DEMO_SCANS} & {item.seed for item in UNEVEN_SCANS}
    assert all(item.participant.uneven and item.breakage is None for item in UNEVEN_SCANS)
    assert not any(item.participant.uneven for item in DEMO_SCANS)
