"""What the stitch stage found out about a scan, as values of quality checks: from the stitched images' sidecar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.imaging.types import Affine
from dixonflow.measure.field_of_view import StationBox
from dixonflow.stitch.swap_evidence import swap_evidence
from dixonflow.stitch.swaps import Swap, find_swaps, swaps_in_words
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True)
class CheckValue:
    """Value of a check of the whole scan.

    Attributes
    ----------
    value
        In the unit of the check.
    place
        Which stations it is about, numbered from the head, and which of their slices, numbered from the feet; empty
        where it is about all.
    """

    value: float
    place: str = ""


def stitch_findings(sidecar: Mapping[str, Any]) -> dict[str, CheckValue]:
    """Values of the checks that look at stations, by name; what was not looked for, or not to be seen, is missing.

    Parameters
    ----------
    sidecar
        Of the stitched images, of this version or an earlier one.
    """
    found: dict[str, CheckValue] = {}
    pairs = sidecar["pairs"]
    between = [f"stations {pair['upper'] + 1} and {pair['lower'] + 1}" for pair in pairs]
    found |= _largest("overlap_residual", [pair["relative_difference"] for pair in pairs], between)
    shifts = [_length(pair.get("shift_mm", ())) for pair in pairs]
    found |= _largest("station_shift", shifts, between)
    stations = sidecar["stations"]
    names = [f"station {station['index'] + 1}" for station in stations]
    ratios = sidecar.get("in_phase_ratios", [])
    deviations = [None if ratio is None else abs(ratio - 1) for ratio in ratios]
    places = _with_slices(names, sidecar.get("deviating_slices", []))
    found |= _largest("contrast_sum", deviations, places if deviations else [])
    if pairs:
        factors = [station["intensity_factor"] for station in stations]
        found["intensity_match"] = CheckValue(max(factors) / min(factors), names[int(np.argmax(factors))])
    statistics = sidecar.get("statistics") or [None] * len(names)
    known = [(each, name) for each, name in zip(statistics, names, strict=True) if each]
    if known:
        coarsest, name = min(known, key=lambda each: each[0]["grey_levels"])
        found["grey_levels"] = CheckValue(float(coarsest["grey_levels"]), name)
    found |= _largest("values_cut_off", [each["ceiling_share"] for each, _ in known], [name for _, name in known])
    slices = [f"{name}, slice {each['order_slice'] + 1}" if each["slice_order"] else name for each, name in known]
    found |= _largest("slice_order", [each["slice_order"] for each, _ in known], slices)
    found |= _largest("sharpness_match", [_blur(pair.get("sharpness_ratio")) for pair in pairs], between)
    if "overlap_residual" in found:
        residual = found["overlap_residual"]
        found["overlap_agreement"] = CheckValue(1 - residual.value, residual.place)
    if sidecar.get("swap_margin") is not None:
        swaps = [Swap(**swap) for swap in sidecar["swaps"]]
        found["swaps_repaired"] = CheckValue(float(len(swaps)), swaps_in_words(swaps))
        found["swap_margin"] = CheckValue(sidecar["swap_margin"])
    return found


def unrepaired_swaps(
    images: Mapping[Contrast, NDArray[Any]], affine: Affine, sidecar: Mapping[str, Any]
) -> dict[str, CheckValue]:
    """The check `swap_margin` of images stitched by a version that did not look for swaps of halves and whole scans."""
    evidence = {}
    for record in sidecar["stations"]:
        box = StationBox.from_record(record).slices(images[Contrast.WATER].shape, affine)
        origin = affine.copy()
        origin[:3, 3] += [part.start * step for part, step in zip(box, np.diag(affine)[:3], strict=True)]
        part = {contrast: images[contrast][box] for contrast in (Contrast.WATER, Contrast.FAT)}
        evidence[record["index"]] = swap_evidence(part, Station(record["index"], part, origin))
    finding = find_swaps(list(evidence), evidence, [])
    if finding.margin is None:
        return {}
    if finding.swaps:
        return {"swap_margin": CheckValue(-finding.margin, swaps_in_words(finding.swaps))}
    return {"swap_margin": CheckValue(finding.margin)}


def _with_slices(names: Sequence[str], slices: Sequence[Sequence[int] | None]) -> list[str]:
    """`station 3, slices 12 to 20`, from slices that are counted from 0."""
    known = [*slices, *[None] * (len(names) - len(slices))]
    return [
        name if each is None else f"{name}, slices {each[0] + 1} to {each[1] + 1}"
        for name, each in zip(names, known, strict=True)
    ]


def _largest(check: str, values: Sequence[float | None], places: Sequence[str]) -> dict[str, CheckValue]:
    known = [(value, place) for value, place in zip(values, places, strict=True) if value is not None]
    return {check: CheckValue(*max(known, key=lambda each: each[0]))} if known else {}


def _blur(ratio: float | None) -> float | None:
    """How much sharper one of two stations is than the other, whichever it is."""
    return max(ratio, 1 / ratio) if ratio else None


def _length(shift_mm: Sequence[float | None]) -> float | None:
    """Length of a displacement across the body; along it, where anatomy changes slowly, it is not sure enough."""
    across = [value for value in shift_mm[:2] if value is not None]
    return float(np.linalg.norm(across)) if across else None
