"""Compares the backends that are installed with torch, for the weights of a model, and writes down what was found.

Images are of the phantom, on the grid and in the orientation that the networks take: weights that were trained on
bodies give labels of bodies there, unlike noise, in which most scores are near to each other.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np

from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.imaging.station import Station
from dixonflow.models.backend_record import VOXELS_PER_DIFFERENCE, BackendRecord, Environment, write_backend_record
from dixonflow.models.model import Model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.ct import ct_image
from dixonflow.phantom.scanner.protocol import nako_protocol
from dixonflow.resample.model_grid import to_model_grid
from dixonflow.segment import ImageScores, Predictor, SegmentOptions
from dixonflow.segment.backends.choice import OTHERS, environment_of
from dixonflow.segment.preprocess import PreprocessedImage
from dixonflow.segment.sliding_window import NonFiniteScoresError
from dixonflow.vocabulary import Contrast

log = logging.getLogger(__name__)

_SEED = 31
"""Participant of the phantom."""

_STATION = 1
"""Station that shows the abdomen, from 0."""

_FINE_MM = 3.0
"""Voxel size that the body is drawn with."""

_OF_PATCH = 1.25
"""Length of the compared part along the slowest axis of the network, in patches: two patches overlap in it."""

_ENOUGH_VOXELS = 500_000
"""For smaller patches the part is larger, as far as the image reaches."""


def compare_backends(model: Model) -> list[BackendRecord]:
    """Compare the labels of all installed backends with those of torch, and write that into the folder of the weights.

    All networks and folds of the model run with one thread on two patches each, small ones on more: seconds for small
    networks, some minutes for large ones. A backend that cannot run them is named in the log and gets no record; so are
    networks that cannot take the phantom.

    Returns
    -------
    One record for each backend, in the order of `OTHERS`; none where none is installed.

    Raises
    ------
    ModelError
        If the networks cannot be loaded, or the folder of the weights cannot be written to.
    """
    tallies = {each: _Tally() for name in OTHERS if (each := environment_of(name))}
    try:
        voxels, torch_seconds = _compare(model, tallies)
    except (ScanExcluded, NonFiniteScoresError) as error:
        log.warning("model %s runs with torch: no comparison on the phantom: %s", model.name, error)
        return []
    records = []
    for each, tally in tallies.items():
        if tally.failure:
            log.warning("model %s runs with torch: %s", model.name, tally.failure)
            continue
        record = BackendRecord(
            **asdict(each),
            voxels=voxels,
            differing=tally.differing,
            seconds=tally.seconds,
            torch_seconds=torch_seconds,
        )
        try:
            write_backend_record(model, record)
        except OSError as error:
            raise ModelError(f"{model.weights} cannot be written to: {error.strerror}") from error
        records.append(record)
    return records


def comparison_in_words(record: BackendRecord) -> str:
    """One line on what was found, and what follows from it."""
    ratio = record.torch_seconds / record.seconds
    found = f"{record.differing} of {record.voxels} voxels differ from torch, {ratio:.2f} times as fast"
    if not record.passed:
        found += f" (at most 1 in {VOXELS_PER_DIFFERENCE:,} may)"
    used = record.backend if record.passed and record.is_faster else "torch"
    return f"{record.backend} {record.version}: {found}: auto takes {used}"


@dataclass
class _Tally:
    """What a backend has done so far."""

    seconds: float = 0.0
    differing: int = 0
    failure: str = ""


def _compare(model: Model, tallies: Mapping[Environment, "_Tally"]) -> tuple[int, float]:
    """Run all networks of a model by torch and by each backend; gives the voxels, and the seconds of torch."""
    voxels, torch_seconds = 0, 0.0
    for folder in model.folders.values() if tallies else ():
        options = SegmentOptions(interpolate="nearest", device="cpu", threads=1, orientation=model.orientation)
        reference = Predictor(folder, options)
        part = compared_part(reference, model)
        expected, seconds = _labels(reference, part)
        del reference  # one set of networks in memory at a time
        voxels, torch_seconds = voxels + expected.labels.size, torch_seconds + seconds
        for each, tally in tallies.items():
            found, seconds = _labels(Predictor(folder, replace(options, backend=each.backend)), part)
            tally.seconds += seconds
            tally.differing += int(np.count_nonzero(found.labels != expected.labels))
            tally.failure = tally.failure or found.fallback
    return voxels, torch_seconds


def _labels(predictor: Predictor, part: PreprocessedImage) -> tuple[ImageScores, float]:
    """Labels on the network's grid, and the processor time they took, which others on the machine do not change (s)."""
    started = time.process_time()
    found = predictor.infer([part])
    return found, time.process_time() - started


def compared_part(predictor: Predictor, model: Model) -> PreprocessedImage:
    """The middle of the image as the network takes it: two patches that overlap, more where patches are small."""
    images = [to_model_grid(each, model) for each in _images(model)]
    data = [each.data for each in images]
    (whole,) = predictor.prepare([np.stack(data)] if model.channels else data[:1], images[0].spacing_mm)
    first, *others = predictor.model.architecture.patch_size
    wanted = np.array([int(first * _OF_PATCH), *others])
    have = np.array(whole.network_shape)
    while np.prod(np.minimum(wanted, have)) < min(_ENOUGH_VOXELS, np.prod(have)):
        wanted = wanted * 5 // 4
    size = np.minimum(wanted, have)
    low = (have - size) // 2
    middle = [slice(start, stop) for start, stop in zip(low, low + size, strict=True)]
    return replace(whole, image=np.ascontiguousarray(whole.image[(slice(None), *middle)]))


def _images(model: Model) -> Sequence[NiftiImage]:
    """One image for each channel of the networks; water stands for what a Dixon scan does not have."""
    if model.modality == "ct":
        return [_ct()]
    station = _dixon()
    images = [station.images.get(each, station.images[Contrast.WATER]) for each in model.contrasts_read]
    return [NiftiImage(each.astype(np.float32), station.affine) for each in images]


@cache
def _ct() -> NiftiImage:
    participant = draw_participant(_SEED)
    anatomy = render_anatomy(participant, _FINE_MM)
    return NiftiImage(ct_image(participant, anatomy).astype(np.float32), anatomy.affine)


@cache
def _dixon() -> Station:
    participant, protocol = draw_participant(_SEED), nako_protocol()
    of_abdomen = replace(protocol, stations=protocol.stations[_STATION : _STATION + 1])
    (station,) = acquire(participant, render_anatomy(participant, _FINE_MM), of_abdomen)
    return station
