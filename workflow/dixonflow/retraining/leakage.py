"""No scan of a test participant is ever trained on, under whatever id: the one check before a scan joins a set.

A scan is recognised by its participant, by the fingerprint and the content of its raw data, and by the values of its
voxels, which stay the same when images are turned, padded, compressed, or scaled without loss of values.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti
from dixonflow.retraining.ledger import CaseSet, Entry, Step, frozen_participants
from dixonflow.retraining.project import RetrainingError
from dixonflow.vocabulary import ScanId

_DIGITS = 32
_FEWEST_VALUES = 8
"""Images of fewer values, such as masks, may be alike by chance and are not compared."""
_JOINED = frozenset({Step.SELECTED, Step.PROPAGATED, Step.FROZEN})


class LeakageError(RetrainingError):
    """A scan must not join a set. The message names the scan and why: it is for the terminal, not for logs."""


def voxel_digests(image: NDArray[Any]) -> tuple[str, ...]:
    """Digests of how often each value occurs in an image; none for one with hardly any values.

    Counts are taken in the order of the values: they do not change when the image is turned, flipped, or scaled by a
    factor that keeps different values apart. One digest leaves the lowest value out, one the most frequent, one
    nothing: an image that was padded, with its background or a value that it has not, shares one with the original.
    """
    values = image[np.isfinite(image)] if image.dtype.kind == "f" else image.ravel()
    if image.dtype.kind in "iu" and image.dtype.itemsize <= 2 and values.size:
        counts = np.bincount(values.astype(np.int32) - int(values.min()))  # far quicker than sorting
        counts = counts[counts > 0]
    else:
        counts = np.unique(values, return_counts=True)[1]
    if len(counts) < _FEWEST_VALUES:
        return ()
    kept = (counts[1:], np.delete(counts, np.argmax(counts)), counts)
    return tuple(dict.fromkeys(hashlib.sha256(each.astype("<i8").tobytes()).hexdigest()[:_DIGITS] for each in kept))


def image_digests(paths: Iterable[Path]) -> tuple[str, ...]:
    """Digests of the voxels of images, as the ledger has them.

    Raises
    ------
    RetrainingError
        If one cannot be read.
    """
    found = []
    for path in paths:
        try:
            found += [f"voxels:{digest}" for digest in voxel_digests(read_nifti(path).data)]
        except (ScanExcluded, OSError) as error:
            raise RetrainingError(f"an image cannot be read: {_reason(error)}") from error
    return tuple(dict.fromkeys(found))


def are_recorded(of_images: Iterable[Iterable[str]], recorded: Iterable[str]) -> bool:
    """Whether each of the images, by the digests of each, has a digest of a scan."""
    known = set(recorded)
    return all(known & own for each in of_images if (own := set(each)))


def raw_digests(raw_key: str | None, images: str | None) -> tuple[str, ...]:
    """Digests of raw data, by its fingerprint and by the content of its images, as the list of scans has them."""
    named = {"raw": raw_key, "content": images}
    return tuple(f"{kind}:{digest[:_DIGITS]}" for kind, digest in named.items() if digest)


def check_may_join(entries: Iterable[Entry], scan: ScanId, case_set: CaseSet, digests: Iterable[str]) -> None:
    """Check that a scan may join a set.

    Parameters
    ----------
    entries
        The ledger.
    digests
        Of the scan's raw data and images: `raw_digests`, `image_digests`.

    Raises
    ------
    LeakageError
        If its participant is in the other set, or the same scan is in a set under another id.
    """
    listed = list(entries)
    frozen = frozen_participants(listed)
    if case_set is CaseSet.TRAIN and scan.participant in frozen:
        raise LeakageError(f"{scan.name} must not be trained on: {scan.participant} is a frozen test participant")
    if case_set is CaseSet.TEST and scan.participant not in frozen:
        raise LeakageError(f"{scan.name} cannot be a test case: {scan.participant} is no frozen test participant")
    own = set(digests)
    for digest, (other, role) in _known(listed, scan).items():
        if digest in own:
            what = {"raw": "raw data", "content": "raw images"}.get(digest.split(":")[0], "voxels")
            raise LeakageError(f"{scan.name} must not join the {case_set} set: its {what} are those of {other}, {role}")


def check_training_set(entries: Iterable[Entry], images: Mapping[tuple[str, ScanId], Iterable[Path]]) -> None:
    """Check once more, by the files themselves, all that is about to be trained on.

    Parameters
    ----------
    images
        The images of each case name and scan.

    Raises
    ------
    LeakageError
        If any of them may not be trained on.
    RetrainingError
        If an image cannot be read.
    """
    listed = list(entries)
    recorded = {(entry.case, entry.scan): set(entry.digests) for entry in listed if entry.step in _JOINED}
    seen: dict[str, str] = {}
    for (case, scan), files in images.items():
        of_images = [image_digests([path]) for path in files]
        digests = tuple(dict.fromkeys(digest for each in of_images for digest in each))
        check_may_join(listed, scan, CaseSet.TRAIN, digests)
        if not are_recorded(of_images, recorded.get((case, scan), ())):
            raise LeakageError(f"{case}: an image is not that of its scan any more: remove its folder, export it again")
        for digest in digests:
            if seen.setdefault(digest, case) != case:
                raise LeakageError(f"{case} and {seen[digest]} hold the same image: leave one of them out")


def _known(entries: Iterable[Entry], scan: ScanId) -> dict[str, tuple[str, str]]:
    """Digests of all other scans, with the name and the role of each."""
    found = {}
    for entry in entries:
        if entry.step in _JOINED and entry.scan != scan:
            role = "a test participant" if entry.set is CaseSet.TEST else f"which is {entry.case}"
            found.update(dict.fromkeys(entry.digests, (entry.scan.name, role)))
    return found


def _reason(error: ScanExcluded | OSError) -> str:
    # without its path, which names the participant
    return error.message if isinstance(error, ScanExcluded) else str(error.strerror)
