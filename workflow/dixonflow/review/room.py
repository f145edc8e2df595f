"""What one server shows: the cases of a run, their images, and the ratings."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.review.cases import Cases, ReviewError
from dixonflow.review.images import ImageCache
from dixonflow.review.judgements import Judgements
from dixonflow.review.pictures import PictureCache
from dixonflow.vocabulary import ScanSequence


@dataclass(frozen=True)
class ReviewOptions:
    """How a rater sees the cases.

    Attributes
    ----------
    rater
        Who rates, letters and digits.
    blinded
        Whether neither grades, nor checks, nor ratings of others are shown, and the order is random.
    without_ids
        Whether cases have running numbers instead of ids.
    seed
        Of the random order.
    """

    rater: str
    blinded: bool = False
    without_ids: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Room:
    """All that answers need.

    Attributes
    ----------
    results
        Of the run.
    models
        The models of each sequence.
    cases, judgements, images, pictures
        The cases, what was said of them, and what was read and drawn last.
    server
        Another one for each server: positions in lists hold as long as it does.
    """

    results: Results
    models: Mapping[ScanSequence, Sequence[Model]]
    cases: Cases
    judgements: Judgements
    options: ReviewOptions
    images: ImageCache
    pictures: PictureCache
    server: str

    @cached_property
    def cohort(self) -> str:
        """Identifies the run to the browser, which keeps unsaved verdicts by it."""
        return hashlib.sha256(str(self.results.root.resolve()).encode()).hexdigest()[:16]

    def model(self, sequence: ScanSequence, name: str) -> Model:
        """Give a model by its name. Raises ReviewError where scans of the sequence have none of it."""
        for model in self.models.get(sequence, ()):
            if model.name == name:
                return model
        raise ReviewError("scans of this sequence have no label map of this model")


def open_room(
    results: Results, models: Mapping[ScanSequence, Sequence[Model]], cases: Cases, options: ReviewOptions
) -> Room:
    """Make what a server needs. Raises RatingError if there are ratings that cannot be read."""
    judgements = Judgements(results.ratings, options.rater, blinded=options.blinded)
    judgements.everything()
    return Room(results, models, cases, judgements, options, ImageCache(results), PictureCache(), secrets.token_hex(8))
