"""Hash over what later stages read of a stage's files: where it is the same, they need not be done again."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def result_hash(images: Iterable[Path], facts: Mapping[str, Any] | None = None, *, extra: str = "") -> str:
    """SHA-256 over the bytes of images, in their order, and facts of a sidecar; names and dates play no part.

    Parameters
    ----------
    extra
        Hash of what later stages read that is not of this stage: they all read the stitched images.

    Raises
    ------
    OSError
        If an image cannot be read.
    """
    digest = hashlib.sha256()
    for path in images:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(json.dumps(facts, sort_keys=True).encode())
    digest.update(extra.encode())
    return digest.hexdigest()


MORE_FACTS = ("swapped_patches", "vessel_pieces")
"""What measure reads of how a label map was predicted, where its version recorded it, besides `contrast_agreement`."""


def sidecar_facts(sidecar: Path, names: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """Chosen entries of a sidecar; those of `optional` where it has them.

    Raises
    ------
    OSError, ValueError, LookupError
        If it cannot be read or lacks one.
    """
    content = json.loads(sidecar.read_text(encoding="utf-8"))
    return {name: content[name] for name in names} | {name: content[name] for name in optional if name in content}
