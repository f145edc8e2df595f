"""A session with two sequences, from raw data to the report: one more costs its own work and changes nothing else."""

import numpy as np
import pandas as pd
import pytest
from small_cohort import SCANS, make_small_cohort
from small_project import SmallProject
from small_scans import trunk_stations

from dixonflow.imaging.nifti import write_nifti
from dixonflow.vocabulary import Contrast

FIRST, SECOND = SCANS[:2]


class TwoSequences(SmallProject):
    """Two sessions of Dixon; one of them has HASTE images of the same body too."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        make_small_cohort(self.raw / "bids", {FIRST: 6.0, SECOND: 6.0})
        anat = self.raw / "bids" / f"sub-{FIRST.participant}" / f"ses-{FIRST.session}" / "anat"
        for station in trunk_stations():
            path = anat / f"{FIRST.name}_acq-haste_chunk-{station.index + 1}_T2w.nii.gz"
            write_nifti(path, station.images[Contrast.IN_PHASE], station.affine)

    def look_for(self, *sequences: str) -> str:
        source = {"layout": "bids", "folder": "raw/bids", "sequences": list(sequences)}
        self.configure(["bids"], cohort={"sources": [source], "withdrawn": "withdrawn.txt", "scans_per_shard": 8})
        return self.run()

    def rows(self) -> set[tuple[str, str, str]]:
        scans = self.table("scans")
        return set(scans[["participant_id", "sequence", "status"]].itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> TwoSequences:
    return TwoSequences(tmp_path_factory.mktemp("sequences"))


DIXON = {(FIRST.participant, "dixon", "ok"), (SECOND.participant, "dixon", "ok")}


@pytest.mark.slow
def test_another_sequence_joins_and_leaves(project):
    project.look_for("dixon")
    assert project.rows() == DIXON
    images, volumes = project.files("derivatives"), project.files("tables")["volumes.parquet"][1]

    project.look_for("dixon", "haste")
    assert project.rows() == DIXON | {(FIRST.participant, "haste", "ok")}
    after = project.files("derivatives")
    assert {name: after[name] for name in images} == images, "what was made of Dixon stands"
    new = {name.rsplit("/", 1)[1] for name in after.keys() - images.keys()}
    assert new == {
        f"{FIRST.name}_acq-haste_{ending}"
        for ending in (
            *("desc-stitched_T2w.nii.gz", "desc-stitched_T2w.json"),
            *("seg-demo_dseg.nii.gz", "seg-demo_dseg.json"),
        )
    }
    assert project.files("tables")["volumes.parquet"][1] == volumes
    of_haste = project.table("volumes_haste")
    assert list(of_haste["participant_id"]) == [FIRST.participant]
    rows = project.table("measurements")
    haste = rows[rows["sequence"].eq("haste")]
    of_fat = haste[haste["structure"].eq("subcutaneous_fat")].set_index("measure")
    np.testing.assert_array_equal(of_haste["subcutaneous_fat_volume_ml"].astype(float), of_fat.loc[["volume"], "value"])
    fat = of_fat["value"].fillna(of_fat["value_before_grade"])  # the little network puts organs anywhere
    assert fat["volume"] > 0
    assert fat["t2_mean"] > 0
    assert not {name for name in haste["measure"] if "fat" in name or "water" in name}
    page = (project.folder / "results/report/report.html").read_text()
    assert f"{FIRST.participant}, session {FIRST.session}, haste" in page
    assert "Nothing to be done" in project.run()

    project.look_for("dixon")
    assert project.rows() == DIXON
    assert not (project.folder / "results/tables/volumes_haste.parquet").exists()
    left = pd.read_csv(project.folder / "results/departures.csv", dtype=str)
    assert list(left[["participant_id", "sequence", "why"]].itertuples(index=False, name=None)) == [
        (FIRST.participant, "haste", "left_out_by_configuration")
    ]
    assert {name: project.files("derivatives")[name] for name in images} == images
    assert "Nothing to be done" in project.run()
