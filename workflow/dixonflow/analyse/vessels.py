"""Vessel consistency, as MRSegmentator's authors define it: how many images show a vessel in one piece.

Of the images in which a vessel was found at all, the share in which it is exactly one piece before surplus pieces are
removed; and the mean number of pieces in the others (Haentze et al., MRSegmentator, arXiv 2405.06463, table 3: 184 of
200 is 0.92). Here of the label map of all contrasts together: those of single contrasts are not kept.
"""

import numpy as np
import pandas as pd

from dixonflow.analyse.study_data import StudyData

COLUMNS = ("sequence", "model", "structure", "images", "in_one_piece", "consistency", "mean_pieces_of_others")


def vessel_consistency(data: StudyData) -> pd.DataFrame:
    """Consistency of every vessel of every model.

    Parameters
    ----------
    data
        Values of the measure components.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, one row per sequence, model and vessel; `images` are those in which the vessel was found.
        `mean_pieces_of_others` is null where all are in one piece.
    """
    rows = []
    for number, quantity in data.quantities.iterrows():
        if quantity["measure"] != "components":
            continue
        pieces = data.values[:, int(str(number))]
        found = pieces[np.isfinite(pieces) & (pieces > 0)]
        whole, others = int((found == 1).sum()), found[found != 1]
        rows.append(
            (
                *(quantity["sequence"], quantity["model"], quantity["structure"], len(found), whole),
                whole / len(found) if len(found) else np.nan,
                float(others.mean()) if len(others) else np.nan,
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))
