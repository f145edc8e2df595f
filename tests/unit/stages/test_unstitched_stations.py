"""Stations that are segmented one by one: raw files in, one label map on the stitched grid out."""

import json

import numpy as np
import pytest
from sequence_scans import scan_of
from small_cohort import SCANS, make_small_cohort
from tiny_model import tiny_demo

from dixonflow.config import Config, MergeConfig, demo_config
from dixonflow.errors import ConfigError
from dixonflow.execution.content_keys import stage_key
from dixonflow.imaging.nifti import read_labels, read_nifti
from dixonflow.models.label_table import label_lookup
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.runnable import check_runnable
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import Source
from dixonflow.rawdata.reader import read_stations
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.vocabulary import Contrast, Layout, MergeStrategy, Stage

SCAN = SCANS[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_demo(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    make_small_cohort(folder / "raw", {SCAN: 6.0})
    return scan_of([Source(Layout.BIDS, folder / "raw")], folder)


def context_of(folder, model, strategy=MergeStrategy.PRIORITY, *, unstitched=True) -> StageContext:
    demo = demo_config()
    segment = demo.segment.model_copy(update={"unstitched": unstitched, "interpolate": "nearest"})
    config = demo.model_copy(update={"segment": segment, "merge": MergeConfig(strategy=strategy)})
    return StageContext(Config.model_validate(config.model_dump()), (model,), model, Results(folder), "shard")


def by_hand(context, entry, *stages: Stage):
    for stage in stages:
        done = stage_work(stage, context).by_hand(entry)
    return done


def test_the_network_sees_each_station_as_it_was_acquired(tmp_path, model, entry):
    context = context_of(tmp_path, model)
    by_hand(context, entry, Stage.STITCH, Stage.RESAMPLE, Stage.SEGMENT)
    upper, lower = read_stations(entry)
    predictor, lookup = Predictor(model.weights, SegmentOptions(interpolate="nearest")), label_lookup(model)
    differs = False
    for contrast in model.input_contrasts:
        found, affine = read_labels(context.results.contrast_labels("shard", SCAN, model.name, contrast))
        stitched = read_nifti(context.results.stitched(SCAN, contrast))
        assert found.shape == stitched.data.shape
        np.testing.assert_array_equal(affine, stitched.affine)
        for station, alone in ((upper, np.s_[:, :, -14:]), (lower, np.s_[:, :, :14])):  # planes of one station only
            prepared = predictor.prepare([station.images[contrast]], station.spacing_mm)
            expected = lookup[predictor.restore(prepared[0], predictor.infer(prepared))]
            np.testing.assert_array_equal(found[alone], expected[alone])
            assert len(np.unique(expected[alone])) > 3
        prepared = predictor.prepare([stitched.data], stitched.spacing_mm)
        differs |= bool((found != lookup[predictor.restore(prepared[0], predictor.infer(prepared))]).any())
    assert differs, "the stitched image would have given the same"


@pytest.mark.parametrize("strategy", [MergeStrategy.PRIORITY, MergeStrategy.MEAN_SCORES])
def test_a_scan_goes_on_to_its_rows(tmp_path, model, entry, strategy):
    context = context_of(tmp_path, model, strategy)
    stages = (Stage.STITCH, Stage.RESAMPLE, Stage.SEGMENT, Stage.MERGE, Stage.POSTPROCESS, Stage.MEASURE)
    done = by_hand(context, entry, *stages)
    rows = done.payload["measurements"]
    assert any(name == "volume" and value for name, value in zip(rows["measure"], rows["value"], strict=True))
    sidecar = json.loads(context.results.labels_sidecar(SCAN, model.name).read_text())
    images = sidecar["segment"]["images"]
    assert len(images) == (2 if strategy is MergeStrategy.MEAN_SCORES else 6)
    assert all(name.endswith((" station 1", " station 2")) for name in images)
    agreement = sidecar["segment"]["contrast_agreement"]
    assert len({value for value in agreement.values() if value is not None}) > 3


def test_a_model_that_resamples_first_takes_stations_too(tmp_path, model, entry):
    first = model.model_copy(update={"resampling": "first", "spacing_mm": (5.0, 5.0, 5.0), "orientation": "LPS"})
    context = context_of(tmp_path, first)
    by_hand(context, entry, Stage.STITCH, Stage.RESAMPLE)
    assert not (tmp_path / "temporary").exists()
    by_hand(context, entry, Stage.SEGMENT)
    found, _ = read_labels(context.results.contrast_labels("shard", SCAN, model.name, Contrast.WATER))
    assert found.shape == read_nifti(context.results.stitched(SCAN, Contrast.WATER)).data.shape
    assert len(np.unique(found)) > 3


def test_stitched_scans_keep_their_keys_and_their_label_maps(tmp_path, model, entry):
    keys = []
    for unstitched in (False, True):
        context = context_of(tmp_path / str(unstitched), model, unstitched=unstitched)
        keys.append([stage_key(stage, "raw", context.config, model, (model,)) for stage in Stage if stage.previous])
    assert [one == other for one, other in zip(*keys, strict=True)] == [True, True, False, False, False, False]


def test_a_model_that_is_cropped_first_is_refused():
    config = demo_config().model_copy(update={"segment": demo_config().segment.model_copy(update={"unstitched": True})})
    demo = load_model(MODELS / "demo.yaml")
    cropped = demo.model_copy()
    cropped._rough = demo
    with pytest.raises(ConfigError, match=r"segment\.unstitched: demo looks for the body in the whole image"):
        check_runnable(cropped, config)
    check_runnable(demo, config)
