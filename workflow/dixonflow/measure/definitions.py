"""The one place that says what a measure is. The dictionary of the tables is generated from it."""

from collections.abc import Iterator
from dataclasses import dataclass

from dixonflow.measure.measure_definition import MeasureDefinition
from dixonflow.vocabulary import DIXON, Contrast, ScanSequence

NOISE_FLOOR_SIGMAS = 5.0
"""A voxel has signal where F + W is at least this many times the noise level (Rose criterion, A. Rose, J. Opt. Soc. Am.
38, 1948)."""

PIECES_OF = (Contrast.WATER, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
"""Contrasts of which the pieces of vessels are counted before they are merged."""

FAT_FRACTION_STEPS = 10_000
"""Voxel fat fractions are resolved to 1 / this."""

INTRAMUSCULAR_FAT_THRESHOLD = 0.5
"""Voxel fat fraction from which a muscle voxel counts as fat."""


@dataclass(frozen=True)
class SignalStatistic:
    """A statistic of the signal of one contrast inside a structure."""

    name: str
    words: str
    quantile: float | None = None


SIGNAL_STATISTICS = (
    SignalStatistic("mean", "Mean"),
    SignalStatistic("sd", "Standard deviation (divided by n)"),
    SignalStatistic("median", "Median", 0.5),
    SignalStatistic("p5", "5th percentile (linear interpolation)", 0.05),
    SignalStatistic("p95", "95th percentile (linear interpolation)", 0.95),
)

_FIELD = "inside the field of view (voxel centre in at least one station)"
_ABOVE = (
    f"over voxels with signal: F + W at least {NOISE_FLOOR_SIGMAS:g} times the noise level of the scan (quality "
    f"check noise_level); each ratio is rounded to {1 / FAT_FRACTION_STEPS:g} and limited to 0..1"
)
_ERODED = (
    "the structure without its outermost voxels (those with a face towards anything else), to avoid partial "
    "volume; the parts of a composite are eroded separately"
)
_MUSCLE = "of muscles (group muscle in models/structures.csv) and composites of muscles"
_AMRA = (
    "limit between muscle tissue and fat: adipose tissue concentration of 50 % (West et al. 2018, PLoS ONE "
    "13:e0192495, doi 10.1371/journal.pone.0192495), here applied to the signal fat fraction"
)

_LEVEL = (
    "height in scanner coordinates (RAS z, growing towards the head), inside the field of view. The body is the "
    "thickest part of the vertebra: the voxels at least half as deep below its surface as its deepest one and "
    "connected to it"
)
_END = (
    "Median over the lines along z through the body, each followed until it leaves the vertebra; processes and stray "
    "voxels do not count"
)

_DIXON = (ScanSequence.DIXON,)
_PLAIN = {
    Contrast.T2: (ScanSequence.HASTE, ScanSequence.T2_TSE),
    Contrast.PD: (ScanSequence.PD,),
    Contrast.MR: (ScanSequence.OTHER,),
}
"""Sequences of images of arbitrary units that are no Dixon images."""

_WATER_AND_FAT = (Contrast.WATER, Contrast.FAT)


def _statistics(
    name: str, unit: str, words: str, sequences: tuple[ScanSequence, ...], *, of_fat: bool = False
) -> Iterator[MeasureDefinition]:
    for each in SIGNAL_STATISTICS:
        yield MeasureDefinition(
            f"{name}_{each.name}", unit, f"{each.words} of {words}", of_fat=of_fat, sequences=sequences
        )


def _signal(
    contrast: Contrast, sequences: tuple[ScanSequence, ...], *, of_fat: bool = False
) -> Iterator[MeasureDefinition]:
    words = (
        f"the stitched {contrast.value} signal over all voxels of the structure {_FIELD}. Arbitrary units: comparable "
        "inside a scan, not between scanners."
    )
    return _statistics(contrast.value, "", words, sequences, of_fat=of_fat)


_MEASURES = (
    MeasureDefinition(
        "volume",
        "mL",
        f"Number of voxels of the structure {_FIELD}, times the voxel volume. Cut by the field of view if "
        "coverage_fraction is below 1.",
    ),
    MeasureDefinition(
        "coverage_fraction",
        "1",
        "1 minus the share of the structure's surface (voxel faces towards anything else, by area) that lies on the "
        "edge of the field of view. 1: not cut; smaller values: a larger cut surface. It is not the share of the "
        "volume inside the field of view.",
        is_graded=False,
    ),
    MeasureDefinition(
        "area",
        "cm2",
        f"Area of the cross-section at the middle of a vertebral body {_FIELD}, without arms and hands: interpolated "
        "between the two slices that are nearest to it.",
        of_compartments=True,
    ),
    MeasureDefinition(
        "components",
        "",
        "Number of connected pieces (26 neighbours) of a vessel in the label map before surplus pieces were removed. "
        "One for a vessel that was found whole.",
        "MRSegmentator, vessel consistency (Haentze et al. 2024, arXiv 2405.06463)",
        is_graded=False,
        of_vessels="all",
    ),
    *(
        MeasureDefinition(
            f"{contrast}_components",
            "",
            "Number of connected pieces (26 neighbours) of a vessel in what the network gives for one image alone, "
            f"{contrast.value.replace('_', ' ')}, on the network's voxels, before the contrasts are merged.",
            "MRSegmentator, vessel consistency (Haentze et al. 2024, arXiv 2405.06463)",
            is_graded=False,
            of_vessels="all",
            sequences=(ScanSequence.DIXON,),
        )
        for contrast in PIECES_OF
    ),
    MeasureDefinition(
        "largest_gap",
        "mm",
        "Largest distance between voxel centres that has to be bridged to join all pieces of a vessel in the final "
        "label map; 0 for one piece, none for more than 40.",
        of_vessels="all",
    ),
    MeasureDefinition(
        "centreline_length",
        "mm",
        "Length of the centreline from end to end: a smooth curve through the middles of the cross-sections. Of the "
        "largest piece, where others hold at most 5 % of the vessel.",
        of_vessels="tubes",
    ),
    MeasureDefinition(
        "tortuosity",
        "ratio",
        "Length of the centreline over the straight distance of its ends; 1 for a straight vessel.",
        of_vessels="tubes",
    ),
    MeasureDefinition(
        "diameter",
        "mm",
        "Diameter of a round tube of the volume and the length of the vessel: its mean over the length, also of one "
        "that the field of view cuts.",
        of_vessels="tubes",
    ),
    MeasureDefinition(
        "uncut_slices",
        "1",
        "Share of the slices of a compartment in which it does not reach the field of view's edge at the side, the "
        "front or the back.",
        is_graded=False,
        of_compartments=True,
    ),
    MeasureDefinition(
        "fat_fraction",
        "1",
        "Signal fat fraction, main estimator: median of the voxel ratios F / (F + W) in the eroded structure: "
        f"{_ERODED}; {_ABOVE}. Not a proton density fat fraction: no correction for T1, T2* or the fat "
        "spectrum.",
        version=2,
        of_fat=True,
        sequences=_DIXON,
    ),
    MeasureDefinition(
        "fat_fraction_eroded_mean",
        "1",
        "As fat_fraction, but the mean: what is unevenly spread, such as fat between muscle fibres, counts by its "
        "amount.",
        of_fat=True,
        sequences=_DIXON,
    ),
    MeasureDefinition(
        "fat_fraction_mean", "1", f"Mean of the voxel ratios F / (F + W) {_ABOVE}.", of_fat=True, sequences=_DIXON
    ),
    MeasureDefinition(
        "fat_fraction_median", "1", f"Median of the voxel ratios F / (F + W) {_ABOVE}.", of_fat=True, sequences=_DIXON
    ),
    MeasureDefinition(
        "fat_fraction_of_sums",
        "1",
        "Sum of F over sum of F + W, over all voxels of the structure. Includes the fat around it that the outermost "
        "voxels share, and weights voxels by their signal. Until schema 1 this was fat_fraction.",
        of_fat=True,
        sequences=_DIXON,
    ),
    MeasureDefinition(
        "signal_voxel_fraction",
        "1",
        f"Share of the structure's voxels with signal: F + W at least {NOISE_FLOOR_SIGMAS:g} times the noise level "
        "of the scan.",
        sequences=_DIXON,
        is_graded=False,
    ),
    MeasureDefinition(
        "fat_volume",
        "mL",
        "Amount of fat: sum over the voxels with signal of the fat fraction F / (F + W) times the voxel volume.",
        of_fat=True,
        sequences=_DIXON,
    ),
    MeasureDefinition(
        "lean_volume",
        "mL",
        f"Volume of the voxels with signal whose fat fraction F / (F + W) is below {INTRAMUSCULAR_FAT_THRESHOLD:g}, "
        f"{_MUSCLE}.",
        _AMRA,
        of_fat=True,
        sequences=_DIXON,
    ),
    MeasureDefinition(
        "intramuscular_fat_volume",
        "mL",
        "Volume of the voxels with signal whose fat fraction F / (F + W) is at least "
        f"{INTRAMUSCULAR_FAT_THRESHOLD:g}, {_MUSCLE}.",
        _AMRA,
        of_fat=True,
        sequences=_DIXON,
    ),
    *(measure for contrast in DIXON for measure in _signal(contrast, _DIXON, of_fat=contrast in _WATER_AND_FAT)),
    *_statistics("hounsfield", "HU", f"the CT number over all voxels of the structure {_FIELD}.", (ScanSequence.CT,)),
    *(measure for contrast, sequences in _PLAIN.items() for measure in _signal(contrast, sequences)),
    MeasureDefinition(
        "pdff",
        "1",
        "Proton density fat fraction, main estimator: median of the values that the scanner computes from its echoes, "
        f"limited to 0..1, in the eroded structure: {_ERODED}.",
        of_fat=True,
        sequences=(ScanSequence.ME_VIBE,),
    ),
    MeasureDefinition(
        "pdff_eroded_mean", "1", "As pdff, but the mean.", of_fat=True, sequences=(ScanSequence.ME_VIBE,)
    ),
    *_statistics(
        "pdff",
        "1",
        "the proton density fat fraction that the scanner computes from its echoes, over all voxels of the structure "
        f"{_FIELD}; values are limited to 0..1.",
        (ScanSequence.ME_VIBE,),
        of_fat=True,
    ),
    *_statistics(
        "r2star",
        "1/s",
        f"R2* as the scanner computes it, over all voxels of the structure {_FIELD}.",
        (ScanSequence.ME_VIBE,),
    ),
    MeasureDefinition(
        "level_lower_end",
        "mm",
        f"Inferior endplate of a vertebra: {_LEVEL}. {_END}. For the sacrum, which includes S1, its lowest voxel.",
        of_vertebrae=True,
    ),
    MeasureDefinition(
        "level_centre",
        "mm",
        "Centre of a vertebral body: halfway between level_lower_end and level_upper_end.",
        of_vertebrae=True,
    ),
    MeasureDefinition(
        "level_upper_end",
        "mm",
        f"Superior endplate of a vertebra: {_LEVEL}. {_END}. For the sacrum, which includes S1, the top of its "
        "thickest part, near the promontory.",
        of_vertebrae=True,
    ),
)

MEASURES: dict[str, MeasureDefinition] = {measure.name: measure for measure in _MEASURES}
"""All measures by name, in the order of the tables."""
