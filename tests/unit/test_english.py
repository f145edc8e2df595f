"""Phrases that readers stumble over do not come back: what users read, and the names of classes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow" / "dixonflow"

PHRASES = {
    r"exchanged": "swapped",
    r"looks? again|looked at again": "reruns, is processed again",
    r"made anew|making anew|makes? it anew|anew": "rebuilt, recomputed, again",
    r"puts? right|putting right": "corrected",
    r"goes on|go on": "resumes, continues, is in progress",
    r"without a word|in silence": "terminated unexpectedly, silently",
    r"could not be had": "was not available to us",
    r"could not be tried": "was not tested",
    r"told (by|apart|from)": "identified from, distinguished by",
    r"be they": "whether",
    r"one a (line|scan|problem|model)": "one per",
    r"come(s)? upon": "finds",
    r"beside": "in addition, concurrently, next to",
    r"pretended": "simulated",
    r"invented (?!structure)\w+": "synthetic",  # `invented` alone is a value of a column
    r"upper end|lower end": "superior endplate, inferior endplate",
    r"wrong side": "left-right error, laterality",
}
"""Phrase as a regular expression, and what to write instead."""

CLASSES = ("Look", "Finding", "Done", "Given", "Prepared")
"""Names that do not say what a thing is."""

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config.yaml", "Makefile")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "profiles").rglob("*.yaml")),
    *sorted((ROOT / "workflow").rglob("*.yaml")),
    *sorted((ROOT / "workflow").rglob("*.smk")),
    *sorted((ROOT / "workflow").rglob("*.json")),
    *sorted((ROOT / "workflow").rglob("*.csv")),
    *sorted((ROOT / ".github").rglob("*.yml")),
    *sorted((ROOT / "scripts").glob("*.sh")),
    *sorted((ROOT / "envs").glob("*.def")),
]


def texts(path: Path) -> Iterator[str]:
    """Texts of a module that its users may read: help, messages, descriptions, public docstrings of commands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def found(text: str) -> list[str]:
    """Phrases in a text, with what to write instead."""
    return [
        f"{match[0]!r}: write {instead}"
        for phrase, instead in PHRASES.items()
        for match in re.finditer(rf"(?<![\w.`])(?:{phrase})(?!\w)", text, re.I)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_hold_none_of_the_phrases(path: Path) -> None:
    assert found(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("folder", [PACKAGE, ROOT / "scripts"], ids=["package", "scripts"])
def test_texts_of_the_code_hold_none_of_the_phrases(folder: Path) -> None:
    bad = [
        f"{path.relative_to(ROOT)}: {each}"
        for path in sorted(folder.rglob("*.py"))
        for text in texts(path)
        for each in found(text)
    ]
    assert bad == []


def test_classes_are_named_by_nouns_that_say_what_they_are() -> None:
    trees = [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(PACKAGE.rglob("*.py"))]
    names = [
        (path.name, node.name) for path, tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    assert [each for each in names if each[1] in CLASSES] == []


@pytest.mark.parametrize(
    "text", ["Water and fat are exchanged.", "one a line", "It goes on.", "beside the image", "told by the tags"]
)
def test_the_phrases_are_found(text: str) -> None:
    assert found(text)
