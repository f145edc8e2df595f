"""The id inside the files against the name, source by source."""

from pathlib import Path

from raw_scan_files import make_stations, scan_slices, write_scan_zip

from dixonflow.cohort.build import build_cohort
from dixonflow.cohort.patient_ids import ANOTHER_ID, CHECK_IS_OFF
from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.vocabulary import Layout, Reason, Status

SHAPE = (18, 16, 5)


class TestPatientId:
    """The id inside the files against the name, source by source."""

    def cohort(self, folder: Path, ids: list[str], layout: Layout = Layout.NAKO, match: bool | None = None):
        for number, patient_id in enumerate(ids):
            slices = scan_slices(make_stations(2, number, SHAPE), patient_id=patient_id)
            name = f"{100 + number}_30.zip" if layout is Layout.NAKO else f"{100 + number}_20201_2_0.zip"
            folder.mkdir(exist_ok=True)
            write_scan_zip(folder / name, slices)
        source = Source(layout, folder, match_patient_id=match, options=ReadOptions(stations=2))
        first = build_cohort([source])
        again = build_cohort([source], previous=first.scans)
        assert again.n_inspected == 0
        assert again.scans == first.scans
        return first.scans

    def test_a_zip_under_another_name_is_excluded(self, tmp_path) -> None:
        rows = self.cohort(tmp_path, ["100_30", "101", "999_30", "103_30"])
        assert [row.reason for row in rows] == [Reason.NONE, Reason.NONE, Reason.IDENTITY_MISMATCH, Reason.NONE]
        assert rows[2].message == ANOTHER_ID
        assert "999" not in rows[2].message

    def test_where_most_disagree_the_check_is_off_with_a_note(self, tmp_path) -> None:
        rows = self.cohort(tmp_path, ["PSEUDO1", "PSEUDO2", "102_30"])
        assert {row.status for row in rows} == {Status.OK}
        assert [CHECK_IS_OFF in row.note for row in rows] == [True, True, False]

    def test_uk_biobank_is_not_checked_unless_asked(self, tmp_path) -> None:
        ids = ["100", "101", "999"]
        assert {row.status for row in self.cohort(tmp_path / "off", ids, Layout.UKB)} == {Status.OK}
        rows = self.cohort(tmp_path / "on", ids, Layout.UKB, match=True)
        assert [row.status for row in rows] == [Status.OK, Status.OK, Status.EXCLUDED]
        off = self.cohort(tmp_path / "nako", ["100", "101", "999"], Layout.NAKO, match=False)
        assert {row.status for row in off} == {Status.OK}
