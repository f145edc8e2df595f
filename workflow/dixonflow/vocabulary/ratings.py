"""What a rater says of a label map."""

from enum import StrEnum


class Verdict(StrEnum):
    """How good a label map, or one structure of it, is in the eyes of a rater."""

    GOOD = "good"
    USABLE = "usable"
    FAULTY = "faulty"
    """At least 10 % of a structure are missing or over-segmented."""


class Cause(StrEnum):
    """Why a label map is not good."""

    SWAP = "swap"
    MOVEMENT = "movement"
    CUT = "cut"
    HORSESHOE_KIDNEY = "horseshoe_kidney"
    CYST = "cyst"
    MISSING_KIDNEY = "missing_kidney"
    OTHER_ANATOMY = "other_anatomy"
    NETWORK = "network"

    @property
    def is_anatomy(self) -> bool:
        """Whether the person is unusual, and neither the image nor the network at fault."""
        return self in (Cause.HORSESHOE_KIDNEY, Cause.CYST, Cause.MISSING_KIDNEY, Cause.OTHER_ANATOMY)
