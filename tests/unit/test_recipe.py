"""The example of docs/architecture.md, followed step by step on a copy of the code."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def steps() -> list[tuple[str, str]]:
    """File and code of each step that has code."""
    example = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("### Example: a quality check")[1]
    found = re.findall(r"^\d\. `([^`]+)`.*?```python\n(.*?)```", example, re.M | re.S)
    return [(path, textwrap.dedent(code)) for path, code in found]


def insert(text: str, code: str, before: str) -> str:
    """Insert a piece of code before a line that is there once."""
    assert text.count(before) == 1, before
    return text.replace(before, f"{code}{before}")


def test_the_example_of_a_quality_check_works_as_it_is_written(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests/helpers", tmp_path / "tests/helpers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests/unit/measure").mkdir(parents=True)
    shutil.copy(ROOT / "tests/unit/measure/test_measure_quality.py", tmp_path / "tests/unit/measure")
    definition, function, entry, test = steps()
    checks, quality = (tmp_path / step[0] for step in (definition, function))
    assert entry[0] == function[0]
    indented = textwrap.indent(definition[1], " " * 4)
    checks.write_text(insert(checks.read_text(), indented, ')\n"""Checks of sides, sizes'))
    text = insert(quality.read_text(), f"{function[1]}\n\n", "_RUN: dict")
    quality.write_text(insert(text, f"    {entry[1]}", "}\n\n_RUN_EACH: dict"))
    with (tmp_path / test[0]).open("a") as file:
        file.write(f"\n\n{test[1]}")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", test[0]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'workflow'}:{tmp_path / 'tests/helpers'}"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"PASSED {test[0]}::test_liver_above_kidney" in run.stdout
