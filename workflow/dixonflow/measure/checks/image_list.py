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
        with_touched=True,
        asks_for_a_look=False,
        advice="Look at water and fat of the structure. Swapped: leave its fat fractions out. A muscle turned to fat "
        "is real.",
    ),
    CheckDefinition(
        "swapped_patches",
        "1",
        "Volume of the structure in patches, of 5 mL and more, in which water and fat contradict the labels that in "
        "phase and opposed phase have by themselves (as in swapped_signal), over its volume, at most 1. A swap does "
        "not alter these two: the final labels may fit swapped water and fat, and be wrong. Null: the model does not "
        "take them, or they were not looked at.",
        "at_most",
        0.005,
        of_dixon=True,
        of="labels",
        decides="checked",
        with_touched=True,
        asks_for_a_look=False,
        advice="As swapped_signal; its volume is wrong, too, where the label map follows the swap.",
    ),
    CheckDefinition(
        "swapped_volume",
        "mL",
        "Volume of all patches of swapped_signal, or of those of swapped_patches: the larger one.",
        "at_most",
        0.0,
        of_dixon=True,
        decides="nothing",
        asks_for_a_look=False,
        advice="As swapped_signal, where a patch matters that is small against its structure.",
    ),
    CheckDefinition(
        "swapped_share",
        "1",
        "Largest share of any structure by swapped_signal or by swapped_patches, whose rows name the structures.",
        "at_most",
        0.05,
        of_dixon=True,
        decides="nothing",
        advice="As swapped_signal. Patches that are smaller grade what they touch and list no scan.",
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
        with_touched=True,
        of_cohort=True,
        of_dixon=True,
        advice="Look at the border of the structure in water and fat.",
    ),
    *(
        CheckDefinition(
            f"seen_{end}",
            "1",
            f"As seen_borders, of the surface that faces the {where}, where that is a twentieth of all or more. "
            "Threshold: as for contrast_agreement, with a spread of at least 0.02. Below it the label is cut off "
            "across the body.",
            of="labels",
            decides="checked",
            with_touched=True,
            of_cohort=True,
            smallest_spread=0.02,
            of_dixon=True,
            advice=f"Look at the {end} of the structure in water and fat.",
        )
        for end, where in (("top", "head"), ("bottom", "feet"))
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
        "Median in-phase signal of subcutaneous fat on the darker side of the body over that on the brighter one. "
        "Compared with the cohort, too, as contrast_agreement.",
        "at_least",
        0.8,
        needs=("subcutaneous_fat",),
        if_lacking=Grade.PASS,
        of_dixon=True,
        of_cohort=True,
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
)
"""Checks of water and fat, and of noise."""
