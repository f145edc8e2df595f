"""JSON and YAML of others: bounded in size, depth and what aliases multiply, with one exception for all damage."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dixonflow.system.regular_file import read_regular

MAX_JSON_BYTES = 4 << 20
"""nnU-Net's files have some 10 KB, with a list of all training cases some 100 KB."""
MAX_YAML_BYTES = 1 << 20
_MAX_DEPTH = 50
_MAX_ITEMS = 500_000
"""Items of all lists and objects of a JSON file."""
_MAX_NODES = 50_000
"""Values of a YAML file, those that an alias repeats counted each time."""
_MAX_WORD = 500
"""Letters without a space between them. Longer ones could be numbers that take hours to convert."""

# libyaml's parser is ten times as fast. It does not say when it runs out of stack: depth is checked before.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class DocumentError(Exception):
    """The content is no JSON or YAML, or is larger or deeper than ours can be. One line that says what is wrong."""


def read_json_file(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DocumentError
        If it is none.
    OSError
        If it cannot be read, is no regular file or too large.
    """
    return parse_json(read_regular(path, MAX_JSON_BYTES))


def read_yaml_file(path: Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    DocumentError
        If it is none.
    OSError
        If it cannot be read, is no regular file or too large.
    """
    return parse_yaml(read_regular(path, MAX_YAML_BYTES))


def parse_json(content: bytes) -> Any:
    """Parse JSON in UTF-8. Raises DocumentError."""
    if len(content) > MAX_JSON_BYTES:
        raise DocumentError(f"it has more than {MAX_JSON_BYTES} bytes")
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DocumentError("it is not in UTF-8") from error
    except RecursionError as error:
        raise DocumentError("it is nested too deeply") from error
    except ValueError as error:
        raise DocumentError(_reason(error)) from error
    level, depth, items = _containers([value]), 0, 0
    while level:
        items += sum(map(len, level))
        if depth > _MAX_DEPTH:
            raise DocumentError("it is nested too deeply")
        if items > _MAX_ITEMS:
            raise DocumentError(f"it has more than {_MAX_ITEMS} items")
        level = [item for outer in level for item in _containers(outer)]
        depth += 1
    return value


def parse_yaml(content: bytes) -> Any:
    """Parse YAML in UTF-8 to plain values. Raises DocumentError."""
    if len(content) > MAX_YAML_BYTES:
        raise DocumentError(f"it has more than {MAX_YAML_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError("it is not in UTF-8") from error
    try:
        _check_events(yaml.parse(text, Loader=_Loader))
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        if "nesting depth" in str(error):  # PyYAML has a limit of its own from 6.0.4 on
            raise DocumentError("it is nested too deeply") from error
        raise DocumentError(_reason(error)) from error
    except _DAMAGE as error:
        raise DocumentError(f"a value does not fit its type ({_reason(error)})") from error


def _containers(value: list[Any] | dict[str, Any]) -> list[list[Any] | dict[str, Any]]:
    """List the lists and objects right inside a value."""
    return [item for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, list | dict)]


def _check_events(events: Iterator[yaml.Event]) -> None:
    """Refuse what would take long, much memory or all of the stack once it is made into values."""
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and number of nodes before
    sizes: dict[str, int] = {}
    nodes = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            nodes += 1
            open_nodes.append((event.anchor, nodes))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = nodes - before + 1
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if len(event.value) > _MAX_WORD and not any(letter.isspace() for letter in event.value):
                raise DocumentError(f"a value of {len(event.value)} letters without a space")
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise DocumentError("an alias refers to its own parent or to nothing")
            nodes += sizes[event.anchor]
        if len(open_nodes) > _MAX_DEPTH:
            raise DocumentError("it is nested too deeply")
        if nodes > _MAX_NODES:
            raise DocumentError(f"it has more than {_MAX_NODES} values")


def one_line(text: object, longest: int = 300) -> str:
    """Render what came from a file so that it fits into a message: one line, no control characters, not too long."""
    try:
        line = " ".join(str(text)[: 4 * longest].split())
    except ValueError:  # a number of thousands of digits
        line = f"a {type(text).__name__}"
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
    return line if len(line) <= longest else f"{line[:longest]}..."


def _reason(error: Exception) -> str:
    return one_line(error) or type(error).__name__
