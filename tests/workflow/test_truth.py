"""The numbers of the demo run against the truth of the phantom."""

import json

import numpy as np
import pandas as pd
import pytest

from dixonflow.evaluation.accuracy import summarise
from dixonflow.evaluation.phantom import evaluate_demo_scan, fat_fraction_errors, table_of
from dixonflow.evaluation.targets import Targets, violations
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import measure
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.demo_scans import DEMO_SCANS, participant_in_session
from dixonflow.phantom.truth import truth_on_grid
from dixonflow.stitch.files import read_stitched
from dixonflow.vocabulary import DIXON, Contrast, Layout, Status

GRID_OFF = {"bone_other", "spinal_channel"}
"""Thin structures of 50 mL and more whose true label map, put on the scans' 4.5 mm voxels, is off by
more than 2 % in the median: 10 % is asked of these, 5 % of the others."""


MEAN_DICE = 0.947
"""Of the shipped demo network on the demo's scans; README.md says the same."""


@pytest.fixture(scope="module")
def results(demo_run) -> Results:
    return Results(demo_run.results)


@pytest.fixture(scope="module")
def model():
    return load_model(MODELS / "demo.yaml")


@pytest.fixture(scope="module")
def truth(demo_run) -> pd.DataFrame:
    return pd.read_parquet(demo_run.demo / "truth.parquet")


@pytest.mark.parametrize("layout", [Layout.UKB, Layout.NAKO])
def test_true_labels_on_the_stitched_images_measure_the_truth(layout, results, model, truth):
    """Acquisition, DICOM, stitching and measuring together, apart from what the network adds."""
    item = next(item for item in DEMO_SCANS if item.layout is layout)
    images, affine = read_stitched({contrast: results.stitched(item.scan, contrast) for contrast in DIXON})
    anatomy = render_anatomy(participant_in_session(item.seed, item.session_number), DemoOptions.fine_spacing_mm)
    labels = truth_on_grid(anatomy, images[Contrast.WATER].shape, affine)
    sidecar = json.loads(results.stitched_sidecar(item.scan).read_text())
    boxes = [StationBox.from_record(station) for station in sidecar["stations"]]
    rows = measure(labels, images, affine, boxes, model).measurements
    values = rows.pivot(index="structure", columns="measure", values="value").astype(float)
    true = truth[truth["participant_id"].eq(item.scan.participant) & truth["session_id"].eq(item.scan.session)]
    true = true.set_index("structure")

    large = true.index[true["volume_in_fov_ml"] >= 50]
    assert len(large) >= 30
    voxel_ml = float(np.prod(np.diag(affine)[:3])) / 1000
    on_grid = pd.Series({name: (labels == label).sum() * voxel_ml for name, label in model.structures.items()})
    assert np.allclose(values.loc[large, "volume"], on_grid[large], rtol=1e-9)
    error = (values.loc[large, "volume"] / true.loc[large, "volume_in_fov_ml"] - 1).abs()
    assert error.max() <= 0.10
    assert error.median() <= 0.01

    for structure in ("liver", "muscle", "gluteus_maximus_left", "subcutaneous_fat", "inner_fat"):
        found = values.loc[structure, "fat_fraction_eroded_mean"]
        assert found == pytest.approx(true.loc[structure, "fat_fraction"], abs=0.02), structure


@pytest.fixture(scope="module")
def comparisons(results, model) -> pd.DataFrame:
    items = [item for item in DEMO_SCANS if item.expected[0] is Status.OK]
    rows = [evaluate_demo_scan(item, results, model, table_of(results, item.scan, model)) for item in items]
    return pd.concat(rows, ignore_index=True)


def test_structures_that_the_voxels_put_off_are_named(comparisons):
    rows = summarise(comparisons).structures
    large = rows[~rows["composite"] & (rows["median_true_ml"] >= Targets().volume_ml)]
    assert len(large) >= 30
    off = large["median_grid_error_percent"] > Targets().coarse_percent
    assert set(large.loc[off, "structure"]) == GRID_OFF


def test_the_network_misses_no_target(comparisons):
    summary = summarise(comparisons)
    missed = violations(summary, fat_fraction_errors(comparisons, Targets().fat_fraction_regions))
    print(f"mean Dice {summary.mean_dice.value:.3f}")
    assert not [f"{miss.structure}: {miss.measure} {miss.value:.3g}, bound {miss.bound:g}" for miss in missed]
    assert summary.mean_dice.value >= MEAN_DICE - 0.02


def test_the_tables_say_what_the_label_maps_hold(demo_run, comparisons):
    measurements = pd.read_parquet(demo_run.results / "tables/measurements.parquet")
    volumes = measurements[measurements["measure"] == "volume"].copy()
    volumes["scan"] = "sub-" + volumes["participant_id"] + "_ses-" + volumes["session_id"]
    both = comparisons.merge(volumes, on=["scan", "structure"], validate="one_to_one")
    assert len(both) == len(comparisons)
    assert np.allclose(both["value"].fillna(0).astype(float), both["predicted_ml"], rtol=1e-3, atol=1.0)
