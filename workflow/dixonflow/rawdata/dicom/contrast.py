"""Tell the contrast of a series by its tags. Tags that contradict each other are an exclusion, never a guess."""

import re
from functools import lru_cache

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.protocols import composed_word, contrast_words
from dixonflow.vocabulary import Contrast, Reason


def is_composed(header: SliceHeader) -> bool:
    """Whether the scanner itself put this image together from stations: it is no station."""
    return _has_composed_word(header.image_type, header.series_description)


@lru_cache(maxsize=4096)
def _has_composed_word(image_type: str, description: str) -> bool:
    word = composed_word()
    return word in image_type.upper().split("\\") or word in _parts(description.upper())


def contrast_of(header: SliceHeader, name: str) -> Contrast | None:
    """Contrast that the tags of a slice name.

    ImageType, ScanOptions, the private element (0051,1019) and the last part of SeriesDescription are examined; all
    that name a contrast must name the same.

    Parameters
    ----------
    name
        How messages call the series.

    Returns
    -------
    Contrast
        None where no tag names one: the echo time has to tell then, which takes the whole station.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch` where tags contradict each other.
    """
    said = _said(header.image_type, header.scan_options, header.dixon_text, header.series_description)
    contrasts = {contrast for _, found in said for contrast in found}
    if len(contrasts) > 1:
        words = ", ".join(f"{tag} says {' and '.join(sorted(found))}" for tag, found in said if found)
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, f"{name}: its contrast cannot be identified, {words}")
    return contrasts.pop() if contrasts else None


def contrast_said(image_type: str, scan_options: str, description: str) -> set[Contrast]:
    """Contrasts that the words of a NIfTI sidecar name."""
    return {contrast for _, found in _said(image_type, scan_options, "", description) for contrast in found}


@lru_cache(maxsize=4096)
def _said(
    image_type: str, scan_options: str, dixon_text: str, description: str
) -> tuple[tuple[str, frozenset[Contrast]], ...]:
    """What each tag names. A scan has few different texts and a thousand slices."""
    suffix = _parts(description)[-1].lower()
    named = contrast_words("series_suffixes").get(suffix)
    return (
        ("ImageType", _named(image_type, "image_type_words")),
        ("ScanOptions", _named(scan_options, "dixon_words")),
        ("(0051,1019)", _named(dixon_text, "dixon_words")),
        ("SeriesDescription", frozenset([named] if named else [])),
    )


def _named(text: str, kind: str) -> frozenset[Contrast]:
    words = contrast_words(kind)
    return frozenset(words[word] for word in re.split(r"[\\/]", text.upper()) if word in words)


def _parts(description: str) -> list[str]:
    return re.split(r"[_\s]+", description)


def by_echo_time(echo_times_ms: tuple[float | None, float | None]) -> tuple[Contrast, Contrast] | None:
    """Contrasts of the two echoes of a station that no tag names: the longer echo time is in phase.

    Returns
    -------
    tuple
        None where an echo time is missing or both are equal.
    """
    first, second = echo_times_ms
    if first is None or second is None or first == second:
        return None
    if first > second:
        return Contrast.IN_PHASE, Contrast.OPPOSED_PHASE
    return Contrast.OPPOSED_PHASE, Contrast.IN_PHASE


def check_echo_times(in_phase_ms: float | None, opposed_phase_ms: float | None, name: str) -> None:
    """Check that the echo times of a station agree with what the other tags say.

    Parameters
    ----------
    name
        How messages call the station.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch` where in phase has the shorter echo time; equal ones say nothing.
    """
    if in_phase_ms is not None and opposed_phase_ms is not None and in_phase_ms < opposed_phase_ms:
        raise ScanExcluded(
            Reason.CONTRAST_MISMATCH,
            f"{name}: echo times contradict the tags, which name in phase the echo at {in_phase_ms:g} ms and "
            f"opposed phase the one at {opposed_phase_ms:g} ms",
        )
