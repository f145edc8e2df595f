"""The keys of a source: what they become, and what cannot be meant."""

from pathlib import Path
from typing import Any

import pytest

from dixonflow.cohort.sources import sources_of
from dixonflow.config import parse_config
from dixonflow.errors import ConfigError
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Duplicates, Layout, ScanSequence

PATTERN = "(?P<participant>[0-9]+)-(?P<session>[0-9]+)"


def source_of(**keys: Any) -> Source:
    (source,) = sources_of(parse_config({"cohort": {"sources": [{"folder": "raw", **keys}]}}).cohort)
    return source


def test_defaults_are_those_of_the_layout() -> None:
    expected = {Layout.UKB: 6, Layout.NAKO: 4, Layout.BIDS: None, Layout.CT: 1}
    for layout, stations in expected.items():
        source = source_of(layout=layout.value)
        (sequence,) = source.looked_for
        assert sequence is (ScanSequence.CT if layout is Layout.CT else ScanSequence.DIXON)
        assert source.options_for(sequence).expected_stations(layout, sequence) == stations
    loose = source_of(layout="dicom", name_pattern=PATTERN)
    assert loose.options_for(ScanSequence.DIXON).expected_stations(Layout.DICOM) is None


def test_all_keys_reach_the_source() -> None:
    keys = {"name_pattern": rf"{PATTERN}\.zip", "stations": 5, "duplicates": "later", "time_point": 2}
    source = source_of(layout="ukb", match_patient_id=True, **keys)
    assert (source.folder, source.name_pattern, source.matches_patient_id) == (Path("raw"), keys["name_pattern"], True)
    options = source.options_for(ScanSequence.DIXON)
    assert (options.stations, options.duplicates, options.time_point) == (5, Duplicates.LATER, 2)


def test_each_sequence_has_its_number_of_stations() -> None:
    keys = {"sequences": ["dixon", "haste", "t2_tse"], "stations": {"dixon": 3, "haste": "any"}}
    source = source_of(layout="nako", **keys)
    found = {
        sequence.value: source.options_for(sequence).expected_stations(Layout.NAKO, sequence)
        for sequence in source.looked_for
    }
    assert found == {"dixon": 3, "haste": None, "t2_tse": 3}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layout": "dicom"}, "layout dicom needs a name_pattern"),
        ({"layout": "dicom", "name_pattern": "[0-9]+"}, "lacks the group participant"),
        ({"layout": "ukb", "name_pattern": "(?P<participant>x)"}, "lacks the group session"),
        ({"layout": "ukb", "name_pattern": "("}, "not a regular expression"),
        ({"layout": "bids", "name_pattern": PATTERN}, "takes no name_pattern"),
        ({"layout": "ukb", "sequences": ["haste"]}, "layout ukb has dixon only"),
        ({"layout": "ct", "sequences": ["pd"]}, "layout ct has ct only"),
        ({"layout": "bids", "sequences": ["me_vibe"]}, "me_vibe is read in layout nako only"),
        ({"layout": "dicom", "name_pattern": PATTERN, "sequences": ["pd", "ct"]}, "has one of sequences"),
        ({"layout": "nako", "sequences": ["dixon", "haste"], "stations": 4}, "must say the number of each sequence"),
        ({"layout": "nako", "stations": {"haste": 2}}, "stations names haste, which is not looked for"),
        ({"layout": "nako", "sequences": ["flair"]}, "sequences"),
        ({"layout": "nako", "duplicates": "newest"}, "duplicates"),
        ({"layout": "nako", "time_point": 0}, "time_point"),
        ({"layout": "nako", "supersedes": "elsewhere"}, "supersedes must be the folder of another source"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        source_of(**keys)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("stations", [0, 51, "all", {"dixon": 0}, [4]])
def test_a_number_of_stations_that_is_none_is_named(stations: Any) -> None:
    with pytest.raises(ConfigError, match=r"cohort\.sources\.0\.stations"):
        source_of(layout="nako", stations=stations)


def test_a_source_supersedes_one_of_its_own_layout() -> None:
    first = {"layout": "nako", "folder": "first"}
    second = {"layout": "nako", "folder": "second", "supersedes": "first"}
    found = sources_of(parse_config({"cohort": {"sources": [first, second]}}).cohort)
    assert found[1].supersedes == Path("first")
    with pytest.raises(ConfigError, match="another source of its layout"):
        parse_config({"cohort": {"sources": [first | {"layout": "bids"}, second]}})
