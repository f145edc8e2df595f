"""Quality checks of agreement and of the order of vertebrae: what each means, its threshold and its source."""

from dixonflow.measure.checks.definition import CheckDefinition

OF_AGREEMENT = (
    CheckDefinition(
        "contrast_agreement",
        "1",
        "Mean Dice of the structure over all pairs of contrasts, each segmented separately, before merging; "
        "pairs in which neither has the structure are left out. Null: no contrast has it, or the model takes one. "
        "Threshold: median minus a multiple of the spread (from the median absolute deviation, at least 0.01) of all "
        "scans of the run with a value; null for fewer than 10. The multiple is the same for all structures: two, or "
        "more where the largest deviation of a scan is usually larger. Below the threshold the agreement is unusually "
        "low: one or all contrasts may have failed.",
        source="two: VIBESegmentator, of a single structure (Graf et al. 2025, Eur Radiol, doi "
        "10.1007/s00330-025-12035-9); multiple: DixonFlow (docs/agreement.md)",
        of="labels",
        decides="checked",
        of_cohort=True,
        of_dixon=True,
        advice="Look at the structure in all contrasts.",
    ),
    CheckDefinition(
        "model_agreement",
        "1",
        "Mean Dice of the structure, or composite, between the label map of this model and those of the run's other "
        "models with a structure of this name; pairs in which neither found it are left out. Null: none found it. "
        "Threshold: as for contrast_agreement. Below it the agreement is unusually low: one or all of the models may "
        "have failed.",
        source="as contrast_agreement",
        of="shared",
        decides="checked",
        of_cohort=True,
        advice="Look at the structure in the label maps of both models.",
    ),
    CheckDefinition(
        "vertebra_order",
        "",
        "Number of vertebrae with a centre that is not below the centre of the nearest detected vertebra above, in "
        "anatomical order. Null: fewer than two were found.",
        "at_most",
        0.0,
        of_vertebrae=True,
        decides="levels",
        advice="Look at the spine: do not use levels of this scan before.",
    ),
    CheckDefinition(
        "vertebra_gaps",
        "",
        "Number of vertebrae without a level between the highest and the lowest vertebra with one. Null: fewer than "
        "two have one.",
        "at_most",
        0.0,
        of_vertebrae=True,
        decides="levels",
        advice="As vertebra_order.",
    ),
    CheckDefinition(
        "vertebra_distance_ratio",
        "1",
        "Largest ratio, or its inverse, of the distance of two neighbouring vertebrae along z to the mean of the "
        "distances above and below it (at the ends, of the only one). A skipped vertebra gives 2, a vertebra counted "
        "twice gives 2 or more. Distances are between centres; between L5 and sacrum between superior endplates. C1 "
        "and C2 are left out, because C1 has no body and the dens of C2 lies inside it. Null: vertebrae out of order, "
        "or fewer than two adjacent distances.",
        "at_most",
        1.5,
        source="DixonFlow: midway between 1 and 2; from C3 to L5 neighbouring bodies differ by much less",
        of_vertebrae=True,
        decides="levels",
        advice="As vertebra_order. A scan with more or fewer vertebrae than usual is real.",
    ),
)
"""Checks of agreement between contrasts and models, and of the order of vertebrae."""
