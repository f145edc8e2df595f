"""docs/evaluate.md: its commands run, and it names every option, mapping and reason."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import typer
import yaml
from reference_masks import label_map, write
from typer.testing import CliRunner

from dixonflow.cli.networks.evaluate import evaluate_command
from dixonflow.config import demo_config
from dixonflow.evaluation.masks.mapping_files import VOCABULARY, published_mappings
from dixonflow.evaluation.masks.shared_regions import NotComparedReason
from dixonflow.paths import Results
from dixonflow.vocabulary import ScanId

PAGE = (Path(__file__).resolve().parents[3] / "docs/evaluate.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    \.venv/bin/dixonflow evaluate (.*)$", PAGE, re.M)

OWN = {"liver": 1, "kidney_left": 2, "kidney_right": 3}
AMOS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 6}
DEMO = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the examples speak of."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(json.loads(demo_config().model_dump_json())))
    Path("masks").mkdir()
    Path("masks/dseg.tsv").write_text("index\tname\n" + "".join(f"{i}\t{name}\n" for name, i in OWN.items()))
    for scan in (ScanId("100123", "2"), ScanId("100124", "2")):
        write(Path(f"masks/{scan.name}_dseg.nii.gz"), label_map(OWN))
        write(Results(Path("results")).labels(scan, "demo"), label_map(DEMO))
        write(Path(f"mrsegmentator_output/{scan.name}_seg.nii.gz"), label_map(DEMO))
        write(Path(f"amos/labelsTr/amos_{scan.participant}.nii.gz"), label_map(AMOS))
        write(Path(f"predicted/amos_{scan.participant}.nii.gz"), label_map(DEMO))
    return tmp_path


def test_the_commands_of_the_page_run_and_write_what_it_says(folder: Path) -> None:
    assert len(COMMANDS) == 3
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(evaluate_command)
    for command in COMMANDS:
        result = CliRunner().invoke(app, [*command.split(), "--jobs", "1"])
        assert result.exit_code == 0, result.output
        assert "2 of 2 cases compared" in result.output
        assert "mean Dice 1.000 over" in result.output
    written = {name: {path.name for path in (folder / "results/evaluation" / name).iterdir()}
               for name in ("masks", "labelsTr", "two_systems")}  # fmt: skip
    assert "comparison.parquet" in written["two_systems"]
    rows = pd.read_parquet(folder / "results/evaluation/two_systems/cases.parquet")
    assert set(rows["system"]) == {"demo", "mrseg"}
    files = re.findall(r"^\| `([a-z_]+\.[a-z]+|pictures/)`", PAGE.split("## What is written")[1], re.M)
    assert len(files) >= 7
    for name in files:
        assert name.strip("/") in written["two_systems"], name


def test_the_page_names_every_option_and_no_other() -> None:
    command = typer.main.get_command(_app())
    options = {name for each in command.params for name in each.opts if name.startswith("--")}
    named = set(re.findall(r"`(--[a-z-]+)`", PAGE))
    assert named == options - {"--help"}


def _app() -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command()(evaluate_command)
    return app


def test_the_page_names_every_mapping_and_reason() -> None:
    words = set(re.findall(r"`([a-z0-9_]+)`", PAGE))
    assert {*published_mappings(), VOCABULARY} <= words
    assert {reason.value for reason in NotComparedReason} <= words
