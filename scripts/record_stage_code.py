#!/usr/bin/env python3
"""Record the code and version of every stage, after deciding whether a code change can change its results."""

import ast
import hashlib
import json
from pathlib import Path

import dixonflow
from dixonflow.execution.content_keys import STAGE_VERSIONS
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import Stage

PACKAGE = Path(dixonflow.__file__).parent
RECORD = Path(__file__).resolve().parents[1] / "workflow" / "stage_code.json"

RUNNER = ("config", "errors", "paths", "execution", "run", "system.atomic", "system.versions", "stages.context")
"""Modules and packages that decide how, where and when a stage runs, and nothing of what it computes."""


def modules_of(stage: Stage) -> list[str]:
    """Modules of the package that a stage imports, directly or not, without those of `RUNNER`; dotted, sorted."""
    found: set[str] = set()
    waiting = [f"stages.{stage.value}"]
    while waiting:
        name = waiting.pop()
        if name in found or any(name == each or name.startswith(f"{each}.") for each in RUNNER):
            continue
        found.add(name)
        waiting += _imports(ast.parse(_file(name).read_text(encoding="utf-8")))
    return sorted(found)


def code_hash(stage: Stage) -> str:
    """SHA-256 of a stage's code, without comments, docstrings and layout, and of the data files in its folders."""
    digest = hashlib.sha256()
    for name in modules_of(stage):
        path = _file(name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):  # a text that stands alone is a docstring
                body[:] = [each for each in body if not _is_text(each)]
        digest.update(repr((name, _plain(tree))).encode())
    folders = {_file(name).parent for name in modules_of(stage)}
    for data in sorted(path for folder in folders for ending in ("csv", "json") for path in folder.glob(f"*.{ending}")):
        digest.update(data.read_bytes())
    return digest.hexdigest()


def recorded() -> dict[str, dict[str, object]]:
    """Version and code hash of every stage when they were last recorded."""
    content: dict[str, dict[str, object]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return content


def current() -> dict[str, dict[str, object]]:
    """Version and code hash of every stage now."""
    return {stage.value: {"version": STAGE_VERSIONS[stage], "code": code_hash(stage)} for stage in STAGE_VERSIONS}


def _plain(node: object) -> object:
    """Give a syntax tree as every Python from 3.11 on has it: without empty fields and empty texts in f-strings."""
    if isinstance(node, ast.JoinedStr):
        values = [each for each in node.values if not (isinstance(each, ast.Constant) and each.value == "")]
        node = ast.JoinedStr(values)
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return type(node).__name__, fields
    return [_plain(each) for each in node] if isinstance(node, list) else repr(node)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _file(name: str) -> Path:
    path = PACKAGE.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imports(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dixonflow."):
            module = node.module.removeprefix("dixonflow.")
            names.append(module)
            names += [f"{module}.{each.name}" for each in node.names if _file(f"{module}.{each.name}").is_file()]
    return names


if __name__ == "__main__":
    write_json(RECORD, current())
