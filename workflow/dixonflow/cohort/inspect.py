"""Inspect one scan: whatever happens to it is its outcome, never the end of the run."""

import logging
from dataclasses import dataclass

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.acquisition import StationAcquisition
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import inspect
from dixonflow.vocabulary import Reason

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inspection:
    """What was found out about a scan; the attributes are those of `CohortScan`."""

    reason: Reason = Reason.NONE
    message: str = ""
    left_out: str = ""
    n_stations: int | None = None
    n_slices: int | None = None
    patient_id_matches: bool | None = None
    reading: str = ""
    acquisitions: tuple[StationAcquisition, ...] = ()


def inspect_scan(raw: RawScan) -> Inspection:
    """Inspect one scan."""
    try:
        summary = inspect(raw)
    except ScanExcluded as excluded:
        return Inspection(excluded.reason, excluded.message)
    except MemoryError:
        return Inspection(Reason.OUT_OF_MEMORY, "memory ran out while reading the headers")
    except OSError as error:  # its own text holds the path
        return Inspection(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error.strerror}")
    except Exception as error:
        log.debug("failed: %s", raw.path, exc_info=True)
        return Inspection(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
    return Inspection(
        left_out="; ".join(summary.notes),
        n_stations=summary.n_stations,
        n_slices=summary.n_slices,
        patient_id_matches=summary.patient_id_matches,
        reading=summary.reading,
        acquisitions=summary.acquisitions,
    )
