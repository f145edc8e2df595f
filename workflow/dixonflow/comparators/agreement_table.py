"""The file of a comparator: its agreement with the run, per scan and structure."""

from enum import StrEnum

from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import PARTICIPANT, SEQUENCE, SESSION


class Presence(StrEnum):
    """Which label map has a structure."""

    BOTH = "both"
    RUN_ONLY = "run_only"
    COMPARATOR_ONLY = "comparator_only"
    NEITHER = "neither"


def _volume(name: str, description: str) -> Column:
    return Column(name, ColumnType.DOUBLE, description, "mL", nullable=True, minimum=0)


AGREEMENT = Table(
    "comparator_agreement",
    "One row per scan and structure that the run and the comparator both name; one row without a structure for a scan "
    "that could not be compared.",
    ("participant_id", "session_id", "sequence", "structure"),
    (
        PARTICIPANT,
        SESSION,
        SEQUENCE,
        text_column("structure", "Structure or composite; empty where the scan could not be compared"),
        text_column("model", "Model of the run whose label map was compared"),
        Column(
            "dice",
            ColumnType.DOUBLE,
            "Dice of both label maps; 0 where one lacks the structure, null where both do",
            "1",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        text_column(
            "presence",
            "Which label map has the structure",
            nullable=True,
            allowed=Presence,
        ),
        _volume("run_ml", "Volume in the label map of the run"),
        _volume("comparator_ml", "Volume in the label map of the comparator"),
        Column("resampled", ColumnType.BOOL, "Whether the comparator's label map was on another grid"),
        Column(
            "outside_fraction",
            ColumnType.DOUBLE,
            "Part of the run's labelled voxels outside the comparator's field of view",
            "1",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        text_column("label_map_key", "Identifies the label map of the run"),
        text_column("files_key", "Identifies the files of the comparator and what its labels mean"),
        text_column("problem", "Why the scan could not be compared; empty where it was"),
    ),
)
