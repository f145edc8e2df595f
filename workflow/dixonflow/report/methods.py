"""What a paper says of a run: its methods in words, with numbers of scans, and what to cite."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import pandas as pd

from dixonflow.config import Config
from dixonflow.measure.definitions import INTRAMUSCULAR_FAT_THRESHOLD, MEASURES
from dixonflow.models.comparison import interpolate_of, merge_strategy_of
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast, Grade, MergeStrategy, Reason, ScanSequence, Status

_CONTRASTS = {Contrast.CT: "CT", Contrast.T2: "T2-weighted", Contrast.PD: "proton density", Contrast.MR: "MR"}
_MERGED = {
    MergeStrategy.PRIORITY: "were merged by the priorities of contrasts that its authors published",
    MergeStrategy.FIRST: "were merged so that the first contrast with a label decides",
    MergeStrategy.MAJORITY: "were merged by majority",
    MergeStrategy.MEAN_SCORES: "were averaged before labels were assigned",
}
_INTERPOLATED = {
    "scores": "The network's scores were interpolated to the voxels of the image.",
    "probabilities": "The network's probabilities were interpolated to the voxels of the image.",
    "nearest": "Labels were brought to the voxels of the image by nearest neighbour.",
}


@dataclass(frozen=True)
class Methods:
    """Methods of a run.

    Attributes
    ----------
    paragraphs
        In words.
    bibtex
        Entries of what to cite, in the order in which the words name it.
    """

    paragraphs: Sequence[str]
    bibtex: str


def methods_of(
    scans: pd.DataFrame, config: Config, models: Mapping[ScanSequence, Sequence[Model]], versions: Mapping[str, str]
) -> Methods:
    """Say how a run was done.

    Parameters
    ----------
    scans
        The table `scans`.
    config
        Of the run.
    models
        Models of each sequence, as they are used on its scans.
    versions
        Version of DixonFlow and of each library.
    """
    segmented = {each: of for each, of in models.items() if each not in config.segment.labels_of_dixon}
    used = [model for of_sequence in segmented.values() for model in of_sequence]
    paragraphs = [_scans(scans)]
    if ScanSequence.DIXON in models:
        paragraphs.append(_stitching(config))
    for sequence, of_sequence in segmented.items():
        scans_of = f"In {sequence} scans, " if len(segmented) > 1 else ""
        paragraphs += [scans_of + _segmentation(model, config) for model in of_sequence]
    if config.segment.labels_of_dixon:
        names = ", ".join(config.segment.labels_of_dixon)
        paragraphs.append(f"Scans of {names} were measured in the label map of the Dixon scan of their session.")
    paragraphs += [_measurement(config, of_dixon=ScanSequence.DIXON in models), _software(versions)]
    witnesses = [model.swaps for model in used if model.swaps is not None]
    return Methods(paragraphs, _bibtex(key for model in (*used, *witnesses) for key in model.references))


def _scans(scans: pd.DataFrame) -> str:
    status = scans["status"].map(Status)
    counts = {each: int(status.eq(each).sum()) for each in Status}
    reasons = scans.loc[status.isin([Status.EXCLUDED, Status.FAILED]), "reason"].value_counts()
    named = "; ".join(f"{Reason(str(name)).description}: {count:,}" for name, count in reasons.items())
    known = scans.loc[status.ne(Status.WITHDRAWN), "participant_id"].nunique()
    graded = scans["scan_grade"].value_counts()
    there = len(scans) - counts[Status.WITHDRAWN]
    words = [
        f"{there:,} scans were found, {counts[Status.OK]:,} of which were measured; {counts[Status.EXCLUDED]:,} were "
        f"excluded and {counts[Status.FAILED]:,} failed{f' ({named})' if named else ''}. The scans are of "
        f"{known:,} participants."
    ]
    if counts[Status.WITHDRAWN]:
        words.append(f"Further scans of participants who have withdrawn: {counts[Status.WITHDRAWN]:,}.")
    words.append(
        f"Quality checks graded {int(graded.get(Grade.PASS.value, 0)):,} of the measured scans as pass, "
        f"{int(graded.get(Grade.REVIEW.value, 0)):,} for review and {int(graded.get(Grade.FAIL.value, 0)):,} as failed."
    )
    return " ".join(words)


def _stitching(config: Config) -> str:
    stitch = config.stitch
    words = ["The stations of each Dixon scan were joined on one grid."]
    if stitch.match_intensities:
        words.append("One factor for each station, computed from the overlaps, made stations equally bright.")
    words.append(
        "Stations and halves of stations in which water and fat were clearly swapped were "
        + ("swapped back before." if stitch.repair_swaps else "a reason to exclude the scan.")
    )
    return " ".join(words)


def _segmentation(model: Model, config: Config) -> str:
    contrasts = [_CONTRASTS.get(each, each.value.replace("_", " ")) for each in model.contrasts_read]
    images = " and ".join([", ".join(contrasts[:-1]), contrasts[-1]] if len(contrasts) > 1 else contrasts)
    kind = "images" if model.modality == "mr" else "images in Hounsfield units"
    how = f" from the {images} {kind}"
    cited = f" \\cite{{{','.join(model.references)}}}" if model.references else ""
    network = f"{model.title} (weights {model.weights_hash[:12]}){cited}"
    words = [f"{len(model.labels)} structures were segmented{how} by {network}."]
    if len(model.input_contrasts) > 1:
        merged = _MERGED[merge_strategy_of(model, config.merge)]
        words.append(f"The contrasts were segmented one by one, and the results {merged}.")
    words.append(_INTERPOLATED[interpolate_of(model, config.segment)])
    if config.segment.folds:
        words.append(f"Folds {', '.join(config.segment.folds)} of the network were averaged.")
    if model.swaps is not None:
        words.append(
            f"{model.swaps.title} looked for swapped water and fat \\cite{{{','.join(model.swaps.references)}}}."
        )
    return " ".join(words)


def _measurement(config: Config, *, of_dixon: bool) -> str:
    words = [f"Volume: {MEASURES['volume'].definition}"]
    if of_dixon:
        words.append(
            f"Signal fat fraction, which is not the proton density fat fraction: {MEASURES['fat_fraction'].definition} "
            f"Intramuscular fat is voxels of a muscle with a fat fraction of {INTRAMUSCULAR_FAT_THRESHOLD:g} or more."
        )
    words.append("Values that failed a quality check are missing, with the reason; others have a grade.")
    if config.measure.incomplete_composites != "missing":
        words.append("Sums of several structures whose parts were not all found are those of the parts found, graded.")
    return " ".join(words)


def _software(versions: Mapping[str, str]) -> str:
    own = versions["dixonflow"]
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items() if name != "dixonflow")
    return f"DixonFlow {own} was used, with {libraries}."


def _bibtex(keys: Iterable[str]) -> str:
    entries = bibliography()
    return "\n".join(entries[key] for key in dict.fromkeys(keys))


def bibliography() -> dict[str, str]:
    """BibTeX entries of everything that model files cite, by key."""
    text = resources.files("dixonflow.report").joinpath("references.bib").read_text(encoding="utf-8")
    entries = [entry.strip() + "\n" for entry in re.split(r"\n(?=@)", text)]
    return {entry.partition("{")[2].partition(",")[0]: entry for entry in entries}
