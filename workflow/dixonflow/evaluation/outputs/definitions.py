"""The Parquet tables of an evaluation, column by column."""

from collections.abc import Iterable

from dixonflow.evaluation.statistics.case_rows import MEAN_OVER_STRUCTURES, METRICS, Presence
from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import PARTICIPANT

_SYSTEM = text_column("system", "System that made the predictions")
_STRUCTURE = text_column("structure", "Structure or composite")
_OR_MEAN = text_column("structure", f"Structure or composite, or '{MEAN_OVER_STRUCTURES}', which has no composites")
_COMPOSITE = Column("composite", ColumnType.BOOL, "Whether it combines structures")
_METRIC = text_column("metric", "Metric, a column of the table cases", allowed=METRICS)
_UNIT = text_column("unit", "Unit of the values of the row; 1 for ratios")
_NOTE = text_column("note", "Why there is no test or interval, or what to know of the interval; may be empty")


def _number(
    name: str,
    description: str,
    unit: str = "",
    definition: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Column:
    return Column(
        name,
        ColumnType.DOUBLE,
        f"{description}; null where there is none",
        unit,
        definition,
        nullable=True,
        minimum=minimum,
        maximum=maximum,
    )


def _counts(names: Iterable[tuple[str, str]]) -> tuple[Column, ...]:
    return tuple(Column(name, ColumnType.INT64, description, minimum=0) for name, description in names)


_P = (
    _number("p", "Two-sided p value", "1", minimum=0, maximum=1),
    *_counts([("hypotheses", "Tests of the table, which p values are corrected for")]),
    _number("p_bh", "p value corrected for the false discovery rate", "1", "Benjamini-Hochberg", minimum=0, maximum=1),
    _number("p_bonferroni", "p value corrected for the family-wise error", "1", "Bonferroni", minimum=0, maximum=1),
)

CASES = Table(
    "cases",
    "One row per system, case and structure.",
    ("system", "case", "structure"),
    (
        _SYSTEM,
        text_column("case", "Name of the case"),
        Column("case_number", ColumnType.INT64, "Number of the case, as in the names of pictures", minimum=1),
        PARTICIPANT,
        text_column("session_id", "Session of the case; null if unknown", nullable=True),
        _STRUCTURE,
        _COMPOSITE,
        text_column(
            "presence",
            "Which of reference and prediction have the structure",
            "missed: the reference alone; neither: nothing to judge; both; else the prediction alone",
            allowed=Presence,
        ),
        _number("dice", "Dice coefficient", "1", "0 where one of the two lacks the structure", minimum=0, maximum=1),
        _number("nsd", "Normalised surface distance", "1", "0 as dice", minimum=0, maximum=1),
        _number("hd95_mm", "95th percentile of the Hausdorff distance", "mm", minimum=0),
        _number("under_fraction", "Share of the reference that is not predicted", "1", minimum=0, maximum=1),
        _number("over_fraction", "Predicted volume outside the reference, per volume of it", "1", minimum=0),
        Column("components_reference", ColumnType.INT64, "Pieces in the reference; null if not counted", nullable=True),
        Column(
            "components_predicted", ColumnType.INT64, "Pieces in the prediction; null if not counted", nullable=True
        ),
        _number("reference_ml", "Volume in the reference", "mL", minimum=0),
        _number("predicted_ml", "Volume in the prediction", "mL", minimum=0),
        _number("volume_error_ml", "Predicted minus reference volume", "mL"),
        _number("volume_error_percent", "Volume error, of the reference volume", "%", minimum=-100),
    ),
)

_BOOTSTRAP = "percentile bootstrap, participants drawn with all their cases"
_RANKS = "Hodges-Lehmann, one value per participant"
SUMMARY = Table(
    "summary",
    "One row per system, structure and metric.",
    ("system", "structure", "metric"),
    (
        _SYSTEM,
        _OR_MEAN,
        _COMPOSITE,
        _METRIC,
        _UNIT,
        *_counts(
            [
                ("n", "Cases with a value"),
                ("participants", "Participants with a value"),
                ("structures", "Structures in the row"),
                ("n_missed", "Cases where the prediction lacks the structure"),
                ("n_invented", "Cases where the reference lacks the structure and the prediction has it"),
                ("n_neither", "Cases where both lack the structure; they do not count"),
            ]
        ),
        _number("mean", "Mean over cases, or over structures in the mean's row"),
        _number("sd", "Standard deviation, of the same values"),
        _number("mean_low", "Low limit of the mean's interval", definition=_BOOTSTRAP),
        _number("mean_high", "High limit of the mean's interval", definition=_BOOTSTRAP),
        _number("median", "Median"),
        _number("q1", "First quartile"),
        _number("q3", "Third quartile"),
        _number("median_low", "Low limit of the median's interval", definition=_BOOTSTRAP),
        _number("median_high", "High limit of the median's interval", definition=_BOOTSTRAP),
        _number("pseudomedian", "Pseudomedian", definition=_RANKS),
        _number("pseudomedian_low", "Low limit of its interval", definition="from the signed-rank test"),
        _number("pseudomedian_high", "High limit of its interval", definition="from the signed-rank test"),
        text_column("pseudomedian_method", "exact or normal approximation; empty where there is no interval"),
        _NOTE,
    ),
)

COMPARISON = Table(
    "comparison",
    "One row per pair of systems, structure and metric; differences are one minus other.",
    ("one", "other", "structure", "metric"),
    (
        text_column("one", "First system"),
        text_column("other", "Second system"),
        _OR_MEAN,
        _COMPOSITE,
        _METRIC,
        _UNIT,
        text_column("design", "Whether the systems were compared on the same cases", allowed=("paired", "unpaired")),
        *_counts(
            [
                ("n_pairs", "Cases where both systems have the metric"),
                ("n_one", "Cases where the first has it"),
                ("n_other", "Cases where the second has it"),
                ("participants", "Participants that were compared"),
                ("participants_one", "Participants of the first"),
                ("participants_other", "Participants of the second"),
            ]
        ),
        _number("mean_one", "Mean of the first, over the pairs if there are any"),
        _number("mean_other", "Mean of the second, over the pairs if there are any"),
        _number("mean_difference", "Difference of the means"),
        _number("difference_low", "Low limit of its interval", definition=_BOOTSTRAP),
        _number("difference_high", "High limit of its interval", definition=_BOOTSTRAP),
        _number("pseudomedian_difference", "Pseudomedian of the paired differences", definition=_RANKS),
        _number("pseudomedian_low", "Low limit of its interval", definition="from the signed-rank test"),
        _number("pseudomedian_high", "High limit of its interval", definition="from the signed-rank test"),
        text_column("test", "Wilcoxon's test and where its p value is from; empty for none"),
        _number(
            "statistic", "Statistic of the test", definition="V of the signed-rank, W of the rank-sum test, as in R"
        ),
        *_counts([("n_zero", "Participants without a difference, left out of the signed-rank test")]),
        *_P,
        _NOTE,
    ),
)

_OF_SUBJECTS = (_SYSTEM, _STRUCTURE, _COMPOSITE, _METRIC, _UNIT)

BY_SEX = Table(
    "by_sex",
    "One row per system, structure and metric: Welch's t test between women and men, one value per participant.",
    ("system", "structure", "metric"),
    (
        *_OF_SUBJECTS,
        *_counts([("n_female", "Women"), ("n_male", "Men"), ("n_unknown", "Participants without a sex")]),
        _number("mean_female", "Mean of women"),
        _number("mean_male", "Mean of men"),
        _number("difference", "Women minus men"),
        _number("difference_low", "Low limit of its interval"),
        _number("difference_high", "High limit of its interval"),
        _number("t", "Welch's t"),
        _number("degrees_of_freedom", "Its degrees of freedom", definition="Welch-Satterthwaite"),
        *_P,
        _NOTE,
    ),
)

BY_AGE = Table(
    "by_age",
    "One row per system, structure and metric: Pearson's correlation with age, one value per participant.",
    ("system", "structure", "metric"),
    (
        *_OF_SUBJECTS,
        *_counts([("n", "Participants"), ("n_unknown", "Participants without an age")]),
        _number("r", "Pearson's correlation", "1", minimum=-1, maximum=1),
        _number("r_low", "Low limit of its interval", "1", "Fisher's z", minimum=-1, maximum=1),
        _number("r_high", "High limit of its interval", "1", "Fisher's z", minimum=-1, maximum=1),
        *_P,
        _NOTE,
    ),
)
