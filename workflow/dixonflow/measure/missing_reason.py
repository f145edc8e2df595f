"""Why a measurement has no value."""

from enum import StrEnum
from typing import Self


class MissingReason(StrEnum):
    """Why a measurement has no value.

    Attributes
    ----------
    description
        The reason in a few words.
    """

    description: str

    def __new__(cls, value: str, *meaning: str) -> Self:
        """Make a member from its word, which is its value, and its description."""
        member = str.__new__(cls, value)
        member._value_ = value
        (member.description,) = meaning
        return member

    NOT_FOUND = "not_found", "the label map holds no voxel of the structure"
    OUTSIDE_FIELD_OF_VIEW = "outside_field_of_view", "every voxel of the structure lies outside all stations"
    CUT_BY_FIELD_OF_VIEW = "cut_by_field_of_view", "the structure touches the edge of the field of view"
    NO_SIGNAL = "no_signal", "the water and fat images hold no signal in the structure"
    BELOW_NOISE_FLOOR = "below_noise_floor", "no voxel of the structure reaches the noise floor"
    TOO_THIN = "too_thin", "no voxel of the structure is left after erosion by one voxel"
    NOT_APPLICABLE = "not_applicable", "the measure is not defined for the structure"
    NO_IMAGE = "no_image", "the scan has no image that the measure is made of"
    INCOMPLETE = "incomplete", "a part of the composite was not found"
    FAILED_CHECK = "failed_check", "a check failed the value, see decided_by and value_before_grade in measurements"
    OUT_OF_ORDER = (
        "out_of_order",
        "the vertebrae that delimit the measure are not in anatomical order, or cannot be counted from the sacrum",
    )
    ARMS_JOINED = "arms_joined", "the arms cannot be parted from the trunk"
    SIDES_DIFFER = "sides_differ", "the two sides of a bone that delimits the measure lie at different heights"
    IN_PIECES = "in_pieces", "the vessel is in pieces, which have no one centreline, or in more than 40"
    NOT_RECORDED = "not_recorded", "the label map was made by a version that did not record it"
    NO_LANDMARK = "no_landmark", "no model of the run labels the landmarks that delimit the measure"
