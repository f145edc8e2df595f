"""NIfTI files of raw scans: names, headers and sidecars."""
