"""A stand-in for `look` whose process dies. Small, because every process that dies has imported it."""

import os

from dixonflow.cohort.inspect import Inspection
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Reason


def failing_inspection(raw: RawScan) -> Inspection:
    """Die at participant 1, fail at participant 2."""
    if raw.scan and raw.scan.participant == "1":
        os._exit(7)
    if raw.scan and raw.scan.participant == "2":
        return Inspection(Reason.INTERNAL_ERROR, "ValueError: a bug")
    return Inspection(n_stations=1, n_slices=1)
