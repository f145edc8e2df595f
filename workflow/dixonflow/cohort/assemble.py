"""Parts to scans: what lies in several files is one scan, and later deliveries replace earlier ones."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dixonflow.cohort.found import FoundScan
from dixonflow.cohort.listing import Listed, Part
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.vocabulary import Layout, ScanId


@dataclass(frozen=True)
class _Held:
    """A part and the number of the source that holds it."""

    part: Part
    source: int


@dataclass
class _Group:
    """All parts of a scan in one layout."""

    held: dict[Path, _Held] = field(default_factory=dict)
    superseded: list[Path] = field(default_factory=list)


def assemble(sources: Sequence[Source], listed: Sequence[Listed]) -> list[FoundScan]:
    """Put the parts of each scan together, no file opened yet.

    Where the same part was found several times, and no source supersedes the other, there is one entry for each: their
    contents decide.

    Parameters
    ----------
    sources, listed
        Sources, and what each of their folders holds.

    Returns
    -------
    In the order of the paths.
    """
    groups: dict[tuple[ScanId, Layout], _Group] = defaultdict(_Group)
    for number, (source, found) in enumerate(zip(sources, listed, strict=True)):
        for part in found.parts:
            # one folder may lie in another: the first source that names a file has it
            groups[part.scan, source.layout].held.setdefault(part.path, _Held(part, number))
    scans = []
    for (scan, layout), group in groups.items():
        _supersede(group, sources)
        scans += _entries(scan, layout, group, sources)
    return sorted(scans, key=lambda found: found.raw.paths)


def _supersede(group: _Group, sources: Sequence[Source]) -> None:
    """Take out the parts that a later delivery replaces; a whole scan replaces all parts."""
    for held in list(group.held.values()):
        earlier = sources[held.source].supersedes
        if earlier is None:
            continue
        for path, other in list(group.held.items()):
            replaced = sources[other.source].folder == earlier and other.source != held.source
            if replaced and held.part.name in ("", other.part.name):
                del group.held[path]
                group.superseded.append(path)


def _chosen(group: _Group) -> Iterator[list[_Held]]:
    """Parts that are a scan together: as many scans as a part was found times; DICOM and NIfTI are no parts of one."""
    kinds: dict[bool, dict[str, list[_Held]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(group.held):
        held = group.held[path]
        kinds[path.name.endswith((".nii", ".nii.gz"))][held.part.name].append(held)
    for _, by_name in sorted(kinds.items()):
        for place in range(max(map(len, by_name.values()))):
            yield [each[min(place, len(each) - 1)] for _, each in sorted(by_name.items())]


def _entries(scan: ScanId, layout: Layout, group: _Group, sources: Sequence[Source]) -> list[FoundScan]:
    note = ""
    if group.superseded:
        delivered = {sources[held.source] for held in group.held.values()}
        kept = sorted(str(source.folder) for source in delivered if source.supersedes is not None)
        note = f"{len(group.superseded)} of its files are replaced by those of a later delivery, in {', '.join(kept)}"
    entries = []
    for chosen in _chosen(group):
        first = min(chosen, key=lambda held: held.source)
        paths = sorted(held.part.path for held in chosen)
        options = sources[first.source].options_for(scan.sequence)
        raw = RawScan(scan, layout, paths[0], more_paths=tuple(paths[1:]), options=options)
        entries.append(FoundScan(raw, first.source, note=note, superseded=tuple(sorted(group.superseded))))
    return [replace(entry, others=tuple(sorted(set(group.held) - set(entry.raw.paths)))) for entry in entries]
