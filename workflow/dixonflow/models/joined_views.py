"""Structures that a paper counts together and several models segment, each in its label map: one list, one table.

`joined_views.csv` names the model of each structure. `totalsegmentatormri80` has the 80 structures of Akinci D'Antonoli
et al., Radiology 2025, 314:e241613; `totalsegmentatorct104` the 104 of Wasserthal et al., Radiology: Artificial
Intelligence 2023, doi 10.1148/ryai.230024, of networks that are published now (wasserth/TotalSegmentator
totalsegmentator/map_to_binary.py, class_map `total_v1`, commit 0e65a448d557382b1e925276212b3bec7f5aff83);
`mrsegmentator2` the 40 and 10 of MRSegmentator 2.0 (hhaentze/MRSegmentator v2.0.0, README.md).
"""

from collections.abc import Sequence
from functools import cache

from dixonflow.models.model import Model
from dixonflow.system.package_table import package_table


@cache
def joined_views() -> dict[str, dict[str, str]]:
    """Model of each structure of each view, by their names, in the order of the file."""
    views: dict[str, dict[str, str]] = {}
    for row in package_table(__package__, "joined_views.csv"):
        views.setdefault(row["view"], {})[row["structure"]] = row["model"]
    return views


def views_of(models: Sequence[Model]) -> dict[str, dict[str, Model]]:
    """Model of each structure of the views all of whose models are among `models`."""
    by_name = {model.name: model for model in models}
    return {
        name: {structure: by_name[model] for structure, model in view.items()}
        for name, view in joined_views().items()
        if set(view.values()) <= by_name.keys()
    }
