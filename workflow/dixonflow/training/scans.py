"""Simulated, stitched scans with their labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import Anatomy, render_anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.truth import truth_on_grid
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import Contrast, Layout

CONTRASTS = (Contrast.WATER, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
"""What the network is trained on: VIBESegmentator's inputs."""
FINE_SPACING_MM = DemoOptions.fine_spacing_mm
"""As the demo cohort: thin structures are drawn a little differently on other grids."""

CLASS_OF_LABEL = np.zeros(256, np.uint8)
CLASS_OF_LABEL[[int(s) for s in Structure]] = np.arange(1, len(Structure) + 1)
"""Label id to the consecutive class number that nnU-Net wants."""


@dataclass(frozen=True)
class Scan:
    """A stitched scan and the anatomy behind it."""

    anatomy: Anatomy
    images: dict[Contrast, NDArray[np.int16]]
    affine: NDArray[np.float64]

    def classes(self) -> NDArray[np.uint8]:
        """Class numbers on the stitched grid."""
        x, y, z = self.images[Contrast.WATER].shape
        return CLASS_OF_LABEL[truth_on_grid(self.anatomy, (x, y, z), self.affine)]


def simulate_scan(seed: int, layout: Layout) -> Scan:
    """Draw, render, scan and stitch one participant, as the demo cohort is scanned."""
    participant = draw_participant(seed)
    anatomy = render_anatomy(participant, FINE_SPACING_MM)
    stations = acquire(participant, anatomy, DemoOptions().protocol(layout))
    stitched = stitch(stations)
    return Scan(anatomy, stitched.images, stitched.affine)
