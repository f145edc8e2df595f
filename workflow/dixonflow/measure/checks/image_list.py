"""Quality checks of the images, and of how they fit the labels: what each means, its threshold and its source."""

from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.vocabulary import Grade

OF_IMAGES = (
    CheckDefinition(
        "subcutaneous_fat_fraction",
        "1",
        "Lowest signal fat fraction (ratio of sums) of subcutaneous fat in any one station that the structure reaches "
        "into. Low: water and fat may be swapped there, or be the same image.",
        "above",
        0.5,
        Grade.FAIL,
        ("subcutaneous_fat",),
        of_dixon=True,
        of="labels",
        decides="checked",
        of_fat=True,
        advice="Look at water and fat of the station. Swapped: ask for another reconstruction, or leave the fat "
        "fractions out.",
    ),
    CheckDefinition(
        "swapped_signal",
        "1",
        "Share of the structure that lies in patches, of 5 mL and more, in which water and fat contradict the labels: "
        "a fat fraction below 0.4 in fat, or above 0.6 in muscles, vessels and organs (not those with air or food). "
        "Water and fat may be swapped there, and labels wrong that were made from them.",
        "at_most",
        0.005,
        of_dixon=True,
        of="labels",
        decides="checked",
        advice="Look at water and fat of the structure. Swapped: leave its fat fractions out. A muscle turned to fat "
        "is real.",
    ),
    CheckDefinition(
        "labelled_signal",
        "1",
        "Share of the voxels with signal (F + W at or above the noise floor) inside the field of view that have a "
        "label; only of models that label the body whole. Compared with the cohort, too, as contrast_agreement.",
        "at_least",
        0.8,
        needs=("subcutaneous_fat", "muscle"),
        of_dixon=True,
        of_cohort=True,
        advice="Look at the picture: a part of the body has no label.",
    ),
    CheckDefinition(
        "seen_borders",
        "1",
        "Share of the structure's surface at which the image changes, too: water and fat one voxel further in and one "
        "further out differ by 15 % of the signal or more. Surfaces between parts of one structure do not count. "
        "Threshold: as for contrast_agreement. Below it the label ends where the image shows no border: a part is "
        "missing, or the label has grown into what is around it.",
        of="labels",
        decides="checked",
        of_cohort=True,
        of_dixon=True,
        advice="Look at the border of the structure in water and fat.",
    ),
    CheckDefinition(
        "labels_fit",
        "1",
        "Share of the voxels of fat, muscle, vessels and organs (not those with air or food) whose fat fraction fits "
        "them: not below 0.4 in fat, not above 0.6 in the others. Threshold: as for contrast_agreement. Below it the "
        "label map fits the images less well than is usual.",
        of_cohort=True,
        of_dixon=True,
        advice="Look at the picture: labels that have moved off what they name, or swapped water and fat.",
    ),
    CheckDefinition(
        "signal_holes",
        "mL",
        "Volume of patches without signal, of 5 mL and more, inside the body, outside of lungs and of organs with air.",
        "at_most",
        20.0,
        of_dixon=True,
        advice="Look at the picture: an implant, or a part of the image that was lost. Structures there are too small.",
    ),
    CheckDefinition(
        "side_brightness",
        "1",
        "Median in-phase signal of subcutaneous fat on the darker side of the body over that on the brighter one.",
        "at_least",
        0.8,
        needs=("subcutaneous_fat",),
        if_lacking=Grade.PASS,
        of_dixon=True,
        advice="Look at the picture: a coil element that was off. Fat fractions are ratios and stay right, as long as "
        "there is signal; labels on the dark side may be wrong.",
    ),
    CheckDefinition(
        "noise_level",
        "",
        "Standard deviation of the noise per channel of the in-phase image: median signal of unlabelled voxels in "
        "the four corners of the axial planes, divided by sqrt(2 ln 2). 0: the scanner set the background to zero. "
        "Reported without a verdict.",
        source="Rayleigh noise of magnitude images: Gudbjartsson and Patz 1995, Magn Reson Med 34:910",
        of_dixon=True,
        decides="nothing",
        advice="Nothing: for your own models.",
    ),
    CheckDefinition(
        "fat_noise",
        "1",
        "Noise level over the median in-phase signal of the structure. Negative noise is cut off, so that the fat "
        "fraction of lean tissue is too high by about 0.4 of it: 1 percentage point at the threshold. Null: the noise "
        "level is not known, or 0.",
        "at_most",
        0.025,
        of="labels",
        decides="checked",
        of_dixon=True,
        of_fat=True,
        asks_for_a_look=False,
        source="mean of a normal distribution cut off at 0: 0.399 standard deviations",
        advice="Do not compare fat fractions of this structure by a point: lungs and bladder have little signal in "
        "every scan.",
    ),
    CheckDefinition(
        "signal_to_noise",
        "1",
        "Median in-phase signal of all labelled voxels over the noise level.",
        "at_least",
        5.0,
        source="Rose criterion: A. Rose 1948, J Opt Soc Am 38:196",
        of_dixon=True,
        advice="Look at the picture: coils, or a wrong scale.",
    ),
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
"""Checks of water and fat, of noise, and of what the stitch stage found out."""
