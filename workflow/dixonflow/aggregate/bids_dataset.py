"""The files that make the folder of derivatives a BIDS data set: what it is, and what each label means.

BIDS 1.10.1, https://bids-specification.readthedocs.io: dataset_description.json (Modality agnostic files), dseg.tsv
(Derivatives, Imaging data types: discrete segmentations). Its validator knows no suffix for VIBE images, CT and other
sequences: .bidsignore names them.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dixonflow
from dixonflow.models.anatomy import structures as vocabulary
from dixonflow.models.label_table import label_lookup
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.report.palette import colour
from dixonflow.stages.bids_fields import SOURCE_LINK
from dixonflow.system.atomic import as_json, write_if_changed
from dixonflow.vocabulary import ScanSequence

BIDS_VERSION = "1.10.1"
_SUFFIXES = ("T1w", "T2w", "PDw")
"""Suffixes of images that BIDS has."""

_README = """# Derivatives of DixonFlow

Stitched images and label maps. In the name of a label map, `seg-` is followed by the model. `seg-<model>_dseg.tsv` has
the structure, the colour and the SNOMED CT code of each label. The sidecars say what each file was made from, and how.

For research, not for diagnosis.
"""

_COLUMNS = {
    "snomed_ct": "SNOMED CT code of the structure without its side; n/a where none is known",
    "network": "Network of the model that predicts the structure",
    "network_class": "Its number in that network, whose classes are numbered without gaps",
}
_OTHER_NAME = "Structure that the label means on scans of this sequence"


def write_dataset_files(
    results: Results, models: Mapping[ScanSequence, Sequence[Model]], sources: Sequence[Path]
) -> None:
    """Write dataset_description.json, README.md, .bidsignore, and a dseg.tsv with its sidecar for each model.

    Parameters
    ----------
    models
        The models of each sequence, as they are used on its scans.
    sources
        Raw folders, in the order of the configuration.
    """
    folder = results.derivatives
    description = {
        "Name": "DixonFlow",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "DixonFlow", "Version": dixonflow.__version__}],
        "DatasetLinks": {f"{SOURCE_LINK}{place}": path.absolute().as_uri() for place, path in enumerate(sources, 1)},
    }
    write_if_changed(folder / "dataset_description.json", as_json(description))
    write_if_changed(folder / "README.md", _README.encode())
    unknown = sorted({sequence.suffix for sequence in ScanSequence} - set(_SUFFIXES))
    ignored = [f"*_{suffix}.{ending}" for suffix in unknown for ending in ("nii.gz", "json")]
    write_if_changed(folder / ".bidsignore", ("\n".join(ignored) + "\n").encode())
    of_name: dict[str, dict[ScanSequence, Model]] = {}
    for sequence, used in models.items():
        for model in used:
            of_name.setdefault(model.name, {})[sequence] = model
    for name, of_sequence in of_name.items():
        rows = label_rows(of_sequence)
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0].keys(), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_if_changed(folder / f"seg-{name}_dseg.tsv", table.getvalue().encode())
        first = next(iter(of_sequence.values()))
        described = {column: {"Description": _COLUMNS.get(column, _OTHER_NAME)} for column in list(rows[0])[3:]}
        sidecar = {"Description": f"Label map of the model {first.title}"}  # label maps inherit it
        write_if_changed(folder / f"seg-{name}_dseg.json", as_json(sidecar | described))


def label_rows(of_sequence: Mapping[ScanSequence, Model]) -> list[dict[str, Any]]:
    """Rows of the dseg.tsv of a model.

    Parameters
    ----------
    of_sequence
        The model, as it is used on scans of each sequence.

    Returns
    -------
    index, name, color (RGB, hexadecimal), snomed_ct, network and network_class by label id; `name_<sequence>` where a
    label means something else on scans of a further sequence.
    """
    first = next(iter(of_sequence.values()))
    names = _names(first)
    differing = {f"name_{sequence}": other for sequence, other in of_sequence.items() if _names(other) != names}
    classes = _classes(first)
    rows = []
    for label in sorted(set(names).union(*(other.labels for other in differing.values()))):
        name = names.get(label, "n/a")
        network, number = classes.get(label, ("n/a", "n/a"))
        row = {"index": label, "name": name, "color": "#{:02x}{:02x}{:02x}".format(*colour(label))}
        code = vocabulary()[name].snomed_ct if name in vocabulary() else ""
        row |= {"snomed_ct": code or "n/a", "network": network, "network_class": number}
        row |= {
            column: other.labels[label].name if label in other.labels else "n/a" for column, other in differing.items()
        }
        rows.append(row)
    return rows


def _names(model: Model) -> dict[int, str]:
    return {label: rule.name for label, rule in model.labels.items()}


def _classes(model: Model) -> dict[int, tuple[str, int]]:
    """Network, and class in it, of each label."""
    found = {}
    for part in model.parts or (None,):
        name = part.name if part else model.name
        for number, label in enumerate(label_lookup(model, part).tolist()):
            if label:
                found[label] = name, number
    return found
