"""Multi-echo VIBE measured in the label map of the Dixon scan: raw files in, tables out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from dicom_series import affine_of, series, turned, write_series_zip
from scipy.ndimage import map_coordinates
from small_project import SmallProject
from small_scans import trunk_stations

from dixonflow.imaging.nifti import read_labels
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.phantom.writers.dicom import write_nako
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

FIRST, SECOND, THIRD = (ScanId(f"10001{number}", "30") for number in range(3))
SHAPE, SPACING = (70, 56, 22), (3.2, 3.2, 4.0)
TILT_DEG = 0.9


class TwoSequences(SmallProject):
    """Sessions with Dixon and multi-echo images of the same body; the latter are tilted by a little."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.stations = trunk_stations()
        upper = self.stations[0]
        middle = upper.affine[:3, 3] + upper.spacing_mm * (np.array(upper.shape) - 1) / 2
        self.affine = affine_of(turned(TILT_DEG, 0), SPACING, SHAPE, middle)

    def write_dixon(self, scan: ScanId) -> None:
        write_nako(self.raw / "nako", scan, self.stations)

    def write_multi_echo(self, scan: ScanId, offset_mm: float = 0.0) -> None:
        """The body in the upper station, with a fat fraction of its own along the body."""
        upper, affine = self.stations[0], self.affine.copy()
        affine[2, 3] += offset_mm
        images = {"Output_W": Contrast.WATER, "Output_F": Contrast.FAT}
        at = np.einsum("ij,jxyz->ixyz", np.linalg.inv(upper.affine) @ self.affine, self.voxels())[:3]
        stored = {
            name: np.rint(map_coordinates(upper.images[contrast].astype(float), at, order=1, mode="nearest"))
            for name, contrast in images.items()
        }
        stored["Output_FP"] = self.percent()
        for number, (name, image) in enumerate(stored.items()):
            sequence = f"ME_vibe_fatquant_pre_{name}"
            slices = series(
                image.astype(np.uint16), affine, number=number, description=sequence, PatientID=scan.participant
            )
            write_series_zip(self.raw / "nako" / sequence / f"{scan.participant}_{scan.session}_{sequence}.zip", slices)

    def voxels(self):
        """Homogeneous index of each voxel of the multi-echo image, shape (4, x, y, z)."""
        return np.concatenate([np.indices(SHAPE), np.ones((1, *SHAPE))]).astype(float)

    def percent(self):
        """The scanner's map of the fat fraction."""
        return np.rint(10 + 40 * np.arange(SHAPE[0])[:, None, None] / SHAPE[0] * np.ones(SHAPE))

    def labels(self, scan: ScanId, sequence: ScanSequence = ScanSequence.DIXON) -> Path:
        return Results(self.folder / "results").labels(replace(scan, sequence=sequence), "demo")

    def sidecar(self, scan: ScanId, sequence: ScanSequence = ScanSequence.DIXON):
        path = Results(self.folder / "results").labels_sidecar(replace(scan, sequence=sequence), "demo")
        return json.loads(path.read_text())

    def rows(self):
        scans = self.table("scans")
        return {(row.participant_id, row.sequence): (row.status, row.reason) for row in scans.itertuples()}

    def write_config(self, **segment) -> None:
        source = {"layout": "nako", "folder": "raw/nako", "sequences": ["dixon", "me_vibe"]}
        source["stations"] = {"dixon": 2}
        self.configure(
            [],
            cohort={"sources": [source], "withdrawn": "withdrawn.txt", "scans_per_shard": 8},
            segment={"threads": 1, "device": "cpu"} | segment,
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> TwoSequences:
    made = TwoSequences(tmp_path_factory.mktemp("labels of dixon"))
    (made.raw / "nako").mkdir()
    for scan in (FIRST, THIRD):
        made.write_dixon(scan)
    for scan in (FIRST, SECOND):
        made.write_multi_echo(scan)
    made.write_multi_echo(THIRD, offset_mm=900.0)
    made.write_config(labels_of_dixon=["me_vibe"])
    made.run()
    return made


def test_fat_fractions_of_the_scanner_in_the_structures_of_the_dixon_scan(project):
    ok, none = ("ok", "none"), ("excluded", "no_label_map")
    assert project.rows() == {
        **{(FIRST.participant, "dixon"): ok, (FIRST.participant, "me_vibe"): ok},
        **{(SECOND.participant, "me_vibe"): none},  # it has no Dixon scan
        **{(THIRD.participant, "dixon"): ok, (THIRD.participant, "me_vibe"): none},  # it shows the legs
    }
    dixon, dixon_affine = read_labels(project.labels(FIRST))
    found, _ = read_labels(project.labels(FIRST, ScanSequence.ME_VIBE))
    assert found.shape == SHAPE

    def at_headers(affine):
        at = np.einsum("ij,jxyz->ixyz", np.linalg.inv(dixon_affine) @ affine, project.voxels())[:3]
        return map_coordinates(dixon, at, order=0, mode="grid-constant")

    expected = at_headers(project.affine)
    assert (found != expected).mean() < 1e-3
    untilted = project.affine.copy()
    untilted[:3, :3] = np.diag(SPACING)
    assert (found != at_headers(untilted)).mean() > 5e-3, "the tilt would not be missed"

    names = load_model(MODELS / "demo.yaml").structures
    rows = project.table("measurements")
    rows = rows[rows["participant_id"].eq(FIRST.participant) & rows["sequence"].eq("me_vibe")]
    pdff = rows[rows["measure"].eq("pdff_mean") & rows["value"].notna()].set_index("structure")["value"]
    assert "liver" in pdff.index
    assert len(pdff) > 5
    for structure in set(pdff.index) & names.keys():
        inside = found == names[structure]
        assert pdff[structure] == pytest.approx(project.percent()[inside].mean() / 100, abs=2e-3), structure
    volumes = project.table("volumes_me_vibe")
    (first,) = volumes.loc[volumes["participant_id"].eq(FIRST.participant), "liver_volume_ml"]
    assert first == pytest.approx((found == names["liver"]).sum() * np.prod(SPACING) / 1000, rel=0.01)
    compared = project.table("fat_fraction_comparison")
    assert "liver" in set(compared["structure"])


def test_what_the_images_do_not_show_is_outside_and_not_missing(project):
    rows = project.table("measurements")
    single = rows["structure"].isin(load_model(MODELS / "demo.yaml").structures)
    rows = rows[rows["participant_id"].eq(FIRST.participant) & rows["measure"].eq("volume") & single]
    rows = rows.assign(value=rows["value"].fillna(rows["value_before_grade"]))
    dixon, multi_echo = (rows[rows["sequence"].eq(each)].set_index("structure") for each in ("dixon", "me_vibe"))
    here = set(multi_echo.index[multi_echo["value"].notna()])
    for structure in set(dixon.index[dixon["value"].notna()]) - here:
        assert multi_echo.loc[structure, "missing_reason"] == "outside_field_of_view", structure
    for structure in dixon.index[dixon["value"].isna()]:
        assert multi_echo.loc[structure, "missing_reason"] == dixon.loc[structure, "missing_reason"], structure


@pytest.mark.slow
def test_the_scan_waits_for_its_dixon_scan_and_follows_it(project):
    stands = project.files("derivatives")
    project.write_dixon(SECOND)
    project.run()
    assert project.rows()[SECOND.participant, "me_vibe"] == ("ok", "none")
    after = project.files("derivatives")
    assert {name: after[name] for name in stands if "_seg-" in name} == {
        name: content for name, content in stands.items() if "_seg-" in name
    }
    sidecar = project.sidecar(SECOND, ScanSequence.ME_VIBE)
    assert sidecar["Sources"] == [f"bids::{project.labels(SECOND).relative_to(project.folder / 'results/derivatives')}"]

    # other label maps of the Dixon scans are other label maps here
    config = yaml.safe_load((project.folder / "config.yaml").read_text())
    (project.folder / "config.yaml").write_text(yaml.safe_dump(config | {"merge": {"strategy": "priority"}}))
    project.run()
    of_multi_echo = project.sidecar(SECOND, ScanSequence.ME_VIBE)
    assert of_multi_echo["content_key"] != sidecar["content_key"]
    assert of_multi_echo["dixon"]["content_key"] == project.sidecar(SECOND)["content_key"]
    assert "Nothing to be done" in project.run()
