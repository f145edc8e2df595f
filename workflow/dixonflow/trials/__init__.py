"""Trials of the whole workflow on scans with planted defects."""
