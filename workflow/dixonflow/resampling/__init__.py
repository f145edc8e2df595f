"""The parts of resampling: interpolation along one axis."""
