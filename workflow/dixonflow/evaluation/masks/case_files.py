"""Finds the label maps of cases in a folder: a file for each case, or a folder with a file for each structure."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dixonflow.evaluation.masks.label_files import LabelFiles
from dixonflow.evaluation.masks.mapping import LabelMapping
from dixonflow.evaluation.masks.mapping_files import VOCABULARY, read_mapping
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.vocabulary import DIXON, ScanId, ScanSequence

ENDINGS = (".nii.gz", ".nii")

MASK_FOLDER = "segmentations"
"""Folder of the masks of a case in TotalSegmentator's data sets; the image lies next to it."""

LOOKUP_TABLE = "dseg.tsv"
"""What messages call the BIDS lookup table of a label map, whose name may have ids."""

_SCAN = re.compile(r"sub-([A-Za-z0-9]+)_ses-([A-Za-z0-9]+)(?=_|$)")
_PARTICIPANT = re.compile(r"sub-([A-Za-z0-9]+)(?=_|$)")
_SEQUENCES = {contrast.acq: ScanSequence.DIXON for contrast in DIXON} | {each.acq: each for each in ScanSequence}


@dataclass(frozen=True)
class FoundCase:
    """What a folder or table has of a case.

    Attributes
    ----------
    name
        `sub-<participant>_ses-<session>` (and sequence) where the file says so, else the name of its file or folder.
    participant, session
        Ids; the session is empty where there is none.
    scan
        The scan, where participant and session are known.
    files
        Its labels; None where there are none.
    problem
        Why they cannot be used; empty where they can.
    image
        An image of the case, for pictures.
    """

    name: str
    participant: str
    session: str
    scan: ScanId | None = None
    files: LabelFiles | None = None
    problem: str = ""
    image: Path | None = field(default=None, compare=False)


def stem_of(path: Path) -> str:
    """Name of a file without .nii or .nii.gz."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def identified(name: str) -> FoundCase:
    """Give a case by the name of its file or folder, without an ending."""
    found = _SCAN.search(name)
    acq = re.search(r"_acq-([A-Za-z0-9]+)(?=_|$)", name)
    sequence = _SEQUENCES.get(acq[1].lower()) if acq else ScanSequence.DIXON
    if found and sequence:
        scan = ScanId(found[1], found[2], sequence)
        return FoundCase(scan.name, scan.participant, scan.session, scan)
    name = re.sub(r"_(?:d?seg|label|labels)$", "", name)
    if found:  # an image of another kind, which is no scan of a run
        return FoundCase(name, found[1], found[2])
    one = _PARTICIPANT.search(name)
    return FoundCase(name, one[1] if one else name, "")


def find_cases(folder: Path, mapping: LabelMapping) -> list[FoundCase]:
    """Find the cases in a folder and the folders below it.

    A folder is one case if a file in it is named after a structure: it has a file for each. Every other NIfTI file is a
    case with one label map. In a BIDS data set only files named `_dseg` are label maps, and of those with a `seg-`
    entity only those of the mapping's name, where there are any.

    Raises
    ------
    EvaluationError
        If the folder cannot be listed or holds no NIfTI file.
    """
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder}")
    maps: list[Path] = []
    cases: list[FoundCase] = []
    for place, files, image in _listed(folder):
        if any(mapping.structure_of_file(stem_of(path)) for path in files):
            cases.append(_of_masks(place, files, mapping, image))
        else:
            maps += files
    maps = _label_maps_of_bids(maps, mapping)
    by_folder = _named_by_folder(maps)
    for path in maps:
        name = path.parent.name if path in by_folder else stem_of(path)
        own, problem = _own_mapping(path, folder, mapping)
        cases.append(replace(identified(name), files=LabelFiles(own, path), problem=problem))
    if not cases:
        raise EvaluationError(f"there is no NIfTI file (.nii.gz or .nii) in {folder}")
    return _each_once(cases)


def _listed(folder: Path) -> Iterator[tuple[Path, list[Path], Path | None]]:
    """Folders with NIfTI files, and the image next to them, where a folder of masks has one."""

    def refuse(error: OSError) -> None:
        raise EvaluationError(f"{error.filename} cannot be listed: {error.strerror}") from error

    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        above = {Path(place).resolve(), *Path(place).resolve().parents}  # a link to one of them is a circle
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if Path(place, name).resolve() not in above]
        files = [Path(place, name) for name in sorted(names) if _is_nifti(name)]
        if MASK_FOLDER in folders:
            folders[:] = [MASK_FOLDER]
        elif files:
            neighbours = []
            if Path(place).name == MASK_FOLDER:
                neighbours = [path for path in sorted(Path(place).parent.iterdir()) if _is_nifti(path.name)]
            yield Path(place), files, neighbours[0] if len(neighbours) == 1 else None


def _is_nifti(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def _of_masks(place: Path, files: list[Path], mapping: LabelMapping, image: Path | None) -> FoundCase:
    own = place.parent if place.name == MASK_FOLDER else place
    masks: dict[str, Path] = {}
    unknown, twice = [], []
    for path in files:
        name = mapping.structure_of_file(stem_of(path))
        if name is None:
            unknown.append(stem_of(path))
        elif name in masks:
            twice.append(name)
        else:
            masks[name] = path
    problem = ""
    if unknown:
        listed = ", ".join(_PARTICIPANT.sub("sub-...", name) for name in unknown[:10])  # reasons are printed
        problem = f"files that the mapping {mapping.name} does not name: {listed}"
    elif twice:
        problem = f"several files of {twice[0]}"
    files_of = LabelFiles(mapping, None, masks)
    return replace(identified(own.resolve().name), files=files_of, problem=problem, image=image)


def _label_maps_of_bids(paths: list[Path], mapping: LabelMapping) -> list[Path]:
    labelled = [path for path in paths if stem_of(path).endswith("_dseg")]
    named = [path for path in labelled if f"_seg-{mapping.name}_" in path.name]
    return named or labelled or paths


def _own_mapping(path: Path, folder: Path, mapping: LabelMapping) -> tuple[LabelMapping, str]:
    """The mapping of a label map: the BIDS lookup table next to it, or in the folder, where `vocabulary` is meant."""
    if mapping.name != VOCABULARY:
        return mapping, ""
    own = path.with_name(f"{stem_of(path)}.tsv")
    tables = [own] if own.is_file() else sorted(folder.glob("*dseg.tsv"))
    if len(tables) != 1:
        what = "no lookup table" if not tables else f"{len(tables)} lookup tables"
        return mapping, f"{what} (dseg.tsv) for its label numbers: give a mapping that names them"
    # without the name of the file, which has ids: reasons are printed and counted
    try:
        return replace(read_mapping(tables[0]), name=LOOKUP_TABLE, source=LOOKUP_TABLE), ""
    except EvaluationError as error:
        return mapping, str(error).replace(str(tables[0]), LOOKUP_TABLE).replace(tables[0].name, LOOKUP_TABLE)


def _named_by_folder(paths: list[Path]) -> set[Path]:
    """Files that are alone in their folder and have the name of others: the folder says which case it is."""
    in_folder = Counter(path.parent for path in paths)
    alone = [path for path in paths if in_folder[path.parent] == 1 and not _SCAN.search(stem_of(path))]
    equal = Counter(stem_of(path) for path in alone)
    return {path for path in alone if equal[stem_of(path)] > 1}


def _each_once(cases: list[FoundCase]) -> list[FoundCase]:
    """Cases by name; one with several label maps has none that could be believed."""
    numbers = Counter(case.name for case in cases)
    first = {case.name: case for case in reversed(cases)}
    return [
        first[name] if number == 1 else replace(first[name], problem=f"{number} label maps of the same case")
        for name, number in sorted(numbers.items())
    ]
