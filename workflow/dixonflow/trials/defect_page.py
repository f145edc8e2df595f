"""The page of planted defects, made of their table."""

import numpy as np
import pandas as pd

from dixonflow.trials.defect_outcomes import NO_DEFECT
from dixonflow.trials.review_list import ALL

_TEXT = """# Planted defects

Every kind of defect is planted in a phantom scan at three strengths, from raw file to label map, and the scan is
processed by the workflow, with the demo's network and in a cohort of {clean} scans without a defect. `make defects`
does it again (over an hour on two cores) and writes this page, [defects.csv](defects.csv),
[review_list.csv](review_list.csv) and the examples of [checks.md](checks.md).

A value *moved* if it differs from that of the scan without the defect by more than 5 % (volumes) or 1 point
(fractions), and by three standard deviations between scans of one person; so did a volume of more than 1 mL where
there was none. Outcomes:

- **excluded**: the scan has no values, and a reason.
- **graded**: every value that moved has a grade other than pass, or is null; or nothing moved, and a check objects.
- **corrected**: nothing moved, and no check objects that does not object to the scan without the defect.
- **slipped**: values moved and passed. Their number is given, and the worst of them: its change over the smallest
  change that counts is the largest.

*Listed* scans are on the report's list of scans to review.

| of {cases} cases | |
|---|---|
| excluded | {excluded} |
| graded | {graded} |
| corrected | {corrected} |
| slipped | {slipped} |
| hit rate: all but those that slipped | {rate:.1f} % |
| hit rate of the gross forms | {gross:.1f} % |
| largest change of a value that passed | {largest} |
| of the {measured} cases in which values of a measured scan moved: listed for a look | {looks} ({look_rate:.1f} %) |
| scans without a defect that are listed for a look | {listed} of {clean} |
| the same in a cohort of {cohort:,}, whose rows of `quality` are drawn from theirs | {share:.2f} % |

{table}
"""


def defect_page(found: pd.DataFrame, review: pd.DataFrame) -> str:
    """Page in Markdown.

    Parameters
    ----------
    found
        The table of defects.
    review
        From `review_counts`.
    """
    clean, planted = found[found["defect"].eq(NO_DEFECT)], found[found["defect"].ne(NO_DEFECT)]
    lines = [
        "| defect | planted in | strength | outcome | said | listed | moved | passed | worst that passed |",
        "|" + "---|" * 9,
    ]
    for row in planted.to_dict("records"):
        change = "from nothing" if pd.isna(row["worst_change"]) else f"{row['worst_change']:+.1f} {row['worst_unit']}"
        worst = f"{row['worst']} {change}" if row["ungraded"] else ""
        outcome = f"**{row['outcome']}**" if row["outcome"] == "slipped" else row["outcome"]
        said = ", ".join(f"`{name}`" for name in row["said"].split(", ") if name)
        lines.append(
            f"| {row['defect']} | {row['layer']} | {row['strength']:g} {row['unit']} | {outcome} | {said} "
            f"| {row['listed']} | {row['moved']} | {row['ungraded']} | {worst.replace('_', chr(92) + '_')} |"
        )
    counts = {name: int(planted["outcome"].eq(name).sum()) for name in ("excluded", "graded", "corrected", "slipped")}
    moved = planted[planted["moved"].gt(0)]
    looks = int(moved["listed"].eq("yes").sum())
    total = review[review["checks"].eq(ALL)].iloc[0]
    gross = planted.groupby("defect", sort=False).tail(1)
    largest = [_largest(rows) for _, rows in planted[planted["worst_change"].notna()].groupby("worst_unit")]
    return _TEXT.format(
        clean=len(clean),
        listed=int(clean["outcome"].eq("listed").sum()),
        cases=len(planted),
        largest="; ".join(largest) or "none",
        measured=len(moved),
        looks=looks,
        look_rate=100 * looks / len(moved),
        cohort=int(total["scans"]),
        share=100 * float(total["listed"]) / float(total["scans"]),
        rate=100 * float(planted["outcome"].ne("slipped").mean()),
        gross=100 * float(gross["outcome"].ne("slipped").mean()),
        table="\n".join(lines),
        **counts,
    )


def _largest(rows: pd.DataFrame) -> str:
    """Largest change of a value that passed, in one unit."""
    row = rows.sort_values("worst_change", key=np.abs).iloc[-1]
    worst = str(row["worst"]).replace("_", chr(92) + "_")
    return (
        f"{row['worst_change']:+.2f} {row['worst_unit']} ({worst}; {row['defect']}, {row['strength']:g} {row['unit']})"
    )
