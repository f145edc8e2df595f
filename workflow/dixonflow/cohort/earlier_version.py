"""Results of version 0.1 that are not valid although nothing that it inspected has changed."""

import json
from collections.abc import Iterable
from contextlib import suppress

from dixonflow.cohort.shards import Shard
from dixonflow.cohort.table import CohortScan
from dixonflow.paths import Results
from dixonflow.rawdata.nifti.bids import image_paths
from dixonflow.vocabulary import ScanId


def outdated_results_of_0_1(
    results: Results, shards: Iterable[Shard], previous: Iterable[CohortScan]
) -> tuple[frozenset[ScanId], frozenset[ScanId]]:
    """Find what was wrong with results of version 0.1, by the sidecars of its stitched images.

    Parameters
    ----------
    previous
        Rows of the call before; scans that have one were already inspected by a later version.

    Returns
    -------
    rescaled
        Scans that were scaled down to fit: one voxel was enough for that, and took all others' grey levels.
    outdated
        Scans one of whose NIfTI files is younger than the sidecar: its fingerprint covered little of them.
    """
    looked_at = {row.scan for row in previous}
    rescaled, outdated = set(), set()
    for entry in (entry for shard in shards for entry in shard.scans if entry.scan not in looked_at and entry.raw_key):
        sidecar = results.stitched_sidecar(entry.scan)
        with suppress(OSError, ValueError, KeyError):
            content = json.loads(sidecar.read_text(encoding="utf-8"))
            if "outlier_voxels" in content:
                continue  # made by a later version
            if content["intensity_scale"] < 1:
                rescaled.add(entry.scan)
            if entry.layout.has_session_folders:
                made = sidecar.stat().st_mtime
                if any(path.stat().st_mtime > made for path in image_paths(entry.path, entry.sequence)):
                    outdated.add(entry.scan)
    return frozenset(rescaled), frozenset(outdated)
