"""The numbers of the demo run against the truth of the phantom."""

import json

import numpy as np
import pandas as pd
import pytest

from dixonflow.evaluation.accuracy import summarise
from dixonflow.evaluation.compartment_truth import true_compartments
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


@pytest.fixture(scope="module")
def compartments(results, model) -> pd.DataFrame:
    """Relative errors of every compartment of the demo's good scans, with the network's labels and the true ones."""
    rows = []
    measurements = pd.read_parquet(results.tables / "measurements.parquet")
    keys = ["participant_id", "session_id", "structure", "measure"]
    found = measurements.set_index(keys)["value"].astype(float)
    for item in DEMO_SCANS:
        if item.expected[0] is not Status.OK:
            continue
        participant = participant_in_session(item.seed, item.session_number)
        anatomy = render_anatomy(participant, DemoOptions.fine_spacing_mm)
        images, affine = read_stitched({contrast: results.stitched(item.scan, contrast) for contrast in DIXON})
        labels = truth_on_grid(anatomy, images[Contrast.WATER].shape, affine)
        sidecar = json.loads(results.stitched_sidecar(item.scan).read_text())
        boxes = [StationBox.from_record(station) for station in sidecar["stations"]]
        of_truth = measure(labels, images, affine, boxes, model).measurements
        of_truth = of_truth.set_index(["structure", "measure"])["value"].astype(float)
        for pair, true in true_compartments(participant, anatomy).items():
            scan = item.scan.participant, item.scan.session
            rows.append((*pair, found[(*scan, *pair)] / true - 1, of_truth[pair] / true - 1))
    return pd.DataFrame(rows, columns=["structure", "measure", "network", "truth"])


def test_body_composition_is_that_of_the_phantom(compartments):
    median = compartments.assign(network=compartments["network"].abs(), truth=compartments["truth"].abs())
    median = median.groupby("structure")[["network", "truth"]].median()
    print((100 * median).round(1).to_string())
    for name in ("visceral_fat_t9_l5", "subcutaneous_fat_t9_l5"):
        assert median.at[name, "network"] <= 0.05
        assert median.at[name, "truth"] <= 0.01
    assert median.at["total_muscle_t9_thigh", "network"] <= 0.03
    assert median.at["total_muscle_thigh", "truth"] <= 0.01
    for name in ("visceral_fat_l3", "subcutaneous_fat_l3", "total_muscle_l3"):
        assert median.at[name, "network"] <= 0.05
        assert median.at[name, "truth"] <= 0.01


def test_what_cannot_be_measured_has_a_reason_and_nothing_else_lacks_a_value(compartments, results):
    lacking = compartments[compartments["network"].isna()].groupby("structure").size()
    near_shoulders = [f"{tissue}_{at}" for tissue in ("subcutaneous_fat", "total_muscle") for at in ("t9", "t10")]
    assert (lacking.drop(near_shoulders, errors="ignore") <= 1).all()
    assert not lacking.index.str.startswith("visceral_fat").any()
    measurements = pd.read_parquet(results.tables / "measurements.parquet")
    rows = measurements[measurements["structure"].isin(lacking.index) & measurements["value"].isna()]
    reasons = rows.groupby("structure")["missing_reason"].agg(set)
    assert all(reasons[name] == {"arms_joined"} for name in near_shoulders if name in reasons.index)
    assert set.union(*reasons) <= {"arms_joined", "cut_by_field_of_view"}


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
