import re

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from synthetic_tables import MODEL

from dixonflow.report import contents
from dixonflow.report.figures import STRIP_MOST, Mark, distribution, far_out, nice_range, number, stacked_bar
from dixonflow.tables.columns import Table
from dixonflow.tables.parquet import write_table
from dixonflow.tables.wide import volumes_table


def plain_scans(ids):
    rows = {"participant_id": ids, "session_id": "2", "sequence": "dixon", "status": "ok", "scan": ids, "sheet": ""}
    return pd.DataFrame(rows)


def test_many_scans_become_bars_that_count_all(tmp_path):
    ids = [f"{n:07d}" for n in range(5000)]
    values = np.random.default_rng(1).lognormal(7, 0.2, 5000)
    values[7] = 1e5
    full = volumes_table(MODEL).table
    table = Table("volumes", "one column of it", full.keys, (*full.columns[:2], full["liver_volume_ml"]))
    rows = pd.DataFrame({"participant_id": ids, "session_id": "2", "liver_volume_ml": values})
    write_table(tmp_path / "volumes.parquet", table, rows)
    (panel,) = contents.panels(tmp_path / "volumes.parquet", plain_scans(ids), {})
    assert panel.known == 5000
    assert panel.far_out >= 1
    assert sum(int(n.replace(",", "")) for n in re.findall(r": ([\d,]+)</title></rect>", panel.svg)) == 5000
    assert panel.svg.count("<circle") <= 13
    assert "0000007" in panel.svg


def test_dots_and_bars():
    few, many = np.arange(STRIP_MOST, dtype=float), np.arange(STRIP_MOST + 1, dtype=float)
    marks = [Mark(float(v), f"scan {v}", "a.png") for v in few]
    assert distribution(few, (0, 100), marks, "x").count('class="dot"') == STRIP_MOST
    assert distribution(many, (0, 100), [], "x").count('class="hist"') > 5


def test_far_out_values_are_found_farthest_first():
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 100, -300])
    assert far_out(values).tolist() == [8, 7]
    assert far_out(np.array([0.0, 100])).size == 0


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_axis_holds_the_values(low, width):
    start, end = nice_range(low, low + width)
    margin = 1e-9 * max(abs(start), abs(end), 1)
    assert start <= low + margin
    assert end >= low + width - margin
    assert end > start


def test_numbers_have_three_digits():
    shown = [number(v) for v in (0, 1234.56, 12.345, 0.12345, 0.0012, -5.5, 1e6, float("nan"))]
    assert shown == ["0", "1,235", "12.3", "0.123", "0.0012", "-5.5", "1,000,000", "-"]


def test_one_scan_in_a_hundred_thousand_is_seen():
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height', stacked_bar([("ok", 99999), ("failed", 1)]))]
    assert min(widths) >= 0.4
