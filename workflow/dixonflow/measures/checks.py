"""The quality checks: what each one means, its threshold, and its verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dixonflow.vocabulary import Grade


@dataclass(frozen=True)
class CheckDefinition:
    """What a quality check is.

    Attributes
    ----------
    name
        As in the column `check`.
    unit
        `mm`, `1` for fractions, or empty for signal in the images' own arbitrary units.
    definition
        How the value comes about, for a reader of the tables.
    passes
        Side of the threshold on which the check passes; the threshold itself passes `at_least` and `at_most`, not
        `above`.
    threshold
        None for a value that is reported without a verdict.
    otherwise
        Grade on the other side.
    needs
        Structures it looks at.
    source
        Where the threshold comes from.
    each_structure
        Whether it is made for each structure of the model; else once, of the scan as a whole.
    of_cohort
        Whether its threshold follows from all scans: aggregation sets it and gives the verdict, as
        `dixonflow.measures.cohort_threshold` says.
    """

    name: str
    unit: str
    definition: str
    passes: Literal["at_least", "at_most", "above"] = "at_least"
    threshold: float | None = None
    otherwise: Grade = Grade.REVIEW
    needs: tuple[str, ...] = ()
    source: str = "DixonFlow"
    each_structure: bool = False
    of_cohort: bool = False

    def grade(self, value: float) -> Grade:
        """Verdict on a value."""
        if self.threshold is None:
            return Grade.PASS
        passed = {
            "at_least": value >= self.threshold,
            "at_most": value <= self.threshold,
            "above": value > self.threshold,
        }[self.passes]
        return Grade.PASS if passed else self.otherwise


_CHECKS = (
    CheckDefinition(
        "liver_right_of_spleen",
        "mm",
        "Distance of the liver's centroid to the right of the spleen's. Zero or less: the image or the labels are "
        "mirrored.",
        "above",
        0.0,
        Grade.FAIL,
        ("liver", "spleen"),
    ),
    CheckDefinition(
        "kidney_sides",
        "mm",
        "Distance of the right kidney's centroid to the right of the left kidney's. Zero or less: the sides are "
        "exchanged.",
        "above",
        0.0,
        Grade.FAIL,
        ("kidney_right", "kidney_left"),
    ),
    CheckDefinition(
        "wrong_side",
        "mL",
        "Volume of muscles, bones and organs of one side that were labelled beyond the body's midline, which follows "
        "the spine. The label map's sidecar says what, and whether it was given to its partner.",
        "at_most",
        1.0,
    ),
    CheckDefinition(
        "kidney_volume_ratio",
        "1",
        "Volume of the smaller kidney over that of the larger.",
        "at_least",
        0.5,
        needs=("kidney_right", "kidney_left"),
    ),
    CheckDefinition(
        "subcutaneous_fat_fraction",
        "1",
        "Lowest signal fat fraction (ratio of sums) of subcutaneous fat in any one station. Low: water and fat may "
        "be exchanged there.",
        "at_least",
        0.5,
        Grade.FAIL,
        ("subcutaneous_fat",),
    ),
    CheckDefinition("structures_found", "1", "Share of the model's structures that were found.", "at_least", 0.9),
    CheckDefinition(
        "labelled_signal",
        "1",
        "Share of the voxels with signal (F + W at or above the noise floor) inside the field of view that carry a "
        "label.",
        "at_least",
        0.8,
    ),
    CheckDefinition(
        "labels_outside_field_of_view",
        "1",
        "Share of the labelled voxels that lie outside all stations. They are not measured.",
        "at_most",
        0.001,
    ),
    CheckDefinition(
        "noise_level",
        "",
        "Standard deviation of the noise per channel of the in-phase image: median signal of unlabelled voxels in "
        "the four corners of the axial planes, divided by sqrt(2 ln 2). 0: the scanner set the background to zero. "
        "Reported without a verdict.",
        source="Rayleigh noise of magnitude images: Gudbjartsson and Patz 1995, Magn Reson Med 34:910",
    ),
    CheckDefinition(
        "signal_to_noise",
        "1",
        "Median in-phase signal of all labelled voxels over the noise level.",
        "at_least",
        5.0,
        source="Rose criterion: A. Rose 1948, J Opt Soc Am 38:196",
    ),
    CheckDefinition(
        "overlap_residual",
        "1",
        "Largest relative difference of in-phase signal between two overlapping stations after intensity matching "
        "(sum of absolute differences over sum of means). Large: movement between stations.",
        "at_most",
        0.3,
    ),
    CheckDefinition(
        "contrast_agreement",
        "1",
        "Mean Dice of the structure over all pairs of contrasts, each segmented by itself, before they are merged; "
        "pairs of which neither has the structure are left out. Null: no contrast has it, or the model takes one. "
        "Threshold: mean minus two standard deviations (divided by n - 1) of all scans with a value, in the tables of "
        "the run; null under 10 of them. Below it the contrasts disagree unusually much: one of them, or all, may have "
        "failed.",
        source="two standard deviations: VIBESegmentator (Graf et al. 2025, Eur Radiol, doi "
        "10.1007/s00330-025-12035-9); 10 scans: DixonFlow",
        each_structure=True,
        of_cohort=True,
    ),
)

CHECKS: dict[str, CheckDefinition] = {check.name: check for check in _CHECKS}
"""All checks by name."""


def expected_checks(structures: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Check and structure of the rows that every scan has; the structure of a check of the whole scan is empty.

    Parameters
    ----------
    structures
        Those of the model, composites left out.
    """
    names = tuple(structures)
    return frozenset(
        (check.name, structure) for check in CHECKS.values() for structure in (names if check.each_structure else ("",))
    )
