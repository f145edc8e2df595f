"""Quality checks of stations and of how they fit each other: what each means, its threshold and its source."""

from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.vocabulary import Grade

OF_STITCHING = (
    CheckDefinition(
        "overlap_residual",
        "1",
        "Largest relative difference of in-phase signal between two overlapping stations after intensity matching "
        "(sum of absolute differences over sum of means). Large: movement between stations.",
        "at_most",
        0.3,
        of_dixon=True,
        of_stitching=True,
        advice="Look at the seams in the picture: movement between stations doubles or cuts organs there.",
    ),
    CheckDefinition(
        "overlap_agreement",
        "1",
        "One minus overlap_residual, compared with the other scans of the run. Threshold: as for contrast_agreement. "
        "Below it two stations show their overlap less alike than is usual.",
        of_cohort=True,
        of_dixon=True,
        of_stitching=True,
        advice="As overlap_residual; also folded, blurred or doubled images, or a station of another scan.",
    ),
    CheckDefinition(
        "contrast_sum",
        "1",
        "Largest deviation of a station's in phase from water + fat: distance of the median ratio of its slices from "
        "1. Less than what excludes a scan (docs/contrasts.md), but one contrast may be scaled differently. Null: not "
        "checked. Compared with the cohort, too, as contrast_agreement.",
        "at_most",
        0.075,
        of_dixon=True,
        of_fat=True,
        of_stitching=True,
        of_cohort=True,
        advice="Compare the stations' echo times in acquisitions and the scale tags of the raw data.",
    ),
    CheckDefinition(
        "station_shift",
        "mm",
        "Largest displacement across the body (x and y) between what two overlapping stations show of their overlap. "
        "Null: no stations overlap, or they were stitched by a version that did not look.",
        "at_most",
        5.0,
        of_dixon=True,
        of_stitching=True,
        advice="Look at the seams: the person moved between stations. Volumes that cross the seam are not exact.",
    ),
    CheckDefinition(
        "intensity_match",
        "1",
        "Largest over smallest factor by which stations were made equally bright. Null: no stations overlap.",
        "at_most",
        4.0,
        of_dixon=True,
        of_stitching=True,
        advice="Look at the picture: a receive coil that was off, or stations of two examinations.",
    ),
    CheckDefinition(
        "sharpness_match",
        "1",
        "Largest ratio of the mean gradient across the body of two stations in their overlap, in-phase. Compared with "
        "the cohort, too, as contrast_agreement.",
        "at_most",
        1.25,
        of_dixon=True,
        of_stitching=True,
        of_cohort=True,
        advice="Look at both stations: one is blurred by breathing or movement.",
    ),
    CheckDefinition(
        "slice_order",
        "1",
        "Largest ratio of the in-phase difference between a slice and the next one to that between it and the most "
        "similar of the 20 behind it. Above 1 a later slice would follow better.",
        "at_most",
        1.25,
        of_dixon=True,
        of_stitching=True,
        advice="Look at the slices that place names: some may be in the wrong order, or folded.",
    ),
    CheckDefinition(
        "grey_levels",
        "",
        "Number of different values of the in-phase signal of a station, the smallest of all stations.",
        "at_least",
        64.0,
        of_dixon=True,
        of_stitching=True,
        advice="Look for a step of the export that scales images down; fat fractions are rounded.",
    ),
    CheckDefinition(
        "values_cut_off",
        "1",
        "Share of the in-phase signal of a station that has its largest value, within 0.5 %, the largest of all "
        "stations: values above may have been cut off.",
        "at_most",
        0.01,
        of_dixon=True,
        of_stitching=True,
        advice="Look for a step of the export that limits values. Signal and fat fractions of bright tissue are wrong.",
    ),
    CheckDefinition(
        "swaps_repaired",
        "",
        "Number of stations, and of halves of stations, whose water and fat were swapped back before stitching. "
        "Reported without a verdict: a station swapped back is as if it had never been swapped.",
        of_dixon=True,
        of_stitching=True,
        decides="nothing",
        advice="Nothing; the sidecar of the stitched images says what was done. To exclude such scans: "
        "stitch.repair_swaps: false.",
    ),
    CheckDefinition(
        "swap_margin",
        "1",
        "How clear it is that water and fat are named rightly in every half of every station, by rim and core of the "
        "body and by the overlaps (docs/swaps.md): sum of the signs minus that of the best other assignment, which is "
        "about 4 in a whole-body scan. Below zero: probably swapped, and not repaired. Null: too little of a body.",
        "at_least",
        1.0,
        Grade.FAIL,
        of_dixon=True,
        of_fat=True,
        of_stitching=True,
        advice="Look at water and fat. A scan that an earlier version stitched with swaps: have it stitched again by "
        "dixonflow rerun.",
    ),
)
"""Checks of what the stitch stage found out."""
