"""The files that make the folder of derivatives a BIDS data set."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from bids_validation import bids_issues

from dixonflow.aggregate.bids_dataset import label_rows, write_dataset_files
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.report.palette import colour
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

DEMO = load_model(MODELS / "demo.yaml")


def test_a_label_has_the_number_of_the_label_map_and_that_of_the_network() -> None:
    rows = {row["name"]: row for row in label_rows({ScanSequence.DIXON: DEMO})}
    assert [row["index"] for row in rows.values()] == sorted(DEMO.labels)
    assert rows["liver"] == {
        "index": 5,
        "name": "liver",
        "color": "#{:02x}{:02x}{:02x}".format(*colour(5)),
        "snomed_ct": "10200004",
        "network": "demo",
        "network_class": 4,
    }
    classes = json.loads((MODELS / "demo/dataset.json").read_text())["labels"]
    published = {rule.name: rule.published_name for rule in DEMO.labels.values()}
    assert {name: row["network_class"] for name, row in rows.items()} == {
        name: classes[published[name]] for name in rows
    }


def test_what_a_label_means_on_another_sequence_is_a_column_where_it_differs() -> None:
    same = label_rows({ScanSequence.DIXON: DEMO, ScanSequence.HASTE: DEMO.for_sequence(ScanSequence.HASTE)})
    assert same == label_rows({ScanSequence.DIXON: DEMO})
    labels = {number: rule for number, rule in DEMO.labels.items() if number != 6}
    labels[5] = labels[5].model_copy(update={"name": "rib"})
    other = DEMO.model_copy(update={"labels": labels})
    rows = {row["index"]: row for row in label_rows({ScanSequence.DIXON: DEMO, ScanSequence.CT: other})}
    assert (rows[5]["name"], rows[5]["name_ct"]) == ("liver", "rib")
    assert (rows[6]["name"], rows[6]["name_ct"]) == ("stomach", "n/a")
    assert rows[1]["name_ct"] == "spleen"


@pytest.mark.parametrize("sequence", list(ScanSequence))
def test_the_validator_accepts_every_sequence(tmp_path: Path, sequence: ScanSequence) -> None:
    results, scan = Results(tmp_path), ScanId("1000017", "2", sequence)
    image = np.ones((4, 4, 4), np.int16)
    for contrast in sequence.images:
        write_nifti(results.stitched(scan, contrast), image, np.eye(4))
    fields = {"Description": "x", "Sources": ["bids:source1:a.zip"], "SpatialReference": "orig", "SkullStripped": False}
    results.stitched_sidecar(scan).write_text(json.dumps(fields))
    write_labels(results.labels(scan, "demo"), image.astype(np.uint8), np.eye(4))
    del fields["Description"], fields["SkullStripped"]
    results.labels_sidecar(scan, "demo").write_text(json.dumps(fields))
    write_dataset_files(results, {sequence: [DEMO.with_labels_for(sequence)]}, [Path("raw/a"), Path("/raw/b c")])
    assert bids_issues(results.derivatives) == []
    description = json.loads((results.derivatives / "dataset_description.json").read_text())
    assert description["DatasetLinks"]["source2"] == "file:///raw/b%20c"
    with (results.derivatives / "seg-demo_dseg.tsv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file, delimiter="\t"))) == 46


def test_the_validator_sees_what_does_not_belong(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_dataset_files(results, {ScanSequence.DIXON: [DEMO]}, [])
    (results.derivatives / "sub-1").mkdir()
    (results.derivatives / "sub-1/notes.txt").write_text("x")
    path = results.stitched(ScanId("1", "2"), Contrast.WATER).with_name("sub-2_ses-2_seg-demo_dseg.nii.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert len([issue for issue in bids_issues(results.derivatives) if issue.startswith("error")]) >= 2
