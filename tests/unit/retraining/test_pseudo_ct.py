"""MR images that resemble CT, and proposals by a network for CT on them."""

import numpy as np
import pytest
from retraining_run import LABELS, SHAPE, random_request, set_up
from tiny_model import tiny_demo

from dixonflow.imaging.nifti import read_labels, read_nifti
from dixonflow.models.model import Model
from dixonflow.retraining.annotation.export import export_cases, read_case_file
from dixonflow.retraining.harmonise import body_mask
from dixonflow.retraining.project import RetrainingError
from dixonflow.retraining.pseudo_ct import AIR_HU, BODY_HU, CtProposer, pseudo_ct
from dixonflow.retraining.selection.select import select
from dixonflow.vocabulary import Contrast


def test_ranks_are_spread_evenly_and_turned_round():
    image = np.array([10, 10, 500, 20, 7], np.int16).reshape(5, 1, 1)
    body = np.array([1, 1, 1, 1, 0], bool).reshape(5, 1, 1)
    found = pseudo_ct(image, body).ravel()
    low, high = BODY_HU
    expected = [high - (high - low) * share for share in (0.25, 0.25, 0.875, 0.625)]
    assert np.allclose(found, [*expected, AIR_HU]) and found.dtype == np.float32


def test_the_result_does_not_depend_on_the_scale_of_the_image():
    image = np.random.default_rng(0).integers(0, 900, (9, 8, 7)).astype(np.int16)
    body = np.ones(image.shape, bool)
    found = pseudo_ct(image, body)
    assert np.allclose(pseudo_ct(image * np.float32(0.3) + 7, body), found)
    assert np.histogram(found, bins=5, range=BODY_HU)[0].min() > 0.9 * image.size / 5
    assert (pseudo_ct(image, ~body) == AIR_HU).all()


def as_ct(model: Model) -> Model:
    return model.model_copy(update={"modality": "ct", "input_contrasts": (Contrast.CT,), "channels": ()})


def test_a_network_for_ct_proposes_in_the_numbers_of_the_project(tmp_path):
    run, project = set_up(tmp_path)
    rows = select(project, random_request(2)).scans
    (tmp_path / "model").mkdir()
    model = as_ct(tiny_demo(tmp_path / "model"))
    proposer = CtProposer(project, model)
    assert list(export_cases(project, 1, proposer)) == ["case_0001", "case_0002"]
    image = read_nifti(run.results.stitched(rows[0].scan, Contrast.WATER))
    ct = pseudo_ct(image.data, body_mask([image.data]))
    found, affine = read_labels(project.export(1) / "case_0001" / "proposal.nii.gz")
    assert found.shape == SHAPE and np.array_equal(affine, image.affine)
    own = proposer._network.labels([type(image)(ct, image.affine)])
    for name, number in LABELS.items():
        assert np.array_equal(found == number, own == model.structures[name])
    exported = read_case_file(project, 1, "case_0001")
    assert exported is not None and exported.proposed_by == "demo on inverted, histogram equalised water"


def test_other_models_are_refused(tmp_path):
    _, project = set_up(tmp_path)
    (tmp_path / "model").mkdir()
    model = tiny_demo(tmp_path / "model")
    with pytest.raises(RetrainingError, match="demo is no model for CT"):
        CtProposer(project, model)
    others = {number: rule for number, rule in model.labels.items() if rule.name not in LABELS}
    with pytest.raises(RetrainingError, match="none of the structures"):
        CtProposer(project, as_ct(model).model_copy(update={"labels": others}))
