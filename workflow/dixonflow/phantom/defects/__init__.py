"""Defects to be planted in phantom scans, from raw file to label map, to see what the workflow makes of them."""
