"""The layout of the code: few modules at the root, packages and modules of a readable size, no sums in rules."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow" / "dixonflow"
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
MEMORY_OR_TIME = re.compile(r"(^|_)(mb|gb|bytes|memory|minutes|seconds|runtime|time|monotonic)($|_)")


def test_six_modules_are_at_the_door() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 6


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_has_at_most_16_modules(package: Path) -> None:
    assert len([path for path in package.glob("*.py") if path.name != "__init__.py"]) <= 16


def test_no_module_has_more_than_300_lines() -> None:
    folders = (PACKAGE, ROOT / "tests", ROOT / "scripts")
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for each in folders for path in each.rglob("*.py")
    }
    assert {path.name: length for path, length in lengths.items() if length > 300} == {}


@pytest.mark.parametrize("name", ["dixonflow/run/__init__.py", "dixonflow/execution/__init__.py"])
def test_packages_that_the_snakefile_imports_from_are_empty(name: str) -> None:
    tree = ast.parse((ROOT / "workflow" / name).read_text(encoding="utf-8"))
    assert all(isinstance(node, ast.Expr) for node in tree.body), "a docstring and nothing else"


def test_no_command_calculates_memory_or_time() -> None:
    found = []
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(
                node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv
            ):
                words = {
                    word for each in ast.walk(node) for word in (getattr(each, "id", ""), getattr(each, "attr", ""))
                }
                found += [f"{path.name}: {ast.unparse(node)}"] if any(map(MEMORY_OR_TIME.search, words)) else []
    assert found == []


def test_no_rule_calculates() -> None:
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"\s*(mem_mb|runtime|threads)\s*[=:]", line):
                assert "PLAN." in line, path.name
                assert not re.search(r"\s[-+*/]\s", line), path.name
