"""How far label maps of several contrasts, or of several models, agree about the structures that they share."""

from collections.abc import Sequence

import numpy as np

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.dice import dice_of, joint_counts, pairwise_dice
from dixonflow.models.comparison import shared_structures
from dixonflow.models.model import Model


def agreement_of_contrasts(of_images: Sequence[Sequence[Labels]], model: Model) -> dict[str, float | None]:
    """Mean Dice of each structure between what each contrast gives by itself.

    It is the same whatever strategy merges the contrasts afterwards.

    Parameters
    ----------
    of_images
        Label maps of the contrasts, of the scan or of each of its stations; none where nothing was segmented.

    Returns
    -------
    dict
        By structure; None where no contrast has it, or there is one contrast.
    """
    maps = next(iter(of_images), [])
    if len(of_images) > 1:
        each_contrast = zip(*of_images, strict=True)
        maps = [np.concatenate([labels.ravel() for labels in parts])[None] for parts in each_contrast]
    dice = pairwise_dice(maps, model.structures.values())
    return {name: dice[label] for name, label in model.structures.items()}


def agreement_of_models(
    labels: Labels, model: Model, others: Sequence[tuple[Model, Labels]]
) -> dict[str, float | None]:
    """Mean Dice of each shared structure between the label map of a model and those of other models.

    Composites are compared as the unions that they are, so that a liver in parts agrees with a liver in one.

    Parameters
    ----------
    labels
        Label map of `model` (a, b, c), unsigned integers, 0 is background.
    others
        Further models with their label maps on the same grid.

    Returns
    -------
    dict
        By structure, in the order of `shared_structures`; None where no label map has it. Where one of a pair has it
        and the other does not, the Dice of the pair is 0.

    Raises
    ------
    ValueError
        If the maps differ in shape, or hold a label that their model does not have.
    """
    own = model.regions
    dice: dict[str, list[float]] = {name: [] for name in shared_structures(model, [other for other, _ in others])}
    for other, other_labels in others:
        joint = joint_counts(labels, other_labels, max(model.labels) + 1, max(other.labels) + 1)
        theirs = other.regions
        for name in dice.keys() & theirs.keys():
            value = dice_of(joint, own[name], theirs[name])
            if value is not None:
                dice[name].append(value)
    return {name: sum(values) / len(values) if values else None for name, values in dice.items()}
