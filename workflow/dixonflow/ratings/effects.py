"""What ratings change in grades: which objections of checks a good one answers, and what a faulty structure spoils."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dixonflow.measure.compartments.compartment import Compartment, compartments_of
from dixonflow.measure.compartments.landmark import BONES, level_model, with_bone
from dixonflow.models.model import Model
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Grade

RATING = "rating"
"""The check whose rows are made of ratings."""

ANSWERED_BY_STRUCTURE: Mapping[str, str] = {
    "contrast_agreement": "contrasts that disagree may all but one be wrong: the final label map is what was looked at",
    "model_agreement": "one of the models is wrong, and it is not this one",
    "side_ratio": "people are not even",
    "kidney_volume_ratio": "people are not even; counts where both kidneys are good",
    "in_one_piece": "the pieces are the structure",
    "unusually_small": "the structure is small",
    "unusually_large": "the structure is large",
    "seen_borders": "the border is where it should be, where the image shows none, too",
    "seen_top": "as seen_borders",
    "seen_bottom": "as seen_borders",
}
"""Checks of how the segmentation of a structure looks, by which a look at it may decide; and why."""

ANSWERED_BY_LABEL_MAP: Mapping[str, str] = {
    "labels_fit": "the labels lie on what they name",
    "labelled_signal": "no part of the body lacks a label",
}
"""Checks of how a label map looks as a whole."""

LACKING_A_KIDNEY = ("kidney_sides", "kidney_volume_ratio")
"""Checks that ask for a review where a kidney was not found."""

_COUNTED = ("sacrum", "vertebra_body", "IVD")
"""Structures by which vertebrae are counted where a model does not name them."""


@dataclass(frozen=True)
class GoodRatings:
    """What was rated good and by nobody worse.

    Attributes
    ----------
    rated
        Scan, in the columns of `SCAN_KEYS`, model, and structure; that is empty for a label map as a whole.
    without_kidney
        Scan and model of those in whom a rater says that the kidney which was not found is not there.
    """

    rated: frozenset[tuple[str, ...]] = frozenset()
    without_kidney: frozenset[tuple[str, ...]] = frozenset()

    def __or__(self, other: "GoodRatings") -> "GoodRatings":
        """Of both."""
        return GoodRatings(self.rated | other.rated, self.without_kidney | other.without_kidney)

    def is_good(self, scan: Sequence[str], model: str, structure: str) -> bool:
        """Whether a structure was rated good."""
        return (*scan, model, structure) in self.rated

    def answer(self, scan: Sequence[str], model: str, check: str, structure: str, grade: str) -> bool:
        """Whether an objection counts no more, neither for the scan nor for values. None that fails is answered."""
        if grade != Grade.REVIEW.value:
            return False
        return (
            (check in ANSWERED_BY_STRUCTURE and structure != "" and self.is_good(scan, model, structure))
            or (check in ANSWERED_BY_LABEL_MAP and self.is_good(scan, model, ""))
            or (check in LACKING_A_KIDNEY and (*scan, model) in self.without_kidney)
        )

    def unanswered_of_scans(self, objections: pd.DataFrame) -> pd.DataFrame:
        """Objections that count for the grade of a scan: who found its label map good has looked at its structures."""
        if not self.rated and not self.without_kidney:
            return objections
        kept = [
            not (
                self.answer(scan, model, check, structure, grade)
                or (check in ANSWERED_BY_STRUCTURE and grade == Grade.REVIEW.value and self.is_good(scan, model, ""))
            )
            for *scan, model, check, structure, grade in objections[
                [*SCAN_KEYS, "model", "check", "structure", "grade"]
            ].itertuples(index=False, name=None)
        ]
        return objections[pd.Series(kept, objections.index, dtype=bool)]


def spoilt_compartments(own: Model, structure: str, model: Model, models: Sequence[Model]) -> list[str]:
    """Compartments of a model that a structure of `own`, or all of them, delimits.

    Parameters
    ----------
    structure
        Empty for all.
    models
        Those of the scan.
    """
    ordered = [model, *(each for each in models if each.name != model.name)]
    return [each.name for each in compartments_of(model) if _delimits(own, structure, each, ordered)]


def _delimits(own: Model, structure: str, compartment: Compartment, models: Sequence[Model]) -> bool:
    ends = {compartment.where.upper.structure, compartment.where.lower.structure}
    bones = {name for end in ends & set(BONES) if _is(own, with_bone(end, models)) for name in BONES[end][0]}
    vertebrae: Iterable[str] = ()
    if compartment.where.needs_vertebrae and _is(own, level_model(models)):
        named = ends & set(own.structures)
        vertebrae = named or _COUNTED
    return bool(bones | set(vertebrae)) if structure == "" else structure in bones | set(vertebrae)


def _is(own: Model, other: Model | None) -> bool:
    return other is not None and other.name == own.name
