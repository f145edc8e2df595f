"""Tell the contrast of a series by its tags. Tags that contradict each other are an exclusion, never a guess."""

import re

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.protocols import composed_word, contrast_words
from dixonflow.rawdata.slice_header import SliceHeader
from dixonflow.vocabulary import Contrast, Reason


def is_composed(header: SliceHeader) -> bool:
    """Whether the scanner itself put this image together from stations: it is no station."""
    word = composed_word()
    return word in header.image_type.upper().split("\\") or word in _parts(header.series_description.upper())


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
    suffix = _parts(header.series_description)[-1].lower()
    said = {
        "ImageType": _named(header.image_type, "image_type_words"),
        "ScanOptions": _named(header.scan_options, "dixon_words"),
        "(0051,1019)": _named(header.dixon_text, "dixon_words"),
        "SeriesDescription": {contrast_words("series_suffixes")[suffix]}
        if suffix in contrast_words("series_suffixes")
        else set(),
    }
    contrasts = set[Contrast]().union(*said.values())
    if len(contrasts) > 1:
        words = ", ".join(f"{tag} says {' and '.join(sorted(found))}" for tag, found in said.items() if found)
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, f"{name}: its contrast cannot be identified, {words}")
    return contrasts.pop() if contrasts else None


def _named(text: str, kind: str) -> set[Contrast]:
    words = contrast_words(kind)
    return {words[word] for word in re.split(r"[\\/]", text.upper()) if word in words}


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
        `contrast_mismatch` where in phase does not have the longer echo time.
    """
    if in_phase_ms is not None and opposed_phase_ms is not None and in_phase_ms <= opposed_phase_ms:
        raise ScanExcluded(
            Reason.CONTRAST_MISMATCH,
            f"{name}: echo times contradict the tags, which name in phase the echo at {in_phase_ms:g} ms and "
            f"opposed phase the one at {opposed_phase_ms:g} ms",
        )
