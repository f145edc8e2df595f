"""The raw folders listed once more, by code that shares nothing with the one that found the scans.

It has the description of the sources in common with it and nothing else: a scan that is lost on the way, by whichever
stage, is missed here.
"""

import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dixonflow.errors import DixonflowError
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Layout, ScanId

# What is no scan: hidden files, notes and tables next to the images. Kept here on purpose, apart from the list that the
# cohort stage uses: if one of the two changes alone, the law is broken and the run says so.
_OTHER_ENDINGS = (
    *(".csv", ".cvs", ".tsv", ".txt", ".json", ".xml", ".html", ".md", ".pdf", ".ini", ".db", ".log", ".lnk", ".url"),
    *(".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".exe", ".md5", ".sha256"),
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff"),
)
_OTHER_NAMES = (
    *("DICOMDIR", "README", "LICENSE", "Icon\r"),
    *("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"),
)
_BIDS_OTHER = ("derivatives", "sourcedata", "code", "stimuli", "phenotype", "logs")
_BIDS_TYPES = ("anat", "ct", "func", "dwi", "fmap", "perf", "pet", "mrs", "eeg", "meg", "ieeg", "beh", "motion")
_NAKO_SEQUENCES = {
    **dict.fromkeys(("3d_gre_tra_w", "3d_gre_tra_f", "3d_gre_tra_in", "3d_gre_tra_opp"), "dixon"),
    "3d_gre_tra_w_composed": "dixon",
    **dict.fromkeys(("t2_haste_tra_composed", "t2_haste_tra"), "haste"),
    **dict.fromkeys(("iii_t2_tse_sag_lws", "ii_t2_tse_sag_bws", "i_t2_tse_sag_hws"), "t2_tse"),
    "pd_fs_spc_cor": "pd",
    **{f"me_vibe_fatquant_pre_{name}": "me_vibe" for name in ("eco0_opp1", "eco1_pip1", "eco2_opp2", "eco3_in1")},
    **{f"me_vibe_fatquant_pre_{name}": "me_vibe" for name in ("eco4_pop1", "eco5_arb1", "output_fp", "output_wp")},
    **{f"me_vibe_fatquant_pre_{name}": "me_vibe" for name in ("output_f", "output_w", "output_r2s_eff")},
}
_BIDS_IMAGES = {
    "dixon": "anat/*_VIBE.nii*",
    "haste": "anat/*_acq-haste*_T2w.nii*",
    "t2_tse": "anat/*_T2w.nii*",
    "pd": "anat/*_PDw.nii*",
    "ct": "ct/*_ct.nii*",
    "other": "anat/*.nii*",
}

_NoScan = tuple[None, None, str]
_Scan = tuple[str, str, str]
ScanKey = _Scan | _NoScan
"""Participant, session and sequence; of an entry whose name gives none, its path."""


class ConservationError(DixonflowError):
    """Scans were lost or appeared from nowhere."""


@dataclass(frozen=True)
class SecondListing:
    """What lies in the raw folders.

    Attributes
    ----------
    keys
        Scans, and the paths of entries whose name gives none.
    paths
        Files and folders that hold a scan or a part of it, as text.
    """

    keys: set[ScanKey]
    paths: frozenset[str]


def list_again(sources: Sequence[Source], included: Container[ScanId] | None = None) -> SecondListing:
    """List what lies in the raw folders; of scans only those to include. Raises ConservationError."""
    scans: set[ScanKey] = set()
    nameless: set[Path] = set()
    named: set[Path] = set()
    passed_over: set[Path] = set()
    for source in sources:
        for path, key in _entries(source):
            if key is None:
                nameless.add(path)
            elif key[2] not in source.looked_for:
                passed_over.add(path)
            elif included is None or ScanId(key[0], key[1]) in included:
                named.add(path)
                scans.add(key)
            else:
                passed_over.add(path)
    keys = scans | {(None, None, as_text(path)) for path in nameless - named - passed_over}
    return SecondListing(keys, frozenset(map(as_text, named)))


def _entries(source: Source) -> Iterator[tuple[Path, _Scan | None]]:
    if source.layout.has_session_folders:
        return _bids(source)
    return _loose(source) if source.layout is Layout.DICOM else _zips(source)


def as_text(path: Path) -> str:
    """Give it as the table does: what is not UTF-8 in a name stands there in hexadecimal."""
    return bytes(path).decode("utf-8", "backslashreplace")


def _is_other(name: str) -> bool:
    return name.startswith(".") or name in _OTHER_NAMES or name.lower().endswith(_OTHER_ENDINGS)


def _raise(error: OSError) -> None:
    raise ConservationError(f"a raw folder cannot be listed: {error.strerror}") from error


def _walk(folder: Path, whole: Callable[[Path], bool]) -> Iterator[tuple[Path, bool]]:
    """Files below a folder, and folders that count as one file."""
    visited = set()
    for top, subfolders, files in os.walk(folder, onerror=_raise, followlinks=True):
        real = Path(top).resolve()
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        places = [Path(top) / name for name in sorted(subfolders) if not _is_other(name)]
        subfolders[:] = [place.name for place in places if not whole(place)]
        yield from ((place, True) for place in places if whole(place))
        yield from ((Path(top) / name, False) for name in files if not _is_other(name))


def _zips(source: Source) -> Iterator[tuple[Path, _Scan | None]]:
    def key_of(path: Path, ending: str = "") -> _Scan | None:
        if source.layout is Layout.NAKO and re.search(r"\.nii(\.gz)?$", path.name):
            parts = path.relative_to(source.folder).parts
            fits = len(parts) > 3 and re.fullmatch("3D_GRE_TRA_[0-9]+", parts[-2]) is not None
            fits = fits and bool(re.fullmatch("[0-9]+", parts[-3]) and re.fullmatch("[0-9A-Za-z]+", parts[-4]))
            return (parts[-4], parts[-3], "dixon") if fits else None
        return _zip_key(source, path, path.name + ending)

    def whole(folder: Path) -> bool:
        return not folder.name.lower().endswith(".zip") and key_of(folder, ".zip") is not None

    for path, is_folder in _walk(source.folder, whole):
        yield path, key_of(path, ".zip" if is_folder else "")


def _loose(source: Source) -> Iterator[tuple[Path, _Scan | None]]:
    """Files of scans, and folders in which some file is of none."""
    for path, _ in _walk(source.folder, lambda folder: False):
        match = re.match(source.name_pattern or "", path.relative_to(source.folder).as_posix())
        key = (match["participant"], match.groupdict().get("session") or "1") if match else None
        if key is not None and all(part and part.isalnum() and part.isascii() for part in key):
            yield path, (*key, source.looked_for[0].value)
        else:
            yield path.parent, None


def _zip_key(source: Source, path: Path, name: str) -> _Scan | None:
    if source.name_pattern is not None:
        match = re.fullmatch(source.name_pattern, name) if name.lower().endswith(".zip") else None
        if match is None:
            return None
        said = match.groupdict().get("sequence")
        sequence = _sequence_above(source, path) if said is None else _NAKO_SEQUENCES.get(said.lower())
        return (match["participant"], match["session"], sequence) if sequence else None
    stem, ending = name[:-4], name[-4:]
    if ending != ".zip":
        return None
    if source.layout is Layout.UKB:
        parts = stem.split("_")
        fits = len(parts) == 4 and parts[1] == "20201" and all(re.fullmatch("[0-9]+", part) for part in parts)
        return (parts[0], parts[2], "dixon") if fits else None
    parts = stem.split("_", 2)
    if len(parts) < 2 or not all(map(re.fullmatch, ("[0-9A-Za-z]+", "[0-9]+"), parts[:2])):
        return None
    sequence = _NAKO_SEQUENCES.get(parts[2].lower()) if len(parts) > 2 else _sequence_above(source, path)
    return (parts[0], parts[1], sequence) if sequence else None


def _sequence_above(source: Source, path: Path) -> str:
    """Sequence of NAKO by the nearest folder that is named after one; Dixon where there is none."""
    for folder in path.parents if source.layout is Layout.NAKO else ():
        if folder.name.lower() in _NAKO_SEQUENCES:
            return _NAKO_SEQUENCES[folder.name.lower()]
        if folder == source.folder:
            break
    return "dixon"


def _bids(source: Source) -> Iterator[tuple[Path, _Scan | None]]:
    try:
        subjects = sorted(path for path in source.folder.iterdir() if not _is_other(path.name))
        for subject in subjects:
            if subject.name in _BIDS_OTHER and subject.is_dir():
                continue
            if not (subject.is_dir() and re.fullmatch("sub-[0-9A-Za-z]+", subject.name)):
                yield subject, None
                continue
            images = {"ct" if sequence.value == "ct" else "anat" for sequence in source.looked_for}
            sessions = sorted(path for path in subject.iterdir() if not _is_other(path.name))
            sessions = [
                path for path in sessions if path.name not in _BIDS_TYPES or path.name in images or path.is_file()
            ]
            for session in sessions:
                if session.name in images and session.is_dir():
                    yield from ((subject, (subject.name[4:], "1", each)) for each in _held(source, subject))
                    continue
                if session.is_dir() and re.fullmatch("ses-[0-9A-Za-z]+", session.name):
                    for each in _held(source, session):
                        yield session, (subject.name[4:], session.name[4:], each)
                else:
                    yield session, None
            if all(session.name in _BIDS_TYPES and session.name not in images for session in sessions):
                yield subject, None
    except OSError as error:
        _raise(error)


def _held(source: Source, session: Path) -> list[str]:
    """Sequences of which a session folder has images; the first that is looked for where it has none."""
    found = []
    for sequence in source.looked_for:
        names = {path.name for path in session.glob(_BIDS_IMAGES.get(sequence.value, "none"))}
        if sequence.value == "t2_tse":
            names = {name for name in names if "_acq-haste" not in name}
        if sequence.value == "other":
            names = {name for name in names if not re.search(r"_(VIBE|T2w|PDw|dseg|mask)\.", name)}
        if any(name.endswith((".nii", ".nii.gz")) and not name.startswith(".") for name in names):
            found.append(sequence.value)
    return found or [source.looked_for[0].value]
