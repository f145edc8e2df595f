import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_model import tiny_demo

from dixonflow.config import demo_config
from dixonflow.errors import DixonflowError
from dixonflow.evaluation.phantom import KnownScan, compare, evaluate_demo_scan, fat_fraction_errors, table_of
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import measure
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.demo_scans import DEMO_SCANS, DemoScan
from dixonflow.phantom.scanner.acquisition import IDEAL, acquire
from dixonflow.phantom.scanner.protocol import ukb_protocol
from dixonflow.phantom.truth import truth_on_grid, truth_table
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import Layout, MergeStrategy, ScanId, Status

ROOT = Path(__file__).parents[3]
MODEL = load_model(MODELS / "demo.yaml")

NOTHING = pd.DataFrame({"structure": [], "measure": [], "value": []})


@pytest.fixture(scope="module")
def known():
    """A coarse phantom scan without noise, its stitched images, and its true labels on their grid."""
    participant, protocol = draw_participant(300000), ukb_protocol(0.35)
    anatomy = render_anatomy(participant, 4.0)
    stitched = stitch(acquire(participant, anatomy, protocol, IDEAL))
    scan = KnownScan("ukb-300000", "300000", participant, anatomy, truth_table(participant, anatomy, protocol))
    x, y, z = stitched.images[MODEL.input_contrasts[0]].shape
    return scan, stitched, truth_on_grid(anatomy, (x, y, z), stitched.affine)


def measured(stitched, labels):
    boxes = [StationBox.from_record(station) for station in stitched.report.as_dict()["stations"]]
    return measure(labels, stitched.images, stitched.affine, boxes, MODEL).measurements


@pytest.fixture(scope="module")
def rows_of_truth(known):
    scan, stitched, true = known
    return compare(scan, true, stitched.affine, measured(stitched, true), MODEL)


def test_true_labels_score_one_and_find_the_true_fat(rows_of_truth):
    rows = rows_of_truth.set_index("structure")
    assert set(rows.index) == {*MODEL.structures, *MODEL.composites}
    assert (rows["dice"].dropna() == 1).all()
    assert rows["predicted_ml"].equals(rows["grid_ml"])
    for name in ("liver", "subcutaneous_fat", "total_muscle", "lungs"):
        assert abs(rows.loc[name, "volume_error_percent"]) < 10, name
    for name in ("liver", "spleen", "subcutaneous_fat", "total_muscle"):
        assert abs(rows.loc[name, "fat_fraction_error_points"]) < 0.5, name
        assert abs(rows.loc[name, "fat_fraction_eroded_mean_error_points"]) < 0.5, name
        assert abs(rows.loc[name, "to_true_mean_points"]) < 1, "it is even inside"
    # voxels of 6 mm hold some of the neighbours
    assert 2 < rows.loc["spleen", "fat_fraction_of_sums_error_points"] < 40
    assert rows.loc["subcutaneous_fat", "true_fat_fraction"] > 0.85
    parts = rows.loc[list(MODEL.composites["kidneys"]), "true_ml"]
    assert rows.loc["kidneys", "true_ml"] == pytest.approx(parts.sum())


def test_a_mirrored_label_map_is_found_out(known, rows_of_truth):
    scan, stitched, true = known
    rows = compare(scan, true[::-1], stitched.affine, measured(stitched, true[::-1]), MODEL).set_index("structure")
    assert rows.loc["liver", "dice"] < 0.5
    assert rows.loc["femur_left", "dice"] < 0.1
    assert rows["predicted_ml"].tolist() == rows_of_truth["predicted_ml"].tolist()


def test_fat_errors_are_medians_in_points(rows_of_truth):
    errors = fat_fraction_errors(rows_of_truth, ["liver", "no_such"])
    liver = rows_of_truth.loc[rows_of_truth["structure"] == "liver", "fat_fraction_error_points"]
    assert errors.at["liver", "median"] == errors.at["liver", "worst"] == pytest.approx(liver.abs().item())
    assert errors.loc["no_such"].isna().all()
    unknown = rows_of_truth.assign(fat_fraction_error_points=np.nan)
    both = pd.concat([rows_of_truth, unknown])
    of_both = fat_fraction_errors(both, ["liver"])
    assert np.isnan(of_both.at["liver", "median"]), "the other scan does not speak for both"
    assert np.isnan(of_both.at["liver", "worst"])


def test_unfinished_and_broken_demo_scans_are_named(tmp_path):
    broken = next(item for item in DEMO_SCANS if item.expected[0] is not Status.OK)
    with pytest.raises(DixonflowError, match="intentionally broken"):
        evaluate_demo_scan(broken, Results(tmp_path), MODEL, NOTHING)
    with pytest.raises(DixonflowError, match="run the demo first"):
        evaluate_demo_scan(DEMO_SCANS[0], Results(tmp_path), MODEL, NOTHING)
    with pytest.raises(DixonflowError, match="run the demo first"):
        table_of(Results(tmp_path), DEMO_SCANS[0].scan, MODEL)


def test_a_held_out_participant_goes_through_the_stages_of_the_workflow(tmp_path):
    evaluate_scan = runpy.run_path(str(ROOT / "scripts" / "evaluate.py"))["evaluate_scan"]
    model = tiny_demo(tmp_path, spacing=(16.0, 16.0, 16.0))
    item = DemoScan(ScanId("300000", "30"), Layout.NAKO, 300000)
    coarse = DemoOptions(nako_scale=0.15, fine_spacing_mm=6.0)
    found = evaluate_scan(item, demo_config(), model, list(MergeStrategy), tmp_path / "scan", coarse)
    assert list(found) == list(MergeStrategy)
    for rows in found.values():
        assert set(rows["participant"]) == {"300000"}
        assert rows["true_ml"].gt(0).mean() > 0.9
        assert rows["dice"].max() < 0.9  # random weights
    assert len({tuple(rows["predicted_ml"]) for rows in found.values()}) == len(MergeStrategy)
    assert not (tmp_path / "scan").exists()
