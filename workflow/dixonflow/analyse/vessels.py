"""Vessel consistency, as MRSegmentator's authors define it: how many images show a vessel in one piece.

Of the images in which a vessel was found at all, the share in which it is exactly one piece before surplus pieces are
removed; and the mean number of pieces in the others (Haentze et al., MRSegmentator, arXiv 2405.06463, table 3: 184 of
200 is 0.92). Of the label map of all contrasts together, and of what the network gives for each contrast alone.
"""

import numpy as np
import pandas as pd

from dixonflow.analyse.study_data import StudyData
from dixonflow.measure.definitions import PIECES_OF

MERGED = "all"
"""All contrasts together."""

MEASURES_OF_CONSISTENCY = {"components": MERGED} | {f"{each}_components": each.value for each in PIECES_OF}
"""Contrast that the values of a measure are of."""

COLUMNS = (
    "sequence",
    "model",
    "contrast",
    "structure",
    "images",
    "in_one_piece",
    "consistency",
    "mean_pieces_of_others",
)


def vessel_consistency(data: StudyData) -> pd.DataFrame:
    """Consistency of every vessel of every model.

    Parameters
    ----------
    data
        Values of `MEASURES_OF_CONSISTENCY`.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, one row per sequence, model, contrast and vessel; `images` are those in which it
        was found. `mean_pieces_of_others` is null where all are in one piece.
    """
    rows = []
    for number, quantity in data.quantities.iterrows():
        contrast = MEASURES_OF_CONSISTENCY.get(str(quantity["measure"]))
        if contrast is None:
            continue
        pieces = data.values[:, int(str(number))]
        found = pieces[np.isfinite(pieces) & (pieces > 0)]
        whole, others = int((found == 1).sum()), found[found != 1]
        rows.append(
            (
                *(quantity["sequence"], quantity["model"], contrast, quantity["structure"], len(found), whole),
                whole / len(found) if len(found) else np.nan,
                float(others.mean()) if len(others) else np.nan,
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))
