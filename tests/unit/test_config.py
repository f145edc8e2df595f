"""config.yaml and its schema stay in step with the typed configuration; wrong configurations are named in one line."""

import difflib
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from dixonflow.config import (
    check_folders,
    config_schema,
    config_yaml,
    demo_config,
    parse_config,
    read_config,
)
from dixonflow.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_in_step():
    for path, expected in [
        (ROOT / "config.yaml", config_yaml(demo_config())),
        (ROOT / "workflow/config.schema.json", config_schema()),
    ]:
        found = path.read_text(encoding="utf-8")
        diff = "\n".join(difflib.unified_diff(found.splitlines(), expected.splitlines(), str(path), "generated", n=1))
        assert not diff, f"run scripts/make_config.py:\n{diff}"


def test_config_yaml_reads_back_and_fits_the_schema():
    text = config_yaml(demo_config())
    assert parse_config(yaml.safe_load(text)) == demo_config()
    jsonschema.validate(yaml.safe_load(text), json.loads(config_schema()))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"stich": {}}, "config: stich: unknown key"),
        ({"cohort": {"sources": []}}, "config: cohort.sources: Tuple should have at least 1 item"),
        (
            {"cohort": {"sources": [{"layout": "ukbb", "folder": "x"}]}},
            "config: cohort.sources.0.layout: Input should be",
        ),
        ({"segment": {"threads": "many"}}, "config: segment.threads: Input should be a valid integer"),
        ({"max_attempts": 0}, "config: max_attempts: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_the_key(change, line):
    content = yaml.safe_load(config_yaml(demo_config())) | change
    with pytest.raises(ConfigError) as error:
        parse_config(content)
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_missing_folders_and_models_are_named(tmp_path):
    raw = tmp_path / "raw"
    base = {"cohort": {"sources": [{"layout": "ukb", "folder": str(raw)}]}}
    with pytest.raises(ConfigError, match=r"cohort\.sources\.0\.folder: there is no folder"):
        check_folders(parse_config(base), ROOT / "workflow/models")
    raw.mkdir()
    check_folders(parse_config(base), ROOT / "workflow/models")
    with pytest.raises(ConfigError, match=r"segment\.models: there is no model 'vibe1000'; known: .*demo"):
        check_folders(parse_config(base | {"segment": {"models": ["vibe1000"]}}), ROOT / "workflow/models")
    base["cohort"]["withdrawn"] = str(tmp_path / "gone.txt")
    with pytest.raises(ConfigError, match=r"cohort\.withdrawn: there is no file"):
        check_folders(parse_config(base), ROOT / "workflow/models")


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "none.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("cohort: [")
    with pytest.raises(ConfigError, match="cannot be read") as error:
        read_config(path)
    assert "\n" not in str(error.value)
    path.write_text("- a list")
    with pytest.raises(ConfigError, match="not a table"):
        read_config(path)
