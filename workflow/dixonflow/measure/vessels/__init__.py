"""Vessels: their pieces, and the centreline of those that are single tubes."""
