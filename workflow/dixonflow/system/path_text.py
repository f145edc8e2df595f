"""Texts that cannot be the path of a folder or file here, and why."""

import re
import unicodedata

_PATHVAR = re.compile(r"<[a-z][a-z0-9_]*>")
"""What Snakemake replaces by a variable of its own."""


def unprintable(text: str) -> str:
    """Say what in a path no log, table or command could show; empty where there is nothing."""
    if any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in text):
        return "a control character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "bytes that are not UTF-8"
    return ""


def expanded_by_snakemake(text: str) -> str:
    """Say what in a path Snakemake would replace by something else; empty where there is nothing."""
    if "{" in text or "}" in text:
        return "braces, which Snakemake interprets as wildcards"
    if _PATHVAR.search(text):
        return "a word in angle brackets, which Snakemake interprets as a variable"
    return ""
