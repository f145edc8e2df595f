"""Stations of a scan to one image per contrast."""
