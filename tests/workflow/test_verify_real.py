"""Fetching public scans and running them, on stand-ins served over loopback."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
from file_server import FileServer
from project_copy import call_in, copy_project
from small_scans import trunk_stations

from dixonflow.imaging.nifti import write_nifti
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.protocol import Protocol, StationGeometry
from dixonflow.phantom.writers.dicom import write_ukb
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import Contrast, ScanId

ROOT = Path(__file__).parents[2]
SIX = tuple(StationGeometry((20, 16, 6), (12.0, 12.0, 9.0), 250.0 + 36.0 * index) for index in range(6))
"""As many stations as UK Biobank has, over the trunk alone."""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "project").mkdir()
    copy_project(folder / "project")
    served = folder / "served"
    participant = draw_participant(31)
    stations = acquire(participant, render_anatomy(participant, 4.0), Protocol("small", SIX))
    written = write_ukb(served, ScanId("1000000", "2"), stations)
    written.rename(served / "eg_20201_abdo.zip")
    (served / "refer.html").write_text('<a href="/eg_20201_abdo.zip">example</a> <a href="other.zip">x</a>')
    image = stitch(trunk_stations())
    write_nifti(served / "mr.nii.gz", image.images[Contrast.IN_PHASE], image.affine)
    return folder


def items(address: str, served: Path) -> list[dict]:
    mr = hashlib.sha256((served / "mr.nii.gz").read_bytes()).hexdigest()
    given = {item["layout"]: item for item in json.loads((ROOT / "scripts" / "real_data.json").read_text())}
    expect = {"sequence": "other", "n_stations": 1}
    return [
        given["ukb"] | {"page": f"{address}refer.html"},
        given["ct"] | {"url": f"{address}ct.nii.gz"},
        given["bids"] | {"url": f"{address}mr.nii.gz", "sha256": mr, "expect": expect},
    ]


def verify(project: Path, content: list[dict]):
    path = project / "list.json"
    path.write_text(json.dumps(content))
    command = [sys.executable, "scripts/verify_real.py", "--model", "demo", "--list", str(path)]
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": "workflow"}
    return call_in(project / "project", *command, "--folder", "real", **environment)


@pytest.mark.slow
def test_scans_are_fetched_run_and_compared(project):
    with FileServer(project / "served") as server:
        done = verify(project, items(server.address, project / "served"))
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert "field 20201: as expected" in lines
    assert "MRI of TotalSegmentator's tests: as expected" in lines
    assert "CT of TotalSegmentator's tests: left out, demo does not take ct" in lines
    assert (project / "project/real/results/report/report.html").exists()


@pytest.mark.slow
def test_what_differs_and_what_cannot_be_had_is_said(project):
    with FileServer(project / "served") as server:
        content = items(server.address, project / "served")
        content[0]["expect"]["n_stations"] = 5
        gone = content[2] | {"name": "gone", "url": f"{server.address}gone.nii.gz", "file": "sub-2/ses-1/anat/x.nii.gz"}
        changed = content[2] | {"sha256": "0" * 64}
        done = verify(project, [content[0], gone, changed])
    assert done.returncode == 1
    assert "field 20201: DIFFERENT\n    n_stations is 6, not 5" in done.stdout
    assert "gone: NOT FETCHED" in done.stdout
    assert "not the file that was expected" in done.stdout
    assert "Traceback" not in done.stdout
