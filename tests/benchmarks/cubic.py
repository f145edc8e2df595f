"""Resampling one contrast, as nnU-Net does before it predicts, to voxels of 1.5 mm."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.arrays import Arrays, Verdict, make_once
from benchmarks.phantom_scan import phantom_scan, stitched_contrasts

SPACING_MM = 1.5


def prepare(inputs: Path, small: bool) -> Path:
    """Make the normalised image (z, y, x), its spacing and the new matrix."""
    scan = phantom_scan(inputs, "nako", small)

    def fill(folder: Path) -> None:
        images, affine = stitched_contrasts(scan)
        image = images["water"].astype(np.float32).transpose(2, 1, 0)
        spacing = np.diag(affine)[2::-1]
        new = spacing * 0.8 if small else np.full(3, SPACING_MM)
        np.save(folder / "image.npy", np.ascontiguousarray((image - image.mean()) / image.std()))
        np.save(folder / "spacing.npy", spacing)
        np.save(folder / "new_spacing.npy", new)
        np.save(folder / "new_shape.npy", np.round(np.array(image.shape) * spacing / new).astype(int))

    return make_once(inputs / f"{scan.name}-normalised", fill)


def _ours(prepared: Path, dtype: type[np.float32] | type[np.float64], order: int = 3) -> Callable[[], Arrays]:
    from dixonflow.resample.volume import resample_image

    image, shape = np.load(prepared / "image.npy"), np.load(prepared / "new_shape.npy").tolist()
    return lambda: {"image": resample_image(image, shape, order=3 if order == 3 else 1, dtype=dtype)}


def ours_single(prepared: Path) -> Callable[[], Arrays]:
    """Cubic in single precision."""
    return _ours(prepared, np.float32)


def ours_double(prepared: Path) -> Callable[[], Arrays]:
    """Cubic in double precision."""
    return _ours(prepared, np.float64)


def ours_linear(prepared: Path) -> Callable[[], Arrays]:
    """Linear in single precision."""
    return _ours(prepared, np.float32, order=1)


def nnunet(prepared: Path) -> Callable[[], Arrays]:
    """nnU-Net's default function for images; it computes in double precision."""
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    # in double precision the result is not rounded to single before it is compared
    data = np.load(prepared / "image.npy").astype(np.float64)[None]
    shape = np.load(prepared / "new_shape.npy")
    spacing, new = np.load(prepared / "spacing.npy"), np.load(prepared / "new_spacing.npy")
    return lambda: {
        "image": resample_data_or_seg_to_shape(data, shape, spacing, new, is_seg=False, order=3, order_z=0)[0]
    }


def skimage(prepared: Path) -> Callable[[], Arrays]:
    """The function that nnU-Net calls."""
    from skimage.transform import resize

    image = np.load(prepared / "image.npy").astype(np.float64)
    shape = np.load(prepared / "new_shape.npy").tolist()
    return lambda: {"image": resize(image, shape, 3, mode="edge", anti_aliasing=False)}


def scipy(prepared: Path) -> Callable[[], Arrays]:
    """The function that skimage calls, and its clipping."""
    from scipy import ndimage

    image = np.load(prepared / "image.npy").astype(np.float64)
    zoom = np.load(prepared / "new_shape.npy") / np.array(image.shape)

    def call() -> Arrays:
        zoomed = ndimage.zoom(image, zoom, order=3, mode="nearest", grid_mode=True)
        return {"image": np.clip(zoomed, image.min(), image.max())}

    return call


def simpleitk_linear(prepared: Path) -> Callable[[], Arrays]:
    """SimpleITK's resampling filter, linear; edges are repeated beyond the outermost centres."""
    import SimpleITK

    image, shape = np.load(prepared / "image.npy"), np.load(prepared / "new_shape.npy")
    factor = (np.array(image.shape) / shape)[::-1]

    def call() -> Arrays:
        given = SimpleITK.GetImageFromArray(image)
        result = SimpleITK.Resample(
            given,
            shape[::-1].tolist(),
            SimpleITK.Transform(),
            SimpleITK.sitkLinear,
            (factor / 2 - 0.5).tolist(),
            factor.tolist(),
            given.GetDirection(),
            0.0,
            SimpleITK.sitkFloat32,
            True,
        )
        return {"image": SimpleITK.GetArrayFromImage(result)}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Largest difference as a part of the image's range: 1e-9 in double, 1e-6 in single precision."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    image, other = ours["image"], theirs["image"]
    if image.shape != other.shape:
        return Verdict(False, f"shapes {image.shape} and {other.shape}")
    range_ = float(np.ptp(np.load(prepared / "image.npy")))
    worst = float(np.max(np.abs(image.astype(np.float64) - other))) / range_
    return Verdict(worst <= (1e-9 if image.dtype == np.float64 else 1e-6), f"differ by {worst:.1g} of the range")
