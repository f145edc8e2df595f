"""Networks over an image in overlapping patches, as nnU-Net does, with scores of one slab at a time in memory.

nnU-Net visits patches with the first axis slowest. Once the next start on that axis begins, nothing more is added to
the rows before it: they are divided by their weights, handed on and forgotten. Numbers are rounded at the same points
as nnU-Net rounds them, so the scores are the same to the last bit on the same device.

Where scores are summed on the CPU, a thread does so, and serves the sinks, while the networks compute the next patch.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
from torch.nn import functional

from dixonflow.errors import DixonflowError
from dixonflow.segment.architecture import Shape
from dixonflow.segment.background import BackgroundSteps
from dixonflow.segment.transfer import DeviceTransfers, ImageRows

# nnU-Net's values: width of the Gaussian as a part of the patch, and its height, which keeps small weights above the
# smallest half-precision number and scores up to several hundred below the largest.
_SIGMA_SCALE = 1 / 8
_GAUSSIAN_HEIGHT = 10

Network = Callable[[torch.Tensor], torch.Tensor]
"""From a patch (1, channel, a, b, c) to its scores (1, class, a, b, c), which are the caller's to change."""


class NonFiniteScoresError(DixonflowError):
    """A network gave scores that are not finite, or too large to be summed in half precision."""


class SlabSink(Protocol):
    """Takes the slabs of an image, first to last along the slowest axis."""

    def add(self, scores: torch.Tensor) -> None:
        """Take the scores (class, rows, b, c) of the next rows; they are overwritten after the call."""


@dataclass(frozen=True)
class SlidingWindow:
    """How networks are run over an image.

    Attributes
    ----------
    patch_size
        Voxels along the network's axes.
    classes
        Scores of a voxel.
    tile_step
        Largest step between patches, as a part of the patch: 0.5 is nnU-Net's default.
    mirror_axes
        Axes along which patches are also mirrored, in all combinations; each doubles the time. Empty: none.
    device
        Where the networks are.
    probabilities
        Turn the mean scores of every image's networks into probabilities of the classes, and average and hand on these.
    """

    patch_size: Shape
    classes: int
    tile_step: float
    mirror_axes: tuple[int, ...]
    device: torch.device
    probabilities: bool = False


@torch.inference_mode()
def run_sliding_window(
    networks: Sequence[Network],
    images: Sequence[torch.Tensor],
    window: SlidingWindow,
    sink: SlabSink,
    scores_device: torch.device,
    copies: DeviceTransfers,
    each: Sequence[SlabSink] = (),
    image_weights: Sequence[float] = (),
) -> None:
    """Run networks over an image and hand their mean scores on, slab by slab.

    Scores of several images of one grid, the contrasts of a scan, are averaged over the networks, then over the images.

    Memory where scores are summed: 2 bytes x networks x images x classes x patch rows x padded plane, however many
    rows the image has; the scores of one patch (4 bytes x classes x voxels), of two on the CPU; and 4 bytes for each
    voxel of the images. With one network of 73 classes and patches of 128 x 128 x 128 on a plane of 320 x 260 these are
    1.6, 0.6 or 1.2, and 0.1 GB. What the network itself needs comes on top.

    Parameters
    ----------
    networks
        One for each fold, which takes patches on `window.device`.
    images
        At least one; float32, (channel, a, b, c), all of one shape, in host memory.
    sink
        Gets half-precision scores on `scores_device`, without the padding of small images.
    scores_device
        Where scores are summed: the networks' device or the CPU.
    copies
        Copies of `window.device`.
    each
        One for each image, which gets the scores of that image alone in the same way; or none.
    image_weights
        How much each image counts in the mean; all the same where none are given.

    Raises
    ------
    ValueError
        If `each` or `image_weights` is neither empty nor one for each image.
    NonFiniteScoresError
        If a score is infinite or not a number.
    """
    if each and len(each) != len(images):
        raise ValueError(f"{len(images)} images need as many sinks of their own, not {len(each)}")
    if image_weights and len(image_weights) != len(images):
        raise ValueError(f"{len(images)} images need as many weights, not {len(image_weights)}")
    shape, patch = images[0].shape[1:], window.patch_size
    below = [max(size - length, 0) // 2 for size, length in zip(patch, shape, strict=True)]
    above = [max(size - length, 0) - low for size, length, low in zip(patch, shape, below, strict=True)]
    padding = [n for pair in zip(below[::-1], above[::-1], strict=True) for n in pair]
    whole = [functional.pad(image, padding) if any(padding) else image for image in images]
    padded = [ImageRows(image, scores_device, copies) for image in whole]
    depth, *plane = padded[0].data.shape[1:]
    planes = tuple(slice(low, low + length) for low, length in zip(below[1:], shape[1:], strict=True))
    starts = compute_steps_for_sliding_window((depth, *plane), patch, window.tile_step)
    gaussian = compute_gaussian(
        patch, sigma_scale=_SIGMA_SCALE, value_scaling_factor=_GAUSSIAN_HEIGHT, device=scores_device
    )

    def zeros(*size: int) -> torch.Tensor:
        return torch.zeros(size, dtype=torch.half, device=scores_device)

    sources = list(itertools.product(padded, networks))
    sums = [zeros(window.classes, patch[0], *plane) for _ in sources]
    weights = zeros(patch[0], *plane)

    def add_scores(number: int, place: tuple[slice, slice], scores: torch.Tensor, done: tuple[int, int] | None) -> None:
        _add_weighted(sums[number][(slice(None), slice(None), *place)], scores, gaussian)
        if number == 0:
            weights[(slice(None), *place)] += gaussian
        if done:
            emit_slab(*done)

    def emit_slab(start: int, following: int) -> None:
        rows = following - start
        first, last = max(start, below[0]) - start, min(following, below[0] + shape[0]) - start
        if last > first:
            part = (slice(None), slice(first, last), *planes)
            scores_of = _image_scores([total[:, :rows] for total in sums], weights[:rows], len(networks), window)
            if each:
                for own, image_scores in zip(each, scores_of, strict=True):
                    own.add(image_scores[part])
            sink.add(_averaged(scores_of, image_weights)[part])
        for total in (*(part for source in sums for part in source), weights):  # class by class: a small temporary copy
            total[: patch[0] - rows] = total[rows:].clone()
            total[patch[0] - rows :] = 0

    for image in padded:
        image.fetch(patch[0])
    with BackgroundSteps(scores_device.type == "cpu") as background:
        for start, following in itertools.pairwise([*starts[0], depth]):
            copies.device_waits()
            for image in padded:
                image.fetch(min(following + patch[0], depth))
            patches = list(itertools.product(starts[1], starts[2], range(len(sources))))
            for b, c, number in patches:
                place = (slice(b, b + patch[1]), slice(c, c + patch[2]))
                image, network = sources[number]
                tile = image.data[(slice(None), slice(start, start + patch[0]), *place)][None].contiguous()
                scores = _scores(network, tile.to(window.device), window).to(scores_device)
                # What is done with the last patch is no step of its own, which would have to be waited for.
                done = (start, following) if (b, c, number) == patches[-1] else None
                background.submit(partial(add_scores, number, place, scores, done))


def _scores(network: Network, tile: torch.Tensor, window: SlidingWindow) -> torch.Tensor:
    """Scores (class, a, b, c) of one patch, the mean over its mirror images where asked for."""
    with torch.autocast("cuda", enabled=window.device.type == "cuda"):
        scores: torch.Tensor = network(tile)
        axes = [axis + 2 for axis in window.mirror_axes]
        combinations = [c for n in range(len(axes)) for c in itertools.combinations(axes, n + 1)]
        for flips in combinations:
            scores += torch.flip(network(torch.flip(tile, flips)), flips)
        if combinations:
            scores /= len(combinations) + 1
    return scores[0]


def _add_weighted(total: torch.Tensor, scores: torch.Tensor, gaussian: torch.Tensor) -> None:
    """Add weighted scores, which are changed, to half-precision sums, all (class, a, b, c)."""
    # Class by class on a CPU: what is changed is then still in its cache when it is added. Same numbers.
    parts = zip(total, scores, strict=True) if total.device.type == "cpu" else [(total, scores)]
    for part, more in parts:
        part.add_(more.mul_(gaussian))


def _image_scores(
    sums: Sequence[torch.Tensor], weights: torch.Tensor, networks: int, window: SlidingWindow
) -> list[torch.Tensor]:
    """Divide in place, check, and give the scores of each image in the place of its first network's.

    Parameters
    ----------
    sums
        Weighted scores (class, rows, b, c) of each image's networks, image by image.
    """
    for total in sums:
        total.div_(weights)
        # The bounds need no copy and little time, unlike isfinite of the whole slab, and show every inf and nan.
        bounds = torch.stack([torch.stack(torch.aminmax(part)) for part in total])
        if not bool(bounds.isfinite().all()):
            raise NonFiniteScoresError("the network gave scores that are infinite, not a number, or too large")
    images = [_averaged(sums[first : first + networks]) for first in range(0, len(sums), networks)]
    if window.probabilities:
        for image in images:
            for row in range(image.shape[1]):  # a small temporary copy
                image[:, row] = torch.softmax(image[:, row].float(), dim=0)
    return images


def _averaged(parts: Sequence[torch.Tensor], weights: Sequence[float] = ()) -> torch.Tensor:
    mean = parts[0]
    if len(set(weights)) > 1:
        mean *= weights[0] / sum(weights)
        for part, weight in zip(parts[1:], weights[1:], strict=True):
            mean.add_(part, alpha=weight / sum(weights))
        return mean
    for part in parts[1:]:
        mean += part
    if len(parts) > 1:
        mean /= len(parts)
    return mean
