"""A hash that tells whether code or data below a folder changed."""

from hashlib import sha256
from pathlib import Path


def tree_digest(folder: Path, *further: bytes) -> str:
    """SHA-256 over what else counts, and the names and bytes of all files below a folder, compiled ones left out."""
    digest = sha256(b"".join(further))
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
