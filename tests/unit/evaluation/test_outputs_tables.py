"""The table as papers print it: values, gaps and counts in words, and Markdown that names cannot break."""

import numpy as np
import pandas as pd
import pytest
from evaluated_cases import evaluated

from dixonflow.evaluation.outputs.tables import as_markdown, legend, paper_table
from dixonflow.evaluation.statistics.case_rows import StatisticsError
from dixonflow.evaluation.statistics.comparison import compare_systems
from dixonflow.evaluation.statistics.summary import summarise

DICE = np.linspace(0.8, 0.97, 18)


def rows():
    return pd.concat(
        [
            evaluated(DICE, structure="lungs", composite=True),
            evaluated([*DICE[:16], 0, 0], presence=["both"] * 16 + ["missed", "invented"], structure="gall_bladder"),
            evaluated(DICE[:5], structure="aorta"),
            evaluated([np.nan] * 3, presence="neither", structure="uterus"),
            evaluated(DICE + 0.02, structure="lungs", composite=True, system="theirs"),
        ]
    )


def test_a_row_per_structure_and_systems_side_by_side():
    summary = summarise(rows(), ["dice", "nsd"], draws=200)
    table = paper_table(summary).set_index("structure")
    assert table.index.tolist() == ["gall bladder", "aorta", "uterus", "lungs", "mean over structures"]
    assert list(table) == ["ours: n", "ours: Dice", "ours: NSD", "theirs: n", "theirs: Dice", "theirs: NSD"]
    lungs = summary[summary["structure"].eq("lungs") & summary["metric"].eq("dice")].iloc[0]
    expected = f"{DICE.mean():.3f} ± {DICE.std(ddof=1):.3f} ({lungs['mean_low']:.3f} to {lungs['mean_high']:.3f})"
    assert table.loc["lungs", "ours: Dice"] == expected
    assert table.loc["gall bladder", "ours: n"] == "18 (1 missed, 1 in the prediction alone)"
    assert table.loc["aorta", "ours: Dice"] == f"{DICE[:5].mean():.3f} ± {DICE[:5].std(ddof=1):.3f}"
    assert table.loc["aorta", "theirs: Dice"] == table.loc["aorta", "theirs: n"] == "-"
    assert (table.loc["uterus", "ours: n"], table.loc["uterus", "ours: Dice"]) == ("0", "-")


def test_differences_and_corrected_p_values_are_added():
    both = pd.concat([rows(), evaluated(DICE[:5], structure="aorta", system="theirs")])
    comparison = compare_systems(both, "ours", "theirs", ["dice"], draws=200)
    summary = summarise(both, ["dice"], draws=200)
    table = paper_table(summary, comparison).set_index("structure")
    assert table.loc["lungs", "ours - theirs: Dice"] == "-0.020 (-0.020 to -0.020)"
    assert table.loc["lungs", "ours - theirs: p of Dice"] == "< 0.001"
    assert table.loc["aorta", "ours - theirs: p of Dice"] == "-"
    words = " ".join(legend(summary, comparison))
    assert "paired cases, p values after Benjamini-Hochberg for all 1 tests of comparison.csv." in words
    assert words.count("Under 50 participants percentile intervals are too narrow") == 1


def test_millimetres_and_percent_have_their_unit():
    table = paper_table(summarise(rows(), draws=200), metrics=["hd95_mm", "volume_error_percent"])
    assert "ours: HD95 (mm)" in table
    assert "ours: volume error (%)" in table


def test_names_do_not_break_markdown():
    named = rows().assign(system="a|b\n<script>")
    lines = as_markdown(paper_table(summarise(named.drop_duplicates(["case", "structure"]), draws=200))).splitlines()
    assert len(lines) == 7
    assert {line.replace("\\|", "").count("|") for line in lines} == {5}
    assert "<script>" not in lines[0]


def test_a_table_without_its_metrics_is_refused():
    summary = summarise(rows(), ["dice"], draws=200)
    with pytest.raises(StatisticsError, match="none of the metrics"):
        paper_table(summary, metrics=["nsd"])
    with pytest.raises(StatisticsError, match="twice"):
        paper_table(pd.concat([summary, summary]))
