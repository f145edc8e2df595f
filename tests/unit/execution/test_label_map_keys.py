"""Keys of label maps: what a rating is of."""

from pathlib import Path

from dixonflow.execution.label_map_keys import label_map_keys
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.paths import Results
from dixonflow.vocabulary import Reason, ScanId, Stage

FIRST, SECOND, THIRD = (ScanId(f"100000{number}", "2") for number in range(3))


def made(scan: ScanId, key: str, reason: Reason = Reason.NONE) -> Outcome:
    return Outcome.because(reason, scan, Stage.POSTPROCESS, attempt=1, content_key=key)


def test_a_scan_has_the_key_of_its_label_map_and_those_that_gave_the_same(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert label_map_keys(results, "aaa", "vibe") == {}
    records = Records(results.records(Stage.POSTPROCESS, "aaa", "vibe"))
    records.pack(
        {
            FIRST: Record(made(FIRST, "0a"), stands_for=("0b", "0c")),
            SECOND: Record(made(SECOND, "1a")),
            THIRD: Record(made(THIRD, "2a", Reason.TIMEOUT)),
        }
    )
    found = label_map_keys(results, "aaa", "vibe")
    assert set(found) == {FIRST, SECOND}, "where there is no label map there is no key"
    assert (found[FIRST].key, found[FIRST].equal) == ("0a", {"0a", "0b", "0c"})
    assert label_map_keys(results, "aaa", "other") == {}
    records.begin(SECOND, "1b", 0)
    assert set(label_map_keys(results, "aaa", "vibe")) == {FIRST}, "it is being replaced"
    records.finish(Record(made(SECOND, "1b")))
    assert label_map_keys(results, "aaa", "vibe")[SECOND].equal == {"1b"}
    path = results.records(Stage.POSTPROCESS, "aaa", "vibe")
    path.write_bytes(path.read_bytes()[:20])
    assert set(label_map_keys(results, "aaa", "vibe")) == {SECOND}, "what cannot be read has no key"
