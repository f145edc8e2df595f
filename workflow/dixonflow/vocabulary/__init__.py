"""The closed sets of DixonFlow: contrasts, sequences, stages, statuses, reasons, grades and verdicts of raters.

Every other module takes its words from here. Values are what appears in tables and file names.
"""

from dixonflow.vocabulary.images import DIXON, Contrast, Modality, ScanSequence
from dixonflow.vocabulary.methods import Backend, Interpolate, MergeStrategy
from dixonflow.vocabulary.outcomes import JOBS, SHARD_STAGES, Grade, Reason, Stage, Status
from dixonflow.vocabulary.ratings import Cause, Verdict
from dixonflow.vocabulary.scans import Duplicates, Layout, ScanId

__all__ = [
    "DIXON",
    "JOBS",
    "SHARD_STAGES",
    "Backend",
    "Cause",
    "Contrast",
    "Duplicates",
    "Grade",
    "Interpolate",
    "Layout",
    "MergeStrategy",
    "Modality",
    "Reason",
    "ScanId",
    "ScanSequence",
    "Stage",
    "Status",
    "Verdict",
]
