"""What a backend dies of costs its scan a second computation by torch, and the row of the scan says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from failing_backend import BAD, SCANS

from dixonflow.imaging.nifti import read_labels
from dixonflow.paths import Results

pytest.importorskip("openvino")
SCRIPT = Path(__file__).resolve().parents[2] / "helpers" / "failing_backend.py"


@pytest.fixture(scope="module")
def segment(tmp_path_factory):
    """Segment the shard in a way; gives messages, label maps, and how each was predicted."""

    def run(way):
        folder = tmp_path_factory.mktemp("shard") / way
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        ended = subprocess.run(
            [sys.executable, SCRIPT, way, folder], env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        rows = json.loads((folder / "outcomes.json").read_text())
        assert [row["status"] for row in rows] == ["ok"] * 4, rows
        assert [row["attempt"] for row in rows] == [1] * 4
        results = Results(folder)
        maps = [read_labels(results.mean_labels("shard", scan, "demo"))[0] for scan in SCANS]
        said = [json.loads(results.segment_provenance("shard", scan, "demo").read_text()) for scan in SCANS]
        return folder, [row["message"] for row in rows], maps, said

    return run


@pytest.fixture(scope="module")
def by_torch(segment):
    _, messages, maps, said = segment("torch")
    assert messages == [""] * 4
    assert [content["backend"] for content in said] == ["torch"] * 4
    return maps


def test_a_crash_inside_a_backend_costs_one_scan_a_second_computation(segment, by_torch):
    folder, messages, maps, said = segment("crash")
    assert len((folder / "deaths").read_text()) == 2, "with others in hand, then alone to see who is to blame"
    for scan, message, content, labels, expected in zip(SCANS, messages, said, maps, by_torch, strict=True):
        assert content["backend"] == ("torch" if scan == BAD else "openvino")
        assert message.startswith("computed by torch on the CPU: the process that worked on") is (scan == BAD)
        assert np.mean(labels != expected) < 0.001
    np.testing.assert_array_equal(maps[1], by_torch[1])


def test_a_backend_that_kills_the_process_at_its_start_leaves_the_shard_to_torch(segment, by_torch):
    _, messages, maps, _ = segment("illegal")
    assert messages == ["computed by torch on the CPU: the process died at its start"] * 4
    for labels, expected in zip(maps, by_torch, strict=True):
        np.testing.assert_array_equal(labels, expected)


def test_an_error_of_a_backend_is_named_in_the_row_of_its_scan(segment):
    _, messages, _, said = segment("error")
    why = "openvino failed with RuntimeError: bad combination"
    assert messages == [f"computed by torch on the CPU: {why}", "", "", ""]
    (image,) = said[0]["images"].values()
    assert [each["fallback"] for each in image.values()] == [why]
    (image,) = said[1]["images"].values()
    assert "fallback" not in next(iter(image.values()))
