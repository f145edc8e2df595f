"""Segmentation with nnU-Net v2 networks: one label map for one image, equal to what nnU-Net itself would give.

`backends` says what computes, `options` how; `network` reads a model folder, `preprocess` brings an image onto the
network's grid and labels back, `sliding_window` runs the networks over the image in slabs, `scores` turns slabs of
class scores into labels, by way of the interpolation in `taps`; `transfer` copies between host and device meanwhile,
`predictor` puts them together, `parts` several networks that fill one label map; `networks` loads those of a model,
`rough` finds the box that an image is cropped to.
"""

from dixonflow.segment.network import LoadedModel, load_model_folder
from dixonflow.segment.options import SegmentOptions
from dixonflow.segment.parts import PartsPredictor
from dixonflow.segment.predictor import ImageScores, Predictor

__all__ = [
    "ImageScores",
    "LoadedModel",
    "PartsPredictor",
    "Predictor",
    "SegmentOptions",
    "load_model_folder",
]
