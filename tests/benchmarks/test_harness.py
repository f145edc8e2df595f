"""The benchmarks themselves, on tiny inputs and with the peers that this environment has: equality and records."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import components, contrast_statistics, cubic, scores, stitching, tail
from benchmarks.arrays import Verdict, equal_labels, make_once, write_arrays
from benchmarks.catalogue import BENCHMARKS
from benchmarks.harness import BenchmarkError, FunctionBenchmark, Measured, Setting, measure, run_process
from benchmarks.phantom_scan import acquired, many_labels, phantom_scan
from benchmarks.record import read_records, write_records
from dixonflow.phantom.scanner.acquisition import IDEAL

KEYS = ["name", "peer", "peer_version", "ours_s", "peer_s", "ratio", "equal", "ours_peak_mb", "peer_peak_mb", "note"]
SETTING = Setting(Path(sys.executable), Path(sys.executable), threads=1, small=True)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark-inputs")


def test_a_benchmark_runs_both_sides_and_gives_a_record(inputs: Path, tmp_path: Path) -> None:
    benchmark = FunctionBenchmark("cubic", "scipy", "cubic", "ours_double", "scipy", repeats=1)
    record = measure(benchmark, inputs, SETTING, {"scipy": "1.2.3"})
    assert (record.equal, record.failed, record.peer_version) == (True, False, "1.2.3")
    assert record.ours_s is not None and record.peer_s is not None and record.ratio is not None
    assert record.ratio == pytest.approx(record.peer_s / record.ours_s)
    assert record.ours_peak_mb is not None and record.ours_peak_mb > 20
    write_records(tmp_path / "benchmarks.json", [record])
    (content,) = json.loads((tmp_path / "benchmarks.json").read_text())
    assert list(content) == KEYS
    assert read_records(tmp_path / "benchmarks.json") == [record]


def test_a_missing_peer_is_named_and_no_ratio_given(inputs: Path) -> None:
    benchmark = FunctionBenchmark("cubic", "TPTBox", "cubic", "ours_single", "tptbox", repeats=1)
    record = measure(benchmark, inputs, SETTING, {"TPTBox": None})
    assert record.ours_s is not None
    assert (record.peer_version, record.peer_s, record.ratio, record.equal) == (None, None, None, None)
    assert "TPTBox is missing" in record.note
    assert not record.failed


@dataclasses.dataclass(frozen=True)
class Fake:
    """A benchmark whose sides give what they are told to."""

    theirs_value: int
    name: str = "fake"
    peer: str | None = "scipy"
    repeats: int = 3

    def prepare(self, inputs: Path, setting: Setting) -> Path:
        return inputs

    def ours(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        write_arrays(output, {"labels": np.ones((2, 2, 2), np.uint8)})
        return Measured(1.0, 10.0)

    def theirs(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        if self.theirs_value < 0:
            raise BenchmarkError("it broke")
        write_arrays(output, {"labels": np.full((2, 2, 2), self.theirs_value, np.uint8)})
        return Measured(5.0, 20.0)

    def compare(self, prepared: Path, ours: Path, theirs: Path | None) -> Verdict:
        assert theirs is not None
        return equal_labels(np.load(ours / "labels.npy"), np.load(theirs / "labels.npy"))


def test_a_ratio_is_given_for_equal_outputs_only(tmp_path: Path) -> None:
    equal, unequal, broken = (measure(Fake(value), tmp_path, SETTING, {"scipy": "1"}) for value in (1, 2, -1))
    assert (equal.ratio, equal.equal, equal.failed) == (5.0, True, False)
    assert (unequal.ratio, unequal.equal, unequal.failed) == (None, False, True)
    assert "8 of 8 voxels differ" in unequal.note
    assert (broken.ratio, broken.ours_s, broken.failed) == (None, None, True)
    assert "it broke" in broken.note


def test_a_process_of_ours_that_fails_is_a_failure_where_there_is_no_peer(inputs: Path) -> None:
    record = measure(FunctionBenchmark("x", None, "tail", "no_such_function"), inputs, SETTING, {})
    assert record.failed
    assert "no_such_function" in record.note


def test_a_failing_process_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="last words"):
        run_process([sys.executable, "-c", "raise SystemExit('last words')"], SETTING)


@pytest.mark.parametrize(
    ("mine", "peer"),
    [
        ("ours_double", "skimage"),
        ("ours_double", "nnunet"),
        ("ours_single", "nnunet"),
        ("ours_linear", "simpleitk_linear"),
    ],
)
def test_resampling_equals_each_peer(mine: str, peer: str, inputs: Path) -> None:
    prepared = cubic.prepare(inputs, small=True)
    ours, theirs = getattr(cubic, mine)(prepared)(), getattr(cubic, peer)(prepared)()
    if peer == "simpleitk_linear":
        assert np.abs(ours["image"] - theirs["image"]).max() < 1e-5
        return
    assert cubic.compare(prepared, ours, theirs).equal
    shifted = {"image": np.roll(theirs["image"], 1, axis=0)}
    assert not cubic.compare(prepared, ours, shifted).equal


def test_labels_from_scores_equal_nnunets(inputs: Path) -> None:
    prepared = scores.prepare(inputs, small=True)
    ours, theirs = scores.ours(prepared)(), scores.nnunet(prepared)()
    assert len(np.unique(ours["labels"])) > 40
    assert scores.compare(prepared, ours, theirs).equal


def test_components_equal_simpleitks_and_the_rule_of_the_surplus(inputs: Path) -> None:
    prepared = components.prepare(inputs, small=True)
    labels = np.load(prepared / "labels.npy")
    assert len(np.unique(labels)) == components.LABELS + 1
    ours = components.ours(prepared)()
    assert components.compare(prepared, components.ours_largest(prepared)(), components.simpleitk(prepared)()).equal
    import cc3d

    pieces = cc3d.connected_components(labels, connectivity=6)
    small = np.flatnonzero(np.bincount(pieces.ravel()) <= components.SURPLUS_VOXELS)
    expected = np.where(np.isin(pieces, small), 0, labels)
    assert components.compare(prepared, {"surplus": ours["surplus"]}, {"surplus": expected}).equal
    assert not components.compare(prepared, {"surplus": labels}, {"surplus": labels}).equal


def test_means_and_volumes_are_those_of_numpy(inputs: Path) -> None:
    prepared = contrast_statistics.prepare(inputs, small=True)
    labels = np.load(prepared / "labels.npy")
    images, affine = contrast_statistics.stitched_contrasts(phantom_scan(inputs, "nako", small=True))
    numbers = range(1, components.LABELS + 1)
    theirs = {
        "volumes_mm3": np.array([(labels == label).sum() * np.prod(np.diag(affine)[:3]) for label in numbers]),
        "means": np.array([[images[c][labels == label].mean() for label in numbers] for c in sorted(images)]),
    }
    ours = contrast_statistics.ours(prepared)()
    assert contrast_statistics.compare(prepared, ours, theirs).equal
    assert not contrast_statistics.compare(prepared, ours, {**theirs, "means": theirs["means"] + 1e-4}).equal


def test_distance_to_the_truth_sees_a_shift_by_a_voxel(inputs: Path) -> None:
    prepared = inputs / "ideal" / "ukb-small-stations"  # without shading, which nobody takes away
    prepared.mkdir(parents=True)
    scan = phantom_scan(prepared.parent, "ukb", small=True)
    stitching.write_stations(prepared, acquired(scan, "ukb", small=True, options=IDEAL))
    ours = stitching.ours(prepared)()
    shifted = {name: image if name == "affine" else np.roll(image, 1, axis=2) for name, image in ours.items()}
    assert stitching.distance_to_truth(prepared, ours) < 0.5 * stitching.distance_to_truth(prepared, shifted)
    assert stitching.compare(prepared, ours, shifted).equal
    assert not stitching.compare(prepared, shifted, ours).equal


def test_the_tail_measures_every_structure(inputs: Path) -> None:
    prepared = tail.prepare(inputs, small=True)
    assert tail.compare(prepared, tail.ours(prepared)(), None).equal


def test_many_labels_have_the_same_components_with_both_neighbourhoods(inputs: Path) -> None:
    import cc3d

    labels = many_labels(np.load(phantom_scan(inputs, "nako", small=True) / "labels.npy"), 72)
    counts = {cc3d.connected_components(labels, connectivity=n, return_N=True)[1] for n in (6, 26)}
    assert len(counts) == 1
    assert counts.pop() > 2 * 72


def test_inputs_are_made_once_and_whole(tmp_path: Path) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("x")
        if len(made) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "input", fill)
    assert list(tmp_path.iterdir()) == []
    assert make_once(tmp_path / "input", fill) == make_once(tmp_path / "input", fill)
    assert len(made) == 2
    assert (tmp_path / "input" / "file").exists()


def test_names_of_the_benchmarks_are_unique() -> None:
    assert len({benchmark.name for benchmark in BENCHMARKS}) == len(BENCHMARKS)


@pytest.mark.slow
def test_the_segment_stage_equals_nnunetv2_predict_on_a_shard(tmp_path: Path) -> None:
    (benchmark,) = (item for item in BENCHMARKS if item.name == "segment-outside-network")
    record = measure(dataclasses.replace(benchmark, repeats=1), tmp_path, SETTING, {"nnunetv2": "2"})
    assert record.equal, record.note
