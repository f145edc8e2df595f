import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from synthetic_tables import BROKEN, MODEL, draw_sheets, scan_row, write_tables

from dixonflow.report import checks, contents
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.report.contents import ReportError
from dixonflow.report.page import ReportOptions, write_report
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.wide import volumes_table
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


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
    assert not re.search(r"(src|href)=\"(https?:)?//(?!127\.0\.0\.1:8650/#/scan/)", text)
    assert not re.search(r"src=\"(https?:)?//", text)
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 1_000_000
    for link in {link for link in page.links if not link.startswith(("#", "http://")) and "datapackage" not in link}:
        assert (results / "report" / link).is_file(), link
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', text))


def test_scans_to_review_lead_to_the_review_page_by_keys_without_ids(results, page):
    places = [link.partition("#/scan/")[2] for link in page.links if link.startswith("http://")]
    keys = {Path(sheet_name(ScanId(f"100000{place}", "2"), f"key of 100000{place}")).stem for place in (3, 5, 7)}
    assert set(places) == keys
    assert "dixonflow review --rater NAME" in page.text


def test_counts_reasons_and_stages(page):
    words = page.text
    assert "16 in = 12 ok + 2 excluded + 1 failed + 1 withdrawn" in words
    for status, reason, stage, _ in BROKEN:
        assert re.search(rf"{status} {reason} {re.escape(reason.description)} 1 6\.2 % {stage} ", words)
    assert "segment 1 out_of_memory (1)" in words
    assert "stitch 0 -" in words
    assert re.search(r"Notes \(1\) .* 1000004, session 2 ok only three contrasts", words)
    assert "12 GB asked for <script>alert(1)</script>" in words  # shown as text, never as markup


def test_checks_and_scans_to_review(page):
    words = page.text
    assert re.search(r"signal to noise 11 0 1 ", words)
    assert re.search(r"kidney sides 11 1 0 ", words)
    listed = words.split("Scans to review")[1].split("Volumes")[0]
    failed, *others = [
        listed.index(f"{participant}, session 2 {grade}")
        for participant, grade in (("1000005", "fail"), ("1000007", "review"), ("1000003", "review"))
    ]
    assert failed < min(others)


def test_disagreement_of_contrasts_is_named_with_its_structures(page):
    words = page.text
    assert re.search(r"contrast agreement 33 3 0 ", words)
    by_structure = words.split("Contrast agreement by structure")[1].split("Scans to review")[0]
    assert re.search(r"kidney left 10 2 0 .* liver 11 1 0 .* spleen 12 0 0 ", by_structure)
    assert "0.5 to 0.52" in words  # the threshold is another one for each structure
    listed = words.split("Scans to review")[1]
    agreement = "contrast agreement (liver 0.2, at least 0.51; kidney left 0.2, at least 0.5) "
    assert re.search(rf"1000007, session 2 review \d+ \d+ {re.escape(agreement)}", listed)
    signal = r"signal to noise 0\.\d+, at least 0\.5, contrast agreement \(kidney left 0\.2, at least 0\.5\) "
    assert re.search(rf"1000005, session 2 fail \d+ \d+ {signal}", listed)


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


def test_a_page_without_ids_holds_none(results, text):
    people = read_table(results / "tables" / "scans.parquet", SCANS)["participant_id"].drop_null().to_pylist()
    shown = report(results, "without_ids.html", with_ids=False)
    assert any(each in text for each in people)
    assert [each for each in people if each in shown] == []
    key = re.search(r"/#/scan/([0-9a-f]+)", shown)[1]
    assert f"scan {key[:8]}" in shown


def test_a_page_without_ids_names_no_file_and_masks_messages(tmp_path):
    write_tables(tmp_path / "tables")
    path = tmp_path / "tables" / "scans.parquet"
    rows = read_table(path, SCANS).to_pandas()
    people = rows["participant_id"].dropna()
    rows.loc[rows["status"].ne("ok"), "message"] = f"the same as 2 of {people.iloc[0]} and sub-{people.iloc[1]}_ses-2"
    write_table(path, SCANS, rows)
    write_report(tmp_path / "tables", tmp_path / "no", tmp_path / "index.html", ReportOptions(with_ids=False))
    shown = (tmp_path / "index.html").read_text()
    assert "the same as 2 of (id) and sub-(id)_ses-2" in shown
    assert not any(each in shown for each in people)


def test_number_of_pictures_and_rows_is_bounded(results):
    page = Page(report(results, largest_pictures=3, largest_rows=1))
    assert len(page.images) == 3
    assert "3 of 11 pictures are shown" in page.text
    assert "1 of 3 shown; all are in scans.parquet" in page.text
    assert "1 of 3 shown" in page.text


def test_equal_tables_give_equal_pages(results, text):
    assert report(results, "again.html") == text


def test_legend_and_versions(results):
    page = Page(report(results, structures=MODEL.structures, versions={"Weights": "0123abc"}))
    assert "Colours of the 46 structures" in page.text
    assert "0123abc" in page.text
    assert re.search(r"nnunetv2 2\.", page.text)
    assert "Models demo" in page.text


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


def test_left_and_right_share_an_axis(results):
    scans = pd.read_parquet(results / "tables" / "scans.parquet").assign(scan="s", sheet="")
    panels = {p.title: p for p in contents.panels(results / "tables" / "volumes.parquet", scans, {})}
    ends = [re.findall(r"<text[^>]*>([^<]*)</text>", panels[f"kidney {side}"].svg) for side in ("left", "right")]
    assert ends[0] == ends[1]


def test_another_sequence_has_its_own_distributions_and_names_its_scans(tmp_path):
    tables = tmp_path / "tables"
    write_tables(tables, broken=())
    volumes = volumes_table(MODEL).table
    rows = read_table(tables / "volumes.parquet", volumes).slice(2, 3)
    for name in ("volumes_haste", "volumes_haste_second"):
        write_table(tables / f"{name}.parquet", replace(volumes, name=name), rows)
    scans = [scan_row(f"{1000000 + n}") for n in range(12)]
    scans[3] |= {"scan_grade": "review", "scan_grade_decided_by": "kidney_sides"}
    scans += [scan_row(participant) | {"sequence": "haste"} for participant in rows["participant_id"].to_pylist()]
    write_table(tables / "scans.parquet", SCANS, pd.DataFrame(scans, columns=list(SCANS.names)))
    shown = checks.add_pictures(
        contents.read_wide(tables / "scans.parquet"),
        [],
        checks.read_objections(tables / "quality.parquet", checks.read_verdicts(tables / "quality.parquet")),
    )
    assert len(shown) == 15
    assert shown["scan"].tolist().count("1000003, session 2, haste") == 1
    assert shown.set_index("scan")["grade"][["1000003, session 2", "1000003, session 2, haste"]].tolist() == [
        "review",
        "pass",
    ]
    of_haste, of_dixon = (
        contents.panels(tables / f"{name}.parquet", shown, {})[0].known for name in ("volumes_haste", "volumes")
    )
    assert (of_haste, of_dixon) == (3, 12)
    output = tmp_path / "report.html"
    wide = ("volumes", "fat_compartments", "volumes_haste", "volumes_haste_second")
    write_report(tables, tmp_path / "none", output, ReportOptions(wide=wide))
    headings = re.findall("<h3>(Sequence [^<]*|Model [^<]*)</h3>", output.read_text())
    assert headings == ["Sequence haste", "Sequence haste, model second"]
