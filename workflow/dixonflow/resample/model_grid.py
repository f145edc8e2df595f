"""Between the voxels of an image and those that a model's authors resample to before nnU-Net sees it."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from dixonflow.errors import ModelError
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.imaging.types import Affine
from dixonflow.models.model import Model
from dixonflow.resample.volume import labels_to_grid, resample_to_spacing, zoom_labels, zoom_to_spacing


def to_model_grid(image: NiftiImage, model: Model) -> NiftiImage:
    """Bring an image onto the grid of a model, float32; the image itself for a model that resamples in nnU-Net's order.

    Raises
    ------
    ModelError
        If the spacing is known from the weights only, and they are not imported.
    """
    spacing_mm = model.spacing_mm
    if spacing_mm == "plans":
        raise ModelError(f"model {model.name} is not imported: its spacing is unknown")
    if spacing_mm is None:
        return image
    if model.resampling == "first_zoom":
        return NiftiImage(*zoom_to_spacing(image.data, image.affine, spacing_mm))
    return NiftiImage(*resample_to_spacing(image.data, image.affine, spacing_mm, model.orientation))


def to_image_grid(
    labels: NDArray[Any], model: Model, model_affine: Affine, shape: Sequence[int], affine: Affine
) -> NDArray[Any]:
    """Bring labels back from the grid of a model, by nearest neighbour as its authors do.

    Parameters
    ----------
    labels
        (x, y, z) on the grid of the model.
    model_affine
        That of the image on the grid of the model.
    shape, affine
        Of the image.
    """
    match model.resampling:
        case "first":
            return labels_to_grid(labels, model_affine, shape, affine)
        case "first_zoom":
            return zoom_labels(labels, shape)
        case "nnunet":
            return labels
