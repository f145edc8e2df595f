"""Methods of a run in words: numbers are those of the tables, references those of the models."""

import re

import pytest
from synthetic_tables import write_tables

from dixonflow.config import demo_config, parse_config
from dixonflow.models.load import MODELS, load_model
from dixonflow.report.methods import bibliography, methods_of
from dixonflow.report.page import ReportOptions, write_report
from dixonflow.system.versions import versions
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import to_pandas
from dixonflow.vocabulary import ScanSequence

DEMO = load_model(MODELS / "demo.yaml")
MODEL_FILES = sorted(MODELS.glob("*.yaml"))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder)
    return to_pandas(read_table(folder / "scans.parquet", SCANS))


def words(scans, models=(DEMO,), **sections):
    config = parse_config(demo_config().model_dump() | sections)
    return methods_of(scans, config, {ScanSequence.DIXON: models}, versions())


def test_numbers_are_those_of_the_table(scans):
    first = words(scans).paragraphs[0]
    assert first.startswith("15 scans were found, 12 of which were measured; 2 were excluded and 1 failed (")
    assert "15 participants" in first
    assert "participants who have withdrawn: 1." in first
    graded = scans["scan_grade"].value_counts()
    assert f"graded {graded['pass']} of the measured scans as pass, {graded.get('review', 0)} for review" in first


def test_settings_change_the_words(scans):
    plain, other = (
        " ".join(found.paragraphs)
        for found in (
            words(scans),
            words(
                scans,
                stitch={"repair_swaps": False, "match_intensities": False},
                merge={"strategy": "majority"},
                segment={"folds": ["0"], "interpolate": "nearest"},
                measure={"incomplete_composites": "graded"},
            ),
        )
    )
    assert "swapped back before" in plain
    assert "equally bright" in plain
    assert "were averaged before labels were assigned" in plain
    assert "probabilities were interpolated" in plain
    for part in ("a reason to exclude", "merged by majority", "nearest neighbour", "Folds 0 of", "parts found, graded"):
        assert part in other
        assert part not in plain
    assert "equally bright" not in other


def test_what_is_cited_is_in_the_bibliography_and_only_once(scans):
    second = DEMO.model_copy(update={"name": "second", "references": ("graf2025vibesegmentator", "isensee2021nnunet")})
    found = words(scans, (DEMO, second, DEMO))
    cited = {key for keys in re.findall(r"cite{([^}]*)}", " ".join(found.paragraphs)) for key in keys.split(",")}
    assert cited == {"isensee2021nnunet", "graf2025vibesegmentator"}
    assert re.findall(r"^@[a-z]+{([^,]+),", found.bibtex, re.M) == ["isensee2021nnunet", "graf2025vibesegmentator"]


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.stem)
def test_every_model_names_references_that_are_there(path):
    model = load_model(path)
    assert "isensee2021nnunet" in model.references
    entries = bibliography()
    for key in model.references:
        assert entries[key].count("{") == entries[key].count("}")
        assert "doi" in entries[key] or "eprint" in entries[key]


def test_each_sequence_has_its_words(scans):
    both = {ScanSequence.DIXON: [DEMO], ScanSequence.HASTE: [DEMO.for_sequence(ScanSequence.HASTE)]}
    text = " ".join(methods_of(scans, demo_config(), both, versions()).paragraphs)
    assert "In dixon scans, 46 structures were segmented from the water, in phase and opposed phase images" in text
    assert "In haste scans, 46 structures were segmented from the T2-weighted images" in text
    config = parse_config(demo_config().model_dump() | {"segment": {"labels_of_dixon": ["me_vibe"]}})
    taken = {ScanSequence.DIXON: [DEMO], ScanSequence.ME_VIBE: [DEMO.with_labels_for(ScanSequence.ME_VIBE)]}
    text = " ".join(methods_of(scans, config, taken, versions()).paragraphs)
    assert text.count("structures were segmented") == 1
    assert "from the water, in phase and opposed phase images" in text
    assert "Scans of me_vibe were measured in the label map of the Dixon scan" in text


def test_versions_are_named(scans):
    last = words(scans).paragraphs[-1]
    for name, number in versions().items():
        assert number in last, name


def test_the_report_ends_with_the_methods(tmp_path):
    write_tables(tmp_path / "tables")
    options = ReportOptions(methods=words)
    write_report(tmp_path / "tables", tmp_path / "none", tmp_path / "report.html", options)
    page = (tmp_path / "report.html").read_text()
    assert page.index("Methods, for a paper") > page.index("Model and software")
    assert "15 scans were found" in page
    assert "@article{isensee2021nnunet" in page
    write_report(tmp_path / "tables", tmp_path / "none", tmp_path / "report.html", ReportOptions())
    assert "Methods, for a paper" not in (tmp_path / "report.html").read_text()
