"""What BIDS asks of the sidecar of a derivative: where it comes from, and in whose space it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dixonflow.config import SourceConfig
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import ScanId

SOURCE_LINK = "source"
"""Names of the raw folders in dataset_description.json: `source1`, `source2`, in the order of the configuration."""

OWN_SPACE = "orig"
"""SpatialReference of an image that defines the space of the others of its scan."""


def label_map_fields(results: Results, scan: RawScan, model: Model, made_from: Sequence[Path]) -> dict[str, Any]:
    """Entries of the sidecar of a scan's label map.

    Parameters
    ----------
    made_from
        Images of the session that it was made from.

    Returns
    -------
    Sources, SpatialReference, and `labels`, the name of the structure of each label id. What BIDS calls Description is
    in the sidecar of all label maps of the model.
    """
    own_grid = results.stitched(scan.scan, scan.sequence.contrasts[0])
    return {
        "Sources": [derivative_uri(results, scan.scan, path) for path in made_from],
        "SpatialReference": derivative_uri(results, scan.scan, own_grid),
        "labels": {str(label): name for name, label in model.structures.items()},
    }


def derivative_uri(results: Results, scan: ScanId, path: Path) -> str:
    """BIDS URI of a scan's image, relative to the folder that the folders of participants lie in."""
    return f"bids::{path.relative_to(results.participant(scan.participant).parent).as_posix()}"


def raw_uris(scan: RawScan, sources: Sequence[SourceConfig]) -> list[str]:
    """BIDS URIs of the zips, folders or files of a scan, by the source that each lies in.

    Files that lie in none, because the configuration names other folders now, are left out.
    """
    found = []
    for path in scan.paths:
        within = [
            (len(source.folder.parts), number, source.folder)
            for number, source in enumerate(sources, 1)
            if path.is_relative_to(source.folder)
        ]
        if within:
            _, number, folder = max(within)
            found.append(f"bids:{SOURCE_LINK}{number}:{path.relative_to(folder).as_posix()}")
    return found
