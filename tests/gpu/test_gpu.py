"""The script for a GPU, on a CPU and tiny inputs: what each section finds, and what an interrupted run keeps."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.harness import BenchmarkError, Setting
from benchmarks.networks import TINY
from typer import Typer
from typer.testing import CliRunner

from dixonflow.imaging.nifti import write_nifti
from gpu import labels, run, throughput, variants
from gpu.inputs import Inputs, limited
from gpu.kernels import kind_of
from gpu.record import Budget, Recorder, Row, markdown

SETTING = Setting(Path(sys.executable), Path(sys.executable), threads=1, small=True)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("gpu-inputs"), "cpu", SETTING, scans=1)


def test_rows_are_saved_as_they_are_found_and_an_error_ends_its_section_only(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(inputs: Inputs, budget: Budget) -> Iterator[Row]:
        yield Row("breaks", "default", "first", "measured", {"seconds": 1.5, "gpu_peak_gb": None})
        raise RuntimeError("CUDA error: an illegal memory access")

    def works(inputs: Inputs, budget: Budget) -> Iterator[Row]:
        saved = json.loads((tmp_path / "check.json").read_text())["rows"]
        assert [row["case"] for row in saved if row["section"] == "breaks"][:2] == ["first", "the section"]
        assert budget.left > 0
        yield Row("works", "default", "second", "passed")

    monkeypatch.setattr(run, "SECTIONS", {"breaks": (0.5, breaks), "works": (0.5, works)})
    monkeypatch.setattr(run, "prepare", lambda inputs: iter(()))
    recorder = Recorder(tmp_path, "check", {"device": "cpu"})
    run.run(inputs, recorder, ["breaks", "works"], seconds=60)
    assert [row.note for row in recorder.failed] == ["RuntimeError: CUDA error: an illegal memory access"]
    assert [row.case for row in recorder.rows if row.section == "works"] == ["second", "time of the section"]
    page = (tmp_path / "check.md").read_text()
    assert "| network | case | state | seconds | gpu_peak_gb | note |" in page
    assert "| default | first | measured | 1.5 | - |  |" in page


def test_cells_of_the_page_hold_any_text() -> None:
    page = markdown({}, [Row("a", "b", "c", "failed", note="x | y\nz")])
    assert "| b | c | failed | x \\| y z |" in page


def test_labels_of_a_device_are_counted_against_the_cpus(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inputs, "plans", {"default": TINY})
    rows = [row for row in labels.check(inputs, Budget.of(600)) if row.network == "default"]
    assert [row.state for row in rows] == ["passed"] * 4
    counted = {row.case.partition(", ")[2]: row.values["differing_voxels"] for row in rows}
    assert counted["as in the pipeline"] == counted["again after another image"] == counted["float32"] == 0
    assert counted["bfloat16"] > 0, "rounding shows"
    mirrored = np.flip(wanted := np.arange(1000).reshape(10, 10, 10) % 7, 0)
    assert labels._row("n", "c", wanted, mirrored, labels.GROSS).state == "failed"
    assert labels._row("n", "c", np.zeros(9), np.zeros(9), labels.GROSS).state == "failed", "nothing is compared"


def test_nothing_is_begun_when_the_time_is_over(inputs: Inputs) -> None:
    rows = [*labels.check(inputs, Budget.of(0)), *throughput.check(inputs, Budget.of(0))]
    assert {(row.state, row.note) for row in rows if row.case != "KonfAI"} == {("skipped", "out of time")}
    with pytest.raises(BenchmarkError, match="ended with"):
        limited([sys.executable, "-c", "import time; time.sleep(600)"], SETTING, 1, [])


def test_ways_to_run_a_network_are_compared_with_the_pipelines() -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 5, 3, padding=1)
    tiles = torch.randn(4, 1, 8, 8, 8)
    results = {
        way.name: variants.measure(way, network, tiles, "cpu", Budget.of(60))
        for way in variants.WAYS
        if not way.cuda_only and way.name != "torch.compile"
    }
    _, wanted = results["as in the pipeline"]
    assert len(wanted) == 4
    assert wanted[0].shape == (8, 8, 8)
    for values, found in results.values():
        assert values["seconds_per_patch"] > 0
        assert all(np.mean(a != b) < 0.01 for a, b in zip(wanted, found, strict=True))
    with pytest.raises(RuntimeError):
        variants.measure(variants.WAYS[0], network, torch.randn(4, 2, 8, 8, 8), "cpu", Budget.of(60))


def test_kernels_are_sorted_by_their_names() -> None:
    names = {
        "void cudnn::ops::nchwToNhwcKernel<__half>": "convolutions",
        "sm90_xmma_fprop_implicit_gemm_f16f16": "convolutions",
        "void at::native::batch_norm_collect_statistics_kernel": "norms",
        "Memcpy DtoH (Device -> Pinned)": "copies",
        "void at::native::reduce_kernel<512, ArgMaxOps>": "sums and reductions",
        "void at::native::leaky_relu_kernel": "other",
    }
    assert {name: kind_of(name) for name in names} == names


def test_label_maps_of_programs_are_compared_voxel_by_voxel(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    labels_of_ours = np.arange(1000, dtype=np.uint8).reshape(10, 10, 10) % 4
    theirs.mkdir()
    with pytest.raises(BenchmarkError, match="left no label map"):
        throughput.differing(ours, theirs)
    changed = labels_of_ours.copy()
    changed[0, 0, :5] = 9
    write_nifti(theirs / "sub-1_ses-2-water.nii.gz", changed, np.eye(4))
    with pytest.raises(BenchmarkError, match="to compare with"):
        throughput.differing(ours, theirs)
    write_nifti(ours / "sub-1_ses-2_acq-water_seg-benchmark_dseg.nii.gz", labels_of_ours, np.eye(4))
    assert throughput.differing(ours, theirs) == pytest.approx(0.005)


def test_the_idle_share_leaves_out_start_and_end_where_asked() -> None:
    utilization = throughput.Utilization()
    utilization.samples = [0, 0, 100, 50, 0, 50, 0, 0]
    assert utilization.idle(working=False) == pytest.approx(0.75)
    assert utilization.idle(working=True) == pytest.approx(0.5)
    assert throughput.Utilization().idle(working=True) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "tpu"], "--device is cuda or cpu"),
        (["--small"], "--small is for --device cpu"),
        (["--sections", "labels,speed"], "there is no 'speed', only labels, memory"),
        ([], "There is no NVIDIA GPU here"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    app = Typer()
    app.command()(run.main)
    ended = CliRunner().invoke(app, options)
    assert ended.exit_code == 1
    assert said in str(ended.exception) + ended.output


@pytest.mark.slow
def test_the_whole_script_runs_on_a_cpu(tmp_path: Path) -> None:
    app = Typer()
    app.command()(run.main)
    options = ["--device", "cpu", "--small", "--peers", sys.executable, "--results", str(tmp_path), "--minutes", "30"]
    ended = CliRunner().invoke(app, options)
    rows = json.loads((tmp_path / "gpu-check-small.json").read_text())["rows"]
    assert ended.exit_code == 0, [row for row in rows if row["state"] == "failed"]
    assert {row["section"] for row in rows} == {"prepare", *run.SECTIONS}
    skipped = {row["note"] for row in rows if row["state"] == "skipped"} - {"needs CUDA", *throughput.NOT_RUN.values()}
    assert all("fastsegmentator" in note for note in skipped)
    shares = [row["values"]["differing_share"] for row in rows if "nnUNetv2_predict" in row["case"]]
    assert len(shares) == 4
    assert max(shares) <= 1e-5
