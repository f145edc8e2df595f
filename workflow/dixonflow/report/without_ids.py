"""A report that can be shown: scans are called by the begin of their key on the review page, not by their ids."""

import re
from collections.abc import Callable

import pandas as pd

from dixonflow.tables.shards import SHARD_KEYS

_WORD = re.compile(r"[A-Za-z0-9]+")
_LETTERS_OF_KEY = 8


def without_ids(scans: pd.DataFrame) -> pd.DataFrame:
    """Scans of the report, as `add_pictures` gives them, with neither ids nor the order that follows from them.

    Names of files are left out. In messages and notes every word that is a participant's id becomes `(id)`.
    """
    shown = scans.sort_values(["key", "raw_key"], kind="stable").reset_index(drop=True)
    shown["scan"] = [f"scan {key[:_LETTERS_OF_KEY]}" if key else "a scan" for key in shown["key"]]
    shown["source"] = ""
    masked = masking(scans)
    for name in ("message", "note"):
        shown[name] = shown[name].map(lambda text: masked(text) if isinstance(text, str) else text)
    return shown


def masking(scans: pd.DataFrame) -> Callable[[str], str]:
    """Give what turns every word of a text that is a participant's id into `(id)`.

    Parameters
    ----------
    scans
        Rows of the table `scans`, all of them: a message may name another participant.
    """
    ids = set(scans["participant_id"].dropna().astype(str))
    unnamed = scans.loc[scans[SHARD_KEYS].isna().any(axis=1), "source"].dropna().astype(str)
    ids |= {word for name in unnamed for word in _WORD.findall(name) if any(letter.isdigit() for letter in word)}

    def masked(text: str) -> str:
        return _WORD.sub(lambda word: "(id)" if word[0] in ids or word[0].removeprefix("sub") in ids else word[0], text)

    return masked
