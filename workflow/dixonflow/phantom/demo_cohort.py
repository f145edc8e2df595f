"""The demo cohort: 16 phantom scans in the shapes of UK Biobank and NAKO, four of them broken, with their truth."""

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dixonflow.errors import DixonflowError
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.covariates import covariate_rows
from dixonflow.phantom.demo_scans import DEMO_SCANS, DemoScan
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.protocol import Protocol, nako_protocol, ukb_protocol
from dixonflow.phantom.truth import true_fat_fractions, truth_on_grid, truth_table
from dixonflow.phantom.writers.dicom import write_nako, write_ukb
from dixonflow.stitch.grid import target_grid
from dixonflow.stitch.report import StitchOptions
from dixonflow.system.atomic import atomic_path, write_bytes, write_json
from dixonflow.system.tree_digest import tree_digest
from dixonflow.vocabulary import Layout

PACKAGE = Path(__file__).parent
EXPECTED_NAME, TRUTH_NAME, WITHDRAWN_NAME, STAMP_NAME = "expected.json", "truth.parquet", "withdrawn.txt", "stamp.json"
COVARIATES_NAME = "covariates.csv"
"""Next to the raw folder: what the run has to say, true volumes, an empty list of withdrawn participants, the stamp;
covariates of the participants."""

TRUTH_COLUMNS = [
    *("participant_id", "session_id", "structure", "label", "volume_in_fov_ml", "fat_fraction", "fat_fraction_median"),
    *("whole_mean", "whole_median", "eroded_mean", "eroded_median"),
]
"""Of `truth_table` and `true_fat_fractions`."""


@dataclass(frozen=True)
class DemoOptions:
    """How fine the scans are.

    Attributes
    ----------
    ukb_scale, nako_scale
        Factor on the matrices, 1 is the true geometry. The defaults give voxels of about 4.5 mm in plane in both.
    slice_scale
        Factor on the number of slices: a demo of fewer, thicker slices would blur discs and vessels.
    fine_spacing_mm
        Voxels in which bodies are rendered and truth is counted.
    """

    ukb_scale: float = 0.5
    nako_scale: float = 0.3125
    slice_scale: float = 0.75
    fine_spacing_mm: float = 2.0

    def protocol(self, layout: Layout) -> Protocol:
        """Stations of a cohort's sequence. Raises ValueError for a scale outside (0, 1]."""
        if layout is Layout.UKB:
            return ukb_protocol(self.ukb_scale, self.slice_scale)
        return nako_protocol(self.nako_scale, self.slice_scale)


def make_scan(item: DemoScan, folder: Path, options: DemoOptions) -> pd.DataFrame:
    """Scan one phantom participant, write the zip below `folder`, break it if it is one to be broken.

    Returns
    -------
    pandas.DataFrame
        The truth of the scan before it was broken, `TRUTH_COLUMNS`, one row per structure.
    """
    participant = item.participant
    anatomy = render_anatomy(participant, options.fine_spacing_mm)
    protocol = options.protocol(item.layout)
    stations = acquire(participant, anatomy, protocol, session=item.session_number)
    write = write_ukb if item.layout is Layout.UKB else write_nako
    path = write((folder / item.path).parent, item.scan, stations)
    if item.breakage:
        item.breakage.apply(path)
    truth = truth_table(participant, anatomy, protocol).rename(columns={"id": "label", "name": "structure"})
    grid = target_grid(stations, StitchOptions().max_voxels)
    on_grid = truth_on_grid(anatomy, grid.shape, grid.affine)
    regions = {str(name): [int(label)] for name, label in zip(truth["structure"], truth["label"], strict=True)}
    truth = truth.join(true_fat_fractions(participant, anatomy, on_grid, grid.affine, regions), on="structure")
    truth["participant_id"], truth["session_id"] = item.scan.participant, item.scan.session
    return truth[TRUTH_COLUMNS]


def is_current(folder: Path, options: DemoOptions, scans: tuple[DemoScan, ...] = DEMO_SCANS) -> bool:
    """Whether the cohort is there, complete, and was made from the same options by the same code."""
    stamp = _read_stamp(folder)
    return bool(stamp) and stamp == _stamp(folder, options, scans)


def make_demo_cohort(
    folder: Path,
    options: DemoOptions,
    jobs: int,
    made: Callable[[DemoScan], None],
    scans: tuple[DemoScan, ...] = DEMO_SCANS,
) -> bool:
    """Write the cohort below `folder` and, next to it, `expected.json`, `truth.parquet`, `covariates.csv` and
    `withdrawn.txt`.

    Nothing is done where `is_current`: the stamp that says so is written last.

    Parameters
    ----------
    folder
        The raw folder; gets a folder per cohort.
    jobs
        Processes.
    made
        Called for every scan that is done.
    scans
        The fixed list, or a part of it.

    Returns
    -------
    bool
        Whether anything was made.

    Raises
    ------
    DixonflowError
        If the raw folder holds files that are not the cohort's: they would be taken for scans. If a scale lies outside
        (0, 1].
    """
    if is_current(folder, options, scans):
        return False
    try:
        for item in scans:
            options.protocol(item.layout)
    except ValueError as error:
        raise DixonflowError(str(error)) from None
    _clear(folder, {item.path for item in scans} | set(_read_stamp(folder).get("files", {})))
    (folder.parent / STAMP_NAME).unlink(missing_ok=True)
    truths = {}
    # one thread each, whatever the caller has set: sums in another order would round some pixels to another number
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    # spawned, not forked: the caller may run a progress display in a thread
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(make_scan, item, folder, options): item for item in scans}
        try:
            for future in as_completed(running):
                truths[running[future]] = future.result()
                made(running[future])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    with atomic_path(folder.parent / TRUTH_NAME) as temporary:
        table = pd.concat([truths[item] for item in scans], ignore_index=True)
        table.to_parquet(temporary, index=False, compression="zstd")
    write_json(folder.parent / EXPECTED_NAME, [_expectation(item) for item in scans])
    people = covariate_rows(scans).to_csv(index=False, lineterminator="\n")
    write_bytes(folder.parent / COVARIATES_NAME, people.encode())
    if not (folder.parent / WITHDRAWN_NAME).exists():
        write_bytes(folder.parent / WITHDRAWN_NAME, b"")
    write_json(folder.parent / STAMP_NAME, _stamp(folder, options, scans))
    return True


def _expectation(item: DemoScan) -> dict[str, Any]:
    status, reason = item.expected
    return {
        "participant_id": item.scan.participant,
        "session_id": item.scan.session,
        "layout": item.layout,
        "file": item.path,
        "seed": item.seed,
        "status": status,
        "reason": reason,
        "breakage": item.breakage or "",
    }


def _stamp(folder: Path, options: DemoOptions, scans: tuple[DemoScan, ...]) -> dict[str, Any]:
    """What the cohort depends on (list, options, the phantom's own code and data) as a hash; files and their bytes."""
    others = [path for name in (EXPECTED_NAME, TRUTH_NAME, COVARIATES_NAME) if (path := folder.parent / name).exists()]
    return {
        "key": tree_digest(PACKAGE, repr((dataclasses.asdict(options), scans)).encode()),
        "files": {name: path.stat().st_size for name, path in _files(folder).items()},
        "others": {path.name: path.stat().st_size for path in others},
    }


def _read_stamp(folder: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((folder.parent / STAMP_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _clear(folder: Path, own: set[str]) -> None:
    """Remove an earlier cohort, temporary files of a killed run included; refuse to touch anything else."""
    found = _files(folder)
    ours = {name for name in found if name in own or _finished_name(name) in own}
    if strange := sorted(found.keys() - ours):
        raise DixonflowError(
            f"{folder} holds {len(strange)} files that do not belong to the demo, for example {strange[0]}; "
            "name another folder or remove them"
        )
    for name in ours:
        found[name].unlink()


def _finished_name(name: str) -> str:
    """`ukb/.3f2a.x.zip`, a temporary name, to `ukb/x.zip`."""
    parent, _, last = name.rpartition("/")
    return f"{parent}/{last.split('.', 2)[2]}" if last.startswith(".") and last.count(".") > 1 else name
