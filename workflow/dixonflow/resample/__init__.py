"""Images and labels between grids."""
