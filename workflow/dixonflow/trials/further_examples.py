"""Examples of checks that no defect of the catalogue shows: a phantom in its true labels, changed for each of them."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from dixonflow.imaging.types import Affine
from dixonflow.labelmap.agreement import agreement_of_models
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.checks.stitch_findings import stitch_findings
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import measure
from dixonflow.models.comparison import vertebrae_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.vertebrae import vertebra_truth
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.truth import truth_on_grid
from dixonflow.phantom.writers.dicom import write_ukb
from dixonflow.report.close_up import close_up
from dixonflow.report.contact_sheet import contact_sheet
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.swaps import Swap, swapped_back
from dixonflow.system.atomic import write_bytes
from dixonflow.trials.example_pictures import picture_of_delivery
from dixonflow.vocabulary import Contrast, Layout, ScanId

_SEED, _SPACING_MM = 31, 3.0
_MIXED = 0.4
Images = dict[Contrast, NDArray[Any]]


@dataclass(frozen=True)
class Example:
    """A picture of what a check is about; the other fields are those of `EXAMPLES`."""

    name: str
    defect: str
    strength: float
    unit: str
    structure: str
    value: float | None
    threshold: float | None
    picture: bytes


class _Body:
    """A phantom scan, its true labels, and its vertebrae in the numbers of a model that names them."""

    def __init__(self) -> None:
        self.model = load_model(MODELS / "demo.yaml")
        self.spine_model = load_model(MODELS / "totalsegmentatorvertebraemr.yaml")
        self.participant = draw_participant(_SEED)
        self.anatomy = render_anatomy(self.participant, _SPACING_MM)
        self.stations = acquire(self.participant, self.anatomy, DemoOptions().protocol(Layout.UKB))
        self.stitched = stitch(self.stations)
        self.images: Images = dict(self.stitched.images)
        self.affine = self.stitched.affine
        self.boxes = [StationBox(each.index, each.low_mm, each.high_mm) for each in self.stitched.report.stations]
        shape = next(iter(self.images.values())).shape
        true = truth_on_grid(self.anatomy, shape, self.affine)
        self.labels = np.where(np.isin(true, list(self.model.labels)), true, 0).astype(np.uint8)

    @cached_property
    def spine(self) -> NDArray[np.uint8]:
        """Label map of the vertebrae."""
        labels = {vertebra: each[0] for vertebra, each in vertebrae_of(self.spine_model).items()}
        truth = vertebra_truth(self.participant, self.anatomy)
        table = np.zeros(256, np.uint8)
        table[list(labels)] = list(labels.values())
        # the nearest voxel of the anatomy's grid
        offset, step = self.affine[:3, 3] - self.anatomy.affine[:3, 3], np.diag(self.affine)[:3]
        places = [
            np.clip(np.rint((start + size * np.arange(n)) / self.anatomy.spacing_mm).astype(int), 0, limit - 1)
            for start, size, n, limit in zip(offset, step, self.labels.shape, truth.labels.shape, strict=True)
        ]
        nearest: NDArray[np.uint8] = table[truth.labels[np.ix_(*places)]]
        return nearest


def write_further_examples(pictures: Path) -> list[dict[str, Any]]:
    """Draw all of them into a folder; return their rows of the table of examples."""
    rows = []
    for example in _examples():
        write_bytes(pictures / f"{example.name}.png", example.picture)
        rows.append({key: value for key, value in dataclasses.asdict(example).items() if key != "picture"})
    return rows


def _examples() -> Iterator[Example]:
    body = _Body()
    yield from _turned(body)
    yield from _noisy(body)
    yield from _stitched(body)
    yield from _vertebrae(body)
    yield _grown(body)
    yield _outside(body)
    yield _of_two_models(body)
    yield _repeated(body)


def _said(
    name: str,
    labels: NDArray[Any],
    images: Images,
    affine: Affine,
    boxes: list[StationBox],
    model: Model,
    structure: str | None = None,
    **more: Any,
) -> tuple[str, float | None, float | None]:
    """The structure that a check is worst at, or the one given; the value and the threshold there."""
    rows = measure(labels, images, affine, boxes, model, wrong_side_ml=0.0, **more).quality
    own = rows[rows["check"].eq(name) & rows["value"].notna()]
    own = own if structure is None else own[own["structure"].eq(structure)]
    beyond = (own["value"] - own["threshold"].fillna(0)).abs().to_numpy(float)
    worst = own.iloc[int(beyond.argmax())]
    threshold = None if pd.isna(worst["threshold"]) else float(worst["threshold"])
    return str(worst["structure"]), float(worst["value"]), threshold


def _turned(body: _Body) -> Iterator[Example]:
    for name, axis, words in (("head_up", 2, "image upside down"), ("front_ahead", 1, "front and back swapped")):
        labels = np.flip(body.labels, axis).copy()
        images = {contrast: np.flip(image, axis).copy() for contrast, image in body.images.items()}
        said = _said(name, labels, images, body.affine, body.boxes, body.model)
        yield Example(name, words, 1, "scan", *said, contact_sheet(images, labels, body.affine))


def _noisy(body: _Body) -> Iterator[Example]:
    rng = np.random.default_rng(0)
    largest = max(float(np.percentile(image, 99)) for image in body.images.values())
    for name, share, noisy in (
        ("noise_level", 0.06, tuple(Contrast)),
        ("signal_to_noise", 0.3, tuple(Contrast)),
        ("fat_noise", 0.1, (Contrast.FAT,)),
    ):
        images = {
            contrast: np.abs(image + rng.normal(0, share * largest, image.shape)).astype(image.dtype)
            if contrast in noisy
            else image
            for contrast, image in body.images.items()
        }
        said = _said(name, body.labels, images, body.affine, body.boxes, body.model)
        yield Example(name, "noise added", share, "of the largest signal", *said, contact_sheet(
            {each: images[each] for each in (Contrast.FAT, Contrast.WATER)} if noisy == (Contrast.FAT,) else images,
            body.labels, body.affine,
        ))  # fmt: skip


def _stitched(body: _Body) -> Iterator[Example]:
    swapped = [
        swapped_back(station, [Swap(station.index, "whole", 0.0)]) if station.index == 2 else station
        for station in body.stations
    ]
    repaired = stitch(swapped)
    found = stitch_findings(repaired.report.as_dict())["swaps_repaired"]
    place = body.boxes[2].slices(body.labels.shape, body.affine)
    shown = {contrast: image.copy() for contrast, image in body.images.items()}
    water, fat = (body.images[contrast][place] for contrast in (Contrast.WATER, Contrast.FAT))
    shown[Contrast.WATER][place], shown[Contrast.FAT][place] = fat, water
    picture = contact_sheet(shown, body.labels, body.affine)
    threshold = CHECKS["swaps_repaired"].threshold
    yield Example("swaps_repaired", "water and fat of a station swapped, here as delivered", 1, "station", "",
                  found.value, threshold, picture)  # fmt: skip
    # water and fat that are nearly alike say little about which is which
    alike = []
    for station in body.stations:
        own = station.images
        water, fat = own[Contrast.WATER], own[Contrast.FAT]
        both = {Contrast.WATER: _mixed(water, fat), Contrast.FAT: _mixed(fat, water)}
        alike.append(dataclasses.replace(station, images={**own, **both}))
    mixed = stitch(alike)
    margin = stitch_findings(mixed.report.as_dict())["swap_margin"]
    yield Example("swap_margin", "water and fat mixed", _MIXED, "of the other", "", round(margin.value, 6),
                  CHECKS["swap_margin"].threshold,
                  contact_sheet(dict(mixed.images), body.labels, body.affine))  # fmt: skip


def _mixed(own: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    mixed: NDArray[Any] = ((1 - _MIXED) * own + _MIXED * other).astype(own.dtype)
    return mixed


def _vertebrae(body: _Body) -> Iterator[Example]:
    model, labels = body.spine_model, vertebrae_of(body.spine_model)
    by_vertebra = {vertebra: each[0] for vertebra, each in labels.items()}
    there = sorted(vertebra for vertebra, label in by_vertebra.items() if (body.spine == label).any())
    third, fourth = there[-4], there[-3]
    changes: Mapping[str, tuple[str, Mapping[int, int]]] = {
        "vertebra_order": ("two vertebrae named for each other", {third: fourth, fourth: third}),
        "vertebra_gaps": ("a vertebra without a label", {third: 0}),
        "vertebra_distance_ratio": ("a vertebra without a label, the others renamed", _closed_up(there, third)),
    }
    for name, (words, names) in changes.items():
        table = np.arange(256, dtype=np.uint8)
        for vertebra, other in names.items():
            table[by_vertebra[vertebra]] = by_vertebra[other] if other else 0
        spine = table[body.spine]
        said = _said(name, spine, body.images, body.affine, body.boxes, model)
        picture = close_up(body.images, spine, body.affine, [by_vertebra[each] for each in there])
        assert picture is not None
        yield Example(name, words, 1, "vertebra", *said, picture)


def _closed_up(there: list[int], missing: int) -> dict[int, int]:
    """Names of the vertebrae above a missing one moved down by one, so that the order has no gap."""
    place = there.index(missing)
    return {missing: 0, **{there[number]: there[number + 1] for number in range(place)}}


def _grown(body: _Body) -> Example:
    spleen, voxels = body.model.structures["spleen"], 3
    labels = np.where(binary_dilation(body.labels == spleen, iterations=voxels), spleen, body.labels).astype(np.uint8)
    said = _said("unusually_large", labels, body.images, body.affine, body.boxes, body.model, "spleen")
    picture = close_up(body.images, labels, body.affine, [spleen])
    assert picture is not None
    return Example("unusually_large", "label grown", voxels, "voxels", *said, picture)


def _outside(body: _Body) -> Example:
    name = "labels_outside_field_of_view"
    boxes = body.boxes[1:]
    said = _said(name, body.labels, body.images, body.affine, boxes, body.model)
    seen = {contrast: image.copy() for contrast, image in body.images.items()}
    top = max(box.high_mm[2] for box in boxes)
    dark = body.affine[2, 3] + body.affine[2, 2] * np.arange(body.labels.shape[2]) > top
    for image in seen.values():
        image[:, :, dark] = 0
    picture = contact_sheet(seen, body.labels, body.affine)
    return Example(name, "labels where no station lies", 1, "station", *said, picture)


def _of_two_models(body: _Body) -> Example:
    other = body.model.model_copy(update={"name": "other"})
    liver = body.model.structures["liver"]
    moved = np.where(body.labels == liver, 0, body.labels)
    moved[np.roll(body.labels == liver, 4, axis=2)] = liver
    found = agreement_of_models(body.labels, body.model, [(other, moved)])
    agreement = {name: value for name, value in found.items() if name == "liver"}
    said = _said("model_agreement", body.labels, body.images, body.affine, body.boxes, body.model,
                 model_agreement=agreement)  # fmt: skip
    both = np.where((body.labels == liver) & (moved != liver), 1, np.where(moved == liver, liver, 0)).astype(np.uint8)
    picture = close_up(body.images, both, body.affine, [1, liver])
    assert picture is not None
    return Example("model_agreement", "liver of another model moved", 4, "voxels", *said, picture)


def _repeated(body: _Body) -> Example:
    """A station that was acquired twice, the first time broken off."""
    last = body.stations[-1]
    half = last.images[Contrast.WATER].shape[2] // 2
    affine = last.affine.copy()
    affine[:3, 3] += half * affine[:3, 2]
    upper = {each: image[:, :, half:] for each, image in last.images.items()}
    broken = dataclasses.replace(last, images=upper, affine=affine)
    with tempfile.TemporaryDirectory() as folder:
        picture = picture_of_delivery(write_ukb(Path(folder), ScanId("3000000", "2"), [*body.stations[:-1], broken]))
    assert picture is not None
    words = "last station acquired twice, first to half: what was acquired first"
    threshold = CHECKS["repeated_stations"].threshold
    return Example("repeated_stations", words, 1, "station", "", 1.0, threshold, picture)
