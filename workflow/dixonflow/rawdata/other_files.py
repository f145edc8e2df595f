"""Files that are known by their names to be no images."""

_SIDECAR_SUFFIXES = {
    *(".csv", ".cvs", ".tsv", ".txt", ".json", ".xml", ".html", ".md", ".pdf"),
    *(".ini", ".db", ".log", ".lnk", ".url", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx"),
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".exe", ".md5", ".sha256"),
}
_SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"}
"""Of macOS, Synology's servers, Linux and Windows."""

_SIDECAR_NAMES = {"DICOMDIR", "README", "LICENSE", "Icon\r", *_SYSTEM_FOLDERS}


def is_sidecar(name: str) -> bool:
    """Whether a file, or a member of a zip, is known to be no image: a manifest, a note, what a system leaves."""
    *folders, last = name.rstrip("/").split("/")  # a thousand names a scan: no paths are made of them
    if last.startswith(".") or last in _SIDECAR_NAMES:
        return True
    if any(part.startswith(".") or part in _SYSTEM_FOLDERS for part in folders):
        return True
    stem, dot, ending = last.rpartition(".")
    return bool(stem and dot) and f".{ending.lower()}" in _SIDECAR_SUFFIXES
