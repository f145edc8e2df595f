"""Judging label maps against reference masks."""
