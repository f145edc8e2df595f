"""The list of quality checks, in the order of the tables."""

from dixonflow.measure.checks.agreement_list import OF_AGREEMENT
from dixonflow.measure.checks.anatomy_list import OF_ANATOMY
from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.measure.checks.image_list import OF_IMAGES
from dixonflow.measure.checks.stitching_list import OF_STITCHING

OF_SCAN = (*OF_ANATOMY, *OF_IMAGES, *OF_STITCHING, *OF_AGREEMENT)
"""Checks of what was measured."""

OF_RAW_DATA = (
    CheckDefinition(
        "repeated_stations",
        "",
        "Number of stations that were acquired more than once; the note of the scan in the table scans says which "
        "acquisition is used, and why. Reported without a verdict.",
        of_raw_data=True,
        decides="nothing",
        advice="Read the note of the scan.",
    ),
    CheckDefinition(
        "usual_voxel_size",
        "1",
        "Share of the other scans of the same layout and sequence whose stations have the same voxel sizes, within "
        "0.5 %. Null: the headers were not read, or there are fewer than 10 others.",
        "at_least",
        0.02,
        of_raw_data=True,
        advice="Compare with the other scans in the table acquisitions: a header with wrong sizes makes all volumes "
        "wrong; another protocol is no error.",
    ),
)
"""Checks of what was found when the raw data was read."""

OF_RATERS = (
    CheckDefinition(
        "rating",
        "",
        "Worst verdict of those who rated the label map, or the structure: 0 good, 1 usable, 2 faulty (at least 10 % "
        "missing or over-segmented), which fails. A verdict on an earlier label map counts where it found the images "
        "at fault, and only asks for a review. Place gives verdict and cause. Without a rating there is no row.",
        "at_most",
        0.0,
        of_raters=True,
        decides="checked",
        source="the verdicts that docs/ratings.md describes",
        advice="Read the comments in the table ratings. Two raters who disagree should look at it together.",
    ),
)
"""Checks of what raters said."""
