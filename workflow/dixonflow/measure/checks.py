"""The quality checks: what each one means, its threshold, and its verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dixonflow.models.anatomy import have_single_vertebrae
from dixonflow.models.comparison import shared_structures
from dixonflow.models.model import Model
from dixonflow.vocabulary import Grade, ScanSequence


@dataclass(frozen=True)
class CheckDefinition:
    """What a quality check is.

    Attributes
    ----------
    name
        As in the column `check`.
    unit
        `mm`, `1` for fractions and ratios, or empty for counts and for signal in the images' own arbitrary units.
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
    between_models
        Whether it is made for those structures and composites alone that another model of the run has too.
    of_cohort
        Whether its threshold follows from all scans: aggregation sets it and gives the verdict, as
        `dixonflow.measure.cohort_threshold` says.
    of_vertebrae
        Whether it is made for models with single vertebrae only, and others have no row of it.
    of_dixon
        Whether it is made for Dixon scans only, and others have no row of it.
    of_raw_data
        Whether it says what was found when the raw data was read: aggregation makes its rows, from the list of scans.
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
    between_models: bool = False
    of_cohort: bool = False
    of_vertebrae: bool = False
    of_dixon: bool = False
    of_raw_data: bool = False

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


_OF_RAW_DATA = (
    CheckDefinition(
        "repeated_stations",
        "",
        "Number of stations that were acquired more than once; the note of the scan in the table scans says which "
        "acquisition is used, and why.",
        "at_most",
        0.0,
        of_raw_data=True,
    ),
)

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
        "Distance of the right kidney's centroid to the right of the left kidney's. Zero or less: left and right "
        "are swapped.",
        "above",
        0.0,
        Grade.FAIL,
        ("kidney_right", "kidney_left"),
    ),
    CheckDefinition(
        "wrong_side",
        "mL",
        "Volume of left-right errors: muscles, bones and organs that were labelled beyond the body's midline, which "
        "follows the spine. The label map's sidecar lists them and whether they were relabelled.",
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
        "be swapped there, or be the same image.",
        "above",
        0.5,
        Grade.FAIL,
        ("subcutaneous_fat",),
        of_dixon=True,
    ),
    CheckDefinition("structures_found", "1", "Share of the model's structures that were found.", "at_least", 0.9),
    CheckDefinition(
        "labelled_signal",
        "1",
        "Share of the voxels with signal (F + W at or above the noise floor) inside the field of view that have a "
        "label.",
        "at_least",
        0.8,
        of_dixon=True,
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
        of_dixon=True,
    ),
    CheckDefinition(
        "signal_to_noise",
        "1",
        "Median in-phase signal of all labelled voxels over the noise level.",
        "at_least",
        5.0,
        source="Rose criterion: A. Rose 1948, J Opt Soc Am 38:196",
        of_dixon=True,
    ),
    CheckDefinition(
        "overlap_residual",
        "1",
        "Largest relative difference of in-phase signal between two overlapping stations after intensity matching "
        "(sum of absolute differences over sum of means). Large: movement between stations.",
        "at_most",
        0.3,
        of_dixon=True,
    ),
    CheckDefinition(
        "contrast_agreement",
        "1",
        "Mean Dice of the structure over all pairs of contrasts, each segmented separately, before merging; "
        "pairs in which neither has the structure are left out. Null: no contrast has it, or the model takes one. "
        "Threshold: mean minus two standard deviations (divided by n - 1) of all scans with a value, in the tables of "
        "the run; null for fewer than 10. Below it the agreement is unusually low: one or all contrasts may have "
        "failed.",
        source="two standard deviations: VIBESegmentator (Graf et al. 2025, Eur Radiol, doi "
        "10.1007/s00330-025-12035-9); 10 scans: DixonFlow",
        each_structure=True,
        of_cohort=True,
        of_dixon=True,
    ),
    CheckDefinition(
        "model_agreement",
        "1",
        "Mean Dice of the structure, or composite, between the label map of this model and those of the run's other "
        "models with a structure of this name; pairs in which neither found it are left out. Null: none found it. "
        "Threshold: as for contrast_agreement. Below it the agreement is unusually low: one or all of the models may "
        "have failed.",
        source="two standard deviations: VIBESegmentator (Graf et al. 2025, Eur Radiol, doi "
        "10.1007/s00330-025-12035-9); 10 scans: DixonFlow",
        each_structure=True,
        between_models=True,
        of_cohort=True,
    ),
    CheckDefinition(
        "vertebra_order",
        "",
        "Number of vertebrae with a centre that is not below the centre of the nearest detected vertebra above, in "
        "anatomical order. Null: fewer than two were found.",
        "at_most",
        0.0,
        of_vertebrae=True,
    ),
    CheckDefinition(
        "vertebra_gaps",
        "",
        "Number of vertebrae without a level between the highest and the lowest vertebra with one. Null: fewer than "
        "two have one.",
        "at_most",
        0.0,
        of_vertebrae=True,
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
    ),
)

CHECKS: dict[str, CheckDefinition] = {check.name: check for check in (*_CHECKS, *_OF_RAW_DATA)}
"""All checks by name."""


def checks_of(model: Model) -> list[CheckDefinition]:
    """Checks that measure makes for a model, in the order of the tables."""
    vertebrae, dixon = have_single_vertebrae(model.structures), model.sequence is ScanSequence.DIXON
    return [check for check in _CHECKS if (vertebrae or not check.of_vertebrae) and (dixon or not check.of_dixon)]


def expected_checks(model: Model, models: Iterable[Model]) -> frozenset[tuple[str, str, str]]:
    """Check, structure and model of the rows that every scan has for a model.

    The structure of a check of the whole scan is empty.

    Parameters
    ----------
    models
        All models of the run.
    """
    shared = shared_structures(model, models)
    rows = []
    for check in checks_of(model):
        of_structures = shared if check.between_models else model.structures
        rows += [(check.name, structure, model.name) for structure in (of_structures if check.each_structure else [""])]
    return frozenset(rows)
