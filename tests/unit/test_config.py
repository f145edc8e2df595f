"""config.yaml and its schema stay in step with the typed configuration; wrong configurations are named in one line."""

import difflib
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from dixonflow.config import check_folders, demo_config, parse_config, read_config
from dixonflow.config.documents import config_schema, config_yaml
from dixonflow.errors import ConfigError
from dixonflow.models.load import MODELS

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


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("a\nb", "the path contains a control character"),
        ("a\0b", "the path contains a control character"),
        ("a\x7fb", "the path contains a control character"),
        ("a\u2028b", "the path contains a control character"),
        ("~", "~ is not expanded to your home folder"),
        ("~/data", "~ is not expanded to your home folder"),
        (7, "this is not a path"),
        (["a"], "this is not a path"),
        ("a\udcffb", "this is not a path"),
    ],
)
@pytest.mark.parametrize("key", ["results", "cohort.sources.0.folder", "cohort.withdrawn"])
def test_what_cannot_be_a_path_is_one_line_that_names_the_key(key, path, problem):
    with pytest.raises(ConfigError) as error:
        parse_config(with_path(key, path))
    assert str(error.value).startswith(f"config: {key}: {problem}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("a{b}", "the path holds braces"),
        ("}", "the path holds braces"),
        ("<results>", "the path holds a word in angle brackets"),
        (".", "name a folder in the project or elsewhere"),
        ("", "name a folder in the project or elsewhere"),
    ],
)
def test_results_lie_where_snakemake_can_name_them(path, problem):
    with pytest.raises(ConfigError, match=f"config: results: {problem}"):
        parse_config(with_path("results", path))
    if path:
        parse_config(with_path("cohort.sources.0.folder", path))  # which Snakemake does not hear of


@pytest.mark.parametrize("key", ["results", "cohort.sources.0.folder", "cohort.withdrawn"])
def test_all_other_paths_stay_as_they_are(key):
    odd = """-x/it's "Körper" $(touch owned) `touch owned` [a]*? ; & | <b > ! # ~ \\n %j"""
    config = parse_config(with_path(key, odd))
    paths = {
        "results": config.results,
        "cohort.sources.0.folder": config.cohort.sources[0].folder,
        "cohort.withdrawn": config.cohort.withdrawn,
    }
    assert str(paths[key]) == odd


def test_two_slashes_are_one():
    assert str(parse_config(with_path("results", "//x//y/")).results) == "/x/y"


def with_path(key, path):
    content = {"results": "results", "cohort": {"sources": [{"layout": "bids", "folder": "raw"}], "withdrawn": "none"}}
    *parents, last = key.split(".")
    section = content
    for parent in parents:
        section = section[int(parent) if parent.isdigit() else parent]
    section[last] = path
    return content


def test_missing_folders_and_models_are_named(tmp_path):
    raw = tmp_path / "raw"
    base = {"cohort": {"sources": [{"layout": "ukb", "folder": str(raw)}]}}
    with pytest.raises(ConfigError, match=r"cohort\.sources\.0\.folder: there is no folder"):
        check_folders(parse_config(base), MODELS)
    raw.mkdir()
    check_folders(parse_config(base), MODELS)
    with pytest.raises(ConfigError, match=r"segment\.models: there is no model 'vibe1000'; known: .*demo"):
        check_folders(parse_config(base | {"segment": {"models": ["vibe1000"]}}), MODELS)
    base["cohort"]["withdrawn"] = str(tmp_path / "gone.txt")
    with pytest.raises(ConfigError, match=r"cohort\.withdrawn: there is no file"):
        check_folders(parse_config(base), MODELS)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "none.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("cohort: [")
    with pytest.raises(ConfigError, match="cannot be read") as error:
        read_config(path)
    assert "\n" not in str(error.value)
    for content, problem in [
        (b"- a list", "not a table"),
        ("results: Körper".encode("latin-1"), "not in UTF-8"),
        (b"[" * 5000, "nested too deeply"),
        (b"results: 2026-13-45", "month must be in 1..12"),
        (b"results: \x00", "cannot be read"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=problem) as error:
            read_config(path)
        assert len(str(error.value).splitlines()) == 1


def test_folders_that_the_system_refuses_to_open_are_named(tmp_path):
    for key in ("cohort.sources.0.folder", "cohort.withdrawn"):
        content = with_path(key, "x" * 300)
        content["cohort"]["sources"][0]["folder"] = "x" * 300 if "sources" in key else str(tmp_path)
        with pytest.raises(ConfigError, match=f"config: {key}: x+ cannot be (read|listed): File name too long"):
            check_folders(parse_config(content), MODELS)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12
) | st.sampled_from(
    [
        "a, folder: c",
        "x: y",
        "a #b",
        "#x",
        "null",
        "&x",
        "*x",
        "'x'",
        '"x"',
        "yes",
        "1",
        "2026-01-01",
        "- x",
        "Körper",
        "a:b",
    ]
)


@given(results=NAMES, withdrawn=NAMES, folder=NAMES)
def test_what_is_written_reads_back_whatever_folders_are_called(results, withdrawn, folder):
    content = {
        "results": results,
        "cohort": {"sources": [{"layout": "bids", "folder": folder}], "withdrawn": withdrawn},
        "segment": {"weights": withdrawn},
    }
    try:
        config = parse_config(content)
    except ConfigError:
        assume(False)
    assert parse_config(yaml.safe_load(config_yaml(config))) == config


@pytest.mark.parametrize("value", [True, False])
def test_the_key_of_version_0_1_for_swaps_is_read_and_has_no_effect(value):
    plain = demo_config().model_dump()
    config = parse_config(plain | {"stitch": plain["stitch"] | {"exclude_swaps": value}})
    assert config == demo_config()
    assert config.stitch.repair_swaps


def test_null_on_the_command_line_of_snakemake_is_null():
    content = {"cohort": {"sources": [{"layout": "ukb", "folder": "raw"}], "covariates": "null", "withdrawn": "null"}}
    cohort = parse_config(content).cohort
    assert cohort.covariates is None
    assert cohort.withdrawn is None


@pytest.mark.parametrize(
    ("codes", "shown"),
    [
        ({"female": ["1"], "male": ["1", "2"]}, "sex_codes lists '1' twice"),
        ({"female": ["2.0", 2]}, "sex_codes lists '2' twice"),
        ({"female": ["M"]}, "sex_codes has 'm' for female, and it is a word for male"),
        ({"male": [True]}, "sex_codes.male.0"),
    ],
)
def test_a_code_of_two_sexes_is_refused(codes, shown):
    people = {"file": "people.csv", "sex_codes": codes}
    with pytest.raises(ConfigError, match=re.escape(shown)):
        parse_config({"cohort": {"sources": [{"layout": "ukb", "folder": "raw"}], "covariates": people}})
