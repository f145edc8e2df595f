"""What is acquired: contrasts and sequences."""

from enum import StrEnum
from typing import Any, Literal, Self


class Contrast(StrEnum):
    """What an image of a scan shows."""

    WATER = "water"
    FAT = "fat"
    IN_PHASE = "in_phase"
    OPPOSED_PHASE = "opposed_phase"
    CT = "ct"  # in Hounsfield units
    T2 = "t2"  # weighted by T2
    PD = "pd"  # weighted by proton density
    MR = "mr"  # any other MR image
    FAT_FRACTION = "fat_fraction"  # proton density fat fraction in percent, as the scanner computes it
    R2STAR = "r2star"  # 1/s, as the scanner computes it
    ECHO_1 = "echo_1"
    ECHO_2 = "echo_2"
    ECHO_3 = "echo_3"
    ECHO_4 = "echo_4"
    ECHO_5 = "echo_5"
    ECHO_6 = "echo_6"

    @property
    def acq(self) -> str:
        """The contrast as a BIDS entity value, which must be alphanumeric: `inphase`."""
        return self.value.replace("_", "")

    @property
    def is_map(self) -> bool:
        """Whether its values are a physical quantity, which no factor may change."""
        return self in (Contrast.CT, Contrast.FAT_FRACTION, Contrast.R2STAR)


DIXON = (Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
"""The contrasts of a Dixon scan."""

Modality = Literal["mr", "ct"]
"""MRI, or CT."""

_ECHOES = tuple(contrast for contrast in Contrast if contrast.value.startswith("echo_"))


class ScanSequence(StrEnum):
    """How a scan was acquired: a session may have a scan of each.

    Attributes
    ----------
    contrasts
        Images that a scan must have.
    further
        Images that it may have in addition.
    suffix
        BIDS suffix of its images.
    """

    contrasts: tuple[Contrast, ...]
    further: tuple[Contrast, ...]
    suffix: str

    def __new__(cls, value: str, *meaning: Any) -> Self:
        """Make a member from its word, which is its value, and its images."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.contrasts, member.further, member.suffix = meaning
        return member

    DIXON = "dixon", DIXON, (), "VIBE"
    HASTE = "haste", (Contrast.T2,), (), "T2w"
    ME_VIBE = (
        "me_vibe",
        (Contrast.WATER, Contrast.FAT, Contrast.FAT_FRACTION),
        (Contrast.R2STAR, *_ECHOES),
        "VIBE",
    )
    T2_TSE = "t2_tse", (Contrast.T2,), (), "T2w"
    PD = "pd", (Contrast.PD,), (), "PDw"
    CT = "ct", (Contrast.CT,), (), "ct"
    OTHER = "other", (Contrast.MR,), (), "MR"

    @property
    def modality(self) -> Modality:
        """MRI or CT."""
        return "ct" if self is ScanSequence.CT else "mr"

    @property
    def acq(self) -> str:
        """The sequence as a BIDS entity value."""
        return self.value.replace("_", "")

    @property
    def images(self) -> tuple[Contrast, ...]:
        """All images that a scan may have."""
        return self.contrasts + self.further
