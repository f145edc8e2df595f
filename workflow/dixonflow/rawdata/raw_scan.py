"""A raw scan, and the folders that raw scans lie in."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from dixonflow.rawdata.protocols import expected_stations
from dixonflow.vocabulary import Duplicates, Layout, ScanId, ScanSequence


@dataclass(frozen=True)
class ReadOptions:
    """What a source says about how its scans are read.

    Attributes
    ----------
    stations
        Number of stations of a complete scan; `any` takes as many as there are, None what is usual for the layout.
    duplicates
        Which acquisition of a station is used that was acquired more than once.
    time_point
        Which point in time is used of a series that repeats its slices, from 1.
    personal
        What may be read of the participant: `date` of the scan, `age`, `sex`.
    """

    stations: int | Literal["any"] | None = None
    duplicates: Duplicates = Duplicates.BEST
    time_point: int = 1
    personal: tuple[str, ...] = ()

    def expected_stations(self, layout: Layout, sequence: ScanSequence = ScanSequence.DIXON) -> int | None:
        """Number of stations of a complete scan; None for any."""
        if self.stations is None or sequence is ScanSequence.CT:  # which is one image, whatever a source says
            return expected_stations(layout, sequence)
        return None if self.stations == "any" else self.stations


DEFAULT_OPTIONS = ReadOptions()


def options_as_json(options: ReadOptions) -> str:
    """Options as JSON; empty for the default ones, so that what does not use them looks as it did before."""
    changed = {name: value for name, value in asdict(options).items() if value != getattr(DEFAULT_OPTIONS, name)}
    return json.dumps(changed, sort_keys=True) if changed else ""


def options_from_json(text: str) -> ReadOptions:
    """Inverse of `options_as_json`. Raises ValueError, TypeError."""
    content = json.loads(text or "{}")
    if "duplicates" in content:
        content["duplicates"] = Duplicates(content["duplicates"])
    content["personal"] = tuple(content.get("personal", ()))
    options = ReadOptions(**content)
    if (
        not (options.stations in (None, "any") or isinstance(options.stations, int))
        or type(options.time_point) is not int
    ):
        raise ValueError("not the options of a scan")
    return options


@dataclass(frozen=True)
class Source:
    """A folder of raw data.

    Attributes
    ----------
    layout
        Shape of what lies in it.
    folder
        Searched with all its subfolders.
    name_pattern
        Regular expression with the groups `participant` and `session` that a whole zip name must match; the one of the
        layout where it is None. Of no use for `bids`.
    match_patient_id
        Whether the PatientID of DICOM files must be the participant's id, or begin with it; what is usual for the
        layout where it is None.
    options
        How its scans are read.
    sequences
        What is looked for in it; empty for what is usual for the layout.
    stations
        Number of stations of a complete scan by sequence, in place of the one of `options`.
    supersedes
        Folder of the source whose files it replaces where both hold the same part of a scan; None for none.
    """

    layout: Layout
    folder: Path
    name_pattern: str | None = None
    match_patient_id: bool | None = None
    options: ReadOptions = DEFAULT_OPTIONS
    supersedes: Path | None = None
    sequences: tuple[ScanSequence, ...] = ()
    stations: Mapping[ScanSequence, int | Literal["any"]] = field(default_factory=dict, hash=False)

    def options_for(self, sequence: ScanSequence) -> ReadOptions:
        """How its scans of a sequence are read."""
        stations = self.stations.get(sequence, self.options.stations)
        return self.options if stations == self.options.stations else replace(self.options, stations=stations)

    @property
    def looked_for(self) -> tuple[ScanSequence, ...]:
        """Sequences that are looked for."""
        return self.sequences or (self.layout.usual_sequence,)

    @property
    def matches_patient_id(self) -> bool:
        """Whether the patient id is compared with the name: headers of UK Biobank may contain pseudonyms."""
        return self.layout is Layout.NAKO if self.match_patient_id is None else self.match_patient_id


@dataclass(frozen=True)
class RawScan:
    """A scan, and where its raw data lies.

    Attributes
    ----------
    scan
        Participant and session.
    layout
        Shape of the raw data.
    path
        Zip, folder or file; the first where there are several.
    raw_key
        Fingerprint of the content, 64 hexadecimal digits, free of dates and paths; empty where nothing could be read.
        Empty in shard lists, as the path, where the participant has withdrawn.
    state
        State of its files on disk when they were last read; empty where it is not known.
    more_paths
        The further zips, folders or files of a scan that lies in several.
    options
        How it is read.
    """

    scan: ScanId
    layout: Layout
    path: Path
    raw_key: str = ""
    state: str = ""
    more_paths: tuple[Path, ...] = ()
    options: ReadOptions = DEFAULT_OPTIONS

    @property
    def sequence(self) -> ScanSequence:
        """How it was acquired."""
        return self.scan.sequence

    @property
    def paths(self) -> tuple[Path, ...]:
        """All its zips, folders and files."""
        return self.path, *self.more_paths
