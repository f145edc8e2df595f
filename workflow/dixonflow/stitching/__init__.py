"""The parts of stitching: the common grid, blending weights and the comparison of overlapping stations."""
