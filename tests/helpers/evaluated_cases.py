"""Rows of evaluated cases, as statistics take them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def evaluated(
    dice: Sequence[float],
    *,
    system: str = "ours",
    structure: str = "liver",
    composite: bool = False,
    participants: Sequence[str] | None = None,
    cases: Sequence[str] | None = None,
    presence: str | Sequence[str] = "both",
) -> pd.DataFrame:
    """One row per case. Other metrics follow from Dice; a missed structure needs a Dice of 0."""
    values = np.asarray(dice, float)
    rows = pd.DataFrame(
        {
            "system": system,
            "case": [f"case{number:05}" for number in range(len(values))] if cases is None else list(cases),
            "participant_id": [f"p{number:05}" for number in range(len(values))]
            if participants is None
            else list(participants),
            "session_id": "2",
            "structure": structure,
            "composite": composite,
            "presence": presence,
            "dice": values,
            "nsd": values,
            "hd95_mm": 50 * (1 - values),
            "under_fraction": 1 - values,
            "over_fraction": 1 - values,
            "components_reference": 1,
            "components_predicted": 1,
            "reference_ml": 1000.0,
            "predicted_ml": 1000.0 + 100 * (values - 0.9),
            "volume_error_ml": 100 * (values - 0.9),
            "volume_error_percent": 10 * (values - 0.9),
        }
    )
    rows.loc[rows["presence"].ne("both"), "hd95_mm"] = np.nan
    rows.loc[rows["presence"].isin(["invented", "neither"]), ["under_fraction", "over_fraction"]] = np.nan
    rows.loc[rows["presence"].eq("neither"), ["dice", "nsd"]] = np.nan
    rows.loc[rows["presence"].eq("neither"), ["volume_error_ml", "volume_error_percent"]] = np.nan
    return rows
