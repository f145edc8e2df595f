"""What a quality check is, and its verdict."""

from dataclasses import dataclass
from typing import Literal

from dixonflow.vocabulary import Grade

DEVIATIONS = 2.0
"""Fewest deviations from the median of the cohort from which a value is unusual: that of
VIBESegmentator for a single structure."""

Decides = Literal["checked", "all", "sided", "needs", "cut_by_design", "levels", "nothing"]


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
    if_lacking
        Grade where the model has them and they were not found.
    source
        Where the threshold comes from.
    advice
        What to do with a scan or value that it objects to.
    of
        What it is made of: the scan as a whole, each label of the model, each label that is one piece
        (`single_pieces`), each label with a published lower cut-off,
        each composite, or each label and composite that another model of the run has too (`shared`).
    decides
        Which values of the scan are no better than its verdict: those of the checked structure, all, those of
        structures on one side of the body (where it fails, the others are to be reviewed), of the structures it
        `needs`, of structures that the field of view cuts by design, levels of vertebrae, or none.
    with_touched
        Whether it also decides on the structures that its `place` names: those that touch what it objects to.
    of_compartments
        Whether it decides on compartments of what it objects to, too; not where they are looked at by themselves.
    of_fat
        Whether it decides on measures alone that are made of water and fat.
    asks_for_a_look
        Whether a person should look at a scan that it objects to; else it only grades values.
    of_cohort
        Whether its threshold follows from all scans: aggregation sets it and gives the verdict, as
        `dixonflow.tables.cohort_threshold` says. A threshold of its own holds where it is stricter.
    smallest_spread
        Of a check `of_cohort`: spread of its values that counts at least.
    of_protocol
        Whether its threshold follows from all scans of the same layout: aggregation sets it and gives the verdict.
    of_vertebrae
        Whether it is made for models with single vertebrae only, and others have no row of it.
    of_dixon
        Whether it is made for Dixon scans only, and others have no row of it.
    of_stitching
        Whether its value comes from the stitched images' sidecar.
    of_raw_data
        Whether it says what was found when the raw data was read: aggregation makes its rows, from the list of scans.
    of_raters
        Whether it says what people saw: aggregation makes its rows, of label maps as a whole or of single structures.
    """

    name: str
    unit: str
    definition: str
    passes: Literal["at_least", "at_most", "above"] = "at_least"
    threshold: float | None = None
    otherwise: Grade = Grade.REVIEW
    needs: tuple[str, ...] = ()
    if_lacking: Grade = Grade.REVIEW
    source: str = "DixonFlow"
    advice: str = ""
    of: Literal["scan", "labels", "single_pieces", "cutoffs", "composites", "shared"] = "scan"
    decides: Decides = "all"
    with_touched: bool = False
    of_compartments: bool = True
    of_fat: bool = False
    asks_for_a_look: bool = True
    of_cohort: bool = False
    smallest_spread: float = 0.01
    of_protocol: bool = False
    of_vertebrae: bool = False
    of_dixon: bool = False
    of_stitching: bool = False
    of_raw_data: bool = False
    of_raters: bool = False

    @property
    def each_structure(self) -> bool:
        """Whether it is made of structures, else once of the scan as a whole."""
        return self.of != "scan"

    def grade(self, value: float, threshold: float | None = None) -> Grade:
        """Verdict on a value, by the threshold of the check or one of its own."""
        limit = self.threshold if threshold is None else threshold
        if limit is None:
            return Grade.PASS
        passed = {"at_least": value >= limit, "at_most": value <= limit, "above": value > limit}[self.passes]
        return Grade.PASS if passed else self.otherwise

    def may_object(self, value: float, threshold: float | None = None) -> bool:
        """Whether it objects to a value, or the threshold of some cohort can: for shares, of which 1 is the best."""
        highest = 1 - DEVIATIONS * self.smallest_spread  # the median is 1 at most, and the spread not smaller
        return self.grade(value, threshold) is not Grade.PASS or (self.of_cohort and value < highest)
