"""JSON and YAML of others: read as they are, or refused by one exception in one line."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.system.documents import DocumentError, parse_json, parse_yaml, read_json_file, read_yaml_file
from dixonflow.system.regular_file import NotRegularError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@given(VALUES)
def test_plain_values_are_read(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_yaml(yaml.safe_dump(value).encode()) == value


def test_an_alias_and_a_merge_key_are_read() -> None:
    content = b"base: &base {a: 1}\nother: *base\nmore: {<<: *base, b: 2}\n"
    assert parse_yaml(content) == {"base": {"a": 1}, "other": {"a": 1}, "more": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expecting|expected"),
        ("a: b: c", "mapping values"),
        ("M\u00fcller".encode("latin-1"), "UTF-8"),
        ("[" * 100_000, "deep"),
        ("{a: " * 100_000, "deep"),
        ("- " * 100_000, "deep"),
        (LAUGHS, "more than 50000 values"),
        ("a: &a [*a]", "alias"),
        ("a: *b", "alias|undefined"),
        ("1" + ":1" * 200_000, "letters without a space"),
        ("a: !!int ''", "value"),
        ("a: !!int x", "value"),
        ("a: !!float x", "value"),
        ("a: !!bool x", "value"),
        ("a: !!timestamp x", "value"),
        ("a: 2001-99-99", "value"),
        ("a: !!binary x", "base64|value"),
        ("a: 1:1" + ":1" * 200 + ".5", "value"),
        ("{[]: 1}", "unhashable"),
        ("{{}: 1}", "unhashable"),
        ("a: !!python/object/apply:os.mkdir [evil]", "constructor"),
        ("a: \x00", "not allowed|control"),
        ("x" * (1 << 20) + " y", "more than 1048576 bytes"),
    ],
)
def test_yaml_that_is_damaged_or_meant_to_harm_is_refused(content: str | bytes, message: str) -> None:
    started = time.process_time()
    with pytest.raises(DocumentError, match=message) as caught:
        parse_yaml(content if isinstance(content, bytes) else content.encode())
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b"{'a': 1}", "Expecting property name"),
        (b"\xff", "UTF-8"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"[" * 60 + b"]" * 60, "deep"),
        (b"1" * 5000, "digits"),
        (b" " * (5 << 20), "more than"),
        (b"[" + b"[0]," * 1_000_000 + b"0]", "more than 500000 items"),
    ],
)
def test_json_that_is_damaged_or_meant_to_harm_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as caught:
        parse_json(content)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.text(alphabet="[]{}&*!<:,-?|>'\"#% \n\t0123456789.abx~=", max_size=80))
def test_anything_else_is_read_or_refused(content: str | bytes) -> None:
    for parse in (parse_json, parse_yaml):
        with contextlib.suppress(DocumentError):
            parse(content if isinstance(content, bytes) else content.encode())


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("fifo", "zero"):
        for read in (read_json_file, read_yaml_file):
            with pytest.raises(NotRegularError):
                read(tmp_path / name)
