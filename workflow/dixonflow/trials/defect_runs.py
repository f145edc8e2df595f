"""Planted defects, from raw files to graded values: one phantom scan with one defect at a time."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dixonflow.cohort.build import build_cohort
from dixonflow.cohort.table import CohortScan
from dixonflow.config import Config
from dixonflow.errors import ScanExcluded
from dixonflow.execution.content_keys import STAGE_VERSIONS
from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.imaging.station import Station
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.defects.defect import Defect, Layer
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.writers.dicom import ukb_zip_name, write_ukb
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import Layout, ScanId, Stage

PARTICIPANTS, SESSIONS = 4, 3
"""Participants whose first scan gets defects, and how often each is scanned without one."""

FURTHER_PARTICIPANTS = 60
"""Participants who are scanned once, without a defect: with the scans above, the cohort."""

WRITTEN = "written.txt"
"""Next to the raw data of a scan: it is there as a whole."""

FIRST_SEED = 5000
_SHARD = "defects"
_SEGMENTING = (Stage.RESAMPLE, Stage.SEGMENT, Stage.MERGE, Stage.POSTPROCESS)


@dataclass(frozen=True)
class Measured:
    """What became of a scan.

    Attributes
    ----------
    reason, message
        Why it was excluded or failed; both empty where it was measured.
    measurements, quality
        Rows as the measure stage makes them; empty tables for a scan that was excluded.
    listed
        What the list of scans says of it, as the checks of raw data take it.
    """

    reason: str
    message: str
    measurements: pd.DataFrame
    quality: pd.DataFrame
    listed: dict[str, str]


def clean_scan(participant: int, session: int = 0) -> DemoScan:
    """One of the scans without a defect."""
    scan = ScanId(f"{3000000 + participant}", str(2 + session))
    return DemoScan(scan, Layout.UKB, FIRST_SEED + participant, session_number=session)


def clean_scans() -> list[DemoScan]:
    """All scans without a defect."""
    first = [clean_scan(participant, session) for participant in range(PARTICIPANTS) for session in range(SESSIONS)]
    return first + [clean_scan(PARTICIPANTS + number) for number in range(FURTHER_PARTICIPANTS)]


def stations_of(item: DemoScan, options: DemoOptions) -> list[Station]:
    """What the scanner delivers of a participant."""
    anatomy = render_anatomy(item.participant, options.fine_spacing_mm)
    return acquire(item.participant, anatomy, options.protocol(item.layout), session=item.session_number)


class DefectRuns:
    """Runs of the workflow over single phantom scans, below a folder that keeps what is needed again.

    Parameters
    ----------
    folder
        For raw data and results; what is finished there is used again.
    config, model
        How scans are processed.
    options
        Resolution.
    """

    def __init__(self, folder: Path, config: Config, model: Model, options: DemoOptions | None = None) -> None:
        self.folder, self.model = folder, model
        keep = config.keep.model_copy(update={"contact_sheets": False})
        self._config = config.model_copy(update={"keep": keep})
        self._options = options or DemoOptions()

    def stations(self, item: DemoScan) -> list[Station]:
        """What the scanner delivers of a participant."""
        return stations_of(item, self._options)

    def clean(self, item: DemoScan) -> Measured:
        """Measure a scan without a defect; done once."""
        home = self._home(item)
        kept = home / "measured.json"
        if not kept.exists():
            if not (home / WRITTEN).exists():
                self._write(home, item, self.stations(item))
                write_bytes(home / WRITTEN, b"")
            write_bytes(kept, _to_json(self._measured(home)))
        return _from_json(kept.read_bytes())

    def _home(self, item: DemoScan) -> Path:
        return self.folder / "clean" / f"{item.scan.participant}_{item.scan.session}"

    def home_of(self, defect: Defect, strength: float) -> Path:
        """Folder of a scan with a defect: its raw data below `raw`, and its results."""
        return self.folder / "planted" / f"{defect.name.replace(' ', '_')}-{strength:g}"

    def planted(self, defect: Defect, strength: float, item: DemoScan) -> Measured:
        """Measure a scan with a defect; it is segmented once, as long as its stitched images stay the same.

        Its raw data is written once; who changes the phantom removes `WRITTEN`.
        """
        home = self.home_of(defect, strength)
        clean = self._home(item)
        plant: Any = defect.plant
        if defect.layer is Layer.LABELS:
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(clean, home)
            return self._measured_again(home, defect, strength)
        if not (home / WRITTEN).exists():
            stations = self.stations(item)
            if defect.layer is Layer.STATIONS:
                stations = plant(stations, strength)
            elif defect.layer is Layer.MIXED:
                other = clean_scan((int(item.scan.participant) + 1) % PARTICIPANTS)
                stations = plant(stations, self.stations(other), strength)
            path = self._write(home, item, stations)
            if defect.layer is Layer.FILES:
                plant(path, strength)
            write_bytes(home / WRITTEN, b"")
        return self._measured(home, clean)

    def _write(self, home: Path, item: DemoScan, stations: Sequence[Station]) -> Path:
        shutil.rmtree(home / "raw", ignore_errors=True)
        return write_ukb(home / "raw", item.scan, stations)

    def _context(self, home: Path) -> StageContext:
        return StageContext(self._config, (self.model,), self.model, Results(home / "results"), _SHARD)

    def _listed(self, home: Path) -> tuple[CohortScan, RawScan | None]:
        """The scan in the list of scans, among some others, and its entry in a shard; none where it is excluded."""
        own = next(iter((home / "raw").glob("*.zip"))).name
        participant = own.partition("_")[0]
        for item in [clean_scan(person) for person in range(PARTICIPANTS)]:
            other = self._home(item) / "raw" / ukb_zip_name(item.scan)
            copy = home / "raw" / "others" / other.name
            if other.exists() and item.scan.participant != participant and not copy.exists():
                copy.parent.mkdir(exist_ok=True)
                copy.hardlink_to(other)
        found = build_cohort([Source(Layout.UKB, home / "raw", match_patient_id=True)])
        (row, *_) = (row for row in found.scans if row.scan is None or row.scan.participant == participant)
        entries = [entry for shard in found.shards for entry in shard.scans if entry.scan.participant == participant]
        return row, entries[0] if entries else None

    def _measured(self, home: Path, twin: Path | None = None) -> Measured:
        """Bring a scan through all stages; the label map of `twin` holds for the same stitched images."""
        row, scan = self._listed(home)
        if scan is None:
            return _refused(row.reason.value, row.message)
        stitch = stage_work(Stage.STITCH, self._context(home))
        try:
            stitch.by_hand(scan)
            versions = [STAGE_VERSIONS[stage] for stage in _SEGMENTING]
            segmented = f"{stitch.result(scan)} {self.model.weights_hash} {versions}"
            kept = home / "segmented.txt"
            if not kept.exists() or kept.read_text() != segmented:
                if twin is not None and (twin / kept.name).read_text() == segmented:
                    self._take_labels(scan.scan, twin, home)
                else:
                    for stage in _SEGMENTING:
                        stage_work(stage, self._context(home)).by_hand(scan)
                kept.write_text(segmented)
        except ScanExcluded as excluded:
            return _refused(excluded.reason.value, excluded.message)
        return self._of_labels(home, row, scan)

    def _of_labels(self, home: Path, row: CohortScan, scan: RawScan) -> Measured:
        """Measure a scan whose label map is there."""
        try:
            result = stage_work(Stage.MEASURE, self._context(home)).by_hand(scan)
        except ScanExcluded as excluded:
            return _refused(excluded.reason.value, excluded.message)
        return _of(result.payload, row)

    def _take_labels(self, scan: ScanId, twin: Path, home: Path) -> None:
        source, target = Results(twin / "results"), Results(home / "results")
        name = self.model.name
        for one, other in (
            (source.labels(scan, name), target.labels(scan, name)),
            (source.labels_sidecar(scan, name), target.labels_sidecar(scan, name)),
        ):
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(one, other)

    def _measured_again(self, home: Path, defect: Defect, strength: float) -> Measured:
        """Change the label map of a finished scan, and measure it."""
        row, scan = self._listed(home)
        assert scan is not None
        path = Results(home / "results").labels(scan.scan, self.model.name)
        labels, affine = read_labels(path)
        plant: Any = defect.plant
        write_labels(path, plant(labels, affine, self.model.structures, strength), affine)
        return self._of_labels(home, row, scan)


def _of(payload: Mapping[str, Any], row: CohortScan) -> Measured:
    listed = {
        "reading": row.reading,
        "acquisitions": json.dumps([each.as_dict() for each in row.acquisitions]) if row.acquisitions else "",
        "layout": Layout.UKB.value,
    }
    return Measured("", "", pd.DataFrame(payload["measurements"]), pd.DataFrame(payload["quality"]), listed)


def _refused(reason: str, message: str) -> Measured:
    return Measured(reason, message, pd.DataFrame(), pd.DataFrame(), {})


def _to_json(found: Measured) -> bytes:
    tables = {
        name: json.loads(table.to_json(orient="split", double_precision=15))
        for name, table in (("measurements", found.measurements), ("quality", found.quality))
    }
    return json.dumps({"reason": found.reason, "message": found.message, "listed": found.listed, **tables}).encode()


def _from_json(content: bytes) -> Measured:
    read = json.loads(content)
    measurements, quality = (
        pd.DataFrame(read[name]["data"], columns=read[name]["columns"]).astype({"value": float})
        for name in ("measurements", "quality")
    )
    tables = _with_none(measurements), _with_none(quality)
    return Measured(read["reason"], read["message"], *tables, read["listed"])


def _with_none(table: pd.DataFrame) -> pd.DataFrame:
    plain: pd.DataFrame = table.astype(object).where(table.notna(), None)
    return plain
