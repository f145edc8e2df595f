"""What the labels alone show: sizes, sides, parts, and what the edge of the field of view cuts."""

import numpy as np

from dixonflow.measure.checks.checked_scan import CheckedScan
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.structures import cut_by_design

_SIDES = (("left", "right"), ("back", "front"), ("below", "above"))
"""Ends of the axes of an image, which is RAS+."""


def volumes_ml(scan: CheckedScan) -> dict[str, float]:
    """Volume of each structure that is there; one that is not has no value to be graded."""
    found = {structure: scan.voxels(structure) for structure in scan.model.structures}
    return {name: voxels * scan.tally.voxel_mm3 / 1000 for name, voxels in found.items() if voxels}


def contradicted_shares(scan: CheckedScan) -> dict[str, float]:
    """Volume of each structure in patches that contradict the other contrasts' labels, over its volume; at most 1."""
    if scan.swapped_patches is None:
        return {}
    found, volumes = scan.swapped_patches.ml, volumes_ml(scan)
    # a structure that the final labels lost has a value, too: it is what the swap has hidden
    return {
        name: found.get(name, 0.0) / max(volumes.get(name, 0.0), found.get(name, 0.0)) for name in {**volumes, **found}
    }


def swapped_ml(scan: CheckedScan) -> float:
    """Volume of the patches that contradict the final labels, or those of the other contrasts: the larger one."""
    found = scan.swapped_patches.ml.values() if scan.swapped_patches else ()
    return max(scan.signal_fit.swapped_ml, sum(found))


def logarithms(scan: CheckedScan) -> dict[str, float]:
    """Decimal logarithm of the volume in mL of each structure that is there."""
    return {name: float(np.log10(ml)) for name, ml in volumes_ml(scan).items()}


def side_ratios(scan: CheckedScan) -> dict[str, float]:
    """Smaller over larger volume of each pair of sides that is there and whole."""
    limit = CHECKS["cut_by_field_of_view"].threshold or 0.0
    cut = cut_shares(scan)
    volumes = {name: volume for name, volume in volumes_ml(scan).items() if cut[name] <= limit}
    ratios = {}
    for name, volume in volumes.items():
        partner = name.replace("left", "right") if "left" in name else name.replace("right", "left")
        if partner != name and partner in volumes:
            ratios[name] = min(volume, volumes[partner]) / max(volume, volumes[partner])
    return ratios


def parts_found(scan: CheckedScan) -> dict[str, float]:
    """Share of the parts of each composite that are there."""
    return {
        name: sum(scan.voxels(part) > 0 for part in parts) / len(parts) for name, parts in scan.model.composites.items()
    }


def cut_shares(scan: CheckedScan) -> dict[str, float]:
    """How much of each structure the edge of the field of view cuts, as the definition of the check says."""
    shares = {}
    for structure in scan.model.structures:
        if scan.voxels(structure):
            if structure in cut_by_design():
                region = scan.region(structure)
                sides = float(scan.tally.edge_mm2[:2, region].sum())
                shares[structure] = sides / float(scan.tally.surface.area_mm2[region].sum())
            else:
                shares[structure] = sum(_cut(scan, structure))
    return shares


def cut_sides(scan: CheckedScan, structure: str) -> list[str]:
    """Sides of the body at which the edge of the field of view cuts a structure, the most cut first.

    Sides with less than a twentieth of the cut surface are left out.
    """
    mask = np.pad(scan.mask(structure), 1)
    inside = scan.in_field_of_view
    seen = np.ones(scan.labels.shape, bool) if inside is None else inside
    window = tuple(slice(each.start, each.stop + 2) for each in scan.tally.box)
    seen = np.pad(seen, 1)[window]
    mask &= seen
    spacing = np.diag(scan.affine)[:3]
    cut: dict[str, float] = {}
    for axis, names in enumerate(_SIDES):
        face_mm2 = float(np.prod(np.delete(spacing, axis)))
        for step, name in zip((-1, 1), names, strict=True):
            beyond = mask & ~np.roll(seen, -step, axis)  # the ring of nothing around the box is never in the mask
            cut[name] = float(np.count_nonzero(beyond)) * face_mm2
    whole = sum(cut.values())
    return sorted((name for name, area in cut.items() if area > whole / 20), key=lambda name: -cut[name])


def scan_ends_early(scan: CheckedScan) -> float:
    """Number of whole structures that the top or the bottom of the scan cuts."""
    whole = [name for name in scan.model.structures if name not in cut_by_design() and scan.voxels(name)]
    limit = CHECKS["cut_by_field_of_view"].threshold or 0.0
    return float(sum(_cut(scan, name)[1] > limit for name in whole))


def _cut(scan: CheckedScan, structure: str) -> tuple[float, float]:
    """Surface of a structure on the edge of the field of view, at its sides and at its two ends, over that of a ball of
    its volume.
    """
    edge = scan.tally.edge_mm2[:, scan.region(structure)]
    ball_mm2 = (36 * np.pi) ** (1 / 3) * (scan.voxels(structure) * scan.tally.voxel_mm3) ** (2 / 3)
    return float(edge[:2].sum() / ball_mm2), float(edge[2] / ball_mm2)
