import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.measures.structures import structures_of
from dixonflow.model import load_model
from dixonflow.report import contents
from dixonflow.report.contact_sheet import contact_sheet, sheet_name
from dixonflow.report.contents import ReportError
from dixonflow.report.figures import STRIP_MOST, Mark, distribution, far_out, nice_range, number, stacked_bar
from dixonflow.report.page import ReportOptions, write_report
from dixonflow.tables.columns import Table
from dixonflow.tables.definitions import DICTIONARY, QUALITY, SCANS, TIMINGS
from dixonflow.tables.dictionary import datapackage, dictionary_rows
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.wide import fat_compartments_table, volumes_table, widen
from dixonflow.vocabulary import REASON_DESCRIPTIONS, Contrast, Reason, ScanId, Stage, Status

MODEL = load_model(Path(__file__).parents[2] / "workflow" / "models" / "demo.yaml")
LOW_AGREEMENT = {"kidney_left": {5, 7}, "liver": {7}, "spleen": set()}
"""Structures, and the places of the scans whose contrasts disagree about them."""
BROKEN = [
    (Status.EXCLUDED, Reason.UNREADABLE_FILE, Stage.COHORT, "central directory of the zip is missing"),
    (Status.EXCLUDED, Reason.MISSING_STATION, Stage.COHORT, "5 stations, the protocol has 6"),
    (Status.FAILED, Reason.OUT_OF_MEMORY, Stage.SEGMENT, "12 GB asked for <script>alert(1)</script>"),
    (Status.WITHDRAWN, Reason.CONSENT_WITHDRAWN, Stage.COHORT, "on the list"),
]


def scan_row(participant, status=Status.OK, reason=Reason.NONE, last=Stage.MEASURE, message=""):
    stages = {}
    for stage in Stage:
        ended = list(Stage).index(stage) >= list(Stage).index(last)
        stages[f"{stage.value}_status"] = status.value if ended else "ok"
        stages[f"{stage.value}_reason"] = reason.value if ended else "none"
    return {
        "participant_id": participant,
        "session_id": "2",
        "layout": "ukb",
        "source": f"{participant}_20201_2_0.zip",
        "raw_key": f"key of {participant}",
        "note": "only three contrasts" if participant == "1000004" else "",
        "shard": "a1",
        "n_stations": 6,
        "n_slices": 1424,
        "status": status.value,
        "reason": reason.value,
        "message": message,
        "last_stage": last.value,
        "content_key": "k",
        **stages,
    }


def measured(participants, rng):
    """All measurement rows of some scans; the pancreas of the first is missing, that of the second is cut."""
    body = rng.lognormal(0, 0.2, len(participants))
    rows = []
    for number_, participant in enumerate(participants):
        for place, structure in enumerate(structures_of(MODEL)):
            volume = 40 * (1 + place % 17) ** 1.4 * body[number_] * rng.lognormal(0, 0.1)
            for measure in structure.measures:
                missing = number_ == 0 and structure.name == "pancreas" and measure.name == "volume"
                cut = number_ == 1 and structure.name == "pancreas"
                value = {"mL": volume, "1": 0.05 + 0.1 * rng.random(), "": 200.0}[measure.unit]
                if measure.name == "coverage_fraction":
                    value = 0.8 if cut else 1.0
                rows.append(
                    {
                        "participant_id": participant,
                        "session_id": "2",
                        "structure": structure.name,
                        "measure": measure.name,
                        "value": np.nan if missing else value,
                        "unit": measure.unit,
                        "definition": measure.key,
                        "grade": None if missing else "review" if cut else "pass",
                        "missing_reason": "not_found" if missing else None,
                        "model": "demo",
                    }
                )
    columns = list(MEASUREMENTS.names)
    return pd.DataFrame(rows, columns=columns).astype({"value": float, "missing_reason": object, "grade": object})


def write_tables(folder, ok=12, broken=tuple(BROKEN)):
    """Tables of a small cohort: participants 1000000 and up are ok, 2000000 and up are not."""
    rng = np.random.default_rng(0)
    participants = [f"{1000000 + n}" for n in range(ok)]
    rows = [scan_row(p) for p in participants]
    rows += [scan_row(f"{2000000 + n}", *parts) for n, parts in enumerate(broken)]
    columns = list(SCANS.names)
    write_table(folder / "scans.parquet", SCANS, pd.DataFrame(rows, columns=columns))
    times = [
        (row["participant_id"], "2", stage.value, rng.gamma(4, 1.0 + place), 900.0 + place, 0.0, 1)
        for row in rows
        for place, stage in enumerate(Stage)
        if row[f"{stage.value}_status"] == "ok"
    ]
    write_table(folder / "timings.parquet", TIMINGS, pd.DataFrame(times, columns=list(TIMINGS.names)))
    checks = [
        (p, "2", check, structure, float(value), threshold, grade)
        for n, p in enumerate(participants)
        for check, structure, value, threshold, grade in (
            ("kidney_volume_ratio", "", rng.normal(1, 0.05), 1.5, "review" if n == 3 else "pass"),
            ("signal_to_noise", "", rng.random() / 10, 0.5, "fail" if n == 5 else "pass"),
            *(
                (
                    "contrast_agreement",
                    name,
                    0.2 if n in low else 0.9,
                    0.5 + place / 100,
                    "review" if n in low else "pass",
                )
                for place, (name, low) in enumerate(LOW_AGREEMENT.items())
            ),
        )
    ]
    quality = pd.DataFrame(checks, columns=list(QUALITY.names)).astype({"value": float, "threshold": float})
    write_table(folder / "quality.parquet", QUALITY, quality)
    write_table(folder / "measurements.parquet", MEASUREMENTS, measured(participants, rng))
    long = read_table(folder / "measurements.parquet", MEASUREMENTS)
    wide = (volumes_table(MODEL), fat_compartments_table(MODEL))
    for each in wide:
        write_table(folder / f"{each.table.name}.parquet", each.table, widen(long, each))
    tables = (SCANS, TIMINGS, MEASUREMENTS, *(each.table for each in wide), QUALITY, DICTIONARY)
    write_table(folder / "dictionary.parquet", DICTIONARY, dictionary_rows(tables))
    assert datapackage(tables)
    return [ScanId(p, "2") for p in participants]


def draw_sheets(folder, scans):
    folder.mkdir(parents=True)
    image = np.arange(8 * 6 * 20, dtype=np.int16).reshape(8, 6, 20)
    png = contact_sheet({Contrast.WATER: image}, (image % 7).astype(np.uint8), np.diag([8.0, 8, 12, 1]))
    for scan in scans:
        (folder / sheet_name(scan, f"key of {scan.participant}")).write_bytes(png)


class Page(HTMLParser):
    """What a browser would load, link to, and show."""

    void = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.words, self.tags = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        if tag == "a":
            self.links.append(values["href"])

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a run of 16 scans, 12 of them ok, 11 of these with a picture."""
    root = tmp_path_factory.mktemp("results")
    scans = write_tables(root / "tables")
    draw_sheets(root / "report" / "contact_sheets", scans[:11])
    (root / "report" / "contact_sheets" / "notes.txt").write_text("not a picture of any scan")
    return root


def report(results, name="index.html", **options):
    output = results / "report" / name
    write_report(results / "tables", results / "report" / "contact_sheets", output, ReportOptions(**options))
    return output.read_text()


@pytest.fixture(scope="module")
def text(results):
    return report(results)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_is_whole_and_needs_nothing_from_outside(results, text, page):
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 1_000_000
    for link in {link for link in page.links if not link.startswith("#") and "datapackage" not in link}:
        assert (results / "report" / link).is_file(), link
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', text))


def test_counts_reasons_and_stages(page):
    words = page.text
    assert "16 in = 12 ok + 2 excluded + 1 failed + 1 withdrawn" in words
    for status, reason, stage, _ in BROKEN:
        assert re.search(rf"{status} {reason} {re.escape(REASON_DESCRIPTIONS[reason])} 1 6\.2 % {stage} ", words)
    assert "segment 1 out_of_memory (1)" in words
    assert "stitch 0 -" in words
    assert re.search(r"Notes \(1\) .* 1000004, session 2 ok only three contrasts", words)
    assert "12 GB asked for <script>alert(1)</script>" in words  # shown as text, never as markup


def test_checks_and_scans_to_review(page):
    words = page.text
    assert re.search(r"signal to noise 11 0 1 ", words)
    assert re.search(r"kidney volume ratio 11 1 0 ", words)
    listed = words.split("Scans to review")[1].split("Volumes")[0]
    scans = (("1000005", "fail"), ("1000007", "review"), ("1000003", "review"))
    places = [listed.index(f"{participant}, session 2 {grade}") for participant, grade in scans]
    assert places == sorted(places)  # failed before review, and of these the one with two objections first


def test_disagreement_of_contrasts_is_named_with_its_structures(page):
    words = page.text
    assert re.search(r"contrast agreement 33 3 0 ", words)
    by_structure = words.split("Contrast agreement by structure")[1].split("Scans to review")[0]
    assert re.search(r"kidney left 10 2 0 .* liver 11 1 0 .* spleen 12 0 0 ", by_structure)
    assert "0.5 to 0.52" in words  # the threshold is another one for each structure
    listed = words.split("Scans to review")[1]
    assert "1000007, session 2 review contrast agreement (kidney left, liver) " in listed
    assert "1000005, session 2 fail signal to noise, contrast agreement (kidney left) " in listed


def test_distributions_say_what_is_missing_and_cut(page):
    words = page.text
    notes = r"1 without a value \(not found 1\), 1 cut by the field of view, 1 to review"
    assert re.search(r"pancreas \(mL\) .{0,80} n = 11, " + notes, words)
    assert re.search(r"liver \(mL\) .{0,80} n = 12 ", words)
    assert "coverage fraction" not in words.split("Dictionary")[0]


def test_pictures_are_lazy_and_hide_the_id(page):
    assert len(page.images) == 11
    for image in page.images:
        assert image["loading"] == "lazy"
        assert int(image["width"]) > 0
        assert "100000" not in image["src"]
    assert "1 of 12 ok scans have no picture" in page.text
    assert "1000005" in page.images[0]["alt"]  # failed a check
    assert {"1000003", "1000007"} == {page.images[n]["alt"].split(",")[0][-7:] for n in (1, 2)}  # to review


def test_number_of_pictures_and_rows_is_bounded(results):
    page = Page(report(results, largest_pictures=3, largest_rows=1))
    assert len(page.images) == 3
    assert "3 of 11 pictures are shown" in page.text
    assert "1 of 4 shown; all of them are in scans.parquet" in page.text
    assert "1 of 3 shown" in page.text


def test_equal_tables_give_equal_pages(results, text):
    assert report(results, "again.html") == text


def test_legend_and_versions(results):
    page = Page(report(results, structures=MODEL.structures, versions={"Weights": "0123abc"}))
    assert "Colours of the 46 structures" in page.text
    assert "0123abc" in page.text
    assert re.search(r"nnunetv2 2\.", page.text)
    assert "Model demo" in page.text


def test_no_scan_is_ok(tmp_path):
    write_tables(tmp_path / "tables", ok=0)
    write_report(tmp_path / "tables", tmp_path / "nowhere", tmp_path / "report" / "index.html")
    words = Page((tmp_path / "report" / "index.html").read_text()).text
    assert "4 in = 0 ok + 2 excluded + 1 failed + 1 withdrawn" in words
    assert "No scan has volumes." in words
    assert "There are no pictures." in words


def test_scan_without_id_is_shown_by_its_source(tmp_path):
    write_tables(tmp_path / "tables", ok=1, broken=())
    path = tmp_path / "tables" / "scans.parquet"
    rows = [scan_row("1000000"), scan_row(None, Status.EXCLUDED, Reason.UNPARSABLE_NAME, Stage.COHORT, "no id")]
    rows[1] |= {"session_id": None, "source": "copy of scan.zip", "raw_key": None}
    write_table(path, SCANS, pd.DataFrame(rows, columns=list(SCANS.names)))
    write_report(tmp_path / "tables", tmp_path / "nowhere", tmp_path / "index.html")
    words = Page((tmp_path / "index.html").read_text()).text
    assert "copy of scan.zip" in words
    assert "2 in = 1 ok + 1 excluded" in words


def test_missing_table_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"scans, timings.*dictionary"):
        write_report(tmp_path, tmp_path, tmp_path / "index.html")


def test_cut_off_picture_is_named(tmp_path):
    scans = write_tables(tmp_path / "tables", ok=1, broken=())
    draw_sheets(tmp_path / "sheets", scans)
    (sheet,) = (tmp_path / "sheets").iterdir()
    sheet.write_bytes(b"")
    with pytest.raises(ReportError, match="not a PNG"):
        write_report(tmp_path / "tables", tmp_path / "sheets", tmp_path / "index.html")


def plain_scans(ids):
    rows = {"participant_id": ids, "session_id": "2", "status": "ok", "scan": ids, "sheet": ""}
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


def test_left_and_right_share_an_axis(results):
    scans = pd.read_parquet(results / "tables" / "scans.parquet").assign(scan="s", sheet="")
    panels = {p.title: p for p in contents.panels(results / "tables" / "volumes.parquet", scans, {})}
    ends = [re.findall(r"<text[^>]*>([^<]*)</text>", panels[f"kidney {side}"].svg) for side in ("left", "right")]
    assert ends[0] == ends[1]


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
