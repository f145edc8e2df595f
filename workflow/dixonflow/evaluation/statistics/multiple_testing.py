"""Corrections of p values for the number of hypotheses that one table tests."""

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests


def with_corrections(table: pd.DataFrame) -> pd.DataFrame:
    """Add corrected p values to a table with a column `p`; rows without a p are no hypotheses.

    Returns
    -------
    DataFrame
        With `hypotheses` (rows with a p, the same in all rows), `p_bh` (Benjamini Y, Hochberg Y. J R Stat Soc B
        1995;57:289-300; false discovery rate) and `p_bonferroni` (family-wise error).
    """
    tested = table["p"].notna().to_numpy()
    corrected = table.assign(hypotheses=int(tested.sum()), p_bh=np.nan, p_bonferroni=np.nan)
    if tested.any():
        values = table.loc[tested, "p"].to_numpy(float)
        for column, method in (("p_bh", "fdr_bh"), ("p_bonferroni", "bonferroni")):
            corrected.loc[tested, column] = multipletests(values, method=method)[1]
    return corrected
